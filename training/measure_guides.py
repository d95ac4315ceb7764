"""Do the demo's guides guide? Drawn by Easel's own engine, and checked by program.

    python -m training.measure_guides [--pictures 40] [--only outlines] [--json F] [--grid PNG]

Outlines: Easel's canny of drawn things that stand, lean and are of sizes as no caption says. How well what is drawn
fills the outline's thing is told by intersection over union; beside that, the same captions and seeds without the unit.
Pictures as prompts: drawings of single things, and no words. All scenes but the red stars and green hearts are
combinations that no training saw.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from PIL import Image

from backend.catalog.guide_files import GUIDE, annotator_files, encoders, guide_file, preferred
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import FileKey, ModelFile
from backend.request.guide_modules import PICTURE_PROMPT
from backend.request.record import Record
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.models.memory import Memory

from .checker import judge, look, silhouettes
from .command_line import measuring, tell
from .data import MODEL, PICTURE, PROJECT
from .drawing import draw
from .easel_pictures import drawn, request
from .measure import Question, grid, share
from .outlines import UNIT, outline, outline_scenes, painted
from .scenes import Scene, Thing, random_scenes
from .train_controlnet import FILE as OUTLINES
from .train_ip_adapter import FILE

GROUNDS = ("white", "black", "yellow", "blue", "gray", "cyan")
SCENES_SEED, FIRST_SEED, FIRST_DRAWING = 2040, 500, 70_000
COLUMNS = 8


@dataclass
class Studio:
    """The demo model in memory, with the files of its guides."""

    memory: Memory = field(default_factory=lambda: Memory(place("cpu")))
    catalog: ModelCatalog = field(default_factory=lambda: ModelCatalog((PROJECT / "models",)))

    def files(self, name: str) -> dict[FileKey, ModelFile]:
        named = {(GUIDE, name): guide_file(name, self.catalog)}
        return named | encoders(named, self.catalog)

    def drawn(self, asked: list[Question], shown: list[Image.Image], unit: dict[str, Any]) -> list[Image.Image]:
        """A picture for each question, whose unit has the picture of the same number."""
        return self.drawn_by(asked, (unit, shown))

    def drawn_by(self, asked: list[Question], *shown: tuple[dict[str, Any], list[Image.Image]]) -> list[Image.Image]:
        """As `drawn`, by several units, each with its own pictures."""
        given: dict[str, bytes] = {}
        units: list[list[dict[str, Any]]] = [[] for _ in asked]
        for unit, pictures in shown:
            for mine, picture in zip(units, pictures, strict=True):
                file = png(picture)
                name = sha256(file).hexdigest()         # what is made of a picture is kept by its name
                given[name] = file
                mine.append({**unit, "image": name})
        requests = [guided(request(question), *mine) for question, mine in zip(asked, units, strict=True)]
        files: dict[FileKey, ModelFile] = {}
        for unit, _ in shown:
            files |= self.files(unit["model"]) | annotator_files([UNIT | {"enabled": True} | unit], self.catalog)
        return drawn(self.memory, MODEL, requests, files, given)

    def without(self, asked: list[Question]) -> list[Image.Image]:
        return drawn(self.memory, MODEL, [request(question) for question in asked])


def guided(request: Request, *units: dict[str, Any]) -> Request:
    return request.replace(guides=tuple(Record(UNIT | {"enabled": True} | unit) for unit in units))


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


WANTED = preferred(guide_file(OUTLINES.stem, ModelCatalog((PROJECT / "models",))))       # as the page fills it in
OUTLINE = {"module": "canny", "model": OUTLINES.stem, **WANTED}
PROMPT = {"module": PICTURE_PROMPT, "model": FILE.stem}


def agreement(picture: Image.Image, other: Image.Image) -> float:
    """Intersection over union of what two pictures show before plain backgrounds, 0..1."""
    one, two = filled(picture), filled(other)
    return float((one & two).sum() / max((one | two).sum(), 1))


def filled(picture: Image.Image) -> np.ndarray:
    """Where there is something: bool [128, 128]."""
    masks = silhouettes(np.asarray(picture.convert("RGB")))
    return np.any(masks, axis=0) if masks else np.zeros((PICTURE, PICTURE), dtype=bool)


def red_stars(count: int) -> tuple[list[Scene], list[Question]]:
    scenes = [Scene(GROUNDS[number % len(GROUNDS)], (Thing("red", "star"),)) for number in range(count)]
    return scenes, [Question(scene, words(scene), FIRST_SEED + number) for number, scene in enumerate(scenes)]


def other_outlines(count: int) -> tuple[list[Scene], list[Question]]:
    scenes = [scene for scene in outline_scenes(SCENES_SEED, 3 * count, held_out=True) if scene.plain and scene.things]
    return scenes[:count], [Question(scene, words(scene), FIRST_SEED + number)
                            for number, scene in enumerate(scenes[:count])]


def words(scene: Scene) -> str:
    things = " and ".join(f"a {thing.colour} {thing.shape}" for thing in scene.things)
    return f"{things} on a {scene.background} background"


def measure_outlines(
    studio: Studio, scenes: list[Scene], asked: list[Question]
) -> tuple[dict[str, float], list[list[Image.Image]]]:
    """Figures, and the outlines, what was drawn with them, and without."""
    numbers = range(FIRST_DRAWING, FIRST_DRAWING + len(scenes))
    shown = [painted(scene, PICTURE, number) for scene, number in zip(scenes, numbers, strict=True)]
    found, without = studio.drawn(asked, shown, OUTLINE), studio.without(asked)
    overlaps, free = ([agreement(picture, each) for picture, each in zip(some, shown, strict=True)]
                      for some in (found, without))
    colours = [sorted(one.colour for one in look(picture).objects) == sorted(thing.colour for thing in scene.things)
               for picture, scene in zip(found, scenes, strict=True)]
    return {
        "IoU, mean": round(float(np.mean(overlaps)), 4),
        "IoU of 0.8 or more": share([one >= 0.8 for one in overlaps]),
        "colours": share(colours),
        "IoU, mean, without": round(float(np.mean(free)), 4),
    }, [[Image.fromarray(outline(np.asarray(picture), PICTURE)) for picture in shown], found, without]


def measure_prompts(studio: Studio, scenes: list[Scene]) -> tuple[dict[str, float], list[list[Image.Image]]]:
    """How often the thing of a picture is drawn without a word; what was shown, and what was drawn."""
    shown = [draw(scene, PICTURE, FIRST_DRAWING + number) for number, scene in enumerate(scenes)]
    asked = [Question(scene, "", FIRST_SEED + number) for number, scene in enumerate(scenes)]
    found = studio.drawn(asked, shown, PROMPT)
    verdicts = [judge(picture, scene) for picture, scene in zip(found, scenes, strict=True)]
    return {
        "colour": share([verdict.colours[0] for verdict in verdicts]),
        "shape": share([verdict.shapes[0] for verdict in verdicts]),
        "colour and shape": share([verdict.things_right for verdict in verdicts]),
        "background": share([verdict.background for verdict in verdicts]),
    }, [shown, found]


def green_hearts(count: int) -> list[Scene]:
    return [Scene(GROUNDS[number % len(GROUNDS)], (Thing("green", "heart"),)) for number in range(count)]


def main() -> None:
    parser = measuring(__doc__, "outlines, drawn, without; prompts, drawn", pictures=40)
    parser.add_argument("--only", choices=("outlines", "prompts"), help="one of the two")
    options = parser.parse_args()
    studio, count = Studio(), options.pictures
    result: dict[str, object] = {"pictures": count}
    sheet: list[Image.Image] = []
    if options.only != "prompts":
        result["the outline of a star, a red star"], rows = measure_outlines(studio, *red_stars(count))
        result["other outlines"], others = measure_outlines(studio, *other_outlines(count))
        sheet += side_by_side(rows, others)
    if options.only != "outlines":
        result["a green heart, no words"], rows = measure_prompts(studio, green_hearts(count))
        singles = random_scenes(SCENES_SEED, count, held_out=True, count=1, plain=1.0)
        result["other pictures, no words"], others = measure_prompts(studio, singles)
        sheet += side_by_side(rows, others)
    tell(options, result, lambda: grid(sheet, COLUMNS))


def side_by_side(rows: list[list[Image.Image]], others: list[list[Image.Image]]) -> list[Image.Image]:
    """The first of both, in rows of COLUMNS."""
    half = COLUMNS // 2
    return [picture for row, other in zip(rows, others, strict=True) for picture in row[:half] + other[:half]]


if __name__ == "__main__":
    main()

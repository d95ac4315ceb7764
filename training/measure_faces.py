"""Does the demo's FaceID keep who somebody is? Drawn and looked at by Easel's own engine and face analysis.

    python -m training.measure_faces [--pictures 40] [--json F] [--grid PNG] [--people PNG]

People and seeds that no training saw. Two pictures show the same person when their identities are at least as near as
a threshold, which is measured on drawn portraits alone: one in a hundred pairs of different people is so near.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from backend.catalog.guide_files import GUIDE_FACES
from backend.request.guide_choices import GUIDE_CHOICES
from backend.request.guide_modules import PICTURE_PROMPT
from backend.worker.faces import analysis
from backend.worker.faces.analysis import FaceAnalysis

from .command_line import measuring, tell
from .face_pictures import portraits
from .faces import Person, Portrait, draw_face, people, portrait
from .measure import Question, grid, share
from .measure_guides import Studio
from .scenes import Scene
from .train_face_id import FILE

AS_FILLED_IN = GUIDE_CHOICES["face"].weight
UNIT = {"module": PICTURE_PROMPT, "model": FILE.stem, "weight": AS_FILLED_IN}
DRAWN_SEED, SHOWN_SEED, FIRST_SEED = 2050, 2051, 900
PAIRS = 2000
MISTAKEN = 0.01             # share of pairs of different people that may be taken for the same
COLUMNS = 8
FOUR = slice(2, 6)          # who differ most among the first
Known = tuple[Person, np.ndarray]       # the identity of length 1


def looker(studio: Studio) -> FaceAnalysis:
    """The networks through which the demo's FaceID sees faces."""
    return analysis.load(studio.files(FILE.stem)[GUIDE_FACES, FILE.stem])


def identities(networks: FaceAnalysis, pictures: Sequence[Image.Image]) -> list[np.ndarray | None]:
    """The largest face's, of length 1; None where none is found."""
    seen = [networks.faces(np.asarray(picture.convert("RGB"))) for picture in pictures]
    return [max(faces, key=lambda face: face.area).normed if faces else None for faces in seen]


def strangers(networks: FaceAnalysis) -> tuple[list[Known], dict[str, float]]:
    """Who is seen in drawn portraits of everybody held back; and how often a face is found there."""
    asked = portraits(held_out=True, each=2, seed=DRAWN_SEED)
    found = identities(networks, [draw_face(one) for one in asked])
    known = [(one.person, seen) for one, seen in zip(asked, found, strict=True) if seen is not None]
    return known, {"found in drawn portraits": round(len(known) / len(asked), 4)}


def threshold(known: list[Known]) -> tuple[float, dict[str, float]]:
    """How near the same person is, told from drawn portraits; and how sure that is."""
    same = [float(a @ b) for number, (who, a) in enumerate(known) for other, b in known[:number] if who == other]
    rng = random.Random(DRAWN_SEED)
    pairs = [rng.sample(known, 2) for _ in range(PAIRS)]
    others = [float(a @ b) for (who, a), (other, b) in pairs if who != other]
    bound = float(np.quantile(others, 1 - MISTAKEN))
    return bound, {"threshold": round(bound, 3),
                   "drawn portraits of the same person": share([one >= bound for one in same])}


def nearest(seen: np.ndarray | None, known: list[Known]) -> Person | None:
    """Who it is most, of all who are known; None where there is no face."""
    return max(known, key=lambda one: alike(seen, one[1]))[0] if seen is not None else None


def shown_people(count: int) -> list[Portrait]:
    """Portraits of people held back."""
    rng = random.Random(SHOWN_SEED)
    return [portrait(person, rng) for person in rng.sample(people(held_out=True), count)]


def measure(studio: Studio, count: int) -> tuple[dict[str, float], list[list[Image.Image]]]:
    """Figures, and who was shown, what was drawn of them, and without."""
    networks = looker(studio)
    known, told = strangers(networks)
    bound, sure = threshold(known)
    sitters = shown_people(count)
    shown = [draw_face(one) for one in sitters]
    asked = [Question(Scene(one.background), f"a face on a {one.background} background", FIRST_SEED + number)
             for number, one in enumerate(sitters)]
    drawn, without = studio.drawn(asked, shown, UNIT), studio.without(asked)
    wanted, found = identities(networks, shown), identities(networks, drawn)
    bare = identities(networks, without)
    others = [*wanted[1:], wanted[0]]
    near = [alike(a, b) for a, b in zip(wanted, found, strict=True)]
    return told | sure | {
        "a face is drawn": share([one is not None for one in found]),
        "identity, mean": round(float(np.mean(near)), 4),
        "identity kept": share([one >= bound for one in near]),
        "the nearest of all people held back": share(
            [nearest(seen, known) == one.person for seen, one in zip(found, sitters, strict=True)]),
        "another's identity": share([alike(a, b) >= bound for a, b in zip(others, found, strict=True)]),
        "identity kept, without": share([alike(a, b) >= bound for a, b in zip(wanted, bare, strict=True)]),
    }, [shown, drawn, without]


def alike(one: np.ndarray | None, other: np.ndarray | None) -> float:
    """-1..1; -1 where there is no face."""
    return float(one @ other) if one is not None and other is not None else -1.0


def main() -> None:
    parser = measuring(__doc__, "who was shown, drawn, without", pictures=40)
    parser.add_argument("--people", type=Path, help="write the portraits of four people here, as one picture")
    options = parser.parse_args()
    told, rows = measure(Studio(), options.pictures)
    if options.people:
        grid(rows[0][FOUR], 2).save(options.people)
    result = {"pictures": options.pictures, **told}
    tell(options, result, lambda: grid([picture for row in rows for picture in row[:COLUMNS]], COLUMNS))


if __name__ == "__main__":
    main()

"""What the demo LoRA and the demo embedding do to the demo model's pictures, checked by program.

    python -m training.measure_networks [--captions 60] [--json F] [--grid PNG]

Draws with Easel's own engine. The LoRA's captions are the first of `training.measure`'s: combinations that training
never saw. Style: the share of pictures in which every thing is half shaded. The embedding's captions name the new
colour by the embedding, and beside that by its plain English word, which the demo model was never taught.
"""

from __future__ import annotations

import random

from PIL import Image

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import EMBEDDING, LORA
from backend.worker.device import place
from backend.worker.models.memory import Memory

from .captions import caption
from .checker import judge
from .command_line import measuring, tell
from .data import MODEL
from .easel_pictures import drawn, request
from .half_shade import half_shaded
from .measure import Question, figures, grid, questions, share
from .new_colour import new_coloured, seen
from .scenes import NEW_COLOUR
from .train_networks import EMBEDDING_FILE, LORA_FILE

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
COLOUR_SEED, COLOUR_CAPTIONS = 2028, 40
COLUMNS = 8         # of the grid: so many captions, a row for each weight


def measure_lora(memory: Memory, asked: list[Question]) -> tuple[dict[str, object], list[list[Image.Image]]]:
    """Figures by weight, whether weight 0 equals "without" to the bit, and the pictures by weight."""
    files = {(LORA, LORA_FILE.stem): ModelCatalog((LORA_FILE.parents[1],)).find(LORA, LORA_FILE.stem)}
    without = drawn(memory, MODEL, [request(question) for question in asked])
    rows = [drawn(memory, MODEL, [request(question, f"<lora:{LORA_FILE.stem}:{weight}>") for question in asked], files)
            for weight in WEIGHTS]
    same = all(one.tobytes() == other.tobytes() for one, other in zip(without, rows[0], strict=True))
    return {"weight 0 equals without": same} | {
        f"weight {weight}": {"style": share([half_shaded(picture) for picture in row])} | right(row, asked)
        for weight, row in zip(WEIGHTS, rows, strict=True)
    }, rows


def right(pictures: list[Image.Image], asked: list[Question]) -> dict[str, float]:
    """The shares that `training.measure` tells."""
    told = figures([judge(picture, question.scene) for picture, question in zip(pictures, asked, strict=True)])
    return {name: told[name] for name in ("background", "single colour", "single shape", "pair, each colour",
                                          "pair, each shape")}


def colour_questions(word: str) -> list[Question]:
    """Captions of held-out scenes with the new colour, which `word` names."""
    rng = random.Random(COLOUR_SEED)
    scenes = new_coloured(COLOUR_SEED, COLOUR_CAPTIONS, held_out=True)
    return [Question(scene, caption(scene, rng).replace(NEW_COLOUR, word), seed) for seed, scene in enumerate(scenes)]


def measure_embedding(memory: Memory) -> dict[str, object]:
    """How often the thing that shall have the new colour has it, and its shape, by the word that names it."""
    name = EMBEDDING_FILE.stem
    files = {(EMBEDDING, name): ModelCatalog((EMBEDDING_FILE.parents[1],)).find(EMBEDDING, name)}
    result: dict[str, object] = {}
    for word, networks in ((NEW_COLOUR, None), (name, files)):
        asked = colour_questions(word)
        found = [seen(picture) for picture in drawn(memory, MODEL, [request(one) for one in asked], networks)]
        wanted = [question.scene.things[0].shape for question in asked]
        result[f"by the word {word}"] = {
            "colour": share([any(colour == NEW_COLOUR for colour, _ in one) for one in found]),
            "shape": share([shape in {other for _, other in one} for shape, one in zip(wanted, found, strict=True)]),
        }
    return result


def main() -> None:
    options = measuring(__doc__, "a row for each weight", captions=60).parse_args()
    memory = Memory(place("cpu"))
    told, rows = measure_lora(memory, questions(options.captions))
    result = {"captions": options.captions, "LoRA": told, "embedding": measure_embedding(memory)}
    tell(options, result, lambda: grid([picture for row in rows for picture in row[:COLUMNS]], COLUMNS))


if __name__ == "__main__":
    main()

"""How well the demo CLIP tells captions and pictures apart, on scenes whose combination training never saw.

    python -m training.measure_clip [--scenes 300] [--json F]

Captions: how often a picture is nearest to its own among 8, of which 7 name one other colour or one other shape.
Pictures: how often two drawings of a scene are nearer to each other than to one of a scene with one colour or shape
exchanged, and than to one of any other scene.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CLIP
from backend.worker.device import place
from backend.worker.models import clip_dual_encoder
from backend.worker.models.clip_dual_encoder import ClipEncoder

from .captions import caption
from .clip_scenes import exchanged
from .command_line import measuring, tell
from .data import PICTURE
from .drawing import draw
from .half_shade import draw_half_shaded
from .measure import share
from .publish_clip import CLIP as FOLDER
from .scenes import Scene, random_scenes

SEED, CHOICES = 2031, 8
SECOND = 10_000         # added to the number of a drawing, for another drawing of the same scene

Paint = Callable[[Scene, int, int], Image.Image]


def others(scene: Scene, rng: random.Random, count: int = CHOICES - 1) -> list[Scene]:
    """Different scenes, each with one colour or one shape exchanged."""
    found: list[Scene] = []
    while len(found) < count:
        other = exchanged(scene, rng)
        if other != scene and other not in found:
            found.append(other)
    return found


def picture(encoder: ClipEncoder, scene: Scene, number: int, paint: Paint = draw) -> Tensor:
    return encoder.of_picture(np.array(paint(scene, PICTURE, number)))


def right_caption(encoder: ClipEncoder, scene: Scene, number: int, paint: Paint = draw) -> bool:
    rng = random.Random(number)
    texts = [caption(one, rng) for one in (scene, *others(scene, rng))]
    words = torch.stack([encoder.of_text(text) for text in texts])
    return int((words @ picture(encoder, scene, number, paint)).argmax()) == 0


def nearer(encoder: ClipEncoder, scene: Scene, other: Scene, number: int) -> bool:
    """Whether a second drawing of the scene is nearer to the first than a drawing of the other scene."""
    first, second = (picture(encoder, scene, number + more) for more in (0, SECOND))
    return bool(first @ second > first @ picture(encoder, other, number + SECOND))


@torch.inference_mode()
def measured(encoder: ClipEncoder, count: int) -> dict[str, float]:
    result: dict[str, float] = {}
    for name, things in (("one thing", 1), ("two things", 2)):
        scenes = random_scenes(SEED + things, count // 2, held_out=True, count=things)
        rng = random.Random(SEED)
        result |= {
            f"{name}: right caption among {CHOICES}": share([right_caption(encoder, *one) for one in pairs(scenes)]),
            f"{name}: in the LoRA's style": share([right_caption(encoder, scene, number, draw_half_shaded)
                                                  for scene, number in pairs(scenes) if scene.plain]),
            f"{name}: same scene nearer than one exchanged": share(
                [nearer(encoder, scene, others(scene, rng, 1)[0], number) for scene, number in pairs(scenes)]),
            f"{name}: same scene nearer than any other": share(
                [nearer(encoder, scene, other, number)
                 for (scene, number), other in zip(pairs(scenes), scenes[1:] + scenes[:1], strict=True)]),
        }
    return result


def pairs(scenes: list[Scene]) -> list[tuple[Scene, int]]:
    return [(scene, number) for number, scene in enumerate(scenes)]


def main() -> None:
    options = measuring(__doc__, scenes=300).parse_args()
    file = ModelCatalog((FOLDER.parents[1],)).find(CLIP, FOLDER.name)
    clip = clip_dual_encoder.load(file, place("cpu", exact=True))
    result = {"scenes": options.scenes} | measured(clip, options.scenes)
    tell(options, result)


if __name__ == "__main__":
    main()

"""Does the demo model draw what it is asked at 256 x 256, at once and by hires fix from 128 x 128? Checked by program.

    python -m training.measure_large [--captions 40] [--strength 0.75] [--model DIR] [--json F] [--grid PNG]

Draws with Easel's own engine. The captions are the first of `training.measure`'s: combinations training never saw.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from backend.request.request import Request
from backend.worker.device import place
from backend.worker.models.memory import Memory

from .checker import judge
from .command_line import measuring, tell
from .data import LARGE, MODEL
from .easel_pictures import drawn, request
from .measure import Question, figures, questions, share


def sharpness(picture: Image.Image) -> float:
    """Mean squared difference of neighbouring pixels' grey levels, 0..255: how steep the edges are."""
    grey = np.asarray(picture.convert("L"), dtype=np.float32)
    return float(np.square(np.diff(grey, axis=0)).mean() + np.square(np.diff(grey, axis=1)).mean())


def enlarged(picture: Image.Image) -> Image.Image:
    """What hires fix has to beat: the small picture at twice its size, by Lanczos."""
    return picture.resize((LARGE, LARGE), Image.Resampling.LANCZOS)


def sharpened(small: list[Image.Image], large: list[Image.Image]) -> dict[str, float]:
    """Hires fix against the first pass enlarged: how often it is sharper, and how many times as sharp (the median)."""
    gains = [sharpness(after) / sharpness(enlarged(before)) for before, after in zip(small, large, strict=True)]
    return {
        "sharper than Lanczos": share([gain > 1 for gain in gains]),
        "times as sharp": round(float(np.median(gains)), 2),
    }


def grid(rows: list[list[Image.Image]], columns: int = 10) -> Image.Image:
    """The first `columns` pictures of every row, all at the large size."""
    sheet = Image.new("RGB", (columns * LARGE, len(rows) * LARGE))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row[:columns]):
            sheet.paste(enlarged(picture) if picture.size != (LARGE, LARGE) else picture, (x * LARGE, y * LARGE))
    return sheet


def right(pictures: list[Image.Image], asked: list[Question]) -> dict[str, float]:
    """`training.measure`'s figures."""
    return figures([judge(picture, question.scene) for picture, question in zip(pictures, asked, strict=True)])


def main() -> None:
    options = measuring(__doc__, "first passes, hires fix, 256 x 256 at once", model=MODEL, captions=40,
                        strength=Request().denoising_strength, upscaler=Request().hr_upscaler).parse_args()
    asked = questions(options.captions)
    second = {"enable_hr": True, "denoising_strength": options.strength, "hr_upscaler": options.upscaler}
    small = [request(question) for question in asked]
    hires = [one.replace(**second) for one in small]
    direct = [one.replace(width=LARGE, height=LARGE) for one in small]
    memory = Memory(place("cpu"))
    before, after, at_once = (drawn(memory, options.model, requests) for requests in (small, hires, direct))
    result = {
        "captions": len(asked), "strength": options.strength, "upscaler": options.upscaler,
        "hires fix": right(after, asked) | sharpened(before, after), "at once": right(at_once, asked),
    }
    tell(options, result, lambda: grid([before, after, at_once]))


if __name__ == "__main__":
    main()

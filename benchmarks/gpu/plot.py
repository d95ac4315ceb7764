"""The figures of a card as one picture of bars, drawn with Pillow alone.

    python -m benchmarks.gpu.plot benchmarks/results/gpu.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

WIDTH, LINE, LEFT, RIGHT = 1000, 26, 430, 220
INK, PAPER, BAR, OVER = "#2d2a27", "#ffffff", "#3b7d5a", "#c2573a"
RATIOS = ("easel / bare", "easel / diffusers", "easel / compiled diffusers", "packed / solo", "share of launching",
          "easel compiled / compiled diffusers", "easel / plain", "easel / bare graph", "easel / diffusers one by one",
          "8 LoRAs / none", "arithmetic at once / one by one", "decoding beside / between", "channels last / first")


def rows(results: dict[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """("sd1 float16, easel / bare", 1.01), ... for every ratio, in the order of the parts."""
    for name, value in results.items():
        if isinstance(value, dict):
            yield from rows(value, f"{before}{name}, ")
        elif name in RATIOS:
            yield f"{before}{name}", float(value)


def plot(results: dict[str, Any], file: Path) -> None:
    """Each ratio as a bar; the line is 1."""
    found = list(rows(results))
    highest = max([value for _, value in found] + [1.0])
    scale = (WIDTH - LEFT - RIGHT) / highest
    picture = Image.new("RGB", (WIDTH, LINE * (len(found) + 2)), PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for place, (name, value) in enumerate(found):
        top = LINE * (place + 1)
        pen.text((LEFT - 10, top + 3), name, INK, font, anchor="ra")
        better = value >= 1 if name.endswith("packed / solo") else value <= 1
        pen.rectangle((LEFT, top + 2, LEFT + value * scale, top + LINE - 6), BAR if better else OVER)
        pen.text((LEFT + value * scale + 8, top + 3), f"{value:g}", INK, font)
    one = LEFT + scale
    pen.line((one, LINE - 6, one, LINE * (len(found) + 1)), INK, 1)
    device = next((part["device"] for part in results.values() if "device" in part), "")
    pen.text((10, 4), device, INK, font)
    picture.save(file)


if __name__ == "__main__":
    source = Path(sys.argv[1])
    plot(json.loads(source.read_text()), source.with_suffix(".png"))

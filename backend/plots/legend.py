"""Labels of exported plots: which font has their letters, how they wrap, how they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont

OWN = Path(__file__).with_name("fonts") / "DejaVuSans.ttf"      # Latin, Greek, Cyrillic, Arabic, Hebrew, signs
FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/Library/Fonts",
           "/System/Library/Fonts", "C:/Windows/Fonts")
WIDE = ("notosanscjk", "sourcehansans", "droidsansfallback", "wqy", "ipaexg", "takao", "nanum", "unifont", "arialuni",
        "arial unicode", "pingfang", "hiragino", "msyh", "yugoth", "meiryo", "malgun", "notosans", "symbola")
"""How the files of fonts are called that have what the own one lacks."""
MOST_FILES = 40         # of other fonts that are looked at
NOT_A_LETTER = "\U0010fffe"
DOTS = "\u2026"

Font = ImageFont.FreeTypeFont


def wrapped(text: str, size: int, width: int, lines: int) -> list[str]:
    """The text in lines of at most `width` pixels; longer words are cut, what stands over `lines` is left out."""
    found: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            for piece in _pieces(word, size, width):
                if line and text_width(f"{line} {piece}", size) > width:
                    found.append(line)
                    line = piece
                else:
                    line = f"{line} {piece}" if line else piece
        found.append(line)
    kept = [line for line in found if line]
    if len(kept) <= lines:
        return kept
    return [*kept[: lines - 1], _cut(kept[lines - 1] + DOTS, size, width)] if lines > 0 else []


@lru_cache(maxsize=4096)
def text_width(text: str, size: int) -> int:
    """Pixels of a line."""
    return round(sum(_font(path, size).getlength(part) for path, part in _runs(text)))


def line_height(size: int) -> int:
    """Pixels from one line to the next."""
    return round(size * 1.3)


def draw_lines(pen: ImageDraw.ImageDraw, lines: list[str], box: tuple[int, int, int, int], size: int,
               colour: str = "black") -> None:
    """Draw lines into the middle of a box (left, top, right, bottom)."""
    left, top, right, bottom = box
    y = top + (bottom - top - len(lines) * line_height(size)) // 2
    for line in lines:
        x = left + (right - left - text_width(line, size)) / 2
        for path, part in _runs(line):
            font = _font(path, size)
            pen.text((x, y), part, fill=colour, font=font)
            x += font.getlength(part)
        y += line_height(size)


def _pieces(word: str, size: int, width: int) -> Iterator[str]:
    """The word, or what of it fits into a line each, at least one letter."""
    while word and text_width(word, size) > width:
        fits = next((end for end in range(len(word) - 1, 1, -1) if text_width(word[:end], size) <= width), 1)
        yield word[:fits]
        word = word[fits:]
    if word:
        yield word


def _cut(line: str, size: int, width: int) -> str:
    """A line that ends in dots, within the width."""
    while len(line) > 1 and text_width(line, size) > width:
        line = line[:-2] + DOTS
    return line


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """The text in parts, each with the file of a font that has its letters."""
    for path, letters in groupby(text, _path_for):
        yield path, "".join(letters)


@lru_cache(maxsize=4096)
def _path_for(letter: str) -> str:
    if letter.isspace() or _has(str(OWN), letter):
        return str(OWN)
    return next((path for path in _other_fonts() if _has(path, letter)), str(OWN))


@lru_cache(maxsize=1)
def _other_fonts() -> list[str]:
    files = (file for folder in FOLDERS for file in sorted(Path(folder).expanduser().rglob("*.[to]t[fc]")))
    known = [str(file) for file in files if any(name in file.name.lower().replace("-", "") for name in WIDE)]
    return known[:MOST_FILES]


def _has(path: str, letter: str) -> bool:
    """Whether a font draws the letter as something else than what it has not; a file that is no font has nothing."""
    try:
        mask, missing = (_font(path, 16).getmask(text) for text in (letter, NOT_A_LETTER))
    except OSError:
        return False
    return mask.size != missing.size or bytes(mask) != bytes(missing)


@lru_cache(maxsize=64)
def _font(path: str, size: int) -> Font:
    return ImageFont.truetype(path, size)

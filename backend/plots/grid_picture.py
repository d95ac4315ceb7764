"""A plot as one picture with its legend: PNG, JPEG or WebP, as large as the format and the memory for it allow.

Memory: the picture itself and what its encoder takes, at most `MEMORY`, and one cell at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from PIL import Image, ImageDraw

from backend.errors import InvalidRequest, UserError
from backend.image.decode_budget import DECODING
from backend.image.read import BROKEN, open_picture
from backend.image.save import OPTIONS, metadata
from backend.plots import legend
from backend.plots.export_layout import Page, Sheet, SheetCell, View
from backend.plots.short_labels import Room, shortened

MEMORY = 512 * 2**20
BYTES_PER_PIXEL = {"PNG": 4, "JPEG": 4, "WEBP": 28}      # Pillow holds four, WebP's encoder the rest (measured)
MAX_SIDE = {"PNG": 2**31 - 1, "JPEG": 65_500, "WEBP": 16_383}
HOLE, PAPER, INK, FAINT = "#e4e4e4", "white", "black", "#8a1f11"
SCALES = [percent / 100 for percent in range(95, 0, -5)]
SMALLEST_SCALE = 0.01
PADDING = 8             # pixels around a label

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the picture is drawn: cells at `scale`, `margin` pixels between them, with or without legend."""

    scale: float = 1.0
    margin: int = 0
    legend: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """What is drawn, with labels that have room, and where it lies, in pixels: the size of a cell, of the labels around
    it, and of the whole."""

    pages: Sequence[Page]
    cell: Size
    left: int               # width of the row labels
    heads: Sequence[int]    # height of the column labels of each page, with the page's name
    font: int
    margin: int
    size: Size

    @classmethod
    def of(cls, pages: Sequence[Page], cell_size: Size, look: Look) -> Layout:
        cell = max(1, round(cell_size[0] * look.scale)), max(1, round(cell_size[1] * look.scale))
        font = min(max(sum(cell) // 28, 11), 64)
        pages = [shortened(page, font, *_rooms(cell, font)) if look.legend else page for page in pages]
        named = look.legend and any(name for page in pages for name in page.rows)
        left = _left(pages, cell[0], font) if named else 0
        heads = [_head(page, cell[0], font) if look.legend else 0 for page in pages]
        step = cell[0] + look.margin, cell[1] + look.margin
        widths = [left + len(page.columns) * step[0] - look.margin for page in pages]
        heights = [head + len(page.rows) * step[1] for head, page in zip(heads, pages, strict=True)]
        return cls(pages, cell, left, heads, font, look.margin, (max([*widths, 1]), max(sum(heights) - look.margin, 1)))

    def fits(self, kind: str) -> bool:
        pixels = self.size[0] * self.size[1]
        return max(self.size) <= MAX_SIDE[kind] and pixels * BYTES_PER_PIXEL[kind] <= MEMORY


def draw(sheet: Sheet, view: View, look: Look, kind: str, out: IO[bytes]) -> None:
    """Write the picture as a file of this kind (PNG, JPEG, WEBP). InvalidRequest says what fits where it would not."""
    pages = sheet.blocks(view)
    layout = Layout.of(pages, sheet.cell_size, look)
    if not layout.fits(kind):
        raise InvalidRequest(_too_large(sheet, pages, look, kind, layout.size), field="scale")
    _draw(sheet, layout, kind, out)


def draw_largest(sheet: Sheet, page: Page, line: int, out: IO[bytes]) -> None:
    """One page as a PNG file, as large as fits."""
    blocks = list(page.in_lines(line))
    layouts = (Layout.of(blocks, sheet.cell_size, Look(scale=scale)) for scale in (1.0, *SCALES, SMALLEST_SCALE))
    layout = next((layout for layout in layouts if layout.fits("PNG")), None)
    if layout:
        _draw(sheet, layout, "PNG", out)


def _draw(sheet: Sheet, layout: Layout, kind: str, out: IO[bytes]) -> None:
    whole = Image.new("RGB", layout.size, PAPER)
    pen, top = ImageDraw.Draw(whole), 0
    for page, head in zip(layout.pages, layout.heads, strict=True):
        _labels(pen, page, layout, top, head)
        top += head
        for row in page.cells:
            for number, cell in enumerate(row):
                place = layout.left + number * (layout.cell[0] + layout.margin), top
                _paste(whole, pen, cell, place, layout)
            top += layout.cell[1] + layout.margin
    whole.save(out, kind, **OPTIONS[kind], **metadata(kind, sheet.text))


def _paste(whole: Image.Image, pen: ImageDraw.ImageDraw, cell: SheetCell, place: Size, layout: Layout) -> None:
    """A cell's picture in the middle of its place, or a hole with what is to be said of it."""
    width, height = layout.cell
    picture = opened(cell, layout.cell)
    if picture:
        whole.paste(picture, (place[0] + (width - picture.width) // 2, place[1] + (height - picture.height) // 2))
        return
    box = place[0], place[1], place[0] + width - 1, place[1] + height - 1
    pen.rectangle(box, fill=HOLE)
    font = max(layout.font * 2 // 3, 10)
    lines = legend.wrapped(cell.message, font, width - 2 * PADDING, max(height // legend.line_height(font) - 1, 0))
    legend.draw_lines(pen, lines, box, font, FAINT)


def opened(cell: SheetCell, size: Size) -> Image.Image | None:
    """At most of this size; None where the file is gone or damaged."""
    if cell.file is None:
        return None
    try:
        with open_picture(cell.file) as image, DECODING.share(image.size):
            image.draft("RGB", size)
            picture = image.convert("RGBA") if image.mode in ("RGBA", "LA", "P") else image.convert("RGB")
            picture.thumbnail(size, Image.Resampling.LANCZOS)
    except (UserError, *BROKEN):
        return None
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, PAPER), picture).convert("RGB")
    return picture


def _labels(pen: ImageDraw.ImageDraw, page: Page, layout: Layout, top: int, head: int) -> None:
    """The page's name over all, the columns' names over them, the rows' names beside them."""
    if not head and not layout.left:
        return
    width, height, font = *layout.cell, layout.font
    lines = _name(page, width, font) if head else []
    name = _height(lines, font)
    legend.draw_lines(pen, lines, (0, top, layout.size[0], top + name), font, INK)
    for number, text in enumerate(page.columns if head else ()):
        x = layout.left + number * (width + layout.margin)
        lines = legend.wrapped(text, font, width - 2 * PADDING, _most_lines(width, font))
        legend.draw_lines(pen, lines, (x, top + name, x + width, top + head), font, INK)
    for number, text in enumerate(page.rows if layout.left else ()):
        y = top + head + number * (height + layout.margin)
        lines = legend.wrapped(text, font, layout.left - 2 * PADDING, max(height // legend.line_height(font), 1))
        legend.draw_lines(pen, lines, (0, y, layout.left, y + height), font, INK)


def _left(pages: Sequence[Page], width: int, font: int) -> int:
    """As wide as the longest label of a row, at most three quarters of a cell, at least as a short word."""
    longest = max(legend.text_width(name, font) for page in pages for name in page.rows) + 2 * PADDING
    return min(longest, _widest(width, font))


def _widest(width: int, font: int) -> int:
    return max(width * 3 // 4, 6 * font)


def _rooms(cell: Size, font: int) -> tuple[Room, Room]:
    """For the label of a column, and of a row."""
    width, height = cell
    return (Room(width - 2 * PADDING, _most_lines(width, font)),
            Room(_widest(width, font) - 2 * PADDING, max(height // legend.line_height(font), 1)))


def _head(page: Page, width: int, font: int) -> int:
    most = _most_lines(width, font)
    longest = max((legend.wrapped(name, font, width - 2 * PADDING, most) for name in page.columns), default=[], key=len)
    return _height(longest, font) + _height(_name(page, width, font), font)


def _name(page: Page, width: int, font: int) -> list[str]:
    """The page's own label in lines, over columns of this width."""
    return legend.wrapped(page.name, font, len(page.columns) * width - 2 * PADDING, 3)


def _height(lines: Sequence[str], font: int) -> int:
    """Of the place for a label."""
    return len(lines) * legend.line_height(font) + 2 * PADDING if lines else 0


def _most_lines(width: int, font: int) -> int:
    """Of a column's label: no higher than a cell is wide."""
    return max(width // legend.line_height(font), 2)


def _too_large(sheet: Sheet, pages: Sequence[Page], look: Look, kind: str, size: Size) -> str:
    limit = (f"a side of a {kind} file has at most {MAX_SIDE[kind]:,}" if max(size) > MAX_SIDE[kind]
             else f"one {kind} file may have {MEMORY // BYTES_PER_PIXEL[kind] // 10**6} million pixels")
    return f"would make {size[0]:,} x {size[1]:,} pixels, and {limit}. {' '.join(_advice(sheet, pages, look, kind))}"


def _advice(sheet: Sheet, pages: Sequence[Page], look: Look, kind: str) -> Iterator[str]:
    """What fits."""
    def fits(some: Sequence[Page], scale: float) -> bool:
        drawn = Look(scale=scale, margin=look.margin, legend=look.legend)
        return Layout.of(some, sheet.cell_size, drawn).fits(kind)

    scale = next((scale for scale in SCALES if scale < look.scale and fits(pages, scale)), None)
    if scale is not None:
        yield f"A scale of {scale:g} fits."
    if len(pages) > 1 and all(page.name for page in pages) and all(fits([page], look.scale) for page in pages):
        yield f"Each of the {len(pages)} pages fits by itself."
    if scale is None or len(pages) == 1:
        yield "Hidden rows and columns are left out."

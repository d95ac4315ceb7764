"""Plots as files: the legend, the limits of each format, the page of its own, the archive and the table."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
from itertools import product
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from backend.errors import InvalidRequest
from backend.image.read import read_metadata
from backend.plots import legend
from backend.plots.archive import write_archive
from backend.plots.export_layout import Sheet, SheetAxis, SheetCell, View
from backend.plots.grid_picture import Layout, Look, draw
from backend.plots.table_csv import table_csv
from backend.plots.web_page import write_web_page

TEXT = "a cat\nSteps: 20, Seed: 5, Script: X/Y/Z plot, X Type: CFG Scale, X Values: \"5, 7\""
SEEN = View()


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    """2 x 3 x 2 cells of one colour each; one failed, one waits."""
    cells = {}
    for number, (x, y, z) in enumerate(product(range(2), range(3), range(2))):
        file = tmp_path / f"{number}.png"
        Image.new("RGB", (64, 48), (x * 200, y * 100, z * 200)).save(file)
        cells[x, y, z] = SheetCell(state="done", file=file, width=64, height=48, seed=2**60 + number, scores={"clip_t": number / 7})
    cells[1, 2, 0] = SheetCell(state="failed", message="=poisoned row, steps: must be at most 1000")
    del cells[0, 2, 1]
    axes = [SheetAxis("CFG Scale", ["5", "7"]), SheetAxis("Prompt S/R", ["a cat", "eine schöne Größe, 猫", "кошка"]), SheetAxis("Nothing", ["", ""])]
    return Sheet(title="Cats <b>", axes=axes, cells=cells, text=TEXT)


def drawn(sheet: Sheet, view: View = SEEN, kind: str = "PNG", **look: object) -> Image.Image:
    out = io.BytesIO()
    draw(sheet, view, Look(**look), kind, out)
    return Image.open(out)


@pytest.mark.parametrize(("kind", "ending"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
def test_every_cell_lies_in_its_place_and_the_settings_are_inside(sheet: Sheet, tmp_path: Path, kind: str, ending: str) -> None:
    image = drawn(sheet, kind=kind, margin=4, legend=False)
    assert image.size == (2 * 64 + 4, 2 * 3 * 52 - 4)
    pixels = image.convert("RGB").load()
    for x, y, z in sheet.cells:
        expected = (x * 200, y * 100, z * 200) if sheet.cells[x, y, z].file else None
        found = pixels[x * 68 + 32, (z * 3 + y) * 52 + 24]
        assert expected is None or max(abs(a - b) for a, b in zip(found, expected, strict=True)) < 12, (x, y, z)
    file = tmp_path / f"plot.{ending}"
    with file.open("wb") as out:
        draw(sheet, SEEN, Look(), kind, out)
    assert read_metadata(file).infotext == TEXT


def test_rows_columns_pages_and_what_is_hidden(sheet: Sheet) -> None:
    turned = drawn(sheet, View(columns=1, rows=0, page=(1,)), legend=False)
    assert turned.size == (3 * 64, 2 * 48) and turned.getpixel((70, 60)) == (200, 100, 200)
    some = drawn(sheet, View(page=(0,), hidden=frozenset({(0, 0), (1, 1)})), legend=False)
    assert some.size == (64, 2 * 48) and some.getpixel((5, 5)) == (200, 0, 0)
    assert drawn(sheet, scale=0.5, legend=False).size == (64, 6 * 24)
    assert drawn(sheet, legend=True).size[1] > 6 * 48
    for view, field in ((View(page=(2,)), "page"), (View(page=(0, 0)), "page"), (View(rows=0), "rows")):
        with pytest.raises(InvalidRequest) as refused:
            sheet.pages(view)
        assert refused.value.problems[0].field == field
    single = Sheet(title="", axes=[], cells={(): sheet.cells[0, 0, 0]})
    assert drawn(single).size == (64, 48)
    assert drawn(sheet, View(hidden=frozenset((0, at) for at in range(2)))).size[0] > 0, "nothing is left, and nothing breaks"


def test_labels_wrap_and_have_letters_of_all_kinds() -> None:
    for text in ("Größe", "кошка", "γάτα", "→ × ≤ ½"):
        for letter in text.replace(" ", ""):
            assert legend._path_for(letter) and legend._has(str(legend.OWN), letter), letter
    assert not legend._has(str(legend.OWN), "猫")
    assert not legend._has(str(Path(__file__)), "a"), "what is no font has no letters"
    lines = legend.wrapped("Prompt S/R: a very long label that goes on, and-a-word-that-is-longer-than-any-line-of-it", 14, 120, 20)
    assert len(lines) > 3 and max(legend.text_width(line, 14) for line in lines) <= 120
    assert "".join(lines).replace(" ", "") == "PromptS/R:averylonglabelthatgoeson,and-a-word-that-is-longer-than-any-line-of-it"
    cut = legend.wrapped("one two three four five six", 14, 40, 2)
    assert len(cut) == 2 and cut[1].endswith("…") and legend.text_width(cut[1], 14) <= 40
    assert legend.wrapped("", 14, 100, 3) == [] and legend.wrapped("a", 14, 1, 3) == ["a"]
    canvas = Image.new("L", (300, 60), 255)
    legend.draw_lines(ImageDraw.Draw(canvas), ["Größe 猫 кошка"], (0, 0, 300, 60), 20, "black")
    left, top, right, bottom = canvas.point(lambda level: 255 - level).getbbox()
    assert left > 20 and right < 280 and 10 < top < bottom < 55


def test_the_legend_is_beside_and_above_the_cells_and_a_hole_says_why(sheet: Sheet) -> None:
    bare, full = drawn(sheet, View(page=(0,)), legend=False), drawn(sheet, View(page=(0,)))
    left, top = full.width - bare.width, full.height - bare.height
    assert left > 20 and top > 20
    assert full.crop((left, top, left + 64, top + 48)).tobytes() == bare.crop((0, 0, 64, 48)).tobytes()
    assert len(full.crop((0, top, left, full.height)).getcolors(10_000)) > 10, "rows have names"
    assert len(full.crop((left, 0, full.width, top)).getcolors(10_000)) > 10, "columns have names"
    hole = bare.crop((64, 96, 128, 144))
    assert hole.getpixel((0, 0)) == (228, 228, 228) and len(hole.getcolors(10_000)) > 5


def test_labels_of_small_cells_keep_their_values(sheet: Sheet) -> None:
    """"CFG Scale: 5" has no room over a cell of 32 pixels: "5" has, and the axis is told above."""
    whole = drawn(sheet, View(page=(0,)), scale=0.5)
    left, top = whole.width - 2 * 32, whole.height - 3 * 24
    heads = [whole.crop((left + x, top - 30, left + x + 32, top)).tobytes() for x in (0, 32)]
    assert heads[0] != heads[1] and legend.wrapped("CFG Scale: 5", 11, 32 - 16, 2) == legend.wrapped("CFG Scale: 7", 11, 32 - 16, 2)
    (page,) = Layout.of(sheet.pages(View(page=(0,))), sheet.cell_size, Look(scale=0.5)).pages
    assert (page.columns, page.name) == (["5", "7"], "CFG Scale →, Prompt S/R ↓") and page.rows[0] == "a cat"
    (page,) = Layout.of(sheet.pages(View(page=(0,))), (600, 600), Look()).pages
    assert (page.columns[0], page.rows[0], page.name) == ("CFG Scale: 5", "Prompt S/R: a cat", "")


def test_what_is_too_large_says_what_fits(tmp_path: Path) -> None:
    file = tmp_path / "cell.png"
    Image.new("RGB", (512, 512), "teal").save(file)
    cells = {at: SheetCell(file=file, width=512, height=512) for at in product(range(60), range(40), range(2))}
    axes = [SheetAxis("Seed", [str(n) for n in range(60)]), SheetAxis("Steps", [str(n) for n in range(40)]), SheetAxis("CFG Scale", ["1", "2"])]
    sheet = Sheet(title="", axes=axes, cells=cells)
    for kind, view, words in (("WEBP", View(page=(0,)), "16,383"), ("JPEG", View(), "million pixels"), ("PNG", View(), "million pixels")):
        with pytest.raises(InvalidRequest) as refused:
            drawn(sheet, view, kind)
        problem = refused.value.problems[0]
        assert problem.field == "scale" and words in problem.message
        scale = float(problem.message.split("A scale of ")[1].split()[0])
        pages = sheet.pages(view)
        assert Layout.of(pages, (512, 512), Look(scale=scale)).fits(kind) and not Layout.of(pages, (512, 512), Look(scale=scale + 0.05)).fits(kind)
    narrow = Sheet(title="", axes=axes, cells={at: SheetCell(file=file, width=200, height=200) for at in cells})
    with pytest.raises(InvalidRequest, match="Each of the 2 pages fits by itself"):
        drawn(narrow, kind="PNG")
    tall = Sheet(title="", axes=[axes[2], SheetAxis("Seed", [str(n) for n in range(200)])], cells={(0, 0): cells[0, 0, 0]})
    with pytest.raises(InvalidRequest, match="65,500"):
        drawn(tall, kind="JPEG")


LARGEST = """
import sys, tempfile
from pathlib import Path
from backend.plots.grid_picture import MEMORY, Look, Layout, draw
from backend.plots.export_layout import Sheet, SheetAxis, SheetCell, View
cell = SheetCell(file=Path(sys.argv[1]), width=512, height=512)
sheet = Sheet(title="", axes=[SheetAxis("Seed", [str(n) for n in range(12)]), SheetAxis("Steps", ["1"] * 10)], cells={(x, y): cell for x in range(12) for y in range(10)})
def most():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = most()
with tempfile.TemporaryFile() as out:
    draw(sheet, View(), Look(), sys.argv[2], out)
print((most() - before) * 1024 / MEMORY)
"""


def test_the_memory_of_a_large_picture_is_as_told(tmp_path: Path) -> None:
    """120 cells of 512 pixels: 31 million of the 134 that one file may have."""
    file = tmp_path / "cell.png"
    Image.new("RGB", (512, 512), "teal").save(file)
    ran = subprocess.run([sys.executable, "-c", LARGEST, str(file), "JPEG"], capture_output=True, text=True, check=True)
    assert 0.12 < float(ran.stdout) < 0.3


def test_files_that_are_gone_or_damaged_leave_holes(sheet: Sheet) -> None:
    sheet.cells[0, 0, 0].file.unlink()
    sheet.cells[0, 1, 0].file.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    image = drawn(sheet, View(page=(0,)), legend=False)
    assert image.getpixel((1, 1)) == image.getpixel((1, 49)) == (228, 228, 228)
    out = io.BytesIO()
    write_web_page(sheet, SEEN, 1.0, out)
    assert out.getvalue().count(b"data:image/webp") == 12 - 2 - 2


def test_the_page_of_its_own_needs_nothing_else_and_runs_nothing_of_its_texts(sheet: Sheet) -> None:
    out = io.BytesIO()
    write_web_page(Sheet(title="<script>x</script>", axes=sheet.axes, cells=sheet.cells, text="</pre><script>y</script>"), SEEN, 0.5, out)
    page = out.getvalue().decode("utf-8")
    assert page.count("<script>") == 1 and "http" not in page.replace("http-equiv", "") and page.count("data:image/webp") == 10
    assert "eine schöne Größe, 猫" in page and "poisoned row" in page and "CFG Scale: 7" in page
    assert page.index("</style>") < page.index("<table")


def test_the_archive_has_every_picture_under_a_name_that_tells_its_place(sheet: Sheet) -> None:
    out = io.BytesIO()
    assert write_archive(sheet, SEEN, False, out) == 10
    names = zipfile.ZipFile(out).namelist()
    assert len(set(names)) == 10 and all(name.startswith(("page 001", "page 002")) for name in names)
    assert any("row 002 column 001" in name and "Größe" in name and name.endswith(".png") for name in names)
    assert write_archive(sheet, View(page=(0,), hidden=frozenset({(0, 1)})), False, io.BytesIO()) == 3


def test_the_archive_has_the_grid_of_each_page_too_where_that_is_wanted(sheet: Sheet) -> None:
    out = io.BytesIO()
    assert write_archive(sheet, SEEN, True, out) == 10
    archive = zipfile.ZipFile(out)
    grids = [name for name in archive.namelist() if name.startswith("grid ")]
    assert len(grids) == 2 and len(archive.namelist()) == 12
    assert Image.open(archive.open(grids[0])).size == drawn(sheet, View(page=(0,))).size


def test_a_plot_of_one_axis_stands_in_lines_as_it_is_seen(sheet: Sheet) -> None:
    single = Sheet(title="", axes=[SheetAxis("Steps", list("12345"))], cells={(at,): sheet.cells[at % 2, 0, 0] for at in range(5)})
    one_row, lines = View(rows=9), View(rows=9, line=2)
    assert drawn(single, one_row, legend=False).size == (5 * 64, 48) and drawn(single, lines, legend=False).size == (2 * 64, 3 * 48)
    assert [list(block.columns) for block in single.blocks(lines)] == [["Steps: 1", "Steps: 2"], ["Steps: 3", "Steps: 4"], ["Steps: 5"]]
    assert drawn(sheet, View(page=(0,), line=1), legend=False).size == (128, 3 * 48), "rows are no lines"
    with pytest.raises(InvalidRequest) as refused:
        drawn(Sheet(title="", axes=[SheetAxis("Steps", ["1"] * 600)], cells={(at,): SheetCell(state="done", file=sheet.cells[0, 0, 0].file, width=4000, height=4000) for at in range(600)}), View(rows=9, line=20))
    assert "by itself" not in str(refused.value)
    out = io.BytesIO()
    write_web_page(single, lines, 0.5, out)
    assert out.getvalue().count(b"<table") == 3


def test_the_table_has_values_scores_and_no_formulas(sheet: Sheet) -> None:
    rows = list(csv.DictReader(io.StringIO(table_csv(sheet, SEEN))))
    assert len(rows) == 11 and rows[0]["CFG Scale"] == "5" and rows[1]["CFG Scale"] == "7"
    assert rows[0]["Seed"] == str(2**60) and float(rows[1]["clip_t"]) == pytest.approx(6 / 7)
    failed = next(row for row in rows if row["State"] == "failed")
    assert failed["Message"].startswith("'=poisoned") and failed["clip_t"] == ""
    seen = View(hidden=frozenset({(0, 1), (1, 0)}))
    assert [(row["CFG Scale"], row["Prompt S/R"]) for row in csv.DictReader(io.StringIO(table_csv(sheet, seen)))] == [
        ("5", sheet.axes[1].values[1]), ("5", sheet.axes[1].values[2]), ("5", sheet.axes[1].values[1])]

"""Styles: A1111's file, read and written; merged into a prompt and taken out again."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend import LOCAL, User
from backend.errors import EaselError, InvalidRequest, NotAllowed, NotFound
from backend.prompt.styles import apply_styles, extract_styles
from backend.prompt_library import styles_csv
from backend.prompt_library.styles_csv import Style, Styles, read, written
from tests.examples import examples

WINDOWS = b'\xef\xbb\xbfname,prompt,negative_prompt\r\nOil,"oil painting, ""thick"" paint",photo\r\nFrame,"a {prompt},\r\nin a frame",\r\n'
CASES = Path(__file__).parent.parent / "data" / "metadata"
ANN, BOB = User("u1", "../ann"), User("u2", "bob")
nasty = st.text(st.characters(exclude_characters="\x00\r", exclude_categories=["Cs", "Cc"]) | st.sampled_from(" ,\"'\n;#{}\t"), max_size=30)


def theirs(data: bytes) -> list[dict[str, str]]:
    """As AUTOMATIC1111 1.10 reads the file."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), skipinitialspace=True))


@pytest.fixture
def styles(tmp_path: Path) -> Styles:
    return Styles(tmp_path)


def texts(styles: Styles, user: User = LOCAL) -> list[tuple[str, str, str]]:
    return [(style.name, style.prompt, style.negative_prompt) for style in styles.of(user)]


def test_a_file_from_windows(styles: Styles, tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_bytes(WINDOWS)
    assert texts(styles) == [("Oil", 'oil painting, "thick" paint', "photo"), ("Frame", "a {prompt},\nin a frame", "")]


@pytest.mark.parametrize(("data", "wanted"), [
    (b"", []),
    (b"name,text\nOld,oil\n", [("Old", "oil", "")]),
    (b"name,prompt,negative_prompt\n# a remark,x,y\n,nameless,\nShort\nA, b , c\n", [("Short", "", ""), ("A", "b ", "c")]),
    ("name,prompt\nCafé,crème\n".encode("cp1252"), [("Café", "crème", "")]),
    ("name,prompt\nÄ,ö\n".encode("utf-16"), [("Ä", "ö", "")]),
    (b"negative_prompt,Name,prompt\nn,B,p\n", [("B", "p", "n")]),
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", []),
    (b"only,words\n1,2\n", []),
    ((CASES / "styles-semicolon.csv").read_bytes(), [("Photo", "photo of {prompt}, 8k", "blurry; ugly"), ("Plain", "flat colours", "")]),
    (b"name\tprompt\tnegative_prompt\r\nA\tb, c\td\r\n", [("A", "b, c", "d")]),
    (b"\xef\xbb\xbfsep=;\r\nname;prompt;negative_prompt\r\nA;b, c;d\r\n", [("A", "b, c", "d")]),
    (b"sep=\t\nname\tprompt\nA\tb\n", [("A", "b", "")]), (b'"sep=,"\nname,prompt\nA,b;c\n', [("A", "b;c", "")]),
    ("name\tprompt\nA\tö".encode("utf-16"), [("A", "ö", "")]),
])  # fmt: skip
def test_files_as_people_have_them(styles: Styles, tmp_path: Path, data: bytes, wanted: list[tuple[str, str, str]]) -> None:
    (tmp_path / "styles.csv").write_bytes(data)
    assert texts(styles) == wanted


@examples(150)
@given(st.lists(st.tuples(nasty.map(lambda name: f"n{name}".replace("\n", "").strip()), nasty, nasty), max_size=5, unique_by=lambda row: row[0]))
def test_what_is_written_is_read_here_and_by_automatic1111(rows: list[tuple[str, str, str]]) -> None:
    sheet = read(b"")
    for row in rows:
        sheet = sheet.changed(Style(*row), "")
    data = written(sheet)
    assert [(style.name, style.prompt, style.negative_prompt) for style in read(data).styles()] == rows
    assert [tuple(row.values()) for row in theirs(data)] == rows


def test_other_columns_and_rows_stay(styles: Styles, tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_text("name,text,Rating\n# mine,keep\nOil,oil,5\nPen,pen,4\nOil,twice,1\n", "utf-8")
    styles.keep(Style("Ink", "ink", "colour"), LOCAL, "Oil")
    rows = theirs((tmp_path / "styles.csv").read_bytes())
    assert rows == [{"name": "# mine", "prompt": "keep", "Rating": None, "negative_prompt": None},
                    {"name": "Ink", "prompt": "ink", "Rating": "5", "negative_prompt": "colour"},
                    {"name": "Pen", "prompt": "pen", "Rating": "4", "negative_prompt": None}]
    styles.drop("Pen", LOCAL)
    assert texts(styles) == [("Ink", "ink", "colour")]


def test_a_change_by_hand_is_noticed(styles: Styles, tmp_path: Path) -> None:
    styles.keep(Style("Oil", "oil"), LOCAL)
    assert texts(styles) == [("Oil", "oil", "")]
    (tmp_path / "styles.csv").write_text("name,prompt\nPen,pen\n", "utf-8")
    assert texts(styles) == [("Pen", "pen", "")]
    (tmp_path / "styles.csv").unlink()
    assert texts(styles) == []


def test_each_has_their_own_and_all_have_the_shared(styles: Styles, tmp_path: Path) -> None:
    styles.keep(Style("Oil", "oil"), LOCAL)
    styles.keep(Style("Mine", "m"), ANN)
    styles.keep(Style("Oil", "my oil"), ANN)
    assert [(style.name, style.prompt, style.shared) for style in styles.of(ANN)] == [("Oil", "my oil", False), ("Mine", "m", False)]
    assert [(style.name, style.prompt, style.shared) for style in styles.of(BOB)] == [("Oil", "oil", True)]
    assert texts(styles) == [("Oil", "oil", "")]
    with pytest.raises(NotAllowed):
        styles.drop("Oil", BOB)
    styles.drop("Oil", ANN)
    assert [style.prompt for style in styles.of(ANN)] == ["oil", "m"]
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.csv")} == {"styles.csv", "styles"}


@pytest.mark.parametrize(("style", "was", "error"), [
    (Style("", "x"), "", InvalidRequest), (Style("#x", "x"), "", InvalidRequest), (Style("a\nb"), "", InvalidRequest),
    (Style("x" * 300), "", InvalidRequest), (Style("Oil"), "", InvalidRequest), (Style("New"), "Gone", NotFound),
    (Style("New", "x" * 200_000), "", InvalidRequest),
])  # fmt: skip
def test_what_cannot_be_kept(styles: Styles, style: Style, was: str, error: type[EaselError]) -> None:
    styles.keep(Style("Oil", "oil"), LOCAL)
    with pytest.raises(error):
        styles.keep(style, LOCAL, was)
    assert texts(styles) == [("Oil", "oil", "")]


def test_a_file_that_is_no_style_file_is_not_overwritten(styles: Styles, tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_text("my,own\ntable,here\n", "utf-8")
    with pytest.raises(NotAllowed, match="nothing is lost"):
        styles.keep(Style("A"), LOCAL)
    assert (tmp_path / "styles.csv").read_text("utf-8") == "my,own\ntable,here\n"


@pytest.mark.parametrize("texts", [("\n" * 60_000, ""), ("," * 99_999, "," * 99_999)], ids=["lines", "commas"])
def test_no_style_makes_the_file_unreadable(styles: Styles, texts: tuple[str, str]) -> None:
    styles.keep(Style("first", "a fox", ""), ANN)
    with pytest.raises(InvalidRequest, match="too long"):
        styles.keep(Style("long", *texts), ANN)
    assert [style.name for style in styles.of(ANN)] == ["first"]


def test_the_file_of_styles_grows_no_larger_than_what_is_read(styles: Styles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(styles_csv, "MAX_BYTES", 1000)
    with pytest.raises(InvalidRequest, match="too long"):
        for number in range(100):
            styles.keep(Style(f"{number}", "x" * 90, ""), ANN)
    kept = [style.name for style in styles.of(ANN)]
    assert len(kept) > 5
    styles.drop(kept[0], ANN)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(styles: Styles, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EaselError, match="could not be saved"):
        styles.keep(Style("A"), LOCAL)


@pytest.mark.parametrize(("texts", "prompt", "wanted"), [
    ([], " cat ", " cat "), (["oil"], " cat ", "cat, oil"), (["oil"], "", "oil"), ([""], "cat ", "cat"), (["a {prompt} b"], " c ", "a  c  b"),
    (["{prompt} and {prompt}"], "c", "c and c"), (["oil", "a {prompt}!"], "cat", "a cat, oil!"), (["a {prompt}!", "oil"], "cat", "a cat!, oil"),
])  # fmt: skip
def test_styles_are_merged_as_automatic1111_does(texts: list[str], prompt: str, wanted: str) -> None:
    assert apply_styles(texts, prompt) == wanted


word = st.text("abcxyz(): ", min_size=1, max_size=12).map(lambda text: " ".join(text.split())).filter(bool)
wrapping = st.tuples(word, word).map(lambda pair: f"{pair[0]} {{prompt}} {pair[1]}")


@given(st.lists(st.tuples(word | wrapping, word | wrapping), min_size=1, max_size=3), word, word)
def test_what_was_merged_can_be_taken_out(pairs: list[tuple[str, str]], prompt: str, negative: str) -> None:
    """Styles may hold each other's words, so others may be found; merging what was found gives the same prompt."""
    styles = [{"name": str(i), "prompt": f"s{i} {positive}", "negative_prompt": f"t{i} {other}"} for i, (positive, other) in enumerate(pairs)]
    merged = [apply_styles((style[key] for style in styles), text) for key, text in (("prompt", prompt), ("negative_prompt", negative))]
    names, *left = extract_styles(styles, *merged)
    assert names == [style["name"] for style in styles]
    assert left == [prompt, negative]


@pytest.mark.parametrize(("style", "prompt", "negative"), [
    ({"prompt": "a {prompt} b"}, "a  b", ""), ({"prompt": "a  {prompt}"}, "a  cat", ""), ({"prompt": "two  spaces"}, "cat, two  spaces", ""),
])
def test_runs_of_spaces_are_kept(style: dict[str, str], prompt: str, negative: str) -> None:
    names, left, _ = extract_styles([{"name": "S", **style}], prompt, negative)
    assert names == ["S"] and left == ("" if prompt == "a  b" else "cat")
    assert extract_styles([{"name": "S", "prompt": "a {prompt}"}], "a  cat", "")[1] == " cat"


def test_a_semicolon_file_stays_one(styles: Styles, tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_bytes((CASES / "styles-semicolon.csv").read_bytes())
    styles.keep(Style("Pen", "pen; ink", ""), LOCAL)
    assert (tmp_path / "styles.csv").read_bytes().decode("utf-8-sig").splitlines()[0] == "name;prompt;negative_prompt"
    assert texts(styles)[-1] == ("Pen", "pen; ink", "") and len(texts(styles)) == 3


def test_an_unreadable_file_is_told(styles: Styles, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "styles.csv").write_text("my,own\ntable,here\n", "utf-8")
    assert texts(styles) == [] and "styles.csv is left out" in caplog.text
    (told,) = styles.problems(LOCAL)
    assert told.startswith("The styles in data/styles.csv are left out: it needs a first line")
    with pytest.raises(NotAllowed, match="first line"):
        styles.keep(Style("A"), LOCAL)
    (tmp_path / "styles.csv").write_text("name,prompt\nA,b\n", "utf-8")
    assert styles.problems(LOCAL) == [] and texts(styles)
    (tmp_path / "styles.csv").unlink()
    (tmp_path / "styles.csv").mkdir()
    assert len(styles.problems(User("ada", "ada"))) == 1

"""Styles, tags and wildcard files that somebody made to hurt: no route waits for them, and each costs little time, once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from backend import LOCAL, InvalidRequest, Request
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.network_cards import NetworkCards
from backend.errors import NotAllowed
from backend.prompt_library import styles_csv
from backend.prompt_library.library import PromptLibrary, UserPromptLibrary
from backend.prompt_library.styles_csv import Style
from backend.store.database import Database
from backend.store.used_prompts import UsedPrompts

pytestmark = pytest.mark.timeout(60)
FILES = ("styles.csv", "tags.csv", "tags/own.csv", "wildcards/colour.txt")


@pytest.fixture
def library(tmp_path: Path) -> UserPromptLibrary:
    for folder in ("tags", "wildcards"):
        (tmp_path / folder).mkdir()
    return PromptLibrary(tmp_path, NetworkCards(ModelCatalog(())), UsedPrompts(Database(tmp_path / "easel.db"))).as_(LOCAL)


def draw(library: UserPromptLibrary, prompt: str = "a __colour__ cat") -> str:
    return library.resolved(Request.parse({"prompt": prompt, "seed": 1, "variation_seed": 1})).of_image(0).prompt


def use_all(library: UserPromptLibrary) -> None:
    """Ask for everything that reads the files; refusals are fine."""
    library.styles()
    library.complete("colour", "word")
    library.complete("col", "wildcard")
    try:
        draw(library)
    except InvalidRequest as refused:
        assert refused.problems[0].field == "prompt"


@pytest.mark.timeout(20)
def test_pipes_and_folders_under_their_names_are_passed_over(library: UserPromptLibrary, tmp_path: Path) -> None:
    for name in FILES:
        os.mkfifo(tmp_path / name)
    (tmp_path / "wildcards" / "folder.txt").mkdir()
    use_all(library)
    with pytest.raises(InvalidRequest, match=r"prompt: .*colour.txt, which cannot be read: .*regular file"):
        draw(library)
    with pytest.raises(NotAllowed, match="cannot be read"):
        library.save_style(Style("Oil", "oil"))


MANY_ROWS = "name,prompt,negative_prompt\n" + "row,a,b\n" * 1_000_000
LONG_LINE = "name,prompt,negative_prompt\n" + "x" * (50 << 20)
WIDE_LINE = "name,prompt,negative_prompt\n" + "x," * (7 << 20)
BRACES = "name,prompt,negative_prompt\n" + "{a|" * (4 << 20)


@pytest.mark.slow
@pytest.mark.parametrize("content", [MANY_ROWS, LONG_LINE, WIDE_LINE, BRACES], ids=["rows", "line", "commas", "braces"])
@pytest.mark.parametrize("name", FILES)
def test_large_files_cost_little_time_and_only_once(library: UserPromptLibrary, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    started = time.thread_time()
    use_all(library)
    first, started = time.thread_time() - started, time.thread_time()
    use_all(library)
    assert first < 3 and time.thread_time() - started < 0.3


def test_a_wildcard_file_that_is_too_long_is_told(library: UserPromptLibrary, tmp_path: Path) -> None:
    (tmp_path / "wildcards" / "colour.txt").write_text("red\n" * 300_000)
    with pytest.raises(InvalidRequest, match="300,000 lines"):
        draw(library)
    (tmp_path / "wildcards" / "colour.txt").write_text("red\n" + "x" * 200_000)
    with pytest.raises(InvalidRequest, match="100,000 characters"):
        draw(library)
    (tmp_path / "wildcards" / "colour.txt").write_text("red\n")
    assert draw(library) == "a red cat"


def test_styles_that_are_too_many_are_not_lost_by_saving_one(library: UserPromptLibrary, tmp_path: Path) -> None:
    file = tmp_path / "styles.csv"
    file.write_text(MANY_ROWS)
    with pytest.raises(NotAllowed, match=f"{styles_csv.MAX_LINES:,} lines"):
        library.save_style(Style("Oil", "oil"))
    assert file.stat().st_size == len(MANY_ROWS)


@pytest.mark.timeout(20)
def test_linked_folders_of_wildcards_are_followed_once(library: UserPromptLibrary, tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / "disk" / str(number)).mkdir(parents=True)
    (tmp_path / "disk" / "3" / "colour.txt").write_text("green")
    for link, target in [("wildcards/shared", "disk"), *((f"disk/{a}/to{b}", f"disk/{b}") for a in range(10) for b in range(10)), ("disk/up", "wildcards")]:
        (tmp_path / link).symlink_to(tmp_path / target)
    assert draw(library, "a __shared/3/colour__ cat") == draw(library) == "a green cat"

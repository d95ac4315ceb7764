"""What the Dockerfile copies is let in by .dockerignore, and what compose.yaml names is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from backend.flags import parser

ROOT = Path(__file__).parents[2]


def let_in() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*", "what is not named stays out"
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def test_every_file_that_is_copied_by_name_is_in_the_context() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    named = [name for sources in copied for name in sources.split() if name != "."]
    assert named and set(named) <= set(let_in())


def test_what_is_let_in_is_there_and_holds_all_that_the_application_imports() -> None:
    for pattern in let_in():
        assert [*ROOT.glob(pattern)], pattern
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} & {"backend", "ui"}
    assert packages <= set(let_in()) and "extensions" in let_in()


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml"])
def test_flags_that_the_container_is_started_with_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    known = {option for action in parser()._actions for option in action.option_strings}
    started = yaml.safe_load(text)["services"]["easel"]["command"] if name == "compose.yaml" else text.rpartition("ENTRYPOINT")[2]
    flags = [word for word in started if word.startswith("--")] if isinstance(started, list) else re.findall(r'"(--[a-z-]+)"', started)
    assert flags and set(flags) <= known


def test_the_demo_models_travel_with_the_container() -> None:
    tracked = subprocess.run(["git", "ls-files", "models"], cwd=ROOT, text=True, capture_output=True, check=False).stdout.split()
    patterns = [pattern for pattern in let_in() if pattern.startswith("models/")]
    reached = {path for pattern in patterns for path in ROOT.glob(pattern)}
    left = [file for file in tracked if not {ROOT / file, *(ROOT / file).parents} & reached]
    assert not left

"""The examples of docs/api.md run as they stand, with curl, the Python client and OpenAI's package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from backend.settings import HOME
from tests.tiny.served import served

TEXT = (HOME / "docs" / "api.md").read_text("utf-8")
HERE = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("house")) as (address, _):
        yield address


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl and jq are not here")
def test_what_curl_does(address: str, tmp_path: Path) -> None:
    (script,) = blocks("sh")
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", script.replace(HERE, address)], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert "Steps: " in ran.stdout and "event: done" in ran.stdout and '"state":"done"' in ran.stdout
    assert [Image.open(tmp_path / f"circle.{kind}").format for kind in ("png", "webp")] == ["PNG", "WEBP"]


@pytest.mark.parametrize("number", [0, 1])
def test_what_python_does(address: str, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HOME / "clients"))
    exec(compile(blocks("python")[number].replace(HERE, address), "api.md", "exec"), {})
    assert Image.open(tmp_path / "circle.png").format == "PNG"
    sys.modules.pop("easel_client", None)


def test_every_route_that_is_told_of_is_there() -> None:
    """Of /api and /v1, in the tables and the text."""
    from backend.http import fill
    from backend.table import Table

    routes = {route.path for each in fill(Table("routers")).values() for route in each.router.routes}
    known = {re.sub(r"\{[^}]*\}", "{}", path) for path in routes}
    told = re.findall(r"(?:GET|POST|DELETE)\s+(/(?:api|v1)/[^\s?`,]*)", TEXT)
    assert len(told) > 20
    assert {re.sub(r"\{[^}]*\}", "{}", path) for path in told} <= known

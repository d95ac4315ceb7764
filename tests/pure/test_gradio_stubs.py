"""Gradio is imported without writing its type stubs."""

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from backend import gradio_stubs


def test_what_writes_the_stubs_is_taken_from_its_module_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradio_stubs, "WRITER", ("colorsys", "rgb_to_hsv"))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    for name in ("colorsys", "stringprep"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    gradio_stubs.leave_out()
    colours = importlib.import_module("colorsys")
    assert colours.rgb_to_hsv(1, 0, 0) is None and colours.rgb_to_yiq(1, 1, 1)[0] == pytest.approx(1)
    assert callable(importlib.import_module("stringprep").in_table_a1)


def test_gradio_has_what_writes_them() -> None:
    """Where it has been renamed, the start is slow again."""
    module, writer = gradio_stubs.WRITER
    package = find_spec(module.split(".")[0])
    assert package and package.origin
    assert f"def {writer}(" in (Path(package.origin).parent / f"{module.split('.')[1]}.py").read_text()

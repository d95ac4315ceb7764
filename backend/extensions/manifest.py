"""What an extension says of itself: the file `extension.toml` of its folder, which is read and never run.

    title = "FreeU"
    version = "1.0"
    about = "One sentence that says what it does."
    interface = 1
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.files.regular_files import read_regular

MANIFEST = "extension.toml"
DOOR = "extension.py"
LANGUAGES = "languages"
INTERFACE = 1               # what extensions are written against; a change that breaks them raises it
MOST_BYTES = 64 * 2**10
MOST_LETTERS = 500


@dataclass(frozen=True, slots=True)
class Extension:
    """One folder. `problem` says why it cannot be used; then there may be no more to tell than its name."""

    package: str            # as Python imports it: "extensions.freeu"
    title: str
    version: str = ""
    about: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        """The folder's."""
        return name_of(self.package)


def name_of(package: str) -> str:
    """The folder of an extension's package: "freeu" of "extensions.freeu"."""
    return package.rpartition(".")[2]


def found(folder: Path) -> tuple[Extension, ...]:
    """The extensions in a folder, by name: every sub-folder that holds an `extension.py`."""
    names = sorted(file.parent.name for file in folder.glob(f"*/{DOOR}"))
    return tuple(_read(folder, name) for name in names if name.isidentifier())


def usable(extensions: Iterable[Extension]) -> tuple[str, ...]:
    """The packages of those that have no problem."""
    return tuple(each.package for each in extensions if not each.problem)


def translations(folder: Path, name: str, language: str) -> dict[str, str]:
    """From the English texts of an extension to those of a language, of the file `languages/<code>.json` of its folder.

    Empty where there is none that can be read.
    """
    try:
        told = json.loads(read_regular(folder / name / LANGUAGES / f"{language}.json", MOST_BYTES))["texts"]
        return {key: text for key, text in told.items() if isinstance(text, str)}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}


def _read(folder: Path, name: str) -> Extension:
    package = f"{folder.name}.{name}"
    try:
        told = tomllib.loads(read_regular(folder / name / MANIFEST, MOST_BYTES).decode("utf-8"))
    except FileNotFoundError:
        return Extension(package, name, problem=f"there is no {MANIFEST} in its folder")
    except (OSError, ValueError) as error:
        return Extension(package, name, problem=f"its {MANIFEST} cannot be read: {error}")
    return Extension(package, _text(told, "title") or name, _text(told, "version"), _text(told, "about"),
                     _problem(told.get("interface")))


def _text(told: dict[str, Any], key: str) -> str:
    value = told.get(key, "")
    return value[:MOST_LETTERS] if isinstance(value, str) else ""


def _problem(interface: Any) -> str:
    if type(interface) is not int:
        return f"its {MANIFEST} does not say which interface it is written for; this Easel has interface = {INTERFACE}"
    if interface != INTERFACE:
        return f"it is written for interface {interface}, and this Easel has {INTERFACE}"
    return ""

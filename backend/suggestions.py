"""What a person may be about to type: files of networks, wildcards, styles, tags."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.store.styles import Style
from backend.tags import Tag, Tags
from backend.wildcards import Wildcards

Kind = Literal["word", "lora", "wildcard"]
LIMIT = 20
FOLDERS = {"lora": ("loras", "Lora"), "embedding": ("embeddings",)}
ENDINGS = (".safetensors", ".ckpt", ".pt", ".bin")
FRESH = 2.0                 # seconds for which a look into the models folders holds


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One line of the list. `insert` takes the place of what was typed; a style has none, it is chosen instead."""

    kind: str                       # "lora", "embedding", "wildcard", "style", "tag"
    name: str
    insert: str
    note: str = ""                  # what else is to be known of it
    count: int = 0                  # how often a tag is used; 0 = not known


class Suggestions:
    """Searches all that can stand in a prompt."""

    def __init__(self, data: Path, models: Iterable[Path], wildcards: Wildcards) -> None:
        self._models, self._wildcards, self._tags = tuple(models), wildcards, Tags(data)
        self._files: dict[str, tuple[float, list[str]]] = {}

    def search(self, text: str, kind: Kind, styles: Iterable[Style]) -> list[Suggestion]:
        """At most `LIMIT` of them. "word" finds embeddings, styles and tags, and nothing for an empty text.

        "lora" is for what follows `<lora:`, "wildcard" for what follows two underscores.
        """
        if kind == "lora":
            return [Suggestion("lora", name, f"<lora:{name}:1>") for name in _fitting(text, self._names("lora"))]
        if kind == "wildcard":
            return [Suggestion("wildcard", name, f"__{name}__") for name in _fitting(text, self._wildcards.names())]
        return list(self._words(text, styles))[:LIMIT] if text.strip() else []

    def _words(self, text: str, styles: Iterable[Style]) -> Iterator[Suggestion]:
        for name in _fitting(text, self._names("embedding")):
            yield Suggestion("embedding", name, name)
        for style in _fitting(text, [style.name for style in styles]):
            yield Suggestion("style", style, "")
        for tag in self._tags.search(text, LIMIT):
            yield Suggestion("tag", tag.name.replace("_", " "), _typed(tag), tag.alias.replace("_", " "), tag.count)

    def _names(self, kind: str) -> list[str]:
        """Names of a kind's files, which AUTOMATIC1111 calls by their stem."""
        looked, names = self._files.get(kind, (-FRESH, []))
        if time.monotonic() - looked > FRESH:
            folders = [model / folder for model in self._models for folder in FOLDERS[kind]]
            names = sorted({name for folder in folders for name in _stems(folder)}, key=str.casefold)
            self._files[kind] = (time.monotonic(), names)
        return names


def _stems(folder: Path) -> Iterator[str]:
    for _, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (Path(file).stem for file in files if file.lower().endswith(ENDINGS) and not file.startswith("."))


def _fitting(text: str, names: Iterable[str]) -> list[str]:
    """Names that hold the text, those first that begin with it."""
    wanted = text.strip().casefold()
    found = [name for name in names if wanted in name.casefold()]
    return sorted(found, key=lambda name: not name.casefold().startswith(wanted))[:LIMIT]


def _typed(tag: Tag) -> str:
    """The tag as a prompt has it: words apart, brackets escaped, which would be emphasis. Faces such as ^_^ stay."""
    words = tag.name.replace("_", " ") if any(c.isalnum() for c in tag.name) else tag.name
    return "".join(f"\\{c}" if c in "()[]" else c for c in words)

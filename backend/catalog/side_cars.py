"""What people and other programs wrote down beside a network file: notes and a picture.

    <name>.json                                 AUTOMATIC1111's own, which Easel writes too; other keys in it stay
    <name>.civitai.info                         Civitai Helper's, read where the first says nothing
    <name>.preview.png, <name>.png, .jpg, ...   the network's picture

A file's name is meant without its ending, a model that is a folder by the whole name of the folder: they lie beside it.
"""

from __future__ import annotations

import html
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.catalog.fingerprints import Fingerprint
from backend.catalog.folder_scan import leads_to
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.files.regular_files import read_config

PICTURES = (".preview.png", ".png", ".preview.jpg", ".jpg", ".preview.jpeg", ".jpeg", ".preview.webp", ".webp",
            ".preview.gif", ".gif")
NOTES, CIVITAI = ".json", ".civitai.info"
MAX_INFO = 4 << 20          # bytes of a Civitai file, which holds whole web pages
MAX_TEXT = 20_000           # characters of one note
MAX_WORDS = 200             # trigger words of one network
_TAG = re.compile(r"<[^>]*>")

Stamp = tuple[Fingerprint | None, ...]


@dataclass(frozen=True, slots=True)
class Notes:
    """`words` are the texts that call a network forth, each may hold commas; `weight` is the one that suits it."""

    words: tuple[str, ...] = ()
    negative: str = ""
    weight: float | None = None
    description: str = ""
    notes: str = ""


KEYS = {"words": "activation text", "negative": "negative text", "weight": "preferred weight",
        "description": "description", "notes": "notes"}
"""A field of `Notes` -> its key in AUTOMATIC1111's file."""


def place_of(file: ModelFile) -> str:
    """The path of a network as its side-cars continue it."""
    return os.path.splitext(file.path)[0] if file.single_file else file.path


def read_notes(place: str) -> Notes:
    """What lies beside the network there; what is broken or missing says nothing. Never raises."""
    own, civitai = _config(Path(place + NOTES)), _config(Path(place + CIVITAI))
    return Notes(
        words=_words(own.get(KEYS["words"])) or _trained_words(civitai),
        negative=_text(own.get(KEYS["negative"])),
        weight=_weight(own.get(KEYS["weight"])),
        description=_text(own.get(KEYS["description"])) or _plain(civitai.get("description")),
        notes=_text(own.get(KEYS["notes"])),
    )


def with_notes(place: str, notes: Notes) -> bytes:
    """AUTOMATIC1111's file for the network there with these notes in it and all else that it holds."""
    kept = _config(Path(place + NOTES))
    own = {"words": ", ".join(notes.words), "negative": notes.negative, "weight": notes.weight or 0,
           "description": notes.description, "notes": notes.notes}
    text = json.dumps(kept | {KEYS[name]: value for name, value in own.items()}, indent=4, ensure_ascii=False)
    return text.encode("utf-8", "replace")      # JSON can hold half of a character, and no file can


@dataclass(frozen=True)
class Beside:
    """What lay beside networks at one look: `told` has notes and picture of each, in their order."""

    places: tuple[str, ...] = ()
    folders: Mapping[str, Mapping[str, Fingerprint]] = field(default_factory=dict)
    told: tuple[tuple[Notes, Path | None], ...] = ()


@dataclass
class SideCars:
    """The side-car files of many networks, found by one look into each folder and read again only when they change."""

    _notes: dict[str, tuple[Stamp, Notes]] = field(default_factory=dict)
    _last: Beside = field(default_factory=Beside)

    def of(self, places: tuple[str, ...]) -> Beside:
        """The same object again as long as nothing has changed."""
        folders = {folder: _entries(folder) for folder in {os.path.dirname(place) for place in places}}
        if (self._last.places, self._last.folders) != (places, folders):
            self._last = Beside(places, folders, tuple(self._told(place, folders) for place in places))
        return self._last

    def _told(self, place: str, folders: Mapping[str, Mapping[str, Fingerprint]]) -> tuple[Notes, Path | None]:
        folder, name = os.path.split(place)
        entries = folders[folder]
        stamp = entries.get(name + NOTES), entries.get(name + CIVITAI)
        picture = next((ending for ending in PICTURES if name + ending in entries), "")
        return self._read(place, stamp), Path(place + picture) if picture else None

    def _read(self, place: str, stamp: Stamp) -> Notes:
        if not any(stamp):
            return Notes()
        known = self._notes.get(place)
        if known is None or known[0] != stamp:
            known = self._notes[place] = (stamp, read_notes(place))
        return known[1]


def _entries(folder: str) -> dict[str, Fingerprint]:
    """The regular files of a folder that can be side-cars."""
    found: dict[str, Fingerprint] = {}
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                if entry.name.lower().endswith((NOTES, CIVITAI, *PICTURES)) and leads_to(entry.is_file):
                    found[entry.name] = Fingerprint.of(entry.stat())
    except (OSError, ValueError):
        return found
    return found


def _config(path: Path) -> dict[str, Any]:
    try:
        return read_config(path, MAX_INFO) if os.path.lexists(path) else {}
    except CheckpointError:
        return {}


def _text(value: Any) -> str:
    return value[:MAX_TEXT].strip() if isinstance(value, str) else ""


def _words(value: Any) -> tuple[str, ...]:
    return (text,) if (text := _text(value)) else ()


def _trained_words(civitai: Mapping[str, Any]) -> tuple[str, ...]:
    words = civitai.get("trainedWords")
    texts = (_text(word).strip(", ") for word in words[:MAX_WORDS]) if isinstance(words, list) else ()
    return tuple(dict.fromkeys(text for text in texts if text))


def _plain(value: Any) -> str:
    """A web page's text without its tags."""
    return html.unescape(_TAG.sub(" ", _text(value))).strip()


def _weight(value: Any) -> float | None:
    """AUTOMATIC1111 writes 0 for "none said"."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not value:
        return None
    return float(value)

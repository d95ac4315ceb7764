"""Network files as cards: each with its notes and its picture, and the text that a search looks through."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT, EMBEDDING, HYPERNETWORK, LORA, ModelFile
from backend.catalog.network_problems import embedding_name
from backend.catalog.side_cars import PICTURES, Beside, Notes, SideCars, place_of, read_notes

SHOWN_KINDS = (LORA, EMBEDDING, HYPERNETWORK, CHECKPOINT)
FRESH = 3.0                 # seconds for which what lies beside the files is taken as it was: a search being typed
_UNSAYABLE = re.compile(r"[:=<>#{}\n]|__")     # what has a meaning in a prompt's network, comments, variants, wildcards


@dataclass(frozen=True, slots=True)
class Card:
    """One network. `reason` says why it does not go with a checkpoint; "" when it does, or when that is not told."""

    file: ModelFile
    notes: Notes
    picture: Path | None
    reason: str = ""

    @property
    def folder(self) -> str:
        """Below the folder of its kind; "" for that folder itself."""
        return self.file.title.rpartition("/")[0]

    @property
    def size(self) -> int:
        return self.file.fingerprint.size if self.file.fingerprint else 0

    @property
    def said(self) -> str:
        """How a prompt names it; "" where no prompt can, because its signs mean something else there."""
        names = (embedding_name(self.file),) if self.file.kind == EMBEDDING else (self.file.key, self.alias)
        return next((name for name in names if name.strip() and not _UNSAYABLE.search(name)), "")

    @property
    def alias(self) -> str:
        return str(self.file.facts.get("alias", ""))

    @property
    def editable(self) -> bool:
        """Whether Easel may write beside the file."""
        return os.access(Path(self.file.path).parent, os.W_OK)


@dataclass(frozen=True, slots=True)
class Look:
    """What lay in the folders of a kind, by name, and beside the files, at a time (monotonic seconds)."""

    files: tuple[ModelFile, ...]
    beside: Beside
    cards: tuple[Card, ...]
    texts: tuple[str, ...]      # what each card is searched by
    folders: tuple[str, ...]
    taken: float

    @classmethod
    def at(cls, files: tuple[ModelFile, ...], beside: Beside) -> Look:
        cards = tuple(Card(file, _with_told(notes, file), picture)
                      for file, (notes, picture) in zip(files, beside.told, strict=True))
        return cls(files, beside, cards, tuple(map(_searched, cards)), _folders(files), time.monotonic())


class NetworkCards:
    """Thread-safe: each call looks for itself, and what is remembered is replaced whole."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog
        self.models = catalog.models
        self._side_cars = {kind: SideCars() for kind in SHOWN_KINDS}
        self._looks: dict[str, Look] = {}

    def look(self, kind: str) -> Look:
        """All cards of a kind, their side-cars as they were at most `FRESH` seconds ago."""
        files, known = self._catalog.listed(kind), self._looks.get(kind)
        if known is None or known.files is not files:
            known = self._looks[kind] = Look.at(files, self._side_cars[kind].of(tuple(map(place_of, files))))
        elif time.monotonic() - known.taken > FRESH:
            beside = self._side_cars[kind].of(known.beside.places)
            same = beside is known.beside
            known = self._looks[kind] = replace(known, taken=time.monotonic()) if same else Look.at(files, beside)
        return known

    def card(self, kind: str, name: str) -> Card:
        """One network by its name, as it is now. NotFound."""
        file = self._catalog.find(kind, name)
        pictures = (path for ending in PICTURES if (path := Path(place_of(file) + ending)).is_file())
        return Card(file, notes_now(file), next(pictures, None))

    def forget(self, kind: str) -> None:
        """What lies beside the files has just been changed."""
        self._looks.pop(kind, None)


def notes_now(file: ModelFile) -> Notes:
    """What lies beside a file at this moment, and what it tells itself."""
    return _with_told(read_notes(place_of(file)), file)


def _with_told(notes: Notes, file: ModelFile) -> Notes:
    """Where nobody has written down words, those that the file itself tells."""
    told = str(file.facts.get("trigger", ""))
    return replace(notes, words=(told,)) if told and not notes.words else notes


def _folders(files: Iterable[ModelFile]) -> tuple[str, ...]:
    found: set[str] = set()
    for folder in {file.title.rpartition("/")[0] for file in files}:
        parts = folder.split("/") if folder else []
        found.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return tuple(sorted(found, key=str.casefold))


def _searched(card: Card) -> str:
    return "\n".join((card.file.title, card.file.key, card.alias, *card.notes.words,
                      card.notes.description, card.notes.notes)).casefold()

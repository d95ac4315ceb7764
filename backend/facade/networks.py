"""Cards of network files for people to choose from: what lies in the folders, searched, with notes and pictures."""

from __future__ import annotations

import io
import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from backend.catalog.families import FAMILIES, base
from backend.catalog.headers import read_header
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT, EMBEDDING, HYPERNETWORK, LORA, ModelFile
from backend.catalog.network_facts import file_facts
from backend.catalog.prompt_networks import embedding_name, misfit
from backend.catalog.side_cars import NOTES, PICTURES, Beside, Notes, SideCars, place_of, read_notes, with_notes
from backend.errors import CheckpointError, InvalidRequest, NotFound, StorageError
from backend.image.atomic_write import write_atomically
from backend.image.decode_budget import DECODING
from backend.image.read import open_picture

SHOWN_KINDS = (LORA, EMBEDDING, HYPERNETWORK, CHECKPOINT)
SORTS = {
    "name": lambda card: card.file.key.casefold(),
    "newest": lambda card: -(card.file.fingerprint.changed if card.file.fingerprint else 0),
    "largest": lambda card: -card.size,
}
MAX_TAGS = 60               # of those that a network was trained on, the most frequent ones
PREVIEW = 512               # pixels of the longer side of a network's picture
MAX_WEIGHT = 10.0
_UNSAYABLE = re.compile(r"[:=<>#{}\n]|__")     # what has a meaning in a prompt's network, comments, variants, wildcards
FRESH = 3.0                 # seconds for which what lies beside the files is taken as it was: a search being typed


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
    """What lay in the folders of a kind, and beside the files, at a time (monotonic seconds)."""

    files: tuple[ModelFile, ...]
    beside: Beside
    cards: tuple[Card, ...]
    texts: tuple[str, ...]      # what each card is searched by
    folders: tuple[str, ...]
    taken: float

    @classmethod
    def at(cls, files: tuple[ModelFile, ...], beside: Beside) -> Look:
        cards = tuple(Card(file, *told) for file, told in zip(files, beside.told, strict=True))
        return cls(files, beside, cards, tuple(map(_searched, cards)), _folders(files), time.monotonic())


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search: every word of `text` stands in name, folder, trigger words or notes. `checkpoint` decides what fits."""

    kind: str = LORA
    text: str = ""
    folder: str = ""
    sort: str = "name"
    checkpoint: str = ""
    all: bool = False           # those that do not fit, too
    first: tuple[str, ...] = ()     # names that stand before all others, in this order


class Networks:
    """Everybody's networks. Thread-safe: each call looks for itself, and what is remembered is replaced whole."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog
        self._side_cars = {kind: SideCars() for kind in SHOWN_KINDS}
        self._looks: dict[str, Look] = {}
        self._writing = threading.Lock()

    def cards(self, wanted: Wanted) -> list[Card]:
        """All that the search finds, in its order. InvalidRequest names a wrong `kind` or `sort`."""
        if wanted.sort not in SORTS:
            raise InvalidRequest(f"is one of {', '.join(SORTS)}", field="sort")
        words, inside = wanted.text.casefold().split(), wanted.folder.strip("/")
        look = self._look(_known(wanted.kind))
        found = [card for card, text in zip(look.cards, look.texts, strict=True)
                 if _lies_in(card, inside) and all(word in text for word in words)]
        family = self._family(wanted.checkpoint) if wanted.kind != CHECKPOINT else ""
        judged = [replace(card, reason=reason) if (reason := _reason(card.file, family)) else card for card in found]
        shown = sorted((card for card in judged if wanted.all or not card.reason), key=SORTS[wanted.sort])
        place = {name: at for at, name in enumerate(wanted.first)}
        return sorted(shown, key=lambda card: place.get(card.file.key, len(place))) if place else shown

    def folders(self, kind: str) -> list[str]:
        """The folders in which networks of a kind lie, and those around them, sorted."""
        return list(self._look(_known(kind)).folders)

    def card(self, kind: str, name: str) -> Card:
        """One network by its name. NotFound."""
        file = self._catalog.find(_known(kind), name)
        place = place_of(file)
        pictures = (Path(place + ending) for ending in PICTURES)
        return Card(file, read_notes(place), next((path for path in pictures if path.is_file()), None))

    def home(self, kind: str) -> str:
        """The folder in which files of a kind belong, below a models folder."""
        return self._catalog.kinds[_known(kind)].folders[0]

    def facts(self, kind: str, name: str) -> dict[str, str]:
        """What the network's file tells of itself, by what it is about. NotFound."""
        return file_facts(self._catalog.find(_known(kind), name))

    def misfit(self, kind: str, name: str, checkpoint: str) -> str:
        """Why the network changes nothing on a checkpoint, told by all of its layers. "" also where it is not known.

        NotFound.
        """
        file = self._catalog.find(_known(kind), name)
        try:
            base_model = self._catalog.find(CHECKPOINT, checkpoint)
            why = misfit(file, base_model) if kind in (LORA, HYPERNETWORK) else ""
        except (NotFound, CheckpointError):
            return ""
        return f"{file.key}{why}" if why else ""

    def tags(self, kind: str, name: str) -> list[tuple[str, int]]:
        """The words that a network was trained on and how often, most frequent first, as its file tells."""
        path = Path(self._catalog.find(_known(kind), name).path)
        try:
            told = json.loads(read_header(path).metadata.get("ss_tag_frequency", "{}")) if path.is_file() else {}
        except (CheckpointError, ValueError, RecursionError):
            return []
        counts: Counter[str] = Counter()
        for table in told.values() if isinstance(told, dict) else ():
            for tag, count in table.items() if isinstance(table, dict) else ():
                counts[tag.strip()] += count if type(count) is int else 0
        return counts.most_common(MAX_TAGS)

    def set_notes(self, kind: str, name: str, changes: Mapping[str, Any]) -> Card:
        """Write the notes beside the network, these fields of them anew. NotFound, InvalidRequest, StorageError."""
        checked = {field: _checked(field, value) for field, value in changes.items()}
        with self._writing:             # two fields that are left shortly after each other
            card = self.card(kind, name)
            place = place_of(card.file)
            _written(Path(place + NOTES), with_notes(place, replace(card.notes, **checked)))
        self._looks.pop(kind, None)
        return self.card(kind, name)

    def set_picture(self, kind: str, name: str, picture: Path) -> Card:
        """A small copy of the picture becomes the network's. NotFound, UserError, StorageError."""
        place = place_of(self.card(kind, name).file)
        with open_picture(picture) as image, DECODING.share(image.size):
            small = image.convert("RGB")
            small.thumbnail((PREVIEW, PREVIEW), Pillow.Resampling.LANCZOS)
            content = io.BytesIO()
            small.save(content, "PNG")
        _written(Path(place + PICTURES[0]), content.getvalue())
        self._looks.pop(kind, None)
        return self.card(kind, name)

    def picture(self, kind: str, name: str) -> Path:
        """The file of a network's picture. NotFound."""
        found = self.card(kind, name).picture
        if found is None:
            raise NotFound("has no picture", field="name")
        return found

    def refresh(self, kind: str) -> None:
        self._catalog.scan(_known(kind))
        self._looks.pop(kind, None)

    def _look(self, kind: str) -> Look:
        files, known = self._catalog.listed(kind), self._looks.get(kind)
        if known is None or known.files is not files:
            known = self._looks[kind] = Look.at(files, self._side_cars[kind].of(tuple(map(place_of, files))))
        elif time.monotonic() - known.taken > FRESH:
            beside = self._side_cars[kind].of(known.beside.places)
            same = beside is known.beside
            known = self._looks[kind] = replace(known, taken=time.monotonic()) if same else Look.at(files, beside)
        return known

    def _family(self, checkpoint: str) -> str:
        try:
            return self._catalog.find(CHECKPOINT, checkpoint).family
        except NotFound:
            return ""


def _folders(files: Iterable[ModelFile]) -> tuple[str, ...]:
    found: set[str] = set()
    for folder in {file.title.rpartition("/")[0] for file in files}:
        parts = folder.split("/") if folder else []
        found.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return tuple(sorted(found, key=str.casefold))


def _written(path: Path, content: bytes) -> None:
    if not os.access(path.parent, os.W_OK):
        raise StorageError("Easel may not write into the folder of this network, so nothing was kept.")
    write_atomically(path, content)


def _known(kind: str) -> str:
    if kind not in SHOWN_KINDS:
        raise InvalidRequest(f"is one of {', '.join(SHOWN_KINDS)}", field="kind")
    return kind


def _reason(file: ModelFile, family: str) -> str:
    if file.problem:
        return file.problem
    own, other = FAMILIES.get(file.family), FAMILIES.get(family)
    if own is None or other is None or base(own.name) == base(other.name):
        return ""
    return f"it is for {own.label}; the checkpoint is {other.label}"


def _lies_in(card: Card, folder: str) -> bool:
    return not folder or card.folder == folder or card.folder.startswith(f"{folder}/")


def _searched(card: Card) -> str:
    return "\n".join((card.file.title, card.file.key, card.alias, *card.notes.words,
                      card.notes.description, card.notes.notes)).casefold()


def _checked(field: str, value: Any) -> Any:
    """A value of `Notes` from JSON. InvalidRequest names the field."""
    if field == "words" and isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(word.strip() for word in value if word.strip())
    if field == "weight" and (value is None or type(value) in (int, float) and abs(value) <= MAX_WEIGHT):
        return value
    if field in ("negative", "description", "notes") and isinstance(value, str):
        return value
    raise InvalidRequest("is not a note of this kind", field=field)

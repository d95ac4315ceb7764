"""Cards of network files for people to choose from: what lies in the folders, searched, with notes and pictures."""

from __future__ import annotations

import io
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from backend.catalog.families import FAMILIES, Family, base
from backend.catalog.folder_scan import clean_name
from backend.catalog.headers import read_header
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT, HYPERNETWORK, LORA
from backend.catalog.network_cards import SHOWN_KINDS, Card, NetworkCards
from backend.catalog.network_facts import file_facts
from backend.catalog.network_problems import misfit
from backend.catalog.side_cars import NOTES, PICTURES, place_of, read_notes, with_notes
from backend.errors import CheckpointError, InvalidRequest, NotFound, StorageError
from backend.files.atomic_write import sweep_unfinished, write_atomically
from backend.files.regular_files import read_json
from backend.files.write_errors import Purpose
from backend.image.decode_budget import DECODING
from backend.image.read import open_picture

SORTS: Mapping[str, Callable[[Card], Any] | None] = {
    "name": None,               # as they come
    "newest": lambda card: -(card.file.fingerprint.changed if card.file.fingerprint else 0),
    "largest": lambda card: -card.size,
}
MAX_TAGS = 60               # of those that a network was trained on, the most frequent ones
PREVIEW = 512               # pixels of the longer side of a network's picture
MAX_WEIGHT = 10.0
NOTING = Purpose("The notes could not be saved", "save them again")
PICTURING = Purpose("The network's picture could not be saved", "choose it again")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search: every word of `text` stands in name, folder, trigger words or notes. `checkpoint` decides what fits."""

    kind: str = LORA
    text: str = ""
    folder: str = ""
    sort: str = "name"
    checkpoint: str = ""
    unfitting: bool = False         # those too that do not fit
    first: tuple[str, ...] = ()     # names that stand before all others, in this order


@dataclass(frozen=True, slots=True)
class FoundCards:
    """What a search found, in its order. `unfitting`: how many it found that do not fit, shown or not."""

    cards: list[Card]
    unfitting: int


class Networks:
    """Everybody's networks. Thread-safe."""

    def __init__(self, catalog: ModelCatalog, cards: NetworkCards) -> None:
        self._catalog, self._cards = catalog, cards
        self._writing = threading.Lock()

    def cards(self, wanted: Wanted) -> FoundCards:
        """All that the search finds. InvalidRequest names a wrong `kind` or `sort`."""
        if wanted.sort not in SORTS:
            raise InvalidRequest(f"is one of {', '.join(SORTS)}", field="sort")
        found = self._judged(self._searched(wanted), wanted)
        fitting = [card for card in found if not card.reason]
        shown = found if wanted.unfitting else fitting
        if order := SORTS[wanted.sort]:
            shown = sorted(shown, key=order)
        if place := {name: at for at, name in enumerate(wanted.first)}:
            shown = sorted(shown, key=lambda card: place.get(card.file.key, len(place)))
        return FoundCards(shown, len(found) - len(fitting))

    def folders(self, kind: str) -> list[str]:
        """The folders in which networks of a kind lie, and those around them, sorted."""
        return list(self._cards.look(_known(kind)).folders)

    def card(self, kind: str, name: str) -> Card:
        """One network by its name. NotFound."""
        return self._cards.card(_known(kind), name)

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
            told = read_json(read_header(path).metadata.get("ss_tag_frequency", "{}")) if path.is_file() else {}
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
            place = place_of(self.card(kind, name).file)
            _written(Path(place + NOTES), with_notes(place, replace(read_notes(place), **checked)), NOTING)
        self._cards.forget(kind)
        return self.card(kind, name)

    def set_picture(self, kind: str, name: str, picture: Path) -> Card:
        """A small copy of the picture becomes the network's. NotFound, UserError, StorageError."""
        place = place_of(self.card(kind, name).file)
        with open_picture(picture) as image, DECODING.share(image.size):
            small = image.convert("RGB")
            small.thumbnail((PREVIEW, PREVIEW), Pillow.Resampling.LANCZOS)
            content = io.BytesIO()
            small.save(content, "PNG")
        _written(Path(place + PICTURES[0]), content.getvalue(), PICTURING)
        self._cards.forget(kind)
        return self.card(kind, name)

    def picture(self, kind: str, name: str) -> Path:
        """The file of a network's picture. NotFound."""
        found = self.card(kind, name).picture
        if found is None:
            raise NotFound("has no picture", field="name")
        return found

    def refresh(self, kind: str) -> None:
        self._catalog.scan(_known(kind))
        self._cards.forget(kind)

    def sweep_unfinished(self, kind: str, before: float) -> None:
        """Delete what was being written beside these networks at `before` (seconds since the epoch)."""
        for folder in {Path(card.file.path).parent for card in self._cards.look(kind).cards}:
            sweep_unfinished(folder, before, deep=False)

    def _searched(self, wanted: Wanted) -> list[Card]:
        """By name. A word may have the signs that a file has and its name here has not."""
        look, inside = self._cards.look(_known(wanted.kind)), wanted.folder.strip("/")
        lying = [(card, text) for card, text in zip(look.cards, look.texts, strict=True)
                 if not inside or _lies_in(card, inside)]
        for word in wanted.text.casefold().split():
            bare = clean_name(word)
            lying = [(card, text) for card, text in lying if word in text or bare in text]
        return [card for card, _ in lying]

    def _judged(self, cards: list[Card], wanted: Wanted) -> list[Card]:
        """With the reasons of those that do not go with the checkpoint; families are compared once for all."""
        other = FAMILIES.get(self._family(wanted.checkpoint)) if wanted.kind != CHECKPOINT else None
        reasons = {name: _reason(FAMILIES.get(name), other) for name in {card.file.family for card in cards}}
        told = ((card, card.file.problem or reasons[card.file.family]) for card in cards)
        return [replace(card, reason=reason) if reason else card for card, reason in told]

    def _family(self, checkpoint: str) -> str:
        try:
            return self._catalog.find(CHECKPOINT, checkpoint).family
        except NotFound:
            return ""


def _written(path: Path, content: bytes, purpose: Purpose) -> None:
    if not os.access(path.parent, os.W_OK):
        raise StorageError("Easel may not write into the folder of this network, so nothing was kept.")
    write_atomically(path, content, purpose)


def _known(kind: str) -> str:
    if kind not in SHOWN_KINDS:
        raise InvalidRequest(f"is one of {', '.join(SHOWN_KINDS)}", field="kind")
    return kind


def _reason(own: Family | None, other: Family | None) -> str:
    if own is None or other is None or base(own.name) == base(other.name):
        return ""
    return f"it is for {own.label}; the checkpoint is {other.label}"


def _lies_in(card: Card, folder: str) -> bool:
    return not folder or card.folder == folder or card.folder.startswith(f"{folder}/")


def _checked(field: str, value: Any) -> Any:
    """A value of `Notes` from JSON. InvalidRequest names the field."""
    if field == "words" and isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(word.strip() for word in value if word.strip())
    if field == "weight" and (value is None or type(value) in (int, float) and abs(value) <= MAX_WEIGHT):
        return value
    if field in ("negative", "description", "notes") and isinstance(value, str):
        return value
    raise InvalidRequest("is not a note of this kind", field=field)

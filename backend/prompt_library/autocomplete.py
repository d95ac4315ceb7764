"""What a person may be about to type: files of networks, wildcards, styles, tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from backend.catalog.families import FAMILIES
from backend.catalog.model_file import EMBEDDING, HYPERNETWORK, LORA
from backend.catalog.network_cards import Card, NetworkCards, notes_now
from backend.prompt_library.styles_csv import Style
from backend.prompt_library.tags import Tag, Tags
from backend.prompt_library.wildcard_files import Wildcards

Kind = Literal["word", "lora", "hypernet", "wildcard"]
LIMIT = 20
ALIKE_LIMIT = 5             # of tags that are only spelt nearly so
_TAGS = {"lora": ("lora", LORA), "hypernet": ("hypernet", HYPERNETWORK)}      # as prompts name them, and their kinds
MOST_WORDS = 3              # of which a tag may be made that is being typed


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One line of the list. `insert` takes the place of what was typed; a style has none, it is chosen instead."""

    kind: str                       # "lora", "hypernet", "embedding", "wildcard", "style", "tag"
    name: str
    insert: str
    note: str = ""                  # what else is to be known of it
    count: int = 0                  # how often a tag is used; 0 = not known
    words: tuple[str, ...] = ()     # trigger words of a network


class Suggestions:
    """Searches all that can stand in a prompt."""

    def __init__(self, data: Path, cards: NetworkCards, wildcards: Wildcards) -> None:
        self._cards, self._wildcards, self._tags = cards, wildcards, Tags(data)

    def search(self, text: str, kind: Kind, styles: list[Style]) -> tuple[str, list[Suggestion]]:
        """At most `LIMIT` of them, and which part at the end of `text` they would take the place of.

        "word" finds embeddings, styles and tags: for the last words of the text, as many of them as fit something;
        where nothing fits, tags that are spelt nearly so.
        "lora" is for what follows `<lora:`, "hypernet" for `<hypernet:`, "wildcard" for what follows two underscores.
        """
        if kind != "word":
            return text, self._files_called(text, kind)
        words = [match.start() for match in re.finditer(r"\S+", text)][-MOST_WORDS:]
        ends = [text[start:] for start in words]
        found = ((end, list(self._words(end, styles))[:LIMIT]) for end in ends if len(end) >= _shortest(end))
        nearly = dict.fromkeys([*ends[:1], *ends[-1:]])     # all of them, and the last
        alike = ((end, [_suggested(tag) for tag in self._tags.alike(end, ALIKE_LIMIT)]) for end in nearly)
        return next((one for one in chain(found, alike) if one[1]), ("", []))

    def _files_called(self, text: str, kind: Kind) -> list[Suggestion]:
        if kind in _TAGS:
            tag, name_of_kind = _TAGS[kind]
            return [_network(kind, tag, card, text) for card in self._networks(text, name_of_kind)]
        return [Suggestion("wildcard", name, f"__{name}__") for name in _fitting(text, self._wildcards.names())]

    def _words(self, text: str, styles: list[Style]) -> Iterator[Suggestion]:
        for card in self._networks(text, EMBEDDING):
            yield Suggestion("embedding", card.said, card.said, _note(card, text))
        for style in _fitting(text, [style.name for style in styles]):
            yield Suggestion("style", style, "")
        for tag in self._tags.search(text, LIMIT):
            yield _suggested(tag)

    def _networks(self, text: str, kind: str) -> list[Card]:
        """By name, then those that were called so when they were made, then those whose trigger words hold the text.

        Only such as a prompt can name.
        """
        cards = {card.file.key: card for card in self._cards.look(kind).cards if card.said}
        called = (name for name, card in cards.items() if _holds(card.alias, text))
        triggered = (name for name, card in cards.items() if any(_holds(word, text) for word in card.notes.words))
        return [cards[name] for name in islice(dict.fromkeys(chain(_fitting(text, cards), called, triggered)), LIMIT)]


def _suggested(tag: Tag) -> Suggestion:
    return Suggestion("tag", tag.name.replace("_", " "), _typed(tag), tag.alias.replace("_", " "), tag.count)


def _network(kind: str, tag: str, card: Card, text: str) -> Suggestion:
    """With the weight and the trigger words that are written down beside the file, or in it."""
    notes = notes_now(card.file)
    weight = 1 if notes.weight is None else notes.weight
    return Suggestion(kind, card.file.key, f"<{tag}:{card.said}:{weight:g}>", _note(card, text), words=notes.words)


def _shortest(text: str) -> int:
    """One letter says nothing, one character of another script may be a word."""
    return 2 if text.isascii() else 1


def _note(card: Card, text: str) -> str:
    """Which checkpoints a network goes with, as far as its file tells; before it the other name that it is found by."""
    family = FAMILIES[card.file.family].label if card.file.family in FAMILIES else ""
    alias = card.alias if _holds(card.alias, text) and not _holds(card.file.key, text) else ""
    return " · ".join(filter(None, (alias, family)))


def _holds(name: str, text: str) -> bool:
    return text.strip().casefold() in name.casefold()


def _fitting(text: str, names: Iterable[str]) -> list[str]:
    """Names that hold the text, those first that begin with it."""
    wanted = text.strip().casefold()
    found = [name for name in names if wanted in name.casefold()]
    return sorted(found, key=lambda name: not name.casefold().startswith(wanted))[:LIMIT]


def _typed(tag: Tag) -> str:
    """The tag as a prompt has it: words apart, brackets escaped, which would be emphasis. Faces such as ^_^ stay."""
    words = tag.name.replace("_", " ") if any(c.isalnum() for c in tag.name) else tag.name
    return "".join(f"\\{c}" if c in "()[]" else c for c in words)

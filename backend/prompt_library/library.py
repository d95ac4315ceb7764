"""All comfort around the prompt: styles, wildcards and variants, the prompts used before, what may be typed next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from backend.catalog.model_catalog import ModelCatalog
from backend.prompt_library.autocomplete import Kind, Suggestion, Suggestions
from backend.prompt_library.styles_csv import Style, Styles
from backend.prompt_library.templating import named, resolve, styled
from backend.prompt_library.wildcards import Wildcards
from backend.request.request import Request
from backend.store.picture_files import LOCAL
from backend.store.used_prompts import UsedPrompt, UsedPrompts


class PromptLibrary:
    """What the front door offers of it. Thread-safe; files edited by hand are noticed at the next question."""

    def __init__(self, data: Path, catalog: ModelCatalog, used: UsedPrompts) -> None:
        self._styles, self._used = Styles(data), used
        self._wildcards = Wildcards((data, *catalog.models))
        self._suggestions = Suggestions(data, catalog, self._wildcards)

    def styles(self, owner: str = LOCAL) -> list[Style]:
        """Everybody's styles and the owner's own."""
        return self._styles.of(owner)

    def as_theirs(self, owner: str = LOCAL) -> list[dict[str, str]]:
        """The same in AUTOMATIC1111's keys: name, prompt, negative_prompt."""
        return [style.as_theirs() for style in self._styles.of(owner)]

    def save_style(self, style: Style, owner: str = LOCAL, was: str = "") -> None:
        """Keep a new style, or change the one called `was`. InvalidRequest, NotFound, NotAllowed, StorageError."""
        self._styles.keep(style, owner, was)

    def delete_style(self, name: str, owner: str = LOCAL) -> None:
        """NotFound; NotAllowed for one that is everybody's."""
        self._styles.drop(name, owner)

    def apply(self, names: Iterable[str], prompt: str, negative: str, owner: str = LOCAL) -> tuple[str, str]:
        """Both prompts with styles merged in. InvalidRequest names unknown ones."""
        return styled(prompt, negative, named(names, self._styles.of(owner)))

    def resolved(self, request: Request, owner: str = LOCAL) -> Request:
        """The request with the texts of its pictures; its seeds must be drawn. InvalidRequest names the fields."""
        return resolve(request, self._styles.of(owner), self._wildcards.lines)

    def used(self, owner: str = LOCAL, query: str = "", limit: int = 50) -> list[UsedPrompt]:
        """The prompts of the owner's jobs, each pair once, newest first; with every word of `query`."""
        return self._used.of(owner, query, limit)

    def complete(self, text: str, kind: Kind, owner: str = LOCAL) -> tuple[str, list[Suggestion]]:
        """What may be meant by the end of a text: which part of it, and what could stand there."""
        return self._suggestions.search(text, kind, self._styles.of(owner))

"""All comfort around the prompt: styles, wildcards and variants, the prompts used before, what may be typed next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from backend.catalog.network_cards import NetworkCards
from backend.prompt.possibilities import Lookup
from backend.prompt_library.autocomplete import Kind, Suggestion, Suggestions
from backend.prompt_library.dynamic_prompts import named, picture_count, resolve, styled
from backend.prompt_library.styles_csv import Style, Styles
from backend.prompt_library.wildcard_files import Wildcards
from backend.request.request import Request
from backend.store.used_prompts import UsedPrompt, UsedPrompts
from backend.store.view_types import User


class PromptLibrary:
    """The files of the library. Thread-safe; those edited by hand are noticed at the next question."""

    def __init__(self, data: Path, cards: NetworkCards, used: UsedPrompts) -> None:
        self.styles, self.used_prompts = Styles(data), used
        self.wildcards = Wildcards((data, *cards.models))
        self.suggestions = Suggestions(data, cards, self.wildcards)

    def known_wildcards(self) -> tuple[Lookup, list[str]]:
        """The lines behind the names of wildcards, and these names."""
        return self.wildcards.lines, self.wildcards.names()

    def as_(self, user: User) -> UserPromptLibrary:
        """What one user can do with the library."""
        return UserPromptLibrary(self, user)


class UserPromptLibrary:
    """The library as one user sees it: everybody's styles and the user's own, and the prompts that the user used."""

    def __init__(self, library: PromptLibrary, user: User) -> None:
        self._library, self._user = library, user

    def styles(self) -> list[Style]:
        """Everybody's styles and the user's own."""
        return self._library.styles.of(self._user)

    def style_problems(self) -> list[str]:
        """A sentence for each of their files that cannot be read."""
        return self._library.styles.problems(self._user)

    def as_theirs(self) -> list[dict[str, str]]:
        """The same in AUTOMATIC1111's keys: name, prompt, negative_prompt."""
        return [style.as_theirs() for style in self.styles()]

    def save_style(self, style: Style, was: str = "") -> None:
        """Keep a new style, or change the one called `was`. InvalidRequest, NotFound, NotAllowed, StorageError."""
        self._library.styles.keep(style, self._user, was)

    def delete_style(self, name: str) -> None:
        """NotFound; NotAllowed for one that is everybody's."""
        self._library.styles.drop(name, self._user)

    def apply(self, names: Iterable[str], prompt: str, negative: str) -> tuple[str, str]:
        """Both prompts with styles merged in. InvalidRequest names unknown ones."""
        return styled(prompt, negative, named(names, self.styles()))

    def resolved(self, request: Request) -> Request:
        """The request with the texts of its pictures; its seeds must be drawn. InvalidRequest names the fields."""
        return resolve(request, self.styles(), self._library.wildcards.lines)

    def picture_count(self, request: Request) -> int:
        """How many pictures a job of this request would make. InvalidRequest names the fields."""
        return picture_count(request, self.styles(), self._library.wildcards.lines)

    def used(self, query: str = "", limit: int = 50) -> list[UsedPrompt]:
        """The prompts of the user's jobs, each pair once, newest first; with every word of `query`."""
        return self._library.used_prompts.of(self._user.id, query, limit)

    def complete(self, text: str, kind: Kind) -> tuple[str, list[Suggestion]]:
        """What may be meant by the end of a text: which part of it, and what could stand there."""
        return self._library.suggestions.search(text, kind, self.styles())

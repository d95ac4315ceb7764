"""Search over the pictures: words in their settings texts (SQLite's FTS5, or a column of PostgreSQL's) and filters by
what they were made with."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, String, column, func, literal_column, select, table

from backend.store.boards import on_board
from backend.store.database import Database
from backend.store.history import ORDERS, after, readable, stored_request
from backend.store.plot_reading import cells_out_of_sight
from backend.store.postgres_objects import plain_words
from backend.store.tables import WORDS, ImageRow, JobRow
from backend.store.view_types import Image

MAX_TERMS = 200         # of one search; what a person pastes beyond that hardly narrows it, and costs time
MAX_PARTS = 20          # of those, in scripts without spaces: each looks at every text
_TERM = re.compile(r'(-?)(?:"([^"]*)("?)|([^\s"]+))')
_BOARD = re.compile(r'(?<!\S)(-?)board:(?:"([^"]*)"?|(\S+))', re.I)
_DENSE = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
                    "\U00020000-\U0003ffff]")   # Thai, Lao, Burmese, Khmer, Japanese, Chinese
_QUOTES = dict.fromkeys(map(ord, "“”„«»＂"), '"')
_INDEX = table(WORDS, column("rowid"))
_PLAIN_WORDS = literal_column("images.words", String)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for. "" and None leave a filter out; `since` and `until` (exclusive) are moments with a zone."""

    words: str = ""
    checkpoint: str = ""
    sampler: str = ""
    seed: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    starred: bool = False
    binned: bool = False
    kind: str = ""          # of tables.KINDS
    board: str = ""         # its id; by name it is found with `board:name` among the words
    order: str = "newest"   # of history.ORDERS


    def of_shared_board(self) -> Query:
        """Without what would tell another user more of the owner than the board does: stars, other boards, the bin."""
        order = "newest" if self.order == "starred" else self.order
        words = _BOARD.sub(" ", self.words.translate(_QUOTES))
        return replace(self, words=words, starred=False, binned=False, order=order)


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture and where its file should lie below the outputs folder."""

    image: Image
    path: str


class Search:
    """Lists of one owner's pictures, those made last first. What is deleted is never among them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, owner: str, query: Query, limit: int = 60, before: str | None = None
    ) -> tuple[list[FoundPicture], int]:
        """Up to `limit` pictures after the one with the id `before`, and how many the whole search has.

        That one need not belong to the search any more. NotFound when the owner never had it.
        """
        order = ORDERS[query.order]
        chosen = self._chosen(select(ImageRow.number), owner, query).order_by(*order.clauses).limit(limit)
        with self._database.read() as session:
            if before is not None:
                chosen = chosen.where(after(session, before, owner, order))
            whole = select(ImageRow, JobRow.request).join(JobRow, JobRow.id == ImageRow.job)
            rows = session.execute(whole.where(ImageRow.number.in_(chosen)).order_by(*order.clauses)).all()
            shown = readable((row, stored_request(request)) for row, request in rows)
            found = [FoundPicture(image, row.path) for row, image in shown]
            return found, session.scalar(self._chosen(select(func.count(ImageRow.number)), owner, query)) or 0

    def choices(self, owner: str) -> tuple[list[str], list[str]]:
        """Checkpoints and samplers that occur in the owner's pictures, in alphabetical order."""
        with self._database.read() as session:
            checkpoints, samplers = (
                session.scalars(self._chosen(select(label).distinct(), owner, Query()).where(label != "", *text))
                for label in (ImageRow.model, ImageRow.sampler)
                for text in [[] if self._database.url else [is_text(label)]])
            return sorted(checkpoints, key=str.casefold), sorted(samplers, key=str.casefold)

    def _chosen(self, selection: Select[Any], owner: str, query: Query) -> Select[Any]:
        in_bin = ImageRow.binned.is_not(None) if query.binned else ImageRow.binned.is_(None)
        words = _BOARD.sub(" ", query.words.translate(_QUOTES))
        with_words = _by_words_of_postgres(words) if self._database.url else _by_words(words)
        return selection.where(ImageRow.owner == owner, ~ImageRow.deleted, in_bin, *_conditions(owner, query),
                               *with_words)


def is_text(label: ColumnElement[str]) -> ColumnElement[bool]:
    """Not so in a damaged row: SQLite keeps whatever it is given."""
    return func.typeof(label) == "text"


def expressions(text: str) -> tuple[str, str]:
    """What somebody typed as two FTS5 expressions: all that must be there, and all that must not; "" for nothing.

    Each word is the beginning of one; "quoted words" stand together as they are; -word excludes. Whatever else is
    typed separates words, so that no text is an error. Scripts without spaces are left to `_by_parts`.
    """
    phrases: dict[bool, list[str]] = {False: [], True: []}
    for term in _terms(text):
        if not term.dense:
            phrases[term.excluded].append(f'"{term.words}"' + ("*" if term.open else ""))
    return " AND ".join(phrases[False]), " OR ".join(phrases[True])


@dataclass(frozen=True, slots=True)
class _Term:
    """`open`: the last word is the beginning of one. `dense`: of a script without spaces, where words are parts."""

    words: str
    excluded: bool
    open: bool
    dense: bool


def _terms(text: str) -> list[_Term]:
    """At most MAX_TERMS, each once. In a quotation that is not closed somebody still types the last word."""
    found: dict[_Term, None] = {}
    for minus, quoted, closed, typed in _TERM.findall(text.translate(_QUOTES)):
        words = "".join(letter if _is_of_word(letter) else " " for letter in quoted or typed).split()
        for part in words if any(map(_DENSE.search, words)) else filter(None, [" ".join(words)]):
            found[_Term(part, bool(minus), not closed, bool(_DENSE.search(part)))] = None
    return list(found)[:MAX_TERMS]


def _is_of_word(character: str) -> bool:
    """As the tokeniser sees it, marks that are written over a letter included."""
    kind = unicodedata.category(character)
    return kind[0] in "LMN" or kind in ("Co", "So")


def _conditions(owner: str, query: Query) -> Iterator[ColumnElement[bool]]:
    for minus, quoted, plain in _BOARD.findall(query.words.translate(_QUOTES)):
        named = on_board(owner, name=quoted or plain)
        yield ~named if minus else named
    if query.board:
        yield on_board(owner, query.board)
    if not (query.board or query.starred or query.binned):
        yield ImageRow.job.not_in(cells_out_of_sight(owner))
    if query.kind:
        yield ImageRow.kind == query.kind
    yield from _by_facts(query)


def _by_words(words: str) -> Iterator[ColumnElement[bool]]:
    wanted, unwanted = expressions(words)
    if wanted:
        yield ImageRow.number.in_(_matching(wanted))
    if unwanted:
        yield ImageRow.number.not_in(_matching(unwanted))
    yield from _by_parts(words, func.instr)


def _by_words_of_postgres(words: str) -> Iterator[ColumnElement[bool]]:
    """The same by the column that `postgres_objects` fills; words hold nothing that LIKE takes for a wildcard."""
    for term in _terms(words):
        within = _PLAIN_WORDS.like(f"% {plain_words(term.words)}{'' if term.open else ' '}%")
        if not term.dense:
            yield ~within if term.excluded else within
    yield from _by_parts(words, func.strpos)


def _by_parts(words: str, place: Callable[..., ColumnElement[int]]) -> Iterator[ColumnElement[bool]]:
    for term in [term for term in _terms(words) if term.dense][:MAX_PARTS]:
        within = place(ImageRow.infotext, term.words) > 0
        yield ~within if term.excluded else within


def _by_facts(query: Query) -> Iterator[ColumnElement[bool]]:
    if query.checkpoint:
        yield ImageRow.model == query.checkpoint
    if query.sampler:
        yield ImageRow.sampler == query.sampler
    if query.seed is not None:
        yield ImageRow.seed == query.seed
    if query.since is not None:
        yield ImageRow.created >= query.since
    if query.until is not None:
        yield ImageRow.created < query.until
    if query.starred:
        yield ImageRow.starred


def _matching(expression: str) -> Select[tuple[int]]:
    return select(_INDEX.c.rowid).where(literal_column(WORDS).op("MATCH")(expression))

"""Wildcards and variants: one text that stands for many prompts. Here it becomes a tree; `expansion` makes texts of it.

    {a|b|c}                one of its options              {2::a|b}          a twice as often as b
    {2$$a|b|c}             two of them, joined by ", "     {1-3$$ and $$a|b|c}  one to three, joined by " and "
    __colour__             a line of colour.txt            __animals/*__     a line of any of these files

The syntax is that of the extension sd-dynamic-prompts. What AUTOMATIC1111 itself reads stays text: `[a|b]`, also
inside braces, `(a:1.2)`, `<lora:x:1>`. So do braces without a `|` or `$$`, braces without a partner, and what a
backslash escapes. The backslash stays too (the prompt's own grammar drops it), so a text may be resolved again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Any, TypeAlias

from lark import Lark, Token, Transformer
from lark.lexer import Lexer

MAX_DEPTH = 50          # braces within braces, and wildcards within wildcards

_GRAMMAR = """
    start: _part*
    _part: TEXT | WILDCARD | choice
    choice: OPEN PICK? option (BAR option)* CLOSE
    option: WEIGHT? _part*
    %declare TEXT WILDCARD PICK WEIGHT OPEN BAR CLOSE
"""
_NUMBER = r"(?:\d+\.?\d*|\.\d+)"
_TERMINALS = re.compile(
    rf"""(?P<ESCAPED>\\.)
    |(?P<PICK>(?<=\{{)\s*(?:\d+\s*-\s*\d+|\d+\s*-|-\s*\d+|\d+)\s*\$\$(?:[^|{{}}\[\]\\$]*\$\$)?)
    |(?P<WEIGHT>(?<=[{{|$])\s*{_NUMBER}\s*::)
    |(?P<WILDCARD>__(?![_\ ])(?:(?!__)[\w\ ./*?-])+__)
    |(?P<OPEN>\{{)|(?P<CLOSE>\}})|(?P<OPEN_SQUARE>\[)|(?P<CLOSE_SQUARE>\])|(?P<BAR>\|)
    |(?P<TEXT>[^\\{{}}\[\]|_$]+|.)""",
    re.VERBOSE | re.DOTALL,
)
_PARTNER = {"CLOSE": "OPEN", "CLOSE_SQUARE": "OPEN_SQUARE"}
_SYNTAX = re.compile(r"\{|__")
_LINE_WEIGHT = re.compile(rf"\s*({_NUMBER})\s*::")


class VariantError(ValueError):
    """The text cannot be resolved; the message is the rest of a sentence that begins with the field's label."""


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A line of the files that are called so; `*` and `?` stand for any letters."""

    name: str


@dataclass(frozen=True, slots=True)
class Option:
    """One possibility, taken in proportion to its weight (0 = never)."""

    parts: Parts
    weight: float = 1.0


@dataclass(frozen=True)
class Options:
    """Possibilities in their order; `cumulative` are the running sums of their weights."""

    items: tuple[Option, ...]
    cumulative: tuple[float, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cumulative", tuple(accumulate(option.weight for option in self.items)))

    @property
    def total(self) -> float:
        return self.cumulative[-1] if self.cumulative else 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """`least` to `most` different options (None = all that there are), joined by `joint`."""

    options: Options
    least: int = 1
    most: int | None = 1
    joint: str = ", "


Part: TypeAlias = str | Wildcard | Choice
Parts: TypeAlias = tuple[Part, ...]


def parse(text: str) -> Parts:
    """The parts of a text in reading order; a text without wildcards and variants is one string.

    Raises VariantError when braces are nested too deep.
    """
    if not _SYNTAX.search(text):
        return (text,)
    return _joined(_parser().parse(text))


def parse_line(line: str) -> Option:
    """A line of a wildcard file: `text`, or `weight::text`. Raises VariantError."""
    match = _LINE_WEIGHT.match(line)
    return Option(parse(line[match.end():].strip()), float(match[1])) if match else Option(parse(line.strip()))


def varies(text: str) -> bool:
    """Whether there is something to resolve in a text; never raises."""
    return bool(_SYNTAX.search(text)) and any(token.type in ("OPEN", "WILDCARD") for token in _terminals(text))


def is_plain(parts: Parts) -> bool:
    """Whether there is nothing to resolve."""
    return all(isinstance(part, str) for part in parts)


class _PairedLexer(Lexer):
    """Splits a text into terminals."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, text: str) -> Iterator[Token]:
        return _terminals(text)


def _terminals(text: str) -> Iterator[Token]:
    """The terminals of a text; what has no meaning where it stands is TEXT."""
    tokens = [Token(match.lastgroup, match[0]) for match in _TERMINALS.finditer(text)]
    choices, bars = _choices(tokens)
    before = ""
    for index, token in enumerate(tokens):
        if not _means_something(token.type, before, index in choices, index in bars):
            token = Token("TEXT", token)
        before = token.type
        yield token


def _means_something(kind: str, before: str, in_choice: bool, is_bar: bool) -> bool:
    match kind:
        case "OPEN" | "CLOSE":
            return in_choice
        case "BAR":
            return is_bar
        case "PICK":
            return before == "OPEN"
        case "WEIGHT":
            return before in ("OPEN", "BAR", "PICK")
        case _:
            return kind == "WILDCARD"


def _choices(tokens: list[Token]) -> tuple[set[int], set[int]]:
    """Positions of the braces that hold options, and of the bars between those."""
    partner = _paired(tokens)
    bars: dict[int, list[int]] = {}             # opening brace -> its own bars
    around: list[int] = []
    for index, token in enumerate(tokens):
        if token.type in _PARTNER.values() and index in partner:
            around.append(index)
        elif token.type in _PARTNER and index in partner:
            around.pop()
        elif token.type == "BAR" and around and tokens[around[-1]].type == "OPEN":
            bars.setdefault(around[-1], []).append(index)
        elif token.type == "PICK" and tokens[index - 1].type == "OPEN" and index - 1 in partner:
            bars.setdefault(index - 1, [])
    return {end for start in bars for end in (start, partner[start])}, {bar for own in bars.values() for bar in own}


def _paired(tokens: list[Token]) -> dict[int, int]:
    """Brackets and their partners, both ways. A closing brace passes over square brackets that are open inside it."""
    partner: dict[int, int] = {}
    unclosed: list[int] = []
    braces: list[int] = []                      # where in `unclosed` the braces are
    for index, token in enumerate(tokens):
        if token.type in _PARTNER.values():
            braces += [len(unclosed)] if token.type == "OPEN" else []
            unclosed.append(index)
        elif token.type == "CLOSE" and braces:
            at = braces.pop()
            partner |= {unclosed[at]: index, index: unclosed[at]}
            del unclosed[at:]
        elif token.type == "CLOSE_SQUARE" and unclosed and tokens[unclosed[-1]].type == "OPEN_SQUARE":
            at = unclosed.pop()
            partner |= {at: index, index: at}
    return partner


class _Build(Transformer):
    """Turns the grammar's rules into parts."""

    def start(self, children: list[Any]) -> Parts:
        return tuple(children)

    def option(self, children: list[Any]) -> Option:
        weighted = bool(children) and isinstance(children[0], Token) and children[0].type == "WEIGHT"
        weight = float(children[0].rstrip().removesuffix("::")) if weighted else 1.0
        return Option(_joined(children[weighted:]), weight)

    def choice(self, children: list[Any]) -> Choice:
        options = tuple(child for child in children if isinstance(child, Option))
        if max(map(_depth, options)) >= MAX_DEPTH:
            raise VariantError(f"has braces more than {MAX_DEPTH} deep")
        pick = children[1] if isinstance(children[1], Token) and children[1].type == "PICK" else None
        return Choice(Options(options)) if pick is None else _several(pick, options)


def _several(pick: str, options: tuple[Option, ...]) -> Choice:
    bounds, joint, *_ = [*pick.split("$$"), ""]
    low, dash, high = (piece.strip() for piece in bounds.partition("-"))
    least = int(low or 1)
    most = (int(high) if high else None) if dash else least
    trimmed = tuple(Option(_trimmed(option.parts), option.weight) for option in options)
    return Choice(Options(trimmed), least, most, joint if pick.count("$$") == 2 else ", ")


def _trimmed(parts: Parts) -> Parts:
    """Without white space at the ends, as what is joined has its own."""
    texts = list(parts)
    if texts and isinstance(texts[0], str):
        texts[0] = texts[0].lstrip()
    if texts and isinstance(texts[-1], str):
        texts[-1] = texts[-1].rstrip()
    return tuple(part for part in texts if part != "")


def _depth(option: Option) -> int:
    """How many braces lie within each other; parts are built from the inside, so each is asked once."""
    inner = [part for part in option.parts if isinstance(part, Choice)]
    return 1 + max((_depth_of(part) for part in inner), default=0)


def _depth_of(choice: Choice) -> int:
    return max(map(_depth, choice.options.items))


def _joined(parts: Iterable[Any]) -> Parts:
    """Neighbouring texts as one; tokens as what they stand for."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, Token):
            part = Wildcard(part[2:-2].strip()) if part.type == "WILDCARD" else str(part)
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer=_PairedLexer, transformer=_Build(), maybe_placeholders=False)

"""Wildcards and variants: one text that stands for many prompts. Here it becomes a tree; `expansion` makes texts of it.

    {a|b|c}                one of its options              {2::a|b}          a twice as often as b
    {2$$a|b|c}             two of them, joined by ", "     {1-3$$ and $$a|b|c}  one to three, joined by " and "
    __colour__             a line of colour.txt            __animals/*__     a line of any of these files
    ${x={a|b}} ${x=!{a|b}} a variable: drawn at each use, or once     ${x} ${x:a}  its value, or a where it has none
    __colour(x=a)__        with a variable for these lines {@a|b} __@colour__    in turn (~ at random, ! every one)
    __${x}/cats__          a variable in a wildcard's name

The syntax is that of the extension sd-dynamic-prompts. What AUTOMATIC1111 itself reads stays text: `[a|b]`, also
inside braces, `(a:1.2)`, `<lora:x:1>`. So do braces without a `|` or `$$`, braces without a partner, and what a
backslash escapes. The backslash stays too (the prompt's own grammar drops it), so a text may be resolved again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate
from typing import Any, TypeAlias

from lark import Lark, Token, Transformer
from lark.lexer import Lexer

MAX_DEPTH = 50          # braces within braces, and wildcards within wildcards

_GRAMMAR = """
    start: _part*
    _part: TEXT | WILDCARD | choice | variable
    choice: OPEN HOW? PICK? option (BAR option)* CLOSE
    option: WEIGHT? _part*
    variable: VARIABLE _part* CLOSE
    %declare TEXT WILDCARD HOW PICK WEIGHT VARIABLE OPEN BAR CLOSE
"""
_NUMBER = r"(?:\d+\.?\d*|\.\d+)"
_NAME = r"[A-Za-z_][\w-]*"
_IN_NAME = rf"\$\{{\s*{_NAME}\s*(?::[^${{}}|]*)?\}}"       # a variable in a wildcard's name
_CALLED = r"(?:choice|weighted_choice|random|randint|permutations?|wildcard|prompt_at)\s*"      # in its templates
_TERMINALS = re.compile(
    rf"""(?P<ESCAPED>\\.)
    |(?P<WRAP>%\{{(?=[^{{}}]*\$\$))
    |(?P<VARIABLE>\$\{{\s*{_NAME}\s*(?:\??=\s*!?|:|(?=\}})))
    |(?P<UNREAD>\$\{{)
    |(?P<TEMPLATE>\{{%(?=[^{{}}]*%\}})|\{{\{{(?=\s*{_CALLED}\())
    |(?P<HOW>(?<=\{{)\s*[@~!])
    |(?P<PICK>(?<=[{{@~!])\s*(?:\d+\s*-\s*\d+|\d+\s*-|-\s*\d+|\d+)\s*\$\$(?:[^|{{}}\[\]\\$]*\$\$)?)
    |(?P<WEIGHT>(?<=[{{|$@~!])\s*{_NUMBER}\s*::)
    |(?P<WILDCARD>__[@~!]?(?![_\ ])(?:{_IN_NAME}|(?!__)[\w\ ./*?-])+(?:\((?:[^()]|\([^()]*\))*\))?__)
    |(?P<OPEN>\{{)|(?P<CLOSE>\}})|(?P<OPEN_SQUARE>\[)|(?P<CLOSE_SQUARE>\])|(?P<BAR>\|)
    |(?P<TEXT>[^\\{{}}\[\]|_$%]+|.)""",
    re.VERBOSE | re.DOTALL,
)
_PARAMETER = re.compile(rf"\s*({_NAME})\s*(\?)?=\s*(!)?(.*)", re.DOTALL)
_PIECES = re.compile(r"(?:[^,{}]|\{[^{}]*\})+")      # between commas that stand in no braces
_OPENING = ("OPEN", "VARIABLE", "OPEN_SQUARE")
_PARTNER = {"CLOSE": "OPEN", "CLOSE_SQUARE": "OPEN_SQUARE"}
_SYNTAX = re.compile(r"\{|__")
_VARYING = ("OPEN", "WILDCARD", "VARIABLE", "WRAP", "UNREAD", "TEMPLATE")
_REFUSED = {
    "WRAP": "uses a wrapper, %{...$$...}, which Easel does not have",
    "TEMPLATE": "is a Jinja template, which Easel does not have: {% ... %} and calls in {{ ... }}",
    "UNREAD": "has a ${ that is no variable such as ${name}, ${name:default} or ${name=value}, closed by }",
}
_LINE_WEIGHT = re.compile(rf"\s*({_NUMBER})\s*::")


class VariantError(ValueError):
    """The text cannot be resolved; the message is the rest of a sentence that begins with the field's label."""


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A line of the files that are called so; `*` and `?` stand for any letters.

    `folder`: of the file in which it stands. `how`: as of a `Choice`. `given`: variables for these lines alone.
    `path`: what the name is made of, where there are variables in it.
    """

    name: str
    folder: str = ""
    how: str = ""
    given: tuple[Assign, ...] = ()
    path: Parts = ()


@dataclass(frozen=True, slots=True)
class Assign:
    """A variable gets its value, which is drawn now (`at_once`) or at each use; `if_free`: only when it has none."""

    name: str
    value: Parts
    at_once: bool = False
    if_free: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """The value of a variable; `default` where it has none, and None where it must have one."""

    name: str
    default: Parts | None = None


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
    """`least` to `most` different options (None = all that there are), joined by `joint`.

    `how` they are taken: "~" at random, "@" in turn from picture to picture, "!" every one, "" as is chosen for all.
    """

    options: Options
    least: int = 1
    most: int | None = 1
    joint: str = ", "
    how: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Parts that stand for another one; what is set in them holds in them alone."""

    parts: Parts


Part: TypeAlias = str | Wildcard | Choice | Assign | Access | Scope
Parts: TypeAlias = tuple[Part, ...]


def parse(text: str, folder: str = "") -> Parts:
    """The parts of a text in reading order; a text without wildcards and variants is one string.

    `folder`: of the wildcard file in which it stands. Raises VariantError when braces are nested too deep, and for
    what sd-dynamic-prompts has and Easel has not.
    """
    if not _SYNTAX.search(text):
        return (text,)
    parts = _joined(_parser().parse(text))
    return tuple(_placed(part, folder) for part in parts) if folder else parts


def parse_line(line: str, folder: str = "") -> Option:
    """A line of a wildcard file: `text`, or `weight::text`. Raises VariantError."""
    match = _LINE_WEIGHT.match(line)
    text, weight = (line[match.end():], float(match[1])) if match else (line, 1.0)
    return Option(parse(text.strip(), folder), weight)


def varies(text: str) -> bool:
    """Whether there is something to resolve in a text; never raises."""
    return bool(_SYNTAX.search(text)) and any(token.type in _VARYING for token in _terminals(text))


def is_plain(parts: Parts) -> bool:
    """Whether there is nothing to resolve."""
    return all(isinstance(part, str) for part in parts)


class _PairedLexer(Lexer):
    """Splits a text into terminals."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, text: str) -> Iterator[Token]:
        for token in _terminals(text):
            if token.type in _REFUSED:
                raise VariantError(_REFUSED[token.type])
            yield token


def _terminals(text: str) -> Iterator[Token]:
    """The terminals of a text; what has no meaning where it stands is TEXT."""
    tokens = [Token(match.lastgroup, match[0]) for match in _TERMINALS.finditer(text)]
    braces, bars = _choices(tokens)
    before = ""
    for index, token in enumerate(tokens):
        if not _means_something(token.type, before, index in braces, index in bars):
            token = Token("UNREAD" if token.type == "VARIABLE" else "TEXT", token)
        before = token.type
        yield token


def _means_something(kind: str, before: str, is_brace: bool, is_bar: bool) -> bool:
    match kind:
        case "OPEN" | "CLOSE" | "VARIABLE":
            return is_brace
        case "BAR":
            return is_bar
        case "HOW":
            return before == "OPEN"
        case "PICK":
            return before in ("OPEN", "HOW")
        case "WEIGHT":
            return before in ("OPEN", "HOW", "BAR", "PICK")
        case _:
            return kind in ("WILDCARD", *_REFUSED)


def _choices(tokens: list[Token]) -> tuple[set[int], set[int]]:
    """Positions of the braces that hold options or variables, and of the bars between those."""
    partner = _paired(tokens)
    bars: dict[int, list[int]] = {}             # opening brace -> its own bars
    around: list[int] = []
    for index, token in enumerate(tokens):
        if token.type in _OPENING and index in partner:
            around.append(index)
        elif token.type in _PARTNER and index in partner:
            around.pop()
        elif token.type == "BAR" and around and tokens[around[-1]].type == "OPEN":
            bars.setdefault(around[-1], []).append(index)
        elif token.type == "PICK" and around and _opens(tokens, around[-1], index):
            bars.setdefault(around[-1], [])
    starts = {*bars, *(index for index, token in enumerate(tokens) if token.type == "VARIABLE" and index in partner)}
    return {end for start in starts for end in (start, partner[start])}, {bar for own in bars.values() for bar in own}


def _opens(tokens: list[Token], brace: int, index: int) -> bool:
    """Whether a token follows an opening brace, or the sign behind it that says how to choose."""
    direct = index - 1 == brace or (index - 2 == brace and tokens[index - 1].type == "HOW")
    return direct and tokens[brace].type == "OPEN"


def _paired(tokens: list[Token]) -> dict[int, int]:
    """Brackets and their partners, both ways. A closing brace passes over square brackets that are open inside it."""
    partner: dict[int, int] = {}
    unclosed: list[int] = []
    braces: list[int] = []                      # where in `unclosed` the braces are
    for index, token in enumerate(tokens):
        if token.type in _OPENING:
            braces += [] if token.type == "OPEN_SQUARE" else [len(unclosed)]
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
        _check_depth(part for option in options for part in option.parts)
        signs = {child.type: str(child) for child in children if isinstance(child, Token)}
        how = signs.get("HOW", "").strip()
        return _several(signs["PICK"], options, how) if "PICK" in signs else Choice(Options(options), how=how)

    def variable(self, children: list[Any]) -> Assign | Access:
        head, value = children[0][2:].strip(), _joined(children[1:-1])
        _check_depth(value)
        if head.endswith(":"):
            return Access(head[:-1].strip(), value)
        name, equals, sign = head.partition("=")
        if not equals:
            return Access(name.strip())
        return Assign(name.removesuffix("?").strip(), value, at_once="!" in sign, if_free=name.endswith("?"))


def _several(pick: str, options: tuple[Option, ...], how: str) -> Choice:
    bounds, joint, *_ = [*pick.split("$$"), ""]
    low, dash, high = (piece.strip() for piece in bounds.partition("-"))
    least = int(low or 1)
    most = (int(high) if high else None) if dash else least
    trimmed = tuple(Option(_trimmed(option.parts), option.weight) for option in options)
    return Choice(Options(trimmed), least, most, joint if pick.count("$$") == 2 else ", ", how)


def _trimmed(parts: Parts) -> Parts:
    """Without white space at the ends, as what is joined has its own."""
    texts = list(parts)
    if texts and isinstance(texts[0], str):
        texts[0] = texts[0].lstrip()
    if texts and isinstance(texts[-1], str):
        texts[-1] = texts[-1].rstrip()
    return tuple(part for part in texts if part != "")


def _check_depth(parts: Iterable[Part]) -> None:
    """Parts are built from the inside, so that what is nested too deep is met before it can be too deep to ask."""
    if max(map(_depth, parts), default=0) >= MAX_DEPTH:
        raise VariantError(f"has braces more than {MAX_DEPTH} deep")


def _depth(part: Part) -> int:
    """How many braces lie within each other."""
    inner = _inner(part)
    return 0 if isinstance(part, str | Wildcard) else 1 + max(map(_depth, inner), default=0)


def _inner(part: Part) -> Iterator[Part]:
    match part:
        case Choice():
            yield from (inner for option in part.options.items for inner in option.parts)
        case Assign():
            yield from part.value
        case Access():
            yield from part.default or ()


def _placed(part: Part, folder: str) -> Part:
    """With the folder of the file that it stands in."""
    match part:
        case Wildcard():
            return replace(part, folder=folder, given=tuple(_assigned(one, folder) for one in part.given))
        case Choice():
            items = (replace(option, parts=_all_placed(option.parts, folder)) for option in part.options.items)
            return replace(part, options=Options(tuple(items)))
        case Assign():
            return _assigned(part, folder)
        case Access():
            return part if part.default is None else replace(part, default=_all_placed(part.default, folder))
    return part


def _all_placed(parts: Parts, folder: str) -> Parts:
    return tuple(_placed(part, folder) for part in parts)


def _assigned(part: Assign, folder: str) -> Assign:
    return replace(part, value=_all_placed(part.value, folder))


def _wildcard(token: str) -> Wildcard:
    """`__name__`, `__@name__` or `__name(variable=value, ...)__`."""
    inside = token[2:-2]
    how, inside = (inside[0], inside[1:]) if inside[0] in "@~!" else ("", inside)
    name, bracket, given = inside.partition("(")
    path = parse(name.strip()) if "$" in name else ()
    return Wildcard(name.strip(), how=how, given=tuple(_parameters(name, given[:-1])) if bracket else (), path=path)


def _parameters(name: str, text: str) -> Iterator[Assign]:
    for piece in _PIECES.findall(text):
        match = _PARAMETER.fullmatch(piece)
        if not match:
            told = piece.strip()[:60]
            raise VariantError(f"gives the wildcard __{name}__ something that is no variable=value: {told}")
        yield Assign(match[1], parse(match[4].strip()), at_once=bool(match[3]), if_free=bool(match[2]))


def _joined(parts: Iterable[Any]) -> Parts:
    """Neighbouring texts as one; tokens as what they stand for."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, Token):
            part = _wildcard(part) if part.type == "WILDCARD" else str(part)
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer=_PairedLexer, transformer=_Build(), maybe_placeholders=False)

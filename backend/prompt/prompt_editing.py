"""Prompt editing: what a prompt says at each sampling step.

`[a:b:n]` is `a` up to step n, then `b`; `[b:n]` and `[a::n]` leave one side empty; `[a|b|c]` takes turns. Meanings
follow AUTOMATIC1111's `prompt_parser`. Brackets are paired first, in one pass, so that an LALR grammar can read any
text in linear time and without recursion; a bracket without a partner is text.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError
from lark.lexer import Lexer

from backend.prompt.grammar import found_networks

_GRAMMAR = """
    start: (_item | COLON | WHEN)*
    prompt: _item*
    _item: TEXT | round | square | alternate
    round: OPEN_ROUND prompt (COLON prompt)* CLOSE_ROUND
    square: OPEN prompt (COLON prompt)* WHEN? CLOSE
    alternate: OPEN prompt (BAR prompt)+ CLOSE
    %declare TEXT COLON WHEN BAR OPEN CLOSE OPEN_ROUND CLOSE_ROUND
"""
_TERMINALS = re.compile(
    r"""(?P<WHEN>:\s*[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\s*(?=\]))
    |(?P<COLON>:)|(?P<BAR>\|)|(?P<OPEN>\[)|(?P<CLOSE>\])|(?P<OPEN_ROUND>\()|(?P<CLOSE_ROUND>\))
    |(?P<TEXT>(?:[^\\\[\]():|]|\\.)+)|(?P<LONE_BACKSLASH>\\)""",
    re.VERBOSE,
)
_PARTNER = {"CLOSE": "OPEN", "CLOSE_ROUND": "OPEN_ROUND"}


@dataclass(frozen=True, slots=True)
class Scheduled:
    """`before` up to and including the step that `when` names, then `after`."""

    before: "Prompt"
    after: "Prompt"
    when: str


@dataclass(frozen=True, slots=True)
class Alternate:
    """One of `options` per step, in turn."""

    options: tuple["Prompt", ...]


class Prompt(tuple["Node", ...]):
    """Pieces in reading order."""


class Broken(Prompt):
    """Pieces with brackets or colons that mean nothing here: no bracket around them can mean anything either."""


Node: TypeAlias = str | Prompt | Scheduled | Alternate


class _PairedLexer(Lexer):
    """Splits a prompt into terminals, with every bracket that has no partner turned into TEXT."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, text: str) -> Iterator[Token]:
        tokens = list(_terminals(text))
        paired = _paired(tokens)
        for index, token in enumerate(tokens):
            stray = token.type in ("OPEN", "OPEN_ROUND", *_PARTNER) and index not in paired
            yield Token("TEXT", token) if stray else token


def _terminals(text: str) -> Iterator[Token]:
    """The text in pieces; a `<kind:arguments>` is one piece of text, whatever it holds."""
    seen = 0
    for network in (*found_networks(text), None):
        end = network.start() if network else len(text)
        yield from (Token(match.lastgroup, match[0]) for match in _TERMINALS.finditer(text, seen, end))
        if network:
            yield Token("TEXT", network[0])
            seen = network.end()


def _paired(tokens: list[Token]) -> set[int]:
    """Positions of the brackets that have a partner. A wrong closing bracket spoils all that are open around it."""
    paired: set[int] = set()
    unclosed: list[int] = []
    for index, token in enumerate(tokens):
        if token.type in _PARTNER.values():
            unclosed.append(index)
        elif token.type in _PARTNER:
            if unclosed and tokens[unclosed[-1]].type == _PARTNER[token.type]:
                paired |= {unclosed.pop(), index}
            else:
                unclosed.clear()
    return paired


class _Build(Transformer):
    """Turns the grammar's rules into pieces; a bracket with too many colons stays text, its inner ones still work."""

    def start(self, children: list[Node]) -> Prompt:
        return Prompt(children)

    def prompt(self, children: list[Node]) -> Prompt:
        return (Broken if _any_broken(children) else Prompt)(children)

    def round(self, children: list[Node]) -> Prompt:
        branches = [child for child in children if isinstance(child, Prompt)]
        return (Broken if _any_broken(branches) or len(branches) > 2 else Prompt)(children)

    def square(self, children: list[Node]) -> Prompt | Scheduled:
        branches = [child for child in children if isinstance(child, Prompt)]
        when = children[-2] if isinstance(children[-2], Token) else ""
        if _any_broken(branches) or len(branches) > (2 if when else 1):
            return Broken(children)
        if not when:
            return Prompt(children)
        return Scheduled(branches[0] if len(branches) == 2 else Prompt(), branches[-1], when[1:].strip())

    def alternate(self, children: list[Node]) -> Alternate:
        options = tuple(child for child in children if isinstance(child, Prompt))
        if _any_broken(options):
            raise LarkError("a stray | in a broken bracket")
        return Alternate(options)


def _any_broken(children: Iterable[Node]) -> bool:
    return any(isinstance(child, Broken) for child in children)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer=_PairedLexer, transformer=_Build(), maybe_placeholders=False)


def parse(text: str) -> Prompt:
    """The tree of a prompt. A stray `|`, or a backslash that escapes nothing, makes the whole prompt plain text."""
    if "[" not in text:
        return Prompt((text,))
    try:
        return _parser().parse(text)
    except LarkError:
        return Prompt((text,))


@dataclass(frozen=True)
class _Clock:
    """Reads the numbers of a schedule as steps of one pass."""

    steps: int
    first_step: int = 0
    first_fraction: float = 0.0
    old: bool = False

    def last_step_before(self, when: str) -> int:
        """A number with a point is a fraction of the steps, one without a step; the old rule asks if it is < 1."""
        value = float(when)
        is_fraction = value < 1 if self.old else "." in when
        step = (value - self.first_fraction) * self.steps if is_fraction else value - self.first_step
        return int(max(0, min(step, self.steps)))


def timeline(text: str, steps: int, hires_steps: int | None = None, *, old: bool = False) -> list[tuple[int, str]]:
    """The prompt's texts over the steps, as (last step, text), steps counted from 1. The last entry ends with the pass.

    With `hires_steps` it is the timeline of the hires pass, whose fractions run from 1 to 2 and whose step numbers
    follow those of the first pass. `old` is AUTOMATIC1111's "old prompt editing timelines": a number below 1 is a
    fraction and the hires pass repeats the first one.
    """
    if hires_steps is None or old:
        clock = _Clock(steps, old=old)
    else:
        clock = _Clock(hires_steps, first_step=steps, first_fraction=1.0)
    prompt = parse(text)
    return [(end, _at(prompt, end, clock)) for end in _ends(prompt, clock)]


def _ends(prompt: Prompt, clock: _Clock) -> list[int]:
    ends = {clock.steps}
    pending: list[Node] = [prompt]
    while pending:
        node = pending.pop()
        if isinstance(node, Scheduled):
            ends.add(clock.last_step_before(node.when))
            pending += node.before, node.after
        elif isinstance(node, Alternate):
            ends.update(range(1, clock.steps + 1))
            pending += node.options
        elif isinstance(node, Prompt):
            pending += node
    return sorted(end for end in ends if end >= 1 or end == clock.steps)


def _at(prompt: Prompt, step: int, clock: _Clock) -> str:
    text: list[str] = []
    pending: list[Node] = [prompt]
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            text.append(node)
        elif isinstance(node, Scheduled):
            pending.append(node.before if step <= clock.last_step_before(node.when) else node.after)
        elif isinstance(node, Alternate):
            pending.append(node.options[(step - 1) % len(node.options)])
        else:
            pending += reversed(node)
    return "".join(text)


def active(schedule: Sequence[tuple[int, object]], call: int) -> int:
    """Index of the entry in force at a denoiser call, counted from 0: as in AUTOMATIC1111 an entry outlasts its last
    step by one call, so the first holds one call more than its steps. Past the end, the last entry."""
    return min(bisect_left([end for end, _ in schedule], call), len(schedule) - 1)

"""Weights, composition and extra networks: the parts of a prompt that do not depend on the sampling step.

Broken syntax never fails: what cannot be read stays text. Meanings follow AUTOMATIC1111's `prompt_parser` and
`extra_networks`.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Self

import numpy as np

BREAK = ("BREAK", -1.0)

_DEFAULT_FACTOR = {"(": 1.1, "[": 1 / 1.1}
_OPENER = {")": "(", "]": "["}
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
_TOKEN = re.compile(rf"\\(?P<escaped>[\\()\[\]]?)|:\s*(?P<weight>{_NUMBER})\s*\)|[()\[\]:]|[^\\()\[\]:]+")
_BREAK = re.compile(r"\bBREAK\b")
_AND = re.compile(r"\bAND\b")
_PART_WEIGHT = re.compile(r"[-+]?(?:\d+\.?|\d*\.\d+)")
_NETWORK = re.compile(r"<(\w+):([^>]+)>")
_POINT = rf"{_NUMBER}:{_NUMBER}"
_RAMP = re.compile(rf"(?<=[:=]){_POINT}(?:,{_POINT})+(?=:|$)")


@dataclass(frozen=True)
class Network:
    """One `<kind:arguments>` of a prompt, such as `<lora:name:0.8:unet=0.5>`; the arguments are not interpreted."""

    kind: str
    positional: tuple[str, ...]
    named: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Wording:
    """What a prompt part says at a moment: its text, and the networks that were named in it.

    `applied` are those of them that `network_timeline` has read, with what the other parts have named for all.
    """

    text: str
    networks: tuple[Network, ...] = ()
    applied: tuple[Any, ...] = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Take every `<kind:arguments>` out of a text."""
        rest, found = networks(text)
        return cls(rest, tuple(found))


def parse_weights(text: str) -> list[tuple[str, float]]:
    """Split a prompt into pieces and their emphasis: `(a)` is 1.1, `[a]` 1/1.1, `(a:1.3)` 1.3, nested ones multiply.

    Neighbours of equal weight are one piece. The word BREAK is a piece of its own, `BREAK`, whose weight enclosing
    brackets multiply too. Backslashes escape brackets. Unclosed brackets reach the end; there is always one piece.
    """
    pieces: list[tuple[str, float]] = []
    factors: list[tuple[int, int, float]] = []          # first piece, end piece, factor: in closing order
    unclosed: dict[str, list[int]] = {"(": [], "[": []}
    for token in _TOKEN.finditer(text):
        word, weight = token[0], token["weight"]
        if word in unclosed:
            unclosed[word].append(len(pieces))
        elif weight and unclosed["("]:
            factors.append((unclosed["("].pop(), len(pieces), float(weight)))
        elif unclosed.get(_OPENER.get(word, "")):
            opener = _OPENER[word]
            factors.append((unclosed[opener].pop(), len(pieces), _DEFAULT_FACTOR[opener]))
        elif token["escaped"] is not None:
            pieces.append((token["escaped"], 1.0))
        else:
            pieces.extend(_split_breaks(word))
    for opener, starts in unclosed.items():
        factors.extend((start, len(pieces), _DEFAULT_FACTOR[opener]) for start in starts)
    return _merge(_multiply(pieces, factors)) or [("", 1.0)]


def _split_breaks(text: str) -> Iterable[tuple[str, float]]:
    """The pieces of a text without brackets; BREAK swallows the white space around it."""
    words = _BREAK.split(text)
    for index, word in enumerate(words):
        if index:
            yield BREAK
            word = word.lstrip()
        yield (word.rstrip() if index < len(words) - 1 else word), 1.0


def _multiply(pieces: list[tuple[str, float]], factors: list[tuple[int, int, float]]) -> list[tuple[str, float]]:
    """Apply the factors one after the other: the order decides the last bit of the products."""
    weights = np.array([weight for _, weight in pieces])
    with np.errstate(all="ignore"):
        for start, end, factor in factors:
            weights[start:end] *= factor
    return list(zip((text for text, _ in pieces), np.nan_to_num(weights).tolist()))


def _merge(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    runs = (list(run) for _, run in groupby(pieces, key=lambda piece: piece[1]))
    return [("".join(text for text, _ in run), run[0][1]) for run in runs]


def split_and(text: str) -> list[tuple[str, float]]:
    """Split a prompt at the word AND into parts and their weights (composable diffusion, Liu et al. 2022).

    A part may end in `:number`, its weight (default 1). As in AUTOMATIC1111 this holds for a prompt without AND too,
    brackets are ignored, and a part keeps its leading white space but not its trailing one. Networks stay in their
    part; nothing in them divides or weighs, and they may stand behind the weight.
    """
    bare, named = _apart(text)
    parts, start = [], 0
    for cut in (*_AND.finditer(bare), None):
        end = cut.start() if cut else len(bare)
        count = sum(position <= end for position, _ in named)
        head, weight = _weighed(bare[start:end].rstrip())
        parts.append((_together(head, start, named[:count]), weight))
        named = named[count:]
        start = cut.end() if cut else end
    return parts


def _weighed(part: str) -> tuple[str, float]:
    head, colon, tail = part.rpartition(":")
    if colon and _PART_WEIGHT.fullmatch(tail.lstrip()) and math.isfinite(float(tail)):
        return head.rstrip(), float(tail)
    return part, 1.0


def _apart(text: str) -> tuple[str, list[tuple[int, str]]]:
    """A text without its networks, and where in it each of them stood."""
    pieces, named, length, seen = [], [], 0, 0
    for match in found_networks(text):
        pieces.append(text[seen : match.start()])
        length += len(pieces[-1])
        named.append((length, match[0]))
        seen = match.end()
    return "".join((*pieces, text[seen:])), named


def _together(text: str, start: int, named: Sequence[tuple[int, str]]) -> str:
    """Networks put back into the part of a bare text that begins at `start`; those behind its end at the end."""
    pieces, seen = [], 0
    for position, network in named:
        at = min(max(position - start, 0), len(text))
        pieces += text[seen:at], network
        seen = at
    return "".join((*pieces, text[seen:]))


def found_networks(text: str) -> Iterator[re.Match[str]]:
    """Every `<kind:arguments>` of a text, in reading order."""
    return _NETWORK.finditer(text, 0, text.rfind(">") + 1)  # nothing can close behind it; looking takes quadratic time


def networks(text: str) -> tuple[str, list[Network]]:
    """Take every `<kind:arguments>` out of a prompt: the text without them, and the networks in reading order.

    They are found wherever they stand, also inside brackets. `name=value` arguments are named, the others positional.
    """
    found = [_network(match[1], _RAMP.sub(_as_loractl, match[2]).split(":")) for match in found_networks(text)]
    return _apart(text)[0], found


def _as_loractl(ramp: re.Match[str]) -> str:
    """`0:0.2,1:0.9`, position and weight in turns, as `0.2@0,0.9@1`, which holds no colon."""
    pairs = (point.partition(":") for point in ramp[0].split(","))
    return ",".join(f"{weight}@{position}" for position, _, weight in pairs)


def _network(kind: str, arguments: list[str]) -> Network:
    named = dict(item.split("=", 1) for item in arguments if "=" in item)
    return Network(kind, tuple(item for item in arguments if "=" not in item), named)

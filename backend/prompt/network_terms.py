"""What `<lora:name:0.8>` and its kin ask for: which file, how strongly for text and picture, and when.

    <lora:name>  <lora:name:te>  <lora:name:te:unet>  <lora:name:te:unet:dyn>     AUTOMATIC1111's, te 1 and unet as te
    te= unet= dyn=                      the same by name
    <lora:name:0:0.2,1:0.9>             a ramp in the place of a weight: positions (0..1) and weights in turns
    <lora:name:0.2@0,0.9@1>             the same as loractl writes it: weight@position
    start= end=                         in force from and until a fraction of the steps (0.5), or a step (12)
    hr=                                 the weight in the second pass of hires fix
    lbw=                                weights of single blocks, see `block_weights`
    part                                for its own AND part only; otherwise for the whole picture
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from backend.prompt.block_weights import Blocks, read_blocks
from backend.prompt.grammar import Network
from backend.prompt.network_numbers import number

LORAS = ("lora", "lyco")        # AUTOMATIC1111 reads both alike
HYPERNET = "hypernet"
TERM_KINDS = (*LORAS, HYPERNET)
MOST_RANKS = 100_000
ARGUMENTS = ("te", "unet", "dyn", "start", "end", "stop", "step", "hr", "lbw", "part")
_LIST = 11                      # commas from which on an argument is a list of block weights


class TermError(ValueError):
    """A sentence about one network of a prompt, for a person."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """A weight over a pass: straight lines between (position 0..1, weight), positions in order."""

    points: tuple[tuple[float, float], ...]

    @classmethod
    def read(cls, text: str) -> Self:
        """A number, or `weight@position` as often as wanted. Raises ValueError saying what is wrong."""
        if "@" not in text:
            return cls(((0.0, number(text)),))
        pairs = [point.partition("@") for point in text.split(",")]
        points = [(number(position), number(weight)) for weight, _, position in pairs]
        if any(not 0 <= position <= 1 for position, _ in points):
            raise ValueError("has a ramp whose positions are not between 0 and 1")
        return cls(tuple(sorted(points, key=lambda point: point[0])))

    def at(self, position: float) -> float:
        """Before the first point and behind the last one the weight is theirs."""
        before = [point for point in self.points if point[0] <= position]
        after = [point for point in self.points if point[0] > position]
        if not before or not after:
            return (before[-1] if before else after[0])[1]
        (left, low), (right, high) = before[-1], after[0]
        return low + (high - low) * (position - left) / (right - left)

    @property
    def most(self) -> float:
        """The weight furthest from 0: a text is read once for all of a ramp, as strongly as this."""
        return max((weight for _, weight in self.points), key=abs)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a network begins or ends: at a fraction of a pass, or after so many of its steps."""

    value: float
    counts_steps: bool = False

    @classmethod
    def read(cls, text: str) -> Self:
        """As in prompt editing a number with a point is a fraction. Raises ValueError saying what is wrong."""
        return cls(number(text), "." not in text)

    def call(self, calls: int, steps: int) -> float:
        """The network call before which it is, of so many calls for so many steps."""
        return self.value * (calls / steps if self.counts_steps else calls)


START, END = Moment(0.0), Moment(math.inf)


@dataclass(frozen=True, slots=True)
class Applied:
    """A network at one moment: which file, and how strongly it works. Equal ones do the same."""

    kind: str
    name: str
    te: float = 0.0
    unet: float = 0.0
    dyn: int = 0                            # only the first so many ranks; 0 = all
    blocks: Blocks = ()


@dataclass(frozen=True, slots=True)
class Term:
    """One network of a prompt, read."""

    kind: str
    name: str
    te: float
    unet: Ramp
    dyn: int = 0
    blocks: Blocks = ()
    start: Moment = START
    end: Moment = END
    hires: Ramp | None = None
    part: bool = False

    def applied(self, call: int, calls: int, steps: int, second: bool) -> Applied | None:
        """At a network call, counted from 0, of a pass of so many calls for so many steps; None where it is silent.

        `second`: the pass is the second one of hires fix.
        """
        if not self.start.call(calls, steps) <= call < self.end.call(calls, steps):
            return None
        in_hires = self.hires if second else None
        unet = (in_hires or self.unet).at(call / max(calls - 1, 1))
        te = in_hires.most if in_hires else self.te
        return Applied(self.kind, self.name, te, unet, self.dyn, self.blocks) if te or unet else None


def read_term(network: Network) -> Term:
    """What one network of a prompt asks for. Raises TermError."""
    name = network.positional[0].strip() if network.positional else ""
    if not name:
        raise TermError(f"<{network.kind}:...> names no file")
    try:
        return _term(network.kind, name, network.positional[1:], _named(network.named))
    except ValueError as error:
        raise TermError(f"<{network.kind}:{name[:80]}> {error}") from None


def _named(given: Mapping[str, str]) -> dict[str, str]:
    named = {key.strip().lower(): value.strip() for key, value in given.items()}
    for key in named:
        if key not in ARGUMENTS:
            raise ValueError(f"has no argument '{key[:40]}'; there are {', '.join(ARGUMENTS)}")
    return named


def _term(kind: str, name: str, behind: Sequence[str], named: Mapping[str, str]) -> Term:
    """Raises ValueError saying what is wrong."""
    words = [word.strip() for word in behind]
    lists = [word for word in words if "@" not in word and word.count(",") >= _LIST]
    weights = [word for word in words if word not in lists and word.lower() != "part"]
    kind = LORAS[0] if kind in LORAS else kind
    te = Ramp.read(named["te"] if "te" in named else weights[0] if weights else "1")
    other = weights[1] if len(weights) > 1 else None
    unet = Ramp.read(named["unet"]) if "unet" in named else te if other is None else Ramp.read(other)
    blocks = named.get("lbw", lists[0] if lists else "")
    return Term(
        kind, name, te.most, unet,
        dyn=_ranks(named.get("dyn", weights[2] if len(weights) > 2 else None)),
        blocks=read_blocks(blocks) if blocks else (),
        **_times(named),
        hires=Ramp.read(named["hr"]) if "hr" in named else None,
        part=any(word.lower() == "part" for word in words) or named.get("part", "0") not in ("0", "false", "no"),
    )


def _times(named: Mapping[str, str]) -> dict[str, Moment]:
    """`step=5-15` is short for both ends, and `stop` another word for `end`."""
    if "step" in named:
        first, dash, last = named["step"].partition("-")
        return {"start": Moment.read(first)} | ({"end": Moment.read(last)} if dash else {})
    words = {"start": named.get("start"), "end": named.get("end", named.get("stop"))}
    return {key: Moment.read(text) for key, text in words.items() if text is not None}


def _ranks(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or not 0 < int(text[:9]) <= MOST_RANKS:
        raise ValueError(f"has '{text[:40]}' where a number of ranks is expected")
    return int(text)

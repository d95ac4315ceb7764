"""Which networks are in force at each call of a pass, for which part of the prompt.

A network counts for the whole picture wherever in the prompt it stands, for the negative prompt and the text encoders
too, as in AUTOMATIC1111; one that says `part` counts for its own AND part only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from backend.errors import InvalidRequest
from backend.prompt.grammar import Network, Wording
from backend.prompt.network_terms import TERM_KINDS, Applied, Term, TermError, read_term
from backend.prompt.prompt_editing import active

Timeline = tuple[tuple[int, Wording], ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """A pass of `calls` network calls for `steps` steps; `second`: that of hires fix. `prompt` is the field's name."""

    calls: int
    steps: int
    second: bool
    prompt: str


def with_networks(parts: Sequence[Timeline], negative: Timeline, clock: Clock) -> tuple[list[Timeline], Timeline]:
    """The same timelines with what is in force in each wording: `Wording.applied` in the place of `networks`.

    Networks of other kinds stay as they are. Raises InvalidRequest naming the prompt.
    """
    try:
        terms = {network: read_term(network) for network in _named(parts)}
    except TermError as error:
        raise InvalidRequest(str(error), field=clock.prompt) from error
    if not terms:
        return list(parts), negative
    made = [_Part(timeline, terms) for timeline in parts]

    def everywhere(call: int) -> Iterator[Term]:
        return (term for part in made for term in part.terms(call) if not term.part)

    told = [_spread(part.timeline, clock, lambda call, part=part: [
        *everywhere(call), *(term for term in part.terms(call) if term.part)]) for part in made]
    return told, _spread(negative, clock, lambda call: list(everywhere(call)))


class _Part:
    """The terms of one AND part, call by call."""

    def __init__(self, timeline: Timeline, terms: dict[Network, Term]) -> None:
        self.timeline = timeline
        self._terms = [[terms[network] for network in wording.networks if network in terms] for _, wording in timeline]

    def terms(self, call: int) -> list[Term]:
        return self._terms[active(self.timeline, call)]


def _named(parts: Iterable[Timeline]) -> Iterator[Network]:
    return (network for timeline in parts for _, wording in timeline for network in wording.networks
            if network.kind in TERM_KINDS)


def _spread(timeline: Timeline, clock: Clock, terms_at: Callable[[int], list[Term]]) -> Timeline:
    """The timeline, cut wherever what is in force changes. Behind the last call what it had stays."""
    last = max(clock.calls - 1, 0)
    told = [(call, _worded(timeline, call, terms_at(call), clock)) for call in range(last + 1)]
    runs = (list(run) for _, run in groupby(told, key=lambda each: each[1]))
    return tuple((run[-1][0], run[-1][1]) for run in runs)


def _worded(timeline: Timeline, call: int, terms: Iterable[Term], clock: Clock) -> Wording:
    wording = timeline[active(timeline, call)][1]
    others = tuple(network for network in wording.networks if network.kind not in TERM_KINDS)
    found = (term.applied(call, clock.calls, clock.steps, clock.second) for term in terms)
    return replace(wording, networks=others, applied=_together(each for each in found if each))


def _together(applied: Iterable[Applied]) -> tuple[Applied, ...]:
    """Uses of one file in the same way add up; those that come to nothing are left out."""
    sums: dict[Applied, Applied] = {}
    for one in applied:
        way = replace(one, te=0.0, unet=0.0)
        known = sums.get(way, way)
        sums[way] = replace(known, te=known.te + one.te, unet=known.unet + one.unet)
    return tuple(one for one in sums.values() if one.te or one.unet)

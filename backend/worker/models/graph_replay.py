"""Network calls by kind and row count: recorded after a few, then replayed over static buffers.

A recording reads its buffers and the weights of its owners, and nothing else: that is looked at while it is recorded,
and the first replay, and the first in which each of the call's settings is another one, is compared with the call
itself, bit for bit. Where anything is not as it should be, calls of that kind and count are made as they always were,
and the log says so once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from weakref import ref

import torch
from torch import Tensor, nn

from backend.worker.models.device_transfer import tensors
from backend.worker.models.foreign_reads import ForeignReads, plainly
from backend.worker.models.graph_capture import NetworkGraph
from backend.worker.models.result_cache import ResultCache

log = logging.getLogger(__name__)

SEEN = 3            # calls of a kind and count after which it is recorded
AGAIN = 200         # calls after which one for which memory had no room is recorded anew
PATIENCE = 12       # such calls for which a larger count of the kind is let go first, so that all fit into its memory

Inputs = Sequence[Sequence[Tensor]]


class CallShape(NamedTuple):
    """Calls of one shape differ in their inputs alone. `structure`: of what is attached to the network."""

    kind: Hashable
    count: int              # of rows
    structure: Hashable


class RecordableCall(Protocol):
    """A call of a network with all that it reads.

    `shape` is None where it cannot be recorded. An input that gets another content becomes another object.
    """

    @property
    def shape(self) -> CallShape | None: ...

    @property
    def inputs(self) -> Inputs: ...

    @property
    def settings(self) -> Sequence[Hashable]:
        """What tells calls of a kind apart: noise levels, words, strengths, ... in an order that is the kind's."""

    @property
    def owners(self) -> Sequence[nn.Module]: ...

    def run(self, inputs: Inputs) -> Tensor: ...


@dataclass(slots=True, eq=False)
class Recording:
    """A graph with the buffers that it reads, part by part as the inputs. `nbytes` with what it holds besides."""

    graph: NetworkGraph
    buffers: Inputs
    owners: Sequence[nn.Module]
    nbytes: int
    held: list[list[ref[Tensor]]]
    settings: Sequence[Hashable]                        # with which it was recorded
    proved: set[int] = field(default_factory=set)       # those that have been others since
    compared: bool = False

    @classmethod
    def of(cls, call: RecordableCall, graph: NetworkGraph) -> Recording:
        """Raises RuntimeError where that is not possible."""
        buffers = [[tensor.clone() for tensor in part] for part in call.inputs]
        known = [tensor for part in buffers for tensor in part]
        known += [tensor for owner in call.owners for tensor in tensors(owner)]
        with plainly(), ForeignReads(known) as reads:
            call.run(buffers)
        if reads.found:
            raise RuntimeError(f"it reads what is no input of it: {reads.found[0]}")
        before = _reserved()
        graph.record(lambda: call.run(buffers))
        nbytes = sum(tensor.nbytes for part in buffers for tensor in part) + max(_reserved() - before, 0)
        held = [[ref(tensor) for tensor in part] for part in call.inputs]
        return cls(graph, buffers, call.owners, nbytes, held, call.settings)

    def put(self, inputs: Inputs) -> None:
        """Copy what is not there yet."""
        for part, buffers, held in zip(inputs, self.buffers, self.held, strict=True):
            other = [place for place, tensor in enumerate(part) if held[place]() is not tensor]
            if other:
                torch._foreach_copy_([buffers[place] for place in other], [part[place] for place in other])
                held[:] = [ref(tensor) for tensor in part]

    def unproved(self, settings: Sequence[Hashable]) -> set[int]:
        """The numbers of those that are others than they have ever been in a replay that was compared."""
        pairs = enumerate(zip(settings, self.settings, strict=True))
        return {number for number, (one, other) in pairs if one != other} - self.proved


class Recordings:
    """For one thread. `kept` is a cache of `Memory`'s; `new_graph` is None where nothing is recorded."""

    def __init__(
        self, kept: ResultCache[Recording], new_graph: Callable[[], NetworkGraph] | None, *,
        always_compared: bool = False,
    ) -> None:
        self._kept, self._new_graph, self._always_compared = kept, new_graph, always_compared
        self._seen: Counter[CallShape] = Counter()
        self._refused: set[CallShape] = set()

    def run(self, call: RecordableCall) -> Tensor:
        """What the call gives."""
        shape = call.shape if self._new_graph else None
        if shape is None or shape in self._refused:
            return call.run(call.inputs)
        if recording := self._kept.find(shape):
            return self._replayed(shape, recording, call)
        answer = call.run(call.inputs)
        self._seen[shape] += 1
        if self._is_due(shape):
            self._record(shape, call)
        return answer

    def leave(self, owners: Sequence[nn.Module]) -> None:
        """The weights of these go elsewhere: their recordings are void."""
        left = {id(owner) for owner in owners}
        self._kept.drop(lambda recording: any(id(owner) in left for owner in recording.owners))

    def _is_due(self, shape: CallShape) -> bool:
        if self._seen[shape] < SEEN:
            return False
        larger = [other for other in self._seen if other.kind == shape.kind and other.count > shape.count]
        waiting = any(self._kept.find(other) is None and other not in self._refused for other in larger)
        return not waiting or self._seen[shape] >= PATIENCE

    def _record(self, shape: CallShape, call: RecordableCall) -> None:
        try:
            self._kept.get(shape, lambda: Recording.of(call, self._new_graph()))
            if self._kept.find(shape) is None:
                self._seen[shape] -= AGAIN
        except RuntimeError as error:
            self._refuse(shape, str(error).split("\n")[0])

    def _replayed(self, shape: CallShape, recording: Recording, call: RecordableCall) -> Tensor:
        try:
            recording.put(call.inputs)
            answer = recording.graph.replay().clone()
        except RuntimeError as error:
            self._refuse(shape, str(error).split("\n")[0])
            return call.run(call.inputs)
        unproved = recording.unproved(call.settings)
        if recording.compared and not unproved and not self._always_compared:
            return answer
        expected = call.run(call.inputs)
        if not _is_equal(answer, expected):
            self._refuse(shape, "what it gives is not what the network gives")
        recording.compared, recording.proved = True, recording.proved | unproved
        return expected

    def _refuse(self, shape: CallShape, why: str) -> None:
        self._refused.add(shape)
        void = self._kept.find(shape)
        self._kept.drop(lambda recording: recording is void)
        log.warning("one kind of calls of %d rows is not replayed from a recording: %s", shape.count, why)


def _is_equal(one: Tensor, other: Tensor) -> bool:
    """To the bit; float32."""
    return torch.equal(one.view(torch.int32), other.view(torch.int32))


def _reserved() -> int:
    """Bytes of the card that torch holds; where there is none a recording takes no more than its buffers."""
    return torch.cuda.memory_reserved() if torch.cuda.is_available() else 0

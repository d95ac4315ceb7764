"""Results that may be asked for again, kept while there is room for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Anything that knows its bytes, as tensors and arrays do."""

    @property
    def nbytes(self) -> int: ...


Result = TypeVar("Result", bound=Sized)


class ResultCache(Generic[Result]):
    """Results by key, those used longest ago leaving first. One for which there is no room is not kept.

    `room(coming)`: the bytes that all of them may take together, where so many are coming. `keeps_latest`: the latest
    one stays all the same.
    """

    def __init__(self, room: Callable[[int], int], *, keeps_latest: bool = False) -> None:
        self._room, self._keeps_latest = room, keeps_latest
        self._held: OrderedDict[Hashable, Result] = OrderedDict()
        self.bytes = 0

    def find(self, key: Hashable) -> Result | None:
        """What is held under the key."""
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def get(self, key: Hashable, make: Callable[[], Result], coming: int = 0) -> Result:
        """What is held under the key, else what `make` gives: for its bytes, where `coming` tells them, others leave
        before it is made."""
        if (known := self.find(key)) is not None:
            return known
        if coming:
            self.shrink(self._room(coming) - coming)
        made = make()
        room = self._room(made.nbytes)
        if made.nbytes <= room or self._keeps_latest:
            self.shrink(room - made.nbytes)
            self._held[key] = made
            self.bytes += made.nbytes
        return made

    def shrink(self, room: int) -> None:
        """Let go of the oldest until `room` bytes hold the rest."""
        while self._held and self.bytes > room:
            self.bytes -= self._held.popitem(last=False)[1].nbytes

    def drop(self, is_void: Callable[[Result], bool]) -> None:
        """Let go of all results of which that is true."""
        for key in [key for key, result in self._held.items() if is_void(result)]:
            self.bytes -= self._held.pop(key).nbytes

"""Work that a device does beside what it is asked for next: pictures are encoded and decoded there.

On a card that is a CUDA stream of its own. What was asked for before on the main stream is waited for by the card, not
by Python; results come to pinned memory, and an event tells when they are there. Elsewhere everything is done at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
Reading = Generator[Sequence[Tensor], Sequence[Tensor], Result]
"""Work that says what it has to know: yields tensors of the device, is sent them in main memory."""


def at_once(reading: Reading[Result]) -> Result:
    """What the work gives; waits for whatever it has to know."""
    known = None
    while True:
        try:
            asked = reading.send(known)
        except StopIteration as end:
            return end.value
        known = [tensor.cpu() for tensor in asked]


def within(inside: Callable[[], AbstractContextManager[Any]], reading: Reading[Result]) -> Reading[Result]:
    """The work, each part of it inside such a context, which is left while it waits."""
    known = None
    while True:
        with inside():
            try:
                asked = reading.send(known)
            except StopIteration as end:
                return end.value
        known = yield asked


class Fetched(Protocol):
    """Tensors on their way to main memory."""

    @property
    def is_there(self) -> bool: ...

    def wait(self) -> Sequence[Tensor]:
        """The tensors in main memory."""


class SideStream(Protocol):
    """See the module. For one thread."""

    def beside(self, reads: Sequence[Tensor]) -> Any:
        """Inside, the device is asked for work beside the rest; it `reads` what was made before."""

    def fetch(self, tensors: Sequence[Tensor]) -> Fetched:
        """Bring tensors that were made beside the rest to main memory."""

    def hand_over(self, result: object) -> None:
        """The rest may use a result from here on."""

    def wait(self) -> bool:
        """Wait for all that was begun; whether there was anything to wait for."""


class Later(Generic[Result]):
    """The result of work that goes on beside the rest. Raises where it is begun what fails there, later ones in `get`.

    `reads`: the tensors of the rest that it works on.
    """

    def __init__(self, work: Reading[Result], stream: SideStream, reads: Sequence[Tensor] = ()) -> None:
        self._work, self._stream, self._reads = work, stream, reads
        self._fetched: Fetched | None = None
        self._ended: Callable[[], Result] | None = None
        self._go_on(None)

    @property
    def is_there(self) -> bool:
        """Whether nobody would wait for it any more; brings it as far as it comes."""
        while self._ended is None and self._fetched.is_there:
            self._try_on()
        return self._ended is not None

    def get(self) -> Result:
        """Waits for it."""
        while self._ended is None:
            self._try_on()
        return self._ended()

    def _try_on(self) -> None:
        try:
            self._go_on(self._fetched.wait())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._ended = _Failure(error)

    def _go_on(self, known: Sequence[Tensor] | None) -> None:
        try:
            with self._stream.beside(self._reads):
                asked = self._work.send(known)
            self._fetched = self._stream.fetch(asked)
        except StopIteration as end:
            self._stream.hand_over(end.value)
            result = end.value
            self._ended = lambda: result


class _Failure:
    """Raises an error, each time that it is called."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __call__(self) -> Any:
        raise self._error


class _There:
    """Tensors that lie in main memory."""

    is_there = True

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors

    def wait(self) -> Sequence[Tensor]:
        """See `Fetched.wait`."""
        return self._tensors


class NoStream:
    """Where there is nothing beside the rest: all is done at once."""

    @contextmanager
    def beside(self, reads: Sequence[Tensor]) -> Iterator[None]:
        """See `SideStream.beside`."""
        yield

    def fetch(self, tensors: Sequence[Tensor]) -> Fetched:
        """See `SideStream.fetch`."""
        return _There([tensor.cpu() for tensor in tensors])

    def hand_over(self, result: object) -> None:
        """See `SideStream.hand_over`."""

    def wait(self) -> bool:
        """See `SideStream.wait`."""
        return False


class _Coming:
    """Tensors that a stream copies into pinned memory."""

    def __init__(self, tensors: Sequence[Tensor], stream: torch.cuda.Stream) -> None:
        with torch.cuda.stream(stream):
            self._tensors = [torch.empty_like(tensor, device="cpu", pin_memory=True) for tensor in tensors]
            for there, tensor in zip(self._tensors, tensors, strict=True):
                there.copy_(tensor, non_blocking=True)
            self._event = stream.record_event()

    @property
    def is_there(self) -> bool:
        return self._event.query()

    def wait(self) -> Sequence[Tensor]:
        """See `Fetched.wait`."""
        self._event.synchronize()
        return self._tensors


class CudaSideStream:
    """On a card. Memory that one stream has taken and the other uses is marked, so that it is not given away before."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._opened: torch.cuda.Stream | None = None

    @property
    def _stream(self) -> torch.cuda.Stream:
        if self._opened is None:
            self._opened = torch.cuda.Stream(self._device)
        return self._opened

    @contextmanager
    def beside(self, reads: Sequence[Tensor]) -> Iterator[None]:
        """See `SideStream.beside`."""
        self._stream.wait_stream(torch.cuda.current_stream())
        for tensor in reads:
            tensor.record_stream(self._stream)
        with torch.cuda.stream(self._stream):
            yield

    def fetch(self, tensors: Sequence[Tensor]) -> Fetched:
        """See `SideStream.fetch`."""
        return _Coming(tensors, self._stream)

    def hand_over(self, result: object) -> None:
        """See `SideStream.hand_over`."""
        if isinstance(result, Tensor) and result.is_cuda:
            torch.cuda.current_stream().wait_stream(self._stream)
            result.record_stream(torch.cuda.current_stream())

    def wait(self) -> bool:
        """See `SideStream.wait`."""
        if self._opened is None:
            return False
        busy = not self._opened.query()
        self._opened.synchronize()
        return busy


def side_stream(device: torch.device) -> SideStream:
    """What a device has."""
    return CudaSideStream(device) if device.type == "cuda" else NoStream()

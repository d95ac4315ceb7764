"""Whether the values of a file's tensors are numbers, looked at in a thread beside the reading of the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch
from torch import Tensor

BYTES = 8 << 20         # that are looked at together: threads take turns seldom


class FiniteCheck:
    """A context in which tensors are shown to it; afterwards `passed` tells whether all values were numbers."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "finite check")
        self._waiting: list[Tensor] = []
        self._bytes = 0
        self._found: list[Future[bool]] = []
        self.passed = False

    def __enter__(self) -> FiniteCheck:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._look()
        self._thread.shutdown()
        self.passed = kind is None and all(found.result() for found in self._found)

    def see(self, tensor: Tensor) -> None:
        """One more tensor."""
        if tensor.is_floating_point() and tensor.numel():
            self._waiting.append(tensor)
            self._bytes += tensor.nbytes
            if self._bytes > BYTES:
                self._look()

    def _look(self) -> None:
        self._found.append(self._thread.submit(_all_finite, self._waiting))
        self._waiting, self._bytes = [], 0


def _all_finite(tensors: Sequence[Tensor]) -> bool:
    """By the smallest and the largest value, several times faster on a CPU than a look at each: NaN wins both."""
    ends: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        ends.setdefault(tensor.device, []).append(torch.stack(tensor.aminmax()).float())
    return all(bool(torch.stack(each).isfinite().all()) for each in ends.values())

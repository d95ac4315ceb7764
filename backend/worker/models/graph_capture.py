"""A network call that is recorded once and then replayed: the same kernels on the same memory, launched in one go.

A recording reads static buffers, so whoever replays it copies new inputs into them first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor

GRAPHS = "EASEL_GRAPHS"
"""Environment variable: "off" records nothing; "check" records on every device, and compares each replay."""

Use = Literal["off", "on", "check"]
Call = Callable[[], Tensor]


class NetworkGraph(Protocol):
    """One recorded call."""

    def record(self, call: Call) -> None:
        """Run `call`, which reads static buffers and weights alone. Raises RuntimeError where it cannot be recorded."""

    def replay(self) -> Tensor:
        """What the call gives now, in a tensor that the next replay writes again. Raises RuntimeError."""


class CudaGraph:
    """On a card. All graphs of a process share one pool of memory: only one of them runs at a time."""

    _pool: tuple[int, int] | None = None

    def __init__(self) -> None:
        self._graph, self._answer = torch.cuda.CUDAGraph(), None

    def record(self, call: Call) -> None:
        """See `NetworkGraph.record`. Runs once before, for what libraries set up in the first call on a stream."""
        if CudaGraph._pool is None:
            CudaGraph._pool = torch.cuda.graph_pool_handle()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            call()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(self._graph, pool=CudaGraph._pool, stream=stream):
            self._answer = call()

    def replay(self) -> Tensor:
        """See `NetworkGraph.replay`."""
        self._graph.replay()
        return self._answer


class RepeatedCall:
    """Where there is no card: the recorded call is made again as it was, and sees nothing new but the buffers.

    What it reads besides, such as a number of Python's, is what it was when it was recorded, as in a graph.
    """

    def __init__(self) -> None:
        self._call: Call | None = None

    def record(self, call: Call) -> None:
        """See `NetworkGraph.record`."""
        call()
        self._call = call

    def replay(self) -> Tensor:
        """See `NetworkGraph.replay`."""
        return self._call()


def graph_kind(device: torch.device) -> tuple[type[NetworkGraph] | None, Use]:
    """What records on a device, None for nothing, and how it is used."""
    wanted = os.environ.get(GRAPHS, "")
    if wanted == "off" or (wanted != "check" and device.type != "cuda"):
        return None, "off"
    return CudaGraph if device.type == "cuda" else RepeatedCall, "check" if wanted == "check" else "on"

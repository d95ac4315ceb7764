"""torch.compile by regions: the blocks that a network is made of many times, each kind compiled once.

Compiled code does not see what is attached to a layer inside a block, so it is used in calls in which nothing is; all
others run the blocks as they are. Results are the plain ones but for rounding.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from backend.settings import COMPILE

BLOCKS = ("ResnetBlock2D",)         # besides those that diffusers' own networks name


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRegions:
    """The blocks of a network, with what was compiled of each."""

    blocks: Sequence[tuple[nn.Module, Callable[..., Any]]]

    @classmethod
    def of(cls, network: nn.Module, **options: Any) -> Self:
        """Nothing is compiled before the first call; a block that cannot be is run as it is. `options`: the compiler's.

        The network itself is not changed.
        """
        torch._dynamo.config.suppress_errors = True
        names = {*BLOCKS, *(getattr(network, "_repeated_blocks", None) or ())}
        blocks = [module for module in network.modules() if type(module).__name__ in names]
        return cls([(block, torch.compile(block._call_impl, **options)) for block in blocks])

    @contextmanager
    def attached(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """For one call the blocks run compiled. See `Attachment`."""
        try:
            for block, compiled in self.blocks:
                block._compiled_call_impl = compiled
            yield
        finally:
            for block, _ in self.blocks:
                block._compiled_call_impl = None


def compiled_regions(network: nn.Module) -> CompiledRegions | None:
    """Those of a network that was just loaded; None where that is not wanted."""
    return CompiledRegions.of(network) if os.environ.get(COMPILE, "0") not in ("", "0") else None

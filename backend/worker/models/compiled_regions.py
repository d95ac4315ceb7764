"""torch.compile by regions: the blocks that a network is made of many times, each kind compiled once.

Compiled code does not see what is attached to a layer inside a block, so it is used in calls in which nothing is; all
others run the blocks as they are. Results are the plain ones but for rounding.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from backend.settings import COMPILE

log = logging.getLogger(__name__)

BLOCKS = ("ResnetBlock2D",)         # besides those that diffusers' own networks name
COMPILES = threading.Event()
"""Set while a call of which blocks are compiled is made."""
VERSIONS = 128      # of one kind of block: for each pair of widths one, and one more for a single row; torch's is 8


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRegions:
    """The blocks of a network, with what was compiled of each."""

    blocks: Sequence[tuple[nn.Module, Callable[..., Any]]]

    @classmethod
    def of(cls, network: nn.Module, **options: Any) -> Self:
        """Nothing is compiled before the first call, and nothing again for other sizes, row counts or prompts.

        A kind of block that cannot be compiled is run as it is, and the log says so once. `options`: the compiler's.
        The network itself is not changed.
        """
        torch._dynamo.config.recompile_limit = VERSIONS
        _tell_of_compiling()
        names = {*BLOCKS, *(getattr(network, "_repeated_blocks", None) or ())}
        refused: set[str] = set()
        blocks = [module for module in network.modules() if type(module).__name__ in names]
        return cls([(block, _or_plain(block, refused, options)) for block in blocks])

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
            COMPILES.clear()


def _compiling(_: Any) -> None:
    COMPILES.set()


def _tell_of_compiling() -> None:
    """Have torch say when it begins to compile anything. Once, of however many networks."""
    from torch._dynamo.callback import callback_handler

    if _compiling not in callback_handler.start_callbacks:
        callback_handler.register_start_callback(_compiling)


def _or_plain(block: nn.Module, refused: set[str], options: dict[str, Any]) -> Callable[..., Any]:
    """The block compiled, or as it is once its kind is among the refused."""
    from torch._dynamo.exc import TorchDynamoException  # takes seconds, which only who compiles has to wait

    kind, plain = type(block).__name__, block._call_impl
    compiled = torch.compile(plain, dynamic=True, **options)

    def run(*given: Any, **named: Any) -> Any:
        if kind in refused:
            return plain(*given, **named)
        try:
            return compiled(*given, **named)
        except TorchDynamoException as error:
            refused.add(kind)
            why = " ".join(str(error).strip().splitlines()[:2])     # where it was, and what it was
            log.warning("%s is not compiled, and runs as it is: %s", kind, why)
            return plain(*given, **named)

    return run


def compiled_regions(network: nn.Module) -> CompiledRegions | None:
    """Those of a network that was just loaded; None where that is not wanted."""
    return CompiledRegions.of(network) if os.environ.get(COMPILE, "0") not in ("", "0") else None

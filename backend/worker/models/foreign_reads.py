"""Which tensors a computation reads that are neither its inputs nor made by it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class ForeignReads(TorchDispatchMode):
    """While it is entered: `found` names each operation with the shape of a tensor that is not among the `known`.

    Views of a known tensor are known, and what an operation has made.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self._known = {_storage(tensor) for tensor in known}
        self.found: list[str] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Hears of every operation."""
        for tensor in _tensors((args, kwargs or {})):
            if _storage(tensor) not in self._known:
                self.found.append(f"{operation} {tuple(tensor.shape)}")
        made = operation(*args, **(kwargs or {}))
        self._known.update(map(_storage, _tensors(made)))
        return made


def plainly() -> AbstractContextManager[Any]:
    """While it is entered, what was compiled runs operation by operation, so that each is heard of."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def _tensors(tree: Any) -> Iterable[Tensor]:
    return (each for each in tree_iter(tree) if isinstance(each, Tensor))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata

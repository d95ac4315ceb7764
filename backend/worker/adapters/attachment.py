"""What changes a network for one call, told apart from the tensors that it reads meanwhile.

So the same change can be made again on other tensors of the same shapes, which is what a recorded call needs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class Attachment:
    """`attach(tensors)` changes the network until it is left; it is given `tensors`, or others like them instead.

    Meanwhile nothing else is read but weights of the network and of `owners`. Attachments of one `structure` differ in
    their tensors alone; None is of those that cannot be recorded. A tensor that gets another content becomes another
    object.
    """

    tensors: Sequence[Tensor]
    attach: Callable[[Sequence[Tensor]], AbstractContextManager[Any]]
    structure: Hashable = None
    owners: Sequence[nn.Module] = ()


def layout(tensors: Iterable[Tensor]) -> Hashable:
    """How tensors lie in memory: where it is equal, one can stand in another's place to the bit."""
    return tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in tensors)


@contextmanager
def _unchanged(tensors: Sequence[Tensor]) -> Iterator[None]:
    yield


NOTHING = Attachment((), _unchanged, ())

"""Something loaded that changes a network while it is attached, and how a row uses it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from backend.worker.adapters.attachment import Attachment
from backend.worker.models.device_transfer import on_device
from backend.worker.models.model_base import Model

if TYPE_CHECKING:
    from backend.worker.guidance.row import Row

Watched = dict[str, Tensor]
"""What was seen inside the network while a row was evaluated, by name."""


class Adapter(Protocol):
    """Something loaded that changes a network while it is attached. Rows use the same one if it is the same object."""

    def attach(
        self, model: Model, rows: Sequence[Row], uses: Sequence[Use]
    ) -> AbstractContextManager[Sequence[Watched] | None]:
        """Change the network for one call of `rows`, of which row i makes `uses[i]` of this adapter: see `ForSomeRows`.

        On leaving, every weight and module is what it was. May give one `Watched` per row, filled during the call for
        rows whose `watch` is set.
        """


class Recordable:
    """Base of adapters whose calls may be recorded: they tell what they read in place of `attach`."""

    def attachment(self, model: Model, rows: Sequence[Row], uses: Sequence[Use | None]) -> Attachment:
        """The same as `Adapter.attach`; nothing is watched."""
        raise NotImplementedError

    def attach(
        self, model: Model, rows: Sequence[Row], uses: Sequence[Use | None]
    ) -> AbstractContextManager[None]:
        """See `Adapter.attach`."""
        attachment = self.attachment(model, rows, uses)
        return attachment.attach(attachment.tensors)


class ForSomeRows:
    """Base of adapters that need not be used by all rows of a call: `attach` is given None for those without it.

    What such a row answers is to the bit what it answers where nobody uses the adapter.
    """


class LeavesWords:
    """Base of adapters that leave what cross-attentions make of the words as it is: see `key_value_cache`."""


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """How a row uses an adapter: how strongly (0 = as if it were not there), and the tensors it is given."""

    adapter: Adapter
    strength: float = 1.0
    data: tuple[Tensor, ...] = ()

    @property
    def structure(self) -> Hashable:
        """What must be alike within one call. Strengths need not be."""
        return id(self.adapter), tuple(tuple(tensor.shape) for tensor in self.data)

    @property
    def words_key(self) -> Hashable:
        """Uses of one key do the same to what attentions make of the words; None where nobody can tell."""
        return () if isinstance(self.adapter, LeavesWords) else None

    @property
    def by_all(self) -> bool:
        """Whether all rows of a call must use it."""
        return not isinstance(self.adapter, ForSomeRows)


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """The rows of a call of `size` rows that use an adapter, and how. `numbers` is on the device; None are all.

    `words`: which encoded texts they have.
    """

    size: int
    numbers: Tensor | None
    uses: Sequence[Use]
    words: tuple[int, ...] = ()

    @classmethod
    def of(cls, uses: Sequence[Use | None], device: torch.device, rows: Sequence[Row] = ()) -> Members:
        """From what `Adapter.attach` is given."""
        numbers = [number for number, use in enumerate(uses) if use is not None]
        among = on_device(numbers, device, torch.int64) if len(numbers) < len(uses) else None
        words = tuple(row.encoded.identity for row, use in zip(rows, uses, strict=False) if use is not None)
        return cls(len(uses), among, [use for use in uses if use is not None], words)

    def at(self, numbers: Tensor) -> Members:
        """As many others of the call's rows, whose numbers lie there."""
        return replace(self, numbers=numbers)

    def part(self, tensor: Tensor) -> Tensor:
        """(B, ...) of all rows -> (n, ...) of these."""
        return tensor if self.numbers is None else tensor.index_select(0, self.numbers)

    def spread(self, tensor: Tensor) -> Tensor:
        """(n, ...) of these -> (B, ...) with zeros for the others."""
        if self.numbers is None:
            return tensor
        return tensor.new_zeros(self.size, *tensor.shape[1:]).index_copy_(0, self.numbers, tensor)

    def added(self, whole: Tensor, tensor: Tensor) -> Tensor:
        """`whole` (B, ...) with (n, ...) added to these rows; the others keep their bits."""
        return whole + tensor if self.numbers is None else whole.index_add(0, self.numbers, tensor)


def together(rows: Sequence[Sequence[Use]]) -> Iterator[list[Use | None]]:
    """What the rows of one call use, in groups that are attached one after the other: a use or None for each row.

    What all rows have in common comes first. The rest goes by its place among its row's own, so that what is added up
    in a row is added in an order that does not depend on the rows beside it.
    """
    yield from (list(each) for each in zip(*([use for use in row if use.by_all] for row in rows), strict=True))
    for each in zip_longest(*([use for use in row if not use.by_all] for row in rows)):
        for structure in dict.fromkeys(use.structure for use in each if use is not None):
            yield [use if use is not None and use.structure == structure else None for use in each]

"""Something loaded that changes a network while it is attached, and how a row uses it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from backend.worker.models.base import Model

if TYPE_CHECKING:
    from backend.worker.guidance.row import Row

Watched = dict[str, Tensor]
"""What was seen inside the network while a row was evaluated, by name."""


class Adapter(Protocol):
    """Something loaded that changes a network while it is attached. Rows use the same one if it is the same object."""

    def attach(
        self, model: Model, rows: Sequence[Row], uses: Sequence[Use]
    ) -> AbstractContextManager[Sequence[Watched] | None]:
        """Change the network for one call of `rows`, of which row i makes `uses[i]` of this adapter.

        On leaving, every weight and module is what it was. May give one `Watched` per row, filled during the call for
        rows whose `watch` is set.
        """


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

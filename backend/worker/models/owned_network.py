"""What something of one network shows its owner, `Memory`: where it is, how large it is, and how it is moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from backend.worker.models.device_transfer import move, tensors


@dataclass(eq=False)
class OwnedNetwork:
    """A network in memory, in eval mode."""

    network: nn.Module

    @property
    def bytes(self) -> int:
        """Memory that the network takes."""
        return sum(tensor.nbytes for tensor in tensors(self.network))

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def to(self, device: torch.device) -> Self:
        """Move the network. Where memory runs out it is back where it was."""
        move([self.network], device)
        return self

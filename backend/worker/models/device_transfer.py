"""Networks from one device to another, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def move(networks: Sequence[nn.Module], device: torch.device) -> None:
    """Move what is not there yet, number formats unchanged. Where memory runs out all return to where they were."""
    before = [(network, next(tensors(network)).device) for network in networks if not _lies_on(network, device)]
    try:
        for network, _ in before:
            network.to(device)
    except (RuntimeError, MemoryError):
        for network, origin in before:
            network.to(origin)
        raise


def on_device(numbers: Sequence[Any], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers as a tensor there. Nobody waits for the device."""
    return torch.tensor(numbers, dtype=dtype).to(device, non_blocking=True)


def tensors(network: nn.Module) -> Iterator[Tensor]:
    """All parameters and buffers."""
    yield from network.parameters()
    yield from network.buffers()


def _lies_on(network: nn.Module, device: torch.device) -> bool:
    return all(tensor.device == device for tensor in tensors(network))

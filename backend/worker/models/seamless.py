"""Pictures whose opposite edges fit together: every convolution sees the other edge where it would see nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.models.downsampling import Downsample2D
from torch import Tensor, nn
from torch.nn.functional import pad


@contextmanager
def seamless(network: nn.Module, on: bool = True) -> Iterator[None]:
    """Inside, all padding of the network's convolutions is circular; afterwards it is what it was. Weights stay."""
    modules = list(network.modules()) if on else []
    padded = [m for m in modules if isinstance(m, nn.Conv2d) and m.padding_mode == "zeros" and any(m.padding)]
    hooks = [m.conv.register_forward_pre_hook(_wrapped) for m in modules
             if isinstance(m, Downsample2D) and m.use_conv and m.padding == 0]
    for convolution in padded:
        convolution.padding_mode = "circular"
    try:
        yield
    finally:
        for convolution in padded:
            convolution.padding_mode = "zeros"
        for hook in hooks:
            hook.remove()


def _wrapped(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """diffusers pads these by a zero line right and below before the convolution; here it is the first line."""
    return (pad(inputs[0][..., :-1, :-1], (0, 1, 0, 1), mode="circular"),)

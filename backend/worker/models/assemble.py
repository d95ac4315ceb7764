"""From a config and tensors to a network: every tensor checked by name and shape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from accelerate import init_empty_weights
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook
from transformers.initialization import no_init_weights

from backend.errors import CheckpointError

_UNUSABLE = (
    TypeError, ValueError, AttributeError, LookupError, ArithmeticError, AssertionError, RuntimeError,
    StrictDataclassError,
)
MOST_MODULES = 10_000       # of one network; the UNet of Stable Diffusion XL has 2,000
NAMED = 5       # at most so many tensors are named in an error


def assemble(
    make: Callable[[], nn.Module], tensors: Mapping[str, Tensor], dtype: torch.dtype | None, device: torch.device
) -> nn.Module:
    """The network that `make` describes, with `tensors` as weights, in eval mode and without gradients.

    Those in the right format and place become the weights themselves, others are copied; superfluous ones are left out.
    Without a `dtype` all keep theirs. Raises CheckpointError naming what is missing or of a wrong shape.
    """
    try:
        with no_init_weights(), init_empty_weights(include_buffers=False), of_bounded_size():
            network = make()
    except _UNUSABLE as error:
        raise CheckpointError(f"its config cannot be used: {error}") from error
    expected = network.state_dict()
    _check(expected, tensors)
    weights = {name: _placed(tensors[name], dtype, device) for name in expected}
    network.load_state_dict(weights, assign=True)
    return network.to(device).eval().requires_grad_(False)


@contextmanager
def of_bounded_size() -> Iterator[None]:
    """Raises ValueError where this thread makes more modules than any network has: a config may ask for a million."""
    thread, count = threading.get_ident(), 0

    def counted(*_: object) -> None:
        nonlocal count
        count += threading.get_ident() == thread
        if count > MOST_MODULES:
            raise ValueError("it describes a network of more layers than any")

    hook = register_module_module_registration_hook(counted)
    try:
        yield
    finally:
        hook.remove()


def _placed(tensor: Tensor, dtype: torch.dtype | None, device: torch.device) -> Tensor:
    """Convolution kernels with the channels last: a quarter faster on CPUs with matrix units, and on tensor cores."""
    order = torch.channels_last if tensor.dim() == 4 else torch.preserve_format
    return tensor.to(device, dtype or tensor.dtype, memory_format=order)


def _check(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    missing = [name for name in expected if name not in tensors]
    if missing:
        raise CheckpointError(f"the model lacks {_some(missing)}; the file is incomplete or of another kind")
    wrong = [f"{name} {tuple(tensors[name].shape)}" for name in expected if tensors[name].shape != expected[name].shape]
    if wrong:
        raise CheckpointError(f"the model has tensors of an unexpected size: {_some(wrong)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more tensors" if len(names) > NAMED else "")

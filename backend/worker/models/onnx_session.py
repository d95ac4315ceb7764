"""ONNX files in memory: how one is read, and what all that onnxruntime runs on the CPU shows its owner, `Memory`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch

from backend.errors import CheckpointError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnCPU:
    """Stays on the CPU wherever it is moved to."""

    __slots__ = ()

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def to(self, device: torch.device) -> Self:
        """It stays where it is."""
        return self


def read_session(path: Path, what: str) -> InferenceSession:
    """CheckpointError when the file holds no network, which is said to be `what`."""
    import onnxruntime

    errors = onnxruntime.capi.onnxruntime_pybind11_state
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (errors.Fail, errors.InvalidProtobuf, errors.InvalidGraph, errors.NoSuchFile, errors.InvalidArgument,
            errors.NotImplemented, RuntimeError) as error:
        raise CheckpointError(f"{path.name} cannot be loaded: it is no network that finds {what}") from error

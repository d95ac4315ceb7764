"""ONNX files in memory: how one is read and run, and what all that onnxruntime runs on the CPU shows its owner."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from backend.errors import CheckpointError
from backend.worker.models.cancellation import heed, stoppable
from backend.worker.models.memory_errors import out_of_memory

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MOST_SIDE = 8192        # pixels of a square that a network is shown
MOST_TOLD = 300         # letters of what onnxruntime says


class OnCPU:
    """Stays on the CPU wherever it is moved to."""

    __slots__ = ()

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def to(self, device: torch.device) -> Self:
        """It stays where it is."""
        return self


class Session:
    """onnxruntime's, as far as it is not told otherwise here; `name` is the file's."""

    def __init__(self, session: InferenceSession, name: str) -> None:
        self._session, self.name = session, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, answers: list[str] | None, shown: dict[str, Any]) -> list[Any]:
        """The outputs, all of them for None, that inputs by name give; a cancel ends the call: see `cancellation`.

        Raises CheckpointError where the network cannot be run on them, and what says that memory was short.
        """
        from onnxruntime import RunOptions

        options = RunOptions()
        options.log_severity_level = 4
        try:
            with stoppable(options):
                return self._session.run(answers, shown, options)
        except (ValueError, *onnx_errors()) as error:
            if out_of_memory(error):
                raise
            raise CheckpointError(f"{self.name} cannot be run: {error}"[:MOST_TOLD]) from error


def read_session(path: Path, what: str) -> Session:
    """CheckpointError when the file holds no network, which is said to be `what`."""
    import onnxruntime

    heed()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (RuntimeError, *onnx_errors()) as error:
        if out_of_memory(error):
            raise
        raise CheckpointError(f"{path.name} cannot be loaded: it is no network that finds {what}") from error
    return Session(session, path.name)


def side_of(session: Session, axis: int = -1, otherwise: int = 0) -> int:
    """Of the square that a network wants to be shown, in pixels; `otherwise` where its file leaves that open.

    Raises CheckpointError for none that a picture could have.
    """
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else ()
    side = shape[axis] if len(shape) == 4 else 0
    found = side if isinstance(side, int) else otherwise
    if not 0 < found <= MOST_SIDE:
        raise CheckpointError(f"{session.name} does not look at squares of pixels")
    return found


@cache
def onnx_errors() -> tuple[type[Exception], ...]:
    """Every class of error that is onnxruntime's own: they have no base in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state

    found = vars(onnxruntime_pybind11_state).values()
    return tuple(each for each in found if isinstance(each, type) and issubclass(each, Exception))

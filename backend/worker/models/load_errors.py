"""Errors while a model is loaded say which file it was, and why, in words for a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.models.assemble import of_bounded_size
from backend.worker.models.memory_errors import out_of_memory

_BROKEN = (OSError, LookupError, ValueError, ArithmeticError, RuntimeError, AttributeError, TypeError, ImportError,
           SafetensorError, StrictDataclassError)
LONGEST = 300       # characters of what a library says


@contextmanager
def loading(file: ModelFile, field: str = "") -> Iterator[Path]:
    """Where the file or folder lies, for what is read inside.

    A CheckpointError from there, or of a file that is gone, names the file; `field` is the request's that asks for it.
    Whatever else a strange content gives rise to becomes one, but for memory that is short.
    """
    path = Path(file.path)
    try:
        if not path.exists():
            raise CheckpointError("it is no longer there")
        yield path
    except CheckpointError as error:
        raise CheckpointError(f"{file.key} cannot be loaded: {error.problems[0].message}", field=field) from error
    except _BROKEN as error:
        if out_of_memory(error):
            raise
        told = f"its content is not what such a file holds ({type(error).__name__}: {error}"[:LONGEST]
        raise CheckpointError(f"{file.key} cannot be loaded: {told})", field=field) from error


@contextmanager
def built_by_transformers(what: str) -> Iterator[None]:
    """CheckpointError for whatever transformers raises inside at a folder that is no `what`; not when memory is out.

    No network gets more layers than any has.
    """
    try:
        with of_bounded_size():
            yield
    except _BROKEN as error:
        if out_of_memory(error):
            raise
        raise CheckpointError(f"it is no {what} that transformers can read: {error}"[:LONGEST]) from error

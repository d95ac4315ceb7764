"""Files and folders that a library opens by itself: looked at before, and whatever it raises is told of the file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.catalog.headers import read_shapes
from backend.errors import CheckpointError, EaselError
from backend.files.regular_files import open_regular, read_config
from backend.worker.models.assemble import of_bounded_size
from backend.worker.models.memory_errors import out_of_memory

_WEIGHTS, _CONFIG = (".bin", ".ckpt", ".pt", ".pth", ".safetensors"), "config.json"
MOST_OF_ANYTHING = 1_000_000    # of layers, numbers of a vector, pixels, words in a config


@contextmanager
def opened_by_library(paths: Sequence[Path], sentence: str) -> Iterator[None]:
    """For a library that reads files, or all that lies in folders, and makes networks of them.

    Raises CheckpointError with the `sentence`: for a file whose header or numbers could not be trusted, which it names
    behind it, and for whatever else happens inside, but for memory that is short. Inside no network gets more layers
    than any has.
    """
    for file in _files(paths):
        try:
            _look_at(file)
        except (OSError, CheckpointError) as error:
            told = error.strerror if isinstance(error, OSError) else error.problems[0].message
            raise CheckpointError(f"{sentence} ({file.name}: {told})") from error
    try:
        with of_bounded_size():
            yield
    except EaselError:
        raise
    except Exception as error:      # the border of a foreign library
        if out_of_memory(error):
            raise
        logging.getLogger(__name__).info("%s", error, exc_info=True)
        raise CheckpointError(sentence) from error


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(each for each in path.iterdir() if not each.is_dir()) if path.is_dir() else [path]


def _look_at(file: Path) -> None:
    """Raises OSError, also for what is no regular file, and CheckpointError."""
    if file.suffix.lower() in _WEIGHTS:
        read_shapes(file)
    elif file.name == _CONFIG:
        if _largest(read_config(file)) > MOST_OF_ANYTHING:
            raise CheckpointError("it asks for a network larger than any")
    else:
        open_regular(file).close()


def _largest(value: Any) -> float:
    """Of the numbers in a table, and in the tables and lists in it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max(map(_largest, inner), default=value if isinstance(value, int | float) else 0)

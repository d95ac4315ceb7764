"""A WD14 tagger (SmilingWolf 2022): how sure a network is of each tag of its list, by onnxruntime on the CPU."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from backend.catalog.captioners import TAGS
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.files.regular_files import read_regular
from backend.worker.models.onnx_session import OnCPU, Session, read_session, side_of
from backend.worker.pixels import Pixels

RATING = "9"                # the category of tags that say for whom a picture is, and not what is in it
MOST_BYTES = 2**24


@dataclass(eq=False)
class Tagger(OnCPU):
    """A network and the names of what it answers; None for what is no tag. Owned by `Memory`."""

    session: Session
    names: tuple[str | None, ...]
    bytes: int

    def tags(self, pixels: Pixels, threshold: float) -> tuple[tuple[str, float], ...]:
        """Names and certainties from `threshold` to 1, the surest first, of a picture (H, W, 3)."""
        source = self.session.get_inputs()[0]
        given = _square(pixels, int(source.shape[1]))
        sure = np.asarray(self.session.run(None, {source.name: given[None]})[0], np.float64).reshape(-1)
        if len(sure) != len(self.names):
            raise CheckpointError(f"the tagger answers {len(sure)} tags, and its list has {len(self.names)}")
        found = [(name, float(value)) for name, value in zip(self.names, sure, strict=True)
                 if name and value >= threshold]
        return tuple(sorted(found, key=lambda each: -each[1]))


def load(file: ModelFile) -> Tagger:
    """Read a network and the list of tags beside it. Raises CheckpointError, whose sentence names the file."""
    weights = Path(file.path)
    session = read_session(weights, "tags")
    shape = session.get_inputs()[0].shape
    if side_of(session, axis=1) != shape[2] or shape[3] != 3:
        raise CheckpointError(f"{weights.name} is no tagger of pictures")
    return Tagger(session, _names(weights.with_name(TAGS)), weights.stat().st_size)


def _names(file: Path) -> tuple[str | None, ...]:
    try:
        rows = list(csv.DictReader(io.StringIO(read_regular(file, MOST_BYTES).decode("utf-8"))))
        return tuple(None if row["category"] == RATING else row["name"] for row in rows)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise CheckpointError(f"the list of tags {file.name} cannot be read: {error}") from error


def _square(pixels: Pixels, side: int) -> np.ndarray:
    """(side, side, 3), blue first, 0..255: the whole picture on white."""
    picture = Image.fromarray(pixels)
    longest = max(picture.size)
    square = Image.new("RGB", (longest, longest), "white")
    square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
    return np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), np.float32)[:, :, ::-1].copy()

"""The drawn training pictures and where the stages keep their work."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from .drawing import draw
from .scenes import Scene, random_scenes

PROJECT = Path(__file__).resolve().parent.parent
WORK = Path(os.environ.get("EASEL_DEMO_WORK", PROJECT / ".demo"))
MODEL = PROJECT / "models" / "demo"

PICTURE = 128  # pixels
TRAINING_PICTURES = 72_000
TRAINING_SEED = 11
LARGE = 256  # pixels: the size that hires fix and a larger picture ask for
LARGE_PICTURES = 24_000
LARGE_SEED = 12


class Clock:
    """Time as a part of a budget in minutes: 0 at the start, 1 at the end."""

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes
        self.started = time.monotonic()

    @property
    def elapsed(self) -> float:
        return (time.monotonic() - self.started) / 60

    @property
    def part(self) -> float:
        return min(1.0, self.elapsed / self.minutes)


def training_scenes() -> list[Scene]:
    return random_scenes(TRAINING_SEED, TRAINING_PICTURES, held_out=False)


def large_scenes() -> list[Scene]:
    return random_scenes(LARGE_SEED, LARGE_PICTURES, held_out=False)


def draw_numbered(item: tuple[int, Scene]) -> np.ndarray:
    number, scene = item
    return np.asarray(draw(scene, PICTURE, seed=number))


def draw_large(item: tuple[int, Scene]) -> np.ndarray:
    number, scene = item
    return np.asarray(draw(scene, LARGE, seed=number))


def large_pictures() -> Iterator[np.ndarray]:
    """uint8 [256, 256, 3] one after the other, in the order of their scenes; not kept, they would fill 5 GB."""
    with Pool() as pool:
        yield from pool.imap(draw_large, enumerate(large_scenes()), chunksize=64)


def training_pictures() -> np.ndarray:
    """uint8 [N, 128, 128, 3], in the order of the scenes; drawn once and kept in the work folder."""
    path = WORK / "pictures.npy"
    if not path.exists():
        part = path.with_suffix(".part.npy")
        pictures = np.lib.format.open_memmap(part, "w+", np.uint8, (TRAINING_PICTURES, PICTURE, PICTURE, 3))
        with Pool() as pool:
            for number, picture in enumerate(pool.imap(draw_numbered, enumerate(training_scenes()), chunksize=64)):
                pictures[number] = picture
        pictures.flush()
        part.rename(path)
    return np.load(path, mmap_mode="r")

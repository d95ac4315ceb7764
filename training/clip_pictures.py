"""The pictures that teach the demo CLIP, with a map of what is where in each of them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate

from .data import PICTURE, WORK
from .drawing import draw, thing_masks
from .half_shade import draw_half_shaded
from .new_colour import NAMES as COLOUR_NAMES
from .new_colour import new_coloured
from .scenes import SHAPES, Scene, random_scenes

PICTURES = 8_000
PLAIN_SHARE, SHADED_SHARE = 0.8, 0.1        # the rest has the new colour
SEED = 41
CELL = 4                                    # pixels of a side of a cell of the maps
CELLS = PICTURE // CELL
SIDE = 96                                   # pixels of what the picture tower sees
SHIFT, TURN, ZOOM = 0.12, 0.12, 0.1         # at most: half sides, radians, and part of the size by which it is moved
NOISE, GAIN = 0.06, 0.1                     # standard deviation, and part of the brightness, of what is varied


@dataclass(frozen=True)
class Examples:
    """`pixels` uint8 [N, 128, 128, 3]; `maps` uint8 [N, 2, 32, 32]: 1 + number of shape and colour, 0 outside."""

    scenes: list[Scene]
    pixels: np.ndarray
    maps: np.ndarray

    @cached_property
    def singles(self) -> list[int]:
        """Numbers of the pictures with one thing."""
        return [number for number, scene in enumerate(self.scenes) if len(scene.things) == 1]

    def batch(self, chosen: list[int], rng: random.Random) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, SIDE, SIDE) in 0..1, moved, brightened and blurred a little, and their maps moved alike."""
        whole = torch.from_numpy(self.pixels[chosen]).permute(0, 3, 1, 2).contiguous()
        pixels = interpolate(whole, (SIDE, SIDE), mode="bicubic", antialias=True).float() / 255
        ways = moves(len(chosen))
        pixels = moved(pixels, ways, "bilinear", "border")
        maps = moved(torch.from_numpy(self.maps[chosen]).float(), ways, "nearest", "zeros").to(torch.uint8)
        if rng.random() < 0.3:
            pixels = avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
        gain = 1 + GAIN * (torch.rand(len(pixels), 1, 1, 1) - 0.5)
        noise = NOISE * torch.rand(len(pixels), 1, 1, 1) * torch.randn(pixels.shape)
        return (pixels * gain + noise).clamp(0, 1), maps


def moves(count: int) -> Tensor:
    """(count, 2, 3) affine matrices, as `affine_grid` takes them."""
    turn, zoom, x, y = (2 * torch.rand(4, count) - 1) * torch.tensor([TURN, ZOOM, SHIFT, SHIFT])[:, None]
    cos, sin = turn.cos() * (1 + zoom), turn.sin() * (1 + zoom)
    return torch.stack([torch.stack([cos, -sin, x], 1), torch.stack([sin, cos, y], 1)], 1)


def moved(pictures: Tensor, ways: Tensor, mode: str, outside: str) -> Tensor:
    grid = affine_grid(ways, list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid, mode, outside, align_corners=False)


def scenes() -> list[Scene]:
    """Ordinary ones first, then those in the demo LoRA's style, then those in the demo embedding's colour."""
    plain = round((PLAIN_SHARE + SHADED_SHARE) * PICTURES)
    return random_scenes(SEED, plain, held_out=False) + new_coloured(SEED, PICTURES - plain, held_out=False)


def painted(scene: Scene, number: int) -> Image.Image:
    shaded = PLAIN_SHARE * PICTURES <= number < (PLAIN_SHARE + SHADED_SHARE) * PICTURES
    return (draw_half_shaded if shaded else draw)(scene, PICTURE, number)


def map_of(scene: Scene, number: int) -> np.ndarray:
    """uint8 [2, 32, 32] as in `Examples.maps`, of the picture that `painted` gives."""
    result = np.zeros((2, CELLS, CELLS), dtype=np.uint8)
    for thing, mask in zip(scene.things, thing_masks(scene, PICTURE, number), strict=True):
        inside = mask.reshape(CELLS, CELL, CELLS, CELL).mean(axis=(1, 3)) > 0.5
        result[0][inside] = 1 + SHAPES.index(thing.shape)
        result[1][inside] = 1 + COLOUR_NAMES.index(thing.colour)
    return result


def examples() -> Examples:
    """All of them; drawn once and kept in the work folder."""
    pixels_path, maps_path = WORK / "clip_pixels.npy", WORK / "clip_maps.npy"
    everything = scenes()
    if not maps_path.exists():
        keep_pictures(everything, pixels_path)
        np.save(maps_path, np.stack([map_of(scene, number) for number, scene in enumerate(everything)]))
    return Examples(everything, np.load(pixels_path, mmap_mode="r"), np.load(maps_path))


def keep_pictures(everything: list[Scene], path: Path) -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    pixels = np.lib.format.open_memmap(path, "w+", np.uint8, (len(everything), PICTURE, PICTURE, 3))
    for number, scene in enumerate(everything):
        pixels[number] = np.asarray(painted(scene, number))
    pixels.flush()

"""The drawn faces that teach the demo's face networks and its FaceID, made once and kept in the work folder."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from insightface.utils.face_align import estimate_norm
from torch import Tensor

from .data import MODEL, PICTURE, WORK
from .face_networks import CROP
from .faces import Portrait, box, draw_face, key_points, people, portrait
from .train_networks import encoded, kept

SEED = 71
EACH = 6                # portraits of every person
UNSURE = 0.012          # standard deviation of found points, as a part of the picture
DECODED_EVERY = 4       # of so many portraits one is also shown as the demo model's decoder draws it
PIXELS, DECODED = "faces.npy", "faces.decoded.npy"      # in the work folder


@dataclass(frozen=True)
class Faces:
    """EACH portraits of one person after the other: `pixels` uint8 [N, 128, 128, 3], `latents` (N, 4, 16, 16).

    `decoded` uint8 [N / DECODED_EVERY, 128, 128, 3] are some of them as the demo model's decoder draws them.
    """

    portraits: list[Portrait]
    pixels: np.ndarray
    latents: Tensor
    decoded: np.ndarray


def portraits(held_out: bool, each: int = EACH, seed: int = SEED) -> list[Portrait]:
    rng = random.Random(seed)
    return [portrait(person, rng, rng.randrange(2**31)) for person in people(held_out) for _ in range(each)]


def faces() -> Faces:
    asked = portraits(held_out=False)
    if not (WORK / PIXELS).exists():
        WORK.mkdir(parents=True, exist_ok=True)
        np.save(WORK / PIXELS, np.stack([np.asarray(draw_face(one)) for one in asked]))
    pixels = np.load(WORK / PIXELS)
    latents = kept("faces", lambda: encoded(iter(pixels)))
    if not (WORK / DECODED).exists():
        np.save(WORK / DECODED, np.concatenate(list(decoded(latents[::DECODED_EVERY]))))
    return Faces(asked, pixels, latents, np.load(WORK / DECODED))


def decoded(latents: Tensor, part: int = 50) -> Iterator[np.ndarray]:
    """uint8 [n, 128, 128, 3], a part after the other."""
    vae = AutoencoderKL.from_pretrained(MODEL / "vae").eval()
    for start in range(0, len(latents), part):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            pixels = vae.decode(latents[start : start + part] / vae.config.scaling_factor).sample.float()
        yield ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def upright(pixels: np.ndarray, one: Portrait, rng: np.random.Generator | None = None) -> np.ndarray:
    """The face [CROP, CROP, 3] as insightface turns and scales it, by its true points; with `rng`, as if found."""
    points = key_points(one.pose)
    if rng is not None:
        points = points + rng.normal(0, UNSURE, points.shape).astype(np.float32)
    return cv2.warpAffine(pixels, estimate_norm(points * PICTURE, CROP), (CROP, CROP))


def told(one: Portrait) -> np.ndarray:
    """float32 [7, 2] as parts of the picture: the box's corners and the points."""
    return np.concatenate([box(one.pose).reshape(2, 2), key_points(one.pose)])

"""Makes the demo ControlNet of outlines from pictures that the project draws; the demo model stays as it is.

    python -m training.train_controlnet [--steps 1400] [--threads 1]

It begins as the front half of the demo model's UNet (Zhang et al. 2023) and learns from drawn pictures and their
outlines. What it has learnt is kept as a Control-LoRA: the difference from that UNet, nearly all of it, in products of
thin matrices. A training that was interrupted goes on from the work folder.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import silu

from .captions import caption
from .command_line import parser, started
from .control_lora import bind, publish, tensors
from .data import PROJECT, WORK
from .outlines import RESOLUTIONS, outline, outline_scenes, painted
from .train_networks import Lesson, Words, drawn, encoded, frozen_unet, kept, train
from .train_unet import importance

FILE = PROJECT / "models" / "ControlNet" / "demo-outlines.safetensors"
RANK = 48                           # of what was learnt; outlines are followed as by the whole of it
OUTLINES = "outlines.npy"           # in the work folder: bits [N, resolutions, 128 * 128 / 8]
STEM = (8, 16, 48, 96)              # channels of the layers that bring the hint to a latent's size
SCENES, SEED = 3000, 51
BATCH = 16
LOUDNESS = 0.5                      # of a hint beside a latent
WORDLESS = 0.25                     # share of captions left out: the outline alone must be enough
LOUDER = 1.7                        # than it was learnt is what it says in the file: measured to follow outlines better
STEPS = 1400


def new_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=STEM).train()
    return controlnet.to(memory_format=torch.channels_last)


@dataclass
class Guided:
    """The frozen UNet with what the ControlNet adds."""

    unet: UNet2DConditionModel
    controlnet: ControlNetModel

    def __call__(self, x: Tensor, t: Tensor, context: tuple[Tensor, Tensor]) -> SimpleNamespace:
        """`context`: words (B, 77, H) and hints (B, 3, 128, 128) in 0..1."""
        words, hints = context
        down, middle = self.controlnet(x, t, words, controlnet_cond=hints, return_dict=False)
        return self.unet(x, t, words, down_block_additional_residuals=down, mid_block_additional_residual=middle)


@dataclass
class OutlineLesson(Lesson):
    """`hints` has the outlines of each picture, at each resolution, as bits."""

    hints: np.ndarray

    def batch(self, rng: random.Random) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        chosen = rng.choices(range(len(self.scenes)), [importance(scene) for scene in self.scenes], k=BATCH)
        captions = ["" if rng.random() < WORDLESS else caption(self.scenes[one], rng) for one in chosen]
        lines = np.stack([unpacked(self.hints[one, rng.randrange(len(RESOLUTIONS))]) for one in chosen])
        return self.latents[chosen], (self.context(captions), torch.from_numpy(lines)[:, None].repeat(1, 3, 1, 1))


@torch.no_grad()
def wake(controlnet: ControlNetModel, hints: Tensor) -> None:
    """Scales the layers that look at hints, so that thin lines are seen from the first step on.

    With their usual beginning a line is a thousandth of a signal behind eight layers. Each layer's answers to these
    hints (B, 3, H, W) get a standard deviation of 1 (Mishkin and Matas 2016), those of the last one of `LOUDNESS`.
    """
    stem = controlnet.controlnet_cond_embedding
    layers = [stem.conv_in, *stem.blocks, stem.conv_out]
    nn.init.kaiming_normal_(stem.conv_out.weight)
    seen = hints
    for number, layer in enumerate(layers):
        layer.bias.zero_()
        layer.weight.div_(layer(seen).std() / (LOUDNESS if layer is stem.conv_out else 1))
        seen = silu(layer(seen)) if number + 1 < len(layers) else seen


def unpacked(bits: np.ndarray) -> np.ndarray:
    """float32 [side, side], 0 or 1, of a square's packed bits."""
    flat = np.unpackbits(bits)
    side = round(len(flat) ** 0.5)
    return flat.reshape(side, side).astype(np.float32)


def outlined(pictures: Iterator[np.ndarray], path: Path) -> Iterator[np.ndarray]:
    """The pictures as they come; when they end, their outlines lie at `path`."""
    bits = []
    for picture in pictures:
        bits.append(np.stack([np.packbits(outline(picture, resolution) > 0) for resolution in RESOLUTIONS]))
        yield picture
    np.save(path, np.stack(bits))


def lesson(controlnet: ControlNetModel, count: int) -> OutlineLesson:
    scenes = outline_scenes(SEED, count, held_out=False)
    path = WORK / OUTLINES
    latents = kept("outlines", lambda: encoded(outlined(drawn(scenes, painted), path)))
    return OutlineLesson("outlines", latents, scenes, Words(), list(controlnet.parameters()), np.load(path))


def publish_controlnet(controlnet: ControlNetModel, unet: UNet2DConditionModel) -> None:
    """A Control-LoRA; `LOUDER` than the network is."""
    with torch.no_grad():
        for layer in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
            layer.weight.mul_(LOUDER)
            layer.bias.mul_(LOUDER)
    bind(controlnet, unet, RANK)
    publish(tensors(controlnet), FILE)


def main() -> None:
    options = started(parser(__doc__, steps=STEPS, scenes=SCENES))
    unet = frozen_unet()
    controlnet = new_controlnet(unet)
    material = lesson(controlnet, options.scenes)
    wake(controlnet, material.batch(random.Random(0))[1][1])
    train(material, Guided(unet, controlnet), options.steps)
    publish_controlnet(controlnet, unet)


if __name__ == "__main__":
    main()

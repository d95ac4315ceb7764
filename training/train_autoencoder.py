"""The AutoencoderKL (8 times smaller, 4 channels), its halves trained apart on the fixed latent space.

The encoder learns the latents of pictures, the decoder the pictures of latents, on crops first, then on whole pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from .data import Clock
from .latent_space import CELL

BATCH = 12
CROP = 8  # latent cells; whole pictures only at the end, for their cost
WHOLE_FROM = 0.75  # part of the training time
WHOLE_BATCH = 4
PEAK_RATE = 1e-3
GRADIENT_WEIGHT = 0.5
LATENT_NOISE = 0.04  # makes the decoder forgiving of what a UNet draws
LOG_VARIANCE = -8.0  # of the encoder's posterior: latents are nearly certain, as in SD
HELD_BACK = 100  # the last pictures are only measured


def new_autoencoder() -> AutoencoderKL:
    """Four norm groups of at least eight channels: with two channels a group the colours are normalised away.

    For the same reason the channels before the last norm of each half start with opposite biases: the norm then
    divides by what is always there and not by the colour.
    """
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 48, 64, 96),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=128,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )
    alternate(model.decoder.up_blocks[-1].resnets[-1].conv2.bias)
    alternate(model.encoder.mid_block.resnets[-1].conv2.bias)
    return model.to(memory_format=torch.channels_last)


@torch.no_grad()
def alternate(bias: nn.Parameter, size: float = 2.0) -> None:
    """-size, +size, -size, ..."""
    bias.copy_(size * torch.tensor([2.0 * (i % 2) - 1 for i in range(len(bias))]))


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] to float [B, 3, H, W] in -1..1."""
    tensor = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return tensor.contiguous(memory_format=torch.channels_last)


def to_pictures(images: Tensor) -> np.ndarray:
    """float [B, 3, H, W] in -1..1 to uint8 [B, H, W, 3]."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


@dataclass(frozen=True)
class Examples:
    """Pictures [N, 128, 128, 3] and their latents [N, 4, 16, 16]."""

    pictures: np.ndarray
    latents: np.ndarray

    def batch(self, rng: np.random.Generator, whole: bool) -> tuple[Tensor, Tensor]:
        """Images [B, 3, H, W] in -1..1 and latents [B, 4, h, w], whole or the same random crop of both."""
        count = len(self.pictures) - HELD_BACK
        chosen = np.sort(rng.integers(0, count, WHOLE_BATCH if whole else BATCH))
        pictures, latents = np.array(self.pictures[chosen]), np.array(self.latents[chosen], dtype=np.float32)
        if not whole:
            y, x = rng.integers(0, latents.shape[-1] - CROP + 1, 2)
            latents = latents[:, :, y : y + CROP, x : x + CROP]
            pictures = pictures[:, CELL * y : CELL * (y + CROP), CELL * x : CELL * (x + CROP)]
        return to_tensor(pictures), torch.from_numpy(latents.copy())

    def held_back(self) -> tuple[np.ndarray, Tensor]:
        """Thirty pictures and latents that are in no batch."""
        return np.array(self.pictures[-30:]), torch.from_numpy(np.array(self.latents[-30:], dtype=np.float32))


def decoder_loss(model: AutoencoderKL, images: Tensor, latents: Tensor) -> Tensor:
    """L1 and square errors of pixels, and L1 of the differences of neighbours, which keeps edges sharp."""
    with torch.autocast("cpu", torch.bfloat16):
        output = model.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample
    error = output.float() - images
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + error.square().mean() + GRADIENT_WEIGHT * edges


def encoder_loss(model: AutoencoderKL, images: Tensor, latents: Tensor) -> Tensor:
    """L1 and square errors of the mean; the log variance is drawn to LOG_VARIANCE."""
    with torch.autocast("cpu", torch.bfloat16):
        moments = model.quant_conv(model.encoder(images))
    mean, log_variance = moments.float().chunk(2, 1)
    error = mean - latents
    return error.abs().mean() + error.square().mean() + 0.01 * (log_variance - LOG_VARIANCE).square().mean()


Loss = Callable[[AutoencoderKL, Tensor, Tensor], Tensor]


def rate(part: float, steps: int) -> float:
    """Warm-up over 100 steps, then a cosine to 2 % of the peak."""
    return PEAK_RATE * min(1.0, (steps + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part)))


def train_half(half: str, examples: Examples, minutes: float, path: Path) -> None:
    """Trains the "encoder" or the "decoder" and saves the whole network's weights to `path`; goes on from them."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = new_autoencoder()
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
    parts = [model.decoder, model.post_quant_conv] if half == "decoder" else [model.encoder, model.quant_conv]
    weights = [weight for part in parts for weight in part.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    loss: Loss = decoder_loss if half == "decoder" else encoder_loss
    clock, steps = Clock(minutes), 0
    while clock.part < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate(clock.part, steps)
        value = loss(model, *examples.batch(rng, whole=clock.part > WHOLE_FROM))
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        steps += 1
        if steps % 100 == 0:
            print(f"{half}: {clock.elapsed:.1f} min, step {steps}, loss {value.item():.4f}", flush=True)
            torch.save(model.state_dict(), path)
    torch.save(model.state_dict(), path)
    report(model, examples)


@torch.inference_mode()
def report(model: AutoencoderKL, examples: Examples) -> None:
    """Prints how well each half does on the pictures held back."""
    pictures, latents = examples.held_back()
    error = to_pictures(model.decode(latents).sample).astype(np.float64) - pictures
    off = (model.encode(to_tensor(pictures)).latent_dist.mean - latents).square().mean().sqrt().item()
    print(f"decoder: {10 * math.log10(255**2 / np.mean(error**2)):.2f} dB; encoder: error {off:.3f}", flush=True)


def join_halves(encoder: Path, decoder: Path, folder: Path) -> None:
    """One autoencoder from the two halves' weights, saved to `folder`; latents need no scaling, they are whitened."""
    encoding, decoding = (torch.load(path, weights_only=True) for path in (encoder, decoder))
    first = {name: value for name, value in encoding.items() if name.startswith(("encoder.", "quant_conv."))}
    second = {name: value for name, value in decoding.items() if name.startswith(("decoder.", "post_quant_conv."))}
    model = new_autoencoder()
    model.load_state_dict(first | second)
    model.save_pretrained(folder)


@torch.inference_mode()
def reconstructed(model: AutoencoderKL, pictures: np.ndarray, batch: int = 20) -> np.ndarray:
    """uint8 pictures [N, H, W, 3] through the autoencoder and back, without noise."""
    parts = []
    for start in range(0, len(pictures), batch):
        mean = model.encode(to_tensor(pictures[start : start + batch])).latent_dist.mean
        parts.append(to_pictures(model.decode(mean).sample))
    return np.concatenate(parts)

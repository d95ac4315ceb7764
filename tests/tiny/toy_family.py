"""A family that the product does not know: a flow network over latents of three channels and a quarter of the picture.

It reads words by their letters, and its file is a table of tensors under `toy.`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from backend.catalog.families import Family, TensorRule, square
from backend.catalog.model_file import ModelFile
from backend.sampling.noise_table import NoiseTable
from backend.sampling.parametrisation import Flow, Parametrisation
from backend.worker.device import Placement
from backend.worker.models.encoded_text import NO_EMBEDDINGS, PLAIN, Embeddings, Encoded, TextSettings
from backend.worker.models.model_base import Component, Components, Model
from backend.worker.models.preview_colours import preview_factors
from backend.worker.models.tensor_files import Format

WIDTH, CHANNELS = 8, 3
FAMILY = Family(
    "toy", "Toy", (TensorRule("toy.denoiser.first.weight", 1, CHANNELS),), loader=f"{__name__}:Toy",
    cell=4, defaults=square(32) | {"steps": 4},
)


class Denoiser(nn.Module):
    """Two convolutions, with time and words between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(CHANNELS, WIDTH, 3, padding=1)
        self.time = nn.Linear(2, WIDTH)
        self.words = nn.Linear(WIDTH, WIDTH)
        self.last = nn.Conv2d(WIDTH, CHANNELS, 3, padding=1)

    def forward(self, x: Tensor, timesteps: Tensor, words: Tensor) -> Tensor:
        t = timesteps / 1000
        added = self.time(torch.stack([t, t.cos()], dim=1)) + self.words(words).mean(1)
        return self.last(torch.tanh(self.first(x) + added[..., None, None]))


def vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8), layers_per_block=1, latent_channels=CHANNELS, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    )


@dataclass(eq=False, kw_only=True)
class Toy(Model):
    """See the module."""

    prefixes: ClassVar[dict[str, str]] = {f"toy.{name}.": name for name in ("denoiser", "vae", "letters")}

    @classmethod
    def formats(cls, placement: Placement) -> dict[str, Format]:
        return dict.fromkeys(cls.prefixes.values(), Format(placement.device, torch.float32))

    @classmethod
    def split(cls, tensors: Mapping[str, Tensor]) -> Components:
        return {name: Component({}, {key.removeprefix(prefix): tensor for key, tensor in tensors.items()
                                     if key.startswith(prefix)}) for prefix, name in cls.prefixes.items()}

    @classmethod
    def build(
        cls, checkpoint: ModelFile, components: Components, parametrisation: Parametrisation, placement: Placement
    ) -> Self:
        networks = {"denoiser": Denoiser(), "vae": vae(), "letters": nn.Embedding(256, WIDTH)}
        for name, network in networks.items():
            network.load_state_dict(components[name].tensors)
            network.to(placement.device).eval().requires_grad_(False)
        return cls(
            checkpoint=checkpoint, placement=placement, text_encoders=(networks["letters"],),
            denoiser=networks["denoiser"], vae=networks["vae"], parametrisation=Flow(NoiseTable.flow()),
            preview_factors=preview_factors(networks["vae"]),
        )

    def encode_text(self, text: str, settings: TextSettings = PLAIN, embeddings: Embeddings = NO_EMBEDDINGS) -> Encoded:
        letters = torch.tensor([0, *text.encode()], device=self.device)
        return Encoded(self.text_encoders[0](letters))

    def predict(self, x: Tensor, timesteps: Tensor, texts: Encoded, *, channels: Tensor | None = None) -> Tensor:
        return self.denoiser(x, timesteps, texts.tokens)


def save(file: Path, seed: int = 0) -> Path:
    """A file of random weights."""
    torch.manual_seed(seed)
    networks = {"denoiser": Denoiser(), "vae": vae(), "letters": nn.Embedding(256, WIDTH)}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"toy.{name}.{key}": tensor.contiguous() for name, network in networks.items()
               for key, tensor in network.state_dict().items()}, file)
    return file


def loaded(folder: Path, placement: Placement, seed: int = 0) -> Toy:
    """One in memory, past the loader."""
    file = save(folder / "toy.safetensors", seed)
    checkpoint = ModelFile("checkpoint", "toy", str(file), family="toy", sha256="0" * 64)
    return Toy.build(checkpoint, Toy.split(load_file(file)), Flow(NoiseTable.flow()), placement)

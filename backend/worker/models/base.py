"""What a loaded checkpoint can do, whatever its family.

A family is a subclass of `Model` in a file of its own: it says how its weights are named and shaped, and how it reads
text. The pipeline calls the methods below and never asks which family it has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from backend.messages import Checkpoint
from backend.sampling.noise_table import NoiseTable
from backend.worker.device import Placement
from backend.worker.models import vae, vae_tiles
from backend.worker.models.background_hash import BackgroundHash
from backend.worker.models.moving import move, tensors
from backend.worker.models.vae_tiles import TILES, Tiles
from backend.worker.pixels import Pixels

if TYPE_CHECKING:
    from backend.prompt.chunks import Chunk
    from backend.prompt.tokenizer import Tokenizer

_LOADS = count(1)

Prediction = Literal["epsilon", "v"]
LATENT_SCALE = vae.SCALE
"""Pixels per latent cell, in each direction."""
GREY = 127.5
"""The level halfway between black and white: 0 for a VAE. Inpainting networks see it where they are to paint."""


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a checkpoint before it is built: a config, and tensors in diffusers' or transformers' names."""

    config: Mapping[str, Any]
    tensors: dict[str, Tensor]


Parts = dict[str, Part]
"""By diffusers' folder names: "unet", "vae", "text_encoder", ..."""


@dataclass(frozen=True, slots=True)
class Training:
    """How the UNet was trained: what it predicts, and the noise levels it knows."""

    prediction: Prediction
    schedule: NoiseTable


@dataclass(eq=False, kw_only=True)
class Model(ABC):
    """A checkpoint in memory, in eval mode and without gradients. Owned by `Memory`; others hold it for one call.

    All latents are float32 on `device`, in the scale the UNet was trained on.
    """

    families: ClassVar[tuple[str, ...]] = ()    # the catalogue's names that this class loads

    checkpoint: Checkpoint
    placement: Placement
    unet: nn.Module
    vae: nn.Module
    text_encoder: nn.Module
    tokenizer: Tokenizer
    schedule: NoiseTable
    prediction: Prediction
    preview_factors: Tensor     # (C + 1, 3): latent channels to RGB in 0..1, the last row an offset
    background_hash: BackgroundHash | None = None       # of a checkpoint whose hash was not known
    identity: int = field(init=False, default_factory=partial(next, _LOADS))
    """Which load of this process it is: a file that is read again is another model."""

    @classmethod
    @abstractmethod
    def split(cls, tensors: Mapping[str, Tensor]) -> Parts:
        """Sort the tensors of a single file in its authors' layout into parts in diffusers' names.

        Raises CheckpointError when a whole part is missing.
        """

    @classmethod
    @abstractmethod
    def build(cls, checkpoint: Checkpoint, parts: Parts, training: Training, placement: Placement) -> Self:
        """Make the networks on the placement's device. Raises CheckpointError naming missing tensors."""

    @abstractmethod
    def encode_text(self, chunks: Sequence[Chunk], clip_skip: int = 1, emphasis: str = "Original") -> Tensor:
        """Embed a prompt: n chunks of 77 tokens -> (1, 77 * n, C) float32 on `device`.

        `clip_skip` counts from 1 (all layers); `emphasis` is one of request.EMPHASIS.
        """

    @abstractmethod
    def predict(self, x: Tensor, timesteps: Tensor, context: Tensor, **control: Any) -> Tensor:
        """Run the UNet on rows: its raw output (epsilon or v, see `prediction`) as float32 (B, 4, h, w).

        `x` (B, 4, h, w), already scaled to unit variance; `timesteps` (B,), may be fractional; `context` (B, T, C).
        `control` goes to the UNet (additional residuals of ControlNet and others), but for `channels` (B, K, h, w):
        what a network is shown beside the latent, see `sees_masks` and `sees_pictures`.
        """

    def decode(self, latent: Tensor) -> Pixels:
        """Latents (B, 4, h, w) -> pixels (B, 8h, 8w, 3), uint8 RGB. Raises EaselError when the latent is not finite."""
        return vae.decode(self.vae, latent)

    def decode_tiled(self, latent: Tensor, tiles: Tiles = TILES, *, wrap: bool = False) -> Pixels:
        """As `decode`, in overlapping square tiles: needs the memory of one. `wrap`: opposite edges are neighbours."""
        return vae_tiles.decode_tiled(self.vae, latent, tiles, wrap)

    def encode(self, pixels: Pixels, noise: Tensor | None = None) -> Tensor:
        """Pixels (B, H, W, 3) RGB in 0..255, H and W multiples of 8 -> latents (B, 4, H/8, W/8).

        The mean of the VAE's distribution, or with unit `noise` of the latent's shape a sample of it.
        """
        return vae.encode(self.vae, pixels, noise)

    def encode_tiled(self, pixels: Pixels, tiles: Tiles = TILES, *, wrap: bool = False) -> Tensor:
        """The mean as `encode` gives it, in overlapping square tiles: needs the memory of one. `wrap`: as above."""
        return vae_tiles.encode_tiled(self.vae, pixels, tiles, wrap)

    def preview(self, latent: Tensor) -> Pixels:
        """A rough picture of latents (B, 4, h, w), uint8 RGB: by a linear map, one pixel per cell, (B, h, w, 3)."""
        return vae.linear_rgb(self.preview_factors, latent)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """(channels, rows, columns) of the latent of a picture of `width` x `height` pixels."""
        return self.latent_channels, height // LATENT_SCALE, width // LATENT_SCALE

    @property
    def sees_masks(self) -> bool:
        """An inpainting network: its channels are the mask and the latent of the picture with the mask cut out."""
        return False

    @property
    def sees_pictures(self) -> bool:
        """An edit network: its channels are the latent of the picture to edit, or zeros for none."""
        return False

    @property
    def latent_channels(self) -> int:
        return self.vae.config.latent_channels

    @property
    def sha256(self) -> str:
        """Of the checkpoint's file or folder, hexadecimal; waits for it. "" when it cannot be known any more."""
        return self.checkpoint.sha256 or (self.background_hash.wait() if self.background_hash else "")

    @property
    def device(self) -> torch.device:
        """Where the networks are now."""
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The UNet's number format."""
        return self.placement.unet

    @property
    def bytes(self) -> int:
        """Memory that the networks take."""
        return sum(tensor.nbytes for network in self.networks() for tensor in tensors(network))

    def networks(self) -> tuple[nn.Module, ...]:
        """Every module that `to` moves."""
        return self.unet, self.vae, self.text_encoder

    def to(self, device: torch.device) -> Self:
        """Move all networks, number formats unchanged. Where memory runs out all are back where they were."""
        move(self.networks(), device)
        self.preview_factors = self.preview_factors.to(device)
        return self


def apply_emphasis(z: Tensor, multipliers: Tensor, mode: str) -> Tensor:
    """Weigh token embeddings `z` (n, 77, C) by `multipliers` (n, 77), as AUTOMATIC1111's sd_emphasis does.

    "Original" restores each chunk's mean afterwards, "No norm" does not, "Ignore" and "None" change nothing.
    """
    if mode in ("Ignore", "None"):
        return z
    weighted = z * multipliers.unsqueeze(-1)
    if mode == "No norm":
        return weighted
    ratio = z.mean(dim=(1, 2), keepdim=True) / weighted.mean(dim=(1, 2), keepdim=True)
    return weighted * ratio.nan_to_num(nan=1, posinf=1, neginf=1)

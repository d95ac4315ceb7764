"""What encodes and decodes pictures: a checkpoint with its own VAE, or a VAE that was chosen in its place."""

from __future__ import annotations

from functools import partial
from itertools import count

from torch import Tensor, nn

from backend.worker.models import vae, vae_tiles
from backend.worker.models.side_stream import Reading, at_once
from backend.worker.models.vae_tiles import TILES, Tiles
from backend.worker.pixels import Pixels

next_identity = partial(next, count(1))


class Autoencoder:
    """From pixels to latents and back by `vae`. Latents are float32, in the scale that the denoiser was trained on."""

    vae: nn.Module
    identity: int
    """Which load of this process it is: a file that is read again is another one."""

    def decode(self, latent: Tensor) -> Pixels:
        """Latents (B, C, h, w) -> pixels (B, H, W, 3), uint8 RGB. Raises EaselError when the latent is not finite."""
        return at_once(self.decoding(latent))

    def decoding(self, latent: Tensor) -> Reading[Pixels]:
        """As `decode`, for who does not wait."""
        return vae.decoding(self.vae, latent)

    def decode_tiled(self, latent: Tensor, tiles: Tiles = TILES, *, wrap: bool = False) -> Pixels:
        """As `decode`, in overlapping square tiles: needs the memory of one. `wrap`: opposite edges are neighbours."""
        return vae_tiles.decode_tiled(self.vae, latent, tiles, wrap)

    def encode(self, pixels: Pixels, noise: Tensor | None = None) -> Tensor:
        """Pixels (B, H, W, 3) RGB in 0..255, H and W multiples of `latent_scale` -> latents (B, C, h, w).

        The mean of the VAE's distribution, or with unit `noise` of the latent's shape a sample of it.
        """
        return at_once(self.encoding(pixels, noise))

    def encoding(self, pixels: Pixels, noise: Tensor | None = None) -> Reading[Tensor]:
        """As `encode`, for who does not wait."""
        return vae.encoding(self.vae, pixels, noise)

    def encode_tiled(self, pixels: Pixels, tiles: Tiles = TILES, *, wrap: bool = False) -> Tensor:
        """The mean as `encode` gives it, in overlapping square tiles: needs the memory of one. `wrap`: as above."""
        return vae_tiles.encode_tiled(self.vae, pixels, tiles, wrap)

    @property
    def latent_channels(self) -> int:
        return self.vae.config.latent_channels

    @property
    def latent_scale(self) -> int:
        """Pixels per latent cell, in each direction."""
        return vae.scale(self.vae)

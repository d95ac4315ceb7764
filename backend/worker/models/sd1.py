"""Stable Diffusion 1: CLIP-L text encoder, UNet with cross-attention, KL autoencoder (Rombach et al. 2022).

Also its inpainting (9 channels) and InstructPix2Pix (8) variations, and networks of the same build in other sizes:
what a file's shapes say overrides the published configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from backend.catalog.model_file import ModelFile
from backend.prompt.chunks import Chunk
from backend.prompt.tokenizer import Tokenizer
from backend.sampling.parametrisation import Parametrisation
from backend.worker.device import Placement
from backend.worker.models import clip_text, ldm_layout
from backend.worker.models.encoded_text import NO_EMBEDDINGS, PLAIN, Embeddings, Encoded, TextSettings
from backend.worker.models.model_base import Component, Components, Model
from backend.worker.models.preview_colours import Published, preview_factors
from backend.worker.models.text_encoding import Reader, read

Config = dict[str, Any]

UNET: Config = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,        # diffusers' name for the number of heads of this family
    "norm_num_groups": 32,
}
VAE: Config = ldm_layout.KL_VAE | {"sample_size": 512, "scaling_factor": 0.18215}
# "Decoding latents to RGB without upscaling", Kevin Turner 2022: what AUTOMATIC1111 calls "Approx cheap"
COLOURS = Published(
    stages=(128, 256, 512, 512),
    rows=(
        (0.298, 0.207, 0.208),
        (0.187, 0.286, 0.173),
        (-0.158, 0.189, 0.264),
        (-0.184, -0.271, -0.473),
        (0.0, 0.0, 0.0),
    ),
)
TEXT_PREFIX = "cond_stage_model.transformer."


@dataclass(eq=False, kw_only=True)
class SD1(Model):
    """A Stable Diffusion 1 checkpoint."""

    prefixes: ClassVar[Mapping[str, str]] = ldm_layout.PREFIXES | {TEXT_PREFIX: "text_encoder"}

    tokenizer: Tokenizer

    @classmethod
    def split(cls, tensors: Mapping[str, Tensor]) -> Components:
        """See `Model.split`. Sizes are read off the tensors."""
        with ldm_layout.sizes_expected():
            text = ldm_layout.section(tensors, TEXT_PREFIX, "text encoder")
            return {
                "unet": ldm_layout.unet_component(tensors, partial(ldm_layout.unet_config, published=UNET)),
                "vae": ldm_layout.vae_component(tensors, VAE),
                "text_encoder": Component(clip_text.text_config(clip_text.plain_text_names(text)), text),
            }

    @classmethod
    def build(
        cls, checkpoint: ModelFile, components: Components, parametrisation: Parametrisation, placement: Placement
    ) -> Self:
        """See `Model.build`."""
        unet, vae = ldm_layout.unet_and_vae(components, placement)
        encoder = clip_text.text_encoder(components["text_encoder"], placement.text, placement.device)
        return cls(
            checkpoint=checkpoint, placement=placement, text_encoders=(encoder,), denoiser=unet,
            vae=vae, parametrisation=parametrisation, tokenizer=cls.tokenizer_for(checkpoint, encoder),
            preview_factors=preview_factors(vae, COLOURS),
        )

    @classmethod
    def tokenizer_for(cls, checkpoint: ModelFile, encoder: nn.Module) -> Tokenizer:
        """What makes tokens of a text for this encoder. Raises CheckpointError, see `clip.tokenizer`."""
        return clip_text.tokenizer(checkpoint, encoder)

    @property
    def word_widths(self) -> tuple[int, ...]:
        """See `Model.word_widths`."""
        return (self.text_encoders[0].config.hidden_size,)

    def encode_text(
        self, text: str, settings: TextSettings = PLAIN, embeddings: Embeddings = NO_EMBEDDINGS
    ) -> Encoded:
        """See `Model.encode_text`."""
        reader = Reader(self.tokenizer, self.text_encoders[0], lambda chunks: (self._states(chunks, settings), None))
        return read(text, [reader], settings, embeddings)

    def _states(self, chunks: Sequence[Chunk], settings: TextSettings) -> Tensor:
        """(n, 77, C). Skipped layers end in the final layer norm; no encoder is skipped altogether."""
        encoder = self.text_encoders[0]
        tokens = torch.tensor([chunk.tokens for chunk in chunks], device=self.device)                   # (n, 77)
        output = encoder(input_ids=tokens, output_hidden_states=True)
        skip = min(settings.clip_skip, len(output.hidden_states) - 1)
        return output.last_hidden_state if skip <= 1 else encoder.final_layer_norm(output.hidden_states[-skip])

    @property
    def sees_masks(self) -> bool:
        """See `Model.sees_masks`."""
        return self._shown == self.latent_channels + 1

    @property
    def sees_pictures(self) -> bool:
        """See `Model.sees_pictures`."""
        return self._shown == self.latent_channels

    @property
    def _shown(self) -> int:
        """Channels that the network takes beside the latent."""
        return self.denoiser.config.in_channels - self.latent_channels

    def predict(self, x: Tensor, timesteps: Tensor, texts: Encoded, *, channels: Tensor | None = None) -> Tensor:
        """See `Model.predict`. An edit network without `channels` sees no picture."""
        if self.sees_pictures and channels is None:
            channels = torch.zeros_like(x)
        if channels is not None:
            x = torch.cat([x, self._unscaled(channels)], dim=1)
        x = x.to(self.dtype, memory_format=torch.channels_last)
        return self.denoiser(x, timesteps, texts.tokens.to(self.dtype), return_dict=False)[0].float()

    def _unscaled(self, channels: Tensor) -> Tensor:
        """InstructPix2Pix was trained on latents as the VAE gives them."""
        return channels / self.vae.config.scaling_factor if self.sees_pictures else channels

"""Stable Diffusion 2: SD 1's networks around OpenCLIP's ViT-H text encoder (Rombach et al. 2022, Cherti et al. 2022).

Also its inpainting variation (9 channels), and networks of the same build in other sizes. Texts are read as
AUTOMATIC1111 reads them: the last layer but one under the final norm, whatever clip skip says. Single files do not tell
whether they predict noise (512 pixels) or v (768 pixels); where nothing beside a file does, its network is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from backend.catalog.model_file import ModelFile
from backend.catalog.module_shapes import UNREAD_BLOCKS
from backend.prompt.chunks import Chunk, pad_after_end
from backend.prompt.tokenizer import Tokenizer
from backend.sampling.parametrisation import PARAMETRISATIONS, Parametrisation
from backend.worker.models import clip_text, ldm_layout, open_clip_layout, sd1
from backend.worker.models.encoded_text import Encoded, TextSettings
from backend.worker.models.model_base import Component, Components

Config = dict[str, Any]

UNET: Config = sd1.UNET | {
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
TEXT_PREFIX = "cond_stage_model.model."
LAST_TIMESTEP, TRIED, VELOCITY_BELOW = 999, 0.5, -1.0


@dataclass(eq=False, kw_only=True)
class SD2(sd1.SD1):
    """A Stable Diffusion 2 checkpoint."""

    prefixes: ClassVar[Mapping[str, str]] = ldm_layout.PREFIXES | {TEXT_PREFIX: "text_encoder"}

    @classmethod
    def split(cls, tensors: Mapping[str, Tensor]) -> Components:
        """See `Model.split`. The last block of the text encoder is left out: nothing reads what it makes."""
        with ldm_layout.sizes_expected():
            text = ldm_layout.section(tensors, TEXT_PREFIX, "text encoder")
            config = open_clip_layout.config_of(text)
            layers = config["num_hidden_layers"] - UNREAD_BLOCKS[TEXT_PREFIX]
            return {
                "unet": ldm_layout.unet_component(tensors, sd2_unet_config),
                "vae": ldm_layout.vae_component(tensors, sd1.VAE),
                "text_encoder": Component(config | {"num_hidden_layers": layers}, open_clip_layout.renamed(text)),
            }

    @classmethod
    def tokenizer_for(cls, checkpoint: ModelFile, encoder: nn.Module) -> Tokenizer:
        """See `SD1.tokenizer_for`: OpenCLIP's."""
        return clip_text.open_clip_tokenizer(super().tokenizer_for(checkpoint, encoder))

    def _states(self, chunks: Sequence[Chunk], settings: TextSettings) -> Tensor:
        """(n, 77, 1024). Clip skip is not listened to."""
        padded = [pad_after_end(chunk.tokens, self.tokenizer) for chunk in chunks]
        return self.text_encoders[0](input_ids=torch.tensor(padded, device=self.device)).last_hidden_state

    @torch.inference_mode()
    def tried_parametrisation(self) -> Parametrisation:
        """AUTOMATIC1111's trial: a network of noise answers a flat input near it, one of v far below it."""
        if self.denoiser.config.in_channels != self.latent_channels:
            return self.parametrisation
        flat = torch.full((1, self.latent_channels, 8, 8), TRIED, device=self.device)
        words = Encoded(torch.full((1, 2, self.denoiser.config.cross_attention_dim), TRIED, device=self.device))
        answer = self.predict(flat, torch.tensor([float(LAST_TIMESTEP)], device=self.device), words)
        is_velocity = (answer - flat).mean().item() < VELOCITY_BELOW
        return PARAMETRISATIONS["v"](self.parametrisation.table) if is_velocity else self.parametrisation


def sd2_unet_config(tensors: Mapping[str, Tensor]) -> Config:
    """The UNet's config from its tensors in LDM names. Raises KeyError with the name of a missing one."""
    config = ldm_layout.unet_config(tensors, UNET)
    return config | {"attention_head_dim": clip_text.heads(config["block_out_channels"])}

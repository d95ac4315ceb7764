"""Stable Diffusion 1: CLIP-L text encoder, UNet with cross-attention, KL autoencoder (Rombach et al. 2022).

Also its inpainting (9 channels) and InstructPix2Pix (8) variations, and networks of the same build in other sizes:
what a file's shapes say overrides the published configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from backend.messages import Checkpoint
from backend.worker.device import Placement
from backend.worker.models import clip, ldm_layout, vae
from backend.worker.models.assemble import assemble
from backend.worker.models.base import GREY, LATENT_SCALE, Model, Part, Parts, Training, apply_emphasis

if TYPE_CHECKING:
    from backend.prompt.chunks import Chunk

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
VAE: Config = {
    "sample_size": 512,
    "latent_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "norm_num_groups": 32,
    "scaling_factor": 0.18215,
}
TEXT_PREFIX = "cond_stage_model.transformer."


class SD1(Model):
    """A Stable Diffusion 1 checkpoint."""

    families: ClassVar[tuple[str, ...]] = ("sd1", "sd1-inpaint", "sd1-edit")

    @classmethod
    def split(cls, tensors: Mapping[str, Tensor]) -> Parts:
        """See `Model.split`. Sizes are read off the tensors."""
        with ldm_layout.sizes_expected():
            text = ldm_layout.section(tensors, TEXT_PREFIX, "text encoder")
            return {
                "unet": ldm_layout.unet_part(tensors, UNET),
                "vae": ldm_layout.vae_part(tensors, VAE),
                "text_encoder": Part(clip.text_config(clip.plain_text_names(text)), text),
            }

    @classmethod
    def build(cls, checkpoint: Checkpoint, parts: Parts, training: Training, placement: Placement) -> Self:
        """See `Model.build`."""
        device, kinds = placement.device, {"unet": UNet2DConditionModel, "vae": AutoencoderKL}
        networks = {
            name: assemble(lambda n=name: kinds[n].from_config(dict(parts[n].config)), tensors, dtype, device)
            for name, tensors, dtype in (
                ("unet", parts["unet"].tensors, placement.unet),
                ("vae", ldm_layout.new_attention_names(parts["vae"].tensors), placement.vae),
            )
        }
        encoder = clip.text_encoder(parts["text_encoder"], placement.text, device)
        return cls(
            checkpoint=checkpoint, placement=placement, **networks, text_encoder=encoder,
            tokenizer=clip.tokenizer(checkpoint, encoder), schedule=training.schedule, prediction=training.prediction,
            preview_factors=vae.preview_factors(networks["vae"]),
        )

    def encode_text(self, chunks: Sequence[Chunk], clip_skip: int = 1, emphasis: str = "Original") -> Tensor:
        """See `Model.encode_text`. Skipped layers end in the final layer norm; no encoder is skipped altogether."""
        tokens = torch.tensor([chunk.tokens for chunk in chunks], device=self.device)                   # (n, 77)
        multipliers = torch.tensor([chunk.multipliers for chunk in chunks], device=self.device)         # (n, 77)
        output = self.text_encoder(input_ids=tokens, output_hidden_states=True)
        skip = min(clip_skip, len(output.hidden_states) - 1)
        z = output.last_hidden_state if skip <= 1 else self.text_encoder.final_layer_norm(output.hidden_states[-skip])
        return apply_emphasis(z.float(), multipliers, emphasis).flatten(0, 1).unsqueeze(0)              # (1, 77n, C)

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
        return self.unet.config.in_channels - self.latent_channels

    def predict(
        self, x: Tensor, timesteps: Tensor, context: Tensor, *, channels: Tensor | None = None, **control: Any
    ) -> Tensor:
        """See `Model.predict`. Without `channels` an inpainting network paints all, an edit network sees nothing."""
        if self._shown:
            x = torch.cat([x, self._blank(x) if channels is None else self._unscaled(channels)], dim=1)
        x = x.to(self.dtype, memory_format=torch.channels_last)
        return self.unet(x, timesteps, context.to(self.dtype), return_dict=False, **control)[0].float()

    def _unscaled(self, channels: Tensor) -> Tensor:
        """InstructPix2Pix was trained on latents as the VAE gives them."""
        return channels / self.vae.config.scaling_factor if self.sees_pictures else channels

    def _blank(self, x: Tensor) -> Tensor:
        """(B, K, h, w): a mask of ones over a grey picture, or for an edit network no picture."""
        if self.sees_pictures:
            return torch.zeros_like(x)
        rows, columns = x.shape[-2:]
        grey = np.full((1, rows * LATENT_SCALE, columns * LATENT_SCALE, 3), GREY, np.float32)
        masked = self.encode(grey).to(x)
        return torch.cat([torch.ones_like(masked[:, :1]), masked], dim=1).expand(len(x), -1, -1, -1)

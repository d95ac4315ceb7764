"""Stable Diffusion XL: two text encoders, pooled text and picture sizes beside the prompt (Podell et al. 2023).

Also its inpainting variation (9 channels), and networks of the same build in other sizes. Prompts are read as
AUTOMATIC1111 reads them: both encoders see the same chunks, each gives its last layer but one without a final norm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from backend.catalog.model_file import ModelFile
from backend.prompt.chunks import CHUNK_LENGTH, Chunk, pad_after_end
from backend.prompt.tokenizer import Tokenizer
from backend.request.request import Request
from backend.sampling.parametrisation import Parametrisation
from backend.worker.device import Placement
from backend.worker.models import clip_text, ldm_layout, open_clip_layout
from backend.worker.models.encoded_text import NO_EMBEDDINGS, Embeddings, Encoded, Role, TextSettings
from backend.worker.models.model_base import Component, Components, Model
from backend.worker.models.preview_colours import Published, preview_factors
from backend.worker.models.tensor_files import Format
from backend.worker.models.text_encoding import Reader, read

Config = dict[str, Any]

UNET: Config = {
    "sample_size": 128,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),      # diffusers' name for the number of heads of this family
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "norm_num_groups": 32,
}
VAE: Config = ldm_layout.KL_VAE | {"sample_size": 1024, "scaling_factor": 0.13025}
# ComfyUI's linear map for SDXL's latents
COLOURS = Published(
    stages=(128, 256, 512, 512),
    rows=(
        (0.3651, 0.4232, 0.4341),
        (-0.2533, -0.0042, 0.1068),
        (0.1076, 0.1111, -0.0362),
        (-0.3165, -0.2492, -0.2188),
        (0.1084, -0.0175, -0.0011),
    ),
)
SIZES = 6               # numbers that tell the network of sizes: original height and width, crop top and left, target
TEXT_PREFIX = "conditioner.embedders.0.transformer."
TEXT_2_PREFIX = "conditioner.embedders.1.model."


@dataclass(frozen=True, slots=True)
class SDXLTextSettings(TextSettings):
    """`crop` (top, left) is where the network shall believe that its picture was cut out of a larger one.

    `skips_clip_l`: clip skip counts for the first encoder; otherwise each stops one layer before its end.
    `zeroes`: the text counts for nothing at all, zeros stand in the place of its vectors.
    """

    crop: tuple[int, int] = (0, 0)
    skips_clip_l: bool = False
    zeroes: bool = False


PLAIN = SDXLTextSettings()


@dataclass(eq=False, kw_only=True)
class SDXL(Model):
    """A Stable Diffusion XL checkpoint. `Encoded.pooled` holds the pooled text and, behind it, the six sizes."""

    prefixes: ClassVar[Mapping[str, str]] = ldm_layout.PREFIXES | {
        TEXT_PREFIX: "text_encoder", TEXT_2_PREFIX: "text_encoder_2",
    }
    sdxl_knots: ClassVar[bool] = True
    numbers: ClassVar[int] = SIZES
    """How many numbers stand behind the pooled text."""

    tokenizer: Tokenizer
    tokenizer_2: Tokenizer

    @classmethod
    def formats(cls, placement: Placement) -> dict[str, Format]:
        """See `Model.formats`. The second text encoder, most of a gigabyte, stays as narrow as its file."""
        return super().formats(placement) | {"text_encoder_2": Format(placement.device, placement.text, narrow=True)}

    @classmethod
    def split(cls, tensors: Mapping[str, Tensor]) -> Components:
        """See `Model.split`. Sizes are read off the tensors."""
        with ldm_layout.sizes_expected():
            text = clip_text.plain_text_names(ldm_layout.section(tensors, TEXT_PREFIX, "text encoder"))
            text_2 = ldm_layout.section(tensors, TEXT_2_PREFIX, "second text encoder")
            config_2 = open_clip_layout.config_of(text_2)

            def unet_config(unet: Mapping[str, Tensor]) -> Config:
                return sdxl_unet_config(unet, config_2["projection_dim"], cls.numbers)

            return {
                "unet": ldm_layout.unet_component(tensors, unet_config),
                "vae": ldm_layout.vae_component(tensors, VAE),
                "text_encoder": Component(clip_text.text_config(text), text),
                "text_encoder_2": Component(config_2, open_clip_layout.renamed(text_2)),
            }

    @classmethod
    def build(
        cls, checkpoint: ModelFile, components: Components, parametrisation: Parametrisation, placement: Placement
    ) -> Self:
        """See `Model.build`. The second text encoder computes in the text's format, in whatever it is kept."""
        device = placement.device
        unet, vae = ldm_layout.unet_and_vae(components, placement)
        encoder = clip_text.text_encoder(components["text_encoder"], placement.text, device)
        encoder_2 = clip_text.projecting_text_encoder(components["text_encoder_2"], placement.text, device)
        tokenizer = clip_text.tokenizer(checkpoint, encoder)
        return cls(
            checkpoint=checkpoint, placement=placement, text_encoders=(encoder, encoder_2), denoiser=unet, vae=vae,
            parametrisation=parametrisation, tokenizer=tokenizer, tokenizer_2=clip_text.open_clip_tokenizer(tokenizer),
            preview_factors=preview_factors(vae, COLOURS),
        )

    def text_settings(
        self, request: Request, role: Role, size: tuple[int, int], texts: Sequence[str]
    ) -> SDXLTextSettings:
        """See `Model.text_settings`. A negative prompt is zeros if it is empty at every step."""
        empty = role == "uncond" and not any(texts)
        return SDXLTextSettings(
            clip_skip=request.clip_skip, emphasis=request.emphasis, role=role, size=size,
            crop=(request.sdxl_crop_top, request.sdxl_crop_left), skips_clip_l=request.sdxl_clip_l_skip,
            zeroes=request.sdxl_zero_negative and empty,
        )

    @property
    def word_widths(self) -> tuple[int, ...]:
        """See `Model.word_widths`."""
        return tuple(encoder.config.hidden_size for encoder in self.text_encoders)

    def encode_text(
        self, text: str, settings: SDXLTextSettings = PLAIN, embeddings: Embeddings = NO_EMBEDDINGS
    ) -> Encoded:
        """See `Model.encode_text`: tokens (77n, 768 + 1280) of n chunks, pooled (1280 + 6,) of the first of them."""
        encoded = self._nothing() if settings.zeroes else read(text, self._readers(settings), settings, embeddings)
        beside = torch.tensor(self._beside(settings), dtype=torch.float32, device=self.device)
        return replace(encoded, pooled=torch.cat([encoded.pooled, beside]))

    def _beside(self, settings: SDXLTextSettings) -> list[float]:
        """The numbers that stand behind the pooled text."""
        return [*settings.size, *settings.crop, *settings.size]

    def _nothing(self) -> Encoded:
        """Zeros as long as the encoding of one chunk, without numbers."""
        return Encoded(torch.zeros(CHUNK_LENGTH + 2, sum(self.word_widths), device=self.device),
                       torch.zeros(self.text_encoders[-1].config.projection_dim, device=self.device))

    def _readers(self, settings: SDXLTextSettings) -> Sequence[Reader]:
        """Both encoders."""
        first, second = self.text_encoders
        return (Reader(self.tokenizer, first, lambda chunks: (self._clip_l(chunks, settings), None)),
                Reader(self.tokenizer_2, second, self._open_clip))

    def _clip_l(self, chunks: Sequence[Chunk], settings: SDXLTextSettings) -> Tensor:
        """(n, 77, C): the last layer but one, or with `skips_clip_l` the one that clip skip counts to. Never normed."""
        tokens = self._tensor([chunk.tokens for chunk in chunks])                                       # (n, 77)
        states = self.text_encoders[0](input_ids=tokens, output_hidden_states=True).hidden_states
        skip = settings.clip_skip if settings.skips_clip_l else 2
        return states[-min(skip, len(states))]

    def _open_clip(self, chunks: Sequence[Chunk]) -> tuple[Tensor, Tensor]:
        """(n, 77, C) of the last layer but one, and (n, P): the projected vector of each chunk's first end token."""
        encoder, tokenizer = self.text_encoders[-1], self.tokenizer_2
        tokens = self._tensor([pad_after_end(chunk.tokens, tokenizer) for chunk in chunks])             # (n, 77)
        output = encoder(input_ids=tokens, output_hidden_states=True)
        ends = (tokens == tokenizer.end).int().argmax(dim=-1)
        at_end = output.last_hidden_state[torch.arange(len(tokens), device=self.device), ends]
        return output.hidden_states[-2], encoder.text_projection(at_end)

    def _tensor(self, values: Sequence[Sequence[float]]) -> Tensor:
        return torch.tensor(values, device=self.device)

    @property
    def sees_masks(self) -> bool:
        """See `Model.sees_masks`."""
        return self.denoiser.config.in_channels == 2 * self.latent_channels + 1

    def predict(self, x: Tensor, timesteps: Tensor, texts: Encoded, *, channels: Tensor | None = None) -> Tensor:
        """See `Model.predict`."""
        x = x if channels is None else torch.cat([x, channels], dim=1)
        x = x.to(self.dtype, memory_format=torch.channels_last)
        pooled, numbers = texts.pooled.split([texts.pooled.shape[-1] - self.numbers, self.numbers], dim=-1)
        beside = {"text_embeds": pooled.to(self.dtype), "time_ids": numbers}
        tokens = texts.tokens.to(self.dtype)
        return self.denoiser(x, timesteps, tokens, added_cond_kwargs=beside, return_dict=False)[0].float()


def sdxl_unet_config(tensors: Mapping[str, Tensor], pooled: int, numbers: int = SIZES) -> Config:
    """The UNet's config from its tensors in LDM names. Raises KeyError with the name of a missing one.

    Beside a text's vectors go its `pooled` values, and so many `numbers`, each as a row of sines and cosines.
    """
    config = ldm_layout.unet_config(tensors, UNET)
    beside = tensors["label_emb.0.0.weight"].shape[1]
    stride = config["layers_per_block"] + 1
    stages = range(len(config["block_out_channels"]) - 1)
    depths = (*(_depth(tensors, f"input_blocks.{1 + stride * stage}") for stage in stages),
              _depth(tensors, "middle_block"))      # diffusers builds the last stage as deep as the middle
    return config | {
        "transformer_layers_per_block": depths,
        "attention_head_dim": clip_text.heads(config["block_out_channels"]),
        "projection_class_embeddings_input_dim": beside,
        "addition_time_embed_dim": (beside - pooled) // numbers,
    }


def _depth(tensors: Mapping[str, Tensor], block: str) -> int:
    return max(1, ldm_layout.count(tensors, re.escape(block) + r"\.1\.transformer_blocks\.(\d{1,3})\."))

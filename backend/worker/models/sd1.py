"""Stable Diffusion 1: CLIP-L text encoder, UNet with cross-attention, KL autoencoder (Rombach et al. 2022).

Also its inpainting (9 channels) and InstructPix2Pix (8) variations, and networks of the same build in other sizes:
what a file's shapes say overrides the published configuration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from backend.catalog.checkpoints import tokenizer_folder
from backend.errors import CheckpointError
from backend.messages import Checkpoint
from backend.prompt.chunks import chunk
from backend.prompt.tokenizer import Tokenizer
from backend.sampling.parametrisation import Parametrisation
from backend.worker.device import Placement
from backend.worker.models.assemble import assemble
from backend.worker.models.base import Component, Components, Model, apply_emphasis
from backend.worker.models.encoded import Encoded, TextSettings
from backend.worker.models.preview_colours import Published, preview_factors

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
TEXT: Config = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
}
HEAD_WIDTH = 64                     # of every CLIP text encoder
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
UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TEXT_PREFIX = "cond_stage_model.transformer."

_OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


@dataclass(eq=False, kw_only=True)
class SD1(Model):
    """A Stable Diffusion 1 checkpoint."""

    tokenizer: Tokenizer

    @classmethod
    def split(cls, tensors: Mapping[str, Tensor]) -> Components:
        """See `Model.split`. Sizes are read off the tensors."""
        unet = _below(tensors, UNET_PREFIX, "UNet")
        first_stage = _below(tensors, VAE_PREFIX, "VAE")
        text = _below(tensors, TEXT_PREFIX, "text encoder")
        try:
            return {
                "unet": _convert(unet, unet_config, convert_ldm_unet_checkpoint, UNET_PREFIX),
                "vae": _convert(first_stage, vae_config, convert_ldm_vae_checkpoint, VAE_PREFIX),
                "text_encoder": Component(text_config(plain_text_names(text)), text),
            }
        except KeyError as error:
            raise CheckpointError(f"the model lacks {error.args[0]}; the file is incomplete") from error
        except (IndexError, ValueError, AttributeError, ZeroDivisionError) as error:
            raise CheckpointError("the model has tensors of an unexpected size") from error

    @classmethod
    def build(
        cls, checkpoint: Checkpoint, components: Components, parametrisation: Parametrisation, placement: Placement
    ) -> Self:
        """See `Model.build`."""
        device, kinds = placement.device, {"unet": UNet2DConditionModel, "vae": AutoencoderKL}
        networks = {
            name: assemble(lambda n=name: kinds[n].from_config(dict(components[n].config)), tensors, dtype, device)
            for name, tensors, dtype in (
                ("unet", components["unet"].tensors, placement.unet),
                ("vae", _new_attention(components["vae"].tensors), placement.vae),
            )
        }
        text = components["text_encoder"]
        encoder = assemble(
            lambda: CLIPTextModel(CLIPTextConfig.from_dict(dict(text.config))), plain_text_names(text.tensors),
            placement.text, device,
        )
        return cls(
            checkpoint=checkpoint, placement=placement, text_encoders=(encoder,), denoiser=networks["unet"],
            vae=networks["vae"], parametrisation=parametrisation, tokenizer=_tokenizer(checkpoint, encoder),
            preview_factors=preview_factors(networks["vae"], COLOURS),
        )

    def encode_text(self, text: str, settings: TextSettings = TextSettings()) -> Encoded:
        """See `Model.encode_text`. Skipped layers end in the final layer norm; no encoder is skipped altogether."""
        chunks = chunk(text, self.tokenizer, emphasis=settings.emphasis)
        encoder = self.text_encoders[0]
        tokens = torch.tensor([chunk.tokens for chunk in chunks], device=self.device)                   # (n, 77)
        multipliers = torch.tensor([chunk.multipliers for chunk in chunks], device=self.device)         # (n, 77)
        output = encoder(input_ids=tokens, output_hidden_states=True)
        skip = min(settings.clip_skip, len(output.hidden_states) - 1)
        z = output.last_hidden_state if skip <= 1 else encoder.final_layer_norm(output.hidden_states[-skip])
        return Encoded(apply_emphasis(z.float(), multipliers, settings.emphasis).flatten(0, 1))         # (77n, C)

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


def unet_config(tensors: Mapping[str, Tensor]) -> Config:
    """The UNet's config from its tensors in LDM names. Raises KeyError with the name of a missing one."""
    count = _count(tensors, r"input_blocks\.(\d{1,3})\.")
    down = [i for i in range(count) if f"input_blocks.{i}.0.op.weight" in tensors]
    stride = down[0] if down else count                                 # resnets of a block and its downsampler
    starts = range(1, count, stride)
    widths = tuple(tensors[f"input_blocks.{i}.0.out_layers.3.weight"].shape[0] for i in starts)
    key = "input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"
    crossed = [key.format(i) in tensors for i in starts]
    return UNET | {
        "in_channels": tensors["input_blocks.0.0.weight"].shape[1],
        "out_channels": tensors["out.2.weight"].shape[0],
        "layers_per_block": stride - 1,
        "block_out_channels": widths,
        "down_block_types": tuple("CrossAttnDownBlock2D" if cross else "DownBlock2D" for cross in crossed),
        "up_block_types": tuple("CrossAttnUpBlock2D" if cross else "UpBlock2D" for cross in reversed(crossed)),
        "cross_attention_dim": tensors[key.format(starts[crossed.index(True)] if any(crossed) else 1)].shape[1],
        "norm_num_groups": math.gcd(UNET["norm_num_groups"], *widths),
    }


def vae_config(tensors: Mapping[str, Tensor]) -> Config:
    """The VAE's config from its tensors in LDM names. Raises KeyError with the name of a missing one."""
    count = _count(tensors, r"encoder\.down\.(\d)\.")
    widths = tuple(tensors[f"encoder.down.{i}.block.0.conv2.weight"].shape[0] for i in range(count))
    return VAE | {
        "latent_channels": tensors["post_quant_conv.weight"].shape[0],
        "layers_per_block": _count(tensors, r"encoder\.down\.0\.block\.(\d{1,3})\."),
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * count,
        "up_block_types": ("UpDecoderBlock2D",) * count,
        "norm_num_groups": math.gcd(VAE["norm_num_groups"], *widths),
    }


def text_config(tensors: Mapping[str, Tensor]) -> Config:
    """The CLIP text encoder's config from its tensors. Raises KeyError with the name of a missing one."""
    vocabulary, width = tensors["embeddings.token_embedding.weight"].shape
    return TEXT | {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": tensors["encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": _count(tensors, r"encoder\.layers\.(\d{1,3})\."),
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "max_position_embeddings": tensors["embeddings.position_embedding.weight"].shape[0],
        "projection_dim": width,
    }


def plain_text_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's tensors as transformers 5 names them; older files say `text_model.` before each."""
    return {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}


def _below(tensors: Mapping[str, Tensor], prefix: str, part: str) -> dict[str, Tensor]:
    below = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not below:
        raise CheckpointError(f"the file has no {part} (no tensors named {prefix}*)")
    return below


def _convert(
    tensors: dict[str, Tensor],
    config_of: Callable[[Mapping[str, Tensor]], Config],
    convert: Callable[[dict[str, Tensor], Config], dict[str, Tensor]],
    prefix: str,
) -> Component:
    config = config_of(tensors)
    return Component(config, convert({prefix + name: tensor for name, tensor in tensors.items()}, config))


def _count(names: Mapping[str, object], pattern: str) -> int:
    """How many numbered modules there are: one more than the highest number."""
    return 1 + max((int(found[1]) for name in names if (found := re.match(pattern, name))), default=-1)


def _new_attention(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """VAE tensors with the attention names that diffusers has used since 2023."""
    renamed = {}
    for name, tensor in tensors.items():
        old = next((part for part in _OLD_ATTENTION if part in name), "")
        renamed[name.replace(old, _OLD_ATTENTION[old]) if old else name] = tensor
    return renamed


def _tokenizer(checkpoint: Checkpoint, encoder: nn.Module) -> Tokenizer:
    folder = tokenizer_folder(checkpoint)
    try:
        tokenizer = Tokenizer.from_folder(folder) if folder else Tokenizer.clip()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"its tokenizer cannot be read: {error}") from error
    if max(tokenizer.start, tokenizer.end) >= encoder.config.vocab_size:
        raise CheckpointError("its text encoder knows fewer words than its tokenizer")
    return tokenizer

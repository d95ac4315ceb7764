"""UNet and VAE of a single file in its authors' layout (LDM, sgm): the config that shapes tell, and diffusers' names.

Sizes are read off the tensors; a family's published configuration fills in what no shape tells.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor, nn

from backend.errors import CheckpointError
from backend.worker.device import Placement
from backend.worker.models.assemble import assemble
from backend.worker.models.model_base import Component, Components

Config = dict[str, Any]

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
PREFIXES = {UNET_PREFIX: "unet", VAE_PREFIX: "vae"}
KL_VAE: Config = {
    "latent_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "norm_num_groups": 32,
}
"""The autoencoder that Stable Diffusion 1 and XL share but for its weights, its sample size and its scale."""
"""Of tensors' names, with the component that they belong to."""

_OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def section(tensors: Mapping[str, Tensor], prefix: str, part: str) -> dict[str, Tensor]:
    """The tensors below a prefix, without it. Raises CheckpointError naming the `part` when there are none."""
    below = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not below:
        raise CheckpointError(f"the file has no {part} (no tensors named {prefix}*)")
    return below


@contextmanager
def sizes_expected() -> Iterator[None]:
    """Turns what a missing or misshapen tensor makes of reading its sizes into a CheckpointError."""
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f"the model lacks {error.args[0]}; the file is incomplete") from error
    except (IndexError, ValueError, AttributeError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError("the model has tensors of an unexpected size") from error


def unet_component(tensors: Mapping[str, Tensor], config_of: Callable[[Mapping[str, Tensor]], Config]) -> Component:
    """The UNet of a whole file, in diffusers' names. Raises KeyError with the name of a missing tensor."""
    unet = section(tensors, UNET_PREFIX, "UNet")
    return _converted(unet, config_of(unet), convert_ldm_unet_checkpoint, UNET_PREFIX)


def vae_component(tensors: Mapping[str, Tensor], published: Config) -> Component:
    """The VAE of a whole file, in diffusers' names. Raises KeyError with the name of a missing tensor."""
    vae = section(tensors, VAE_PREFIX, "VAE")
    return _converted(vae, vae_config(vae, published), convert_ldm_vae_checkpoint, VAE_PREFIX)


def unet_config(tensors: Mapping[str, Tensor], published: Config) -> Config:
    """The UNet's config from its tensors in LDM names. Raises KeyError with the name of a missing one."""
    numbers = count(tensors, r"input_blocks\.(\d{1,3})\.")
    down = [i for i in range(numbers) if f"input_blocks.{i}.0.op.weight" in tensors]
    stride = down[0] if down else numbers                               # resnets of a block and its downsampler
    starts = range(1, numbers, stride)
    widths = tuple(tensors[f"input_blocks.{i}.0.out_layers.3.weight"].shape[0] for i in starts)
    key = "input_blocks.{}.1.transformer_blocks.0.attn2.to_k.weight"
    crossed = [key.format(i) in tensors for i in starts]
    return published | {
        "in_channels": tensors["input_blocks.0.0.weight"].shape[1],
        "out_channels": tensors["out.2.weight"].shape[0],
        "layers_per_block": stride - 1,
        "block_out_channels": widths,
        "down_block_types": tuple("CrossAttnDownBlock2D" if cross else "DownBlock2D" for cross in crossed),
        "up_block_types": tuple("CrossAttnUpBlock2D" if cross else "UpBlock2D" for cross in reversed(crossed)),
        "cross_attention_dim": tensors[key.format(starts[crossed.index(True)] if any(crossed) else 1)].shape[1],
        "norm_num_groups": math.gcd(published["norm_num_groups"], *widths),
    }


def vae_config(tensors: Mapping[str, Tensor], published: Config) -> Config:
    """The VAE's config from its tensors in LDM names. Raises KeyError with the name of a missing one."""
    stages = count(tensors, r"encoder\.down\.(\d)\.")
    widths = tuple(tensors[f"encoder.down.{i}.block.0.conv2.weight"].shape[0] for i in range(stages))
    return kl_config(
        published, widths, latent_channels=tensors["post_quant_conv.weight"].shape[0],
        layers=count(tensors, r"encoder\.down\.0\.block\.(\d{1,3})\."),
        attention="encoder.mid.attn_1.norm.weight" in tensors)


def kl_config(
    published: Config, widths: tuple[int, ...], *, latent_channels: int, layers: int, attention: bool
) -> Config:
    """The config of an autoencoder whose stages have these widths; what is not told is as it was `published`."""
    return published | {
        "latent_channels": latent_channels,
        "layers_per_block": layers,
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "norm_num_groups": math.gcd(published["norm_num_groups"], *widths),
    } | ({} if published.get("mid_block_add_attention", True) == attention else {"mid_block_add_attention": attention})


def unet_and_vae(components: Components, placement: Placement) -> tuple[nn.Module, nn.Module]:
    """Both networks on the placement's device. Raises CheckpointError naming missing tensors."""
    unet = components["unet"]
    return (
        assemble(lambda: UNet2DConditionModel.from_config(dict(unet.config)), unet.tensors, placement.unet,
                 placement.device),
        vae_network(components["vae"], placement),
    )


def vae_network(vae: Component, placement: Placement) -> nn.Module:
    """A VAE on the placement's device. Raises CheckpointError naming missing tensors."""
    return assemble(lambda: AutoencoderKL.from_config(dict(vae.config)), _new_attention_names(vae.tensors),
                    placement.vae, placement.device)


def count(names: Mapping[str, object], pattern: str) -> int:
    """How many numbered modules there are: one more than the highest number that the pattern's group finds."""
    return 1 + max((int(found[1]) for name in names if (found := re.match(pattern, name))), default=-1)


def _new_attention_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """VAE tensors with the attention names that diffusers has used since 2023."""
    renamed = {}
    for name, tensor in tensors.items():
        old = next((part for part in _OLD_ATTENTION if part in name), "")
        renamed[name.replace(old, _OLD_ATTENTION[old]) if old else name] = tensor
    return renamed


def _converted(
    tensors: dict[str, Tensor],
    config: Config,
    convert: Callable[[dict[str, Tensor], Config], dict[str, Tensor]],
    prefix: str,
) -> Component:
    return Component(config, convert({prefix + name: tensor for name, tensor in tensors.items()}, config))

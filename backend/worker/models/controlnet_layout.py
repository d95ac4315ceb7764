"""ControlNets of single files: the config that shapes tell, and diffusers' names for the authors' layout (LDM, sgm).

A ControlNet is a copy of the front half of the UNet that it guides (Zhang et al. 2023). So what no shape tells, such as
the number of attention heads, is as in that UNet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from torch import Tensor

from backend.worker.models.ldm_layout import UNET_PREFIX, count
from backend.worker.models.model_base import Component

Config = dict[str, Any]

PREFIX = "control_model."
KINDS = "task_embedding"        # the name of a tensor: there in ControlNets of several kinds
LORA = "lora_controlnet"        # the name of a tensor: there in Control-LoRAs
UP, DOWN = ".up", ".down"       # ends of the names of what is added to a weight of the UNet, as a product
DIFFERENCE = "difference"       # the name of a tensor: the trunk's are what was added to those of the UNet
_LDM = "input_blocks.0.0.weight"
_TRUNK = re.compile(r"input_blocks\.")
_BESIDE = ("zero_convs.", "middle_block_out.", "input_hint_block.")
_FRONT = ("conv_in.", "time_embedding.", "add_embedding.", "down_blocks.", "mid_block.")
_SHARED = ("act_fn", "norm_eps", "attention_head_dim", "num_attention_heads", "flip_sin_to_cos", "freq_shift",
           "addition_time_embed_dim", "resnet_time_scale_shift", "upcast_attention", "only_cross_attention")
_HINT = re.compile(r"input_hint_block\.(\d{1,3})\.(\w+)")


def controlnet_component(tensors: Mapping[str, Tensor], unet: Mapping[str, Any]) -> Component:
    """The ControlNet of a single file in either layout, for a UNet of this config. KeyError names a missing tensor."""
    plain = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    named = _diffusers_names(plain) if _LDM in plain else plain
    return Component(controlnet_config(named, unet), named)


def with_weights_of(component: Component, unet: Mapping[str, Tensor]) -> Component:
    """A file of differences made whole: the weights of the UNet are added where it has tensors of that name."""
    tensors = {name: tensor + unet[name].to(tensor) if name in unet and unet[name].shape == tensor.shape else tensor
               for name, tensor in component.tensors.items()}
    return Component(component.config, tensors)


def control_lora_component(
    tensors: Mapping[str, Tensor], unet: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> Component:
    """The ControlNet that a Control-LoRA makes of a UNet of this config and with these weights. KeyError as above."""
    added = {name.removesuffix(UP) + ".weight": (tensor, tensors[name.removesuffix(UP) + DOWN])
             for name, tensor in tensors.items() if name.endswith(UP)}
    own = {name: tensor for name, tensor in tensors.items() if name != LORA and not name.endswith((UP, DOWN))}
    found = {name: tensor for name, tensor in weights.items() if name.startswith(_FRONT)}
    theirs = {name: name for name in (*added, *own)}
    for name, file in (_diffusers_names(theirs) if any(map(_TRUNK.match, theirs)) else theirs).items():
        found[name] = own[file] if file in own else _with_product(found[name], *added[file])
    return Component(controlnet_config(found, unet), found)


def _with_product(weight: Tensor, up: Tensor, down: Tensor) -> Tensor:
    product = up.flatten(1).float() @ down.flatten(1).float()
    return weight + product.reshape(weight.shape).to(weight)


def controlnet_config(tensors: Mapping[str, Tensor], unet: Mapping[str, Any]) -> Config:
    """The config by tensors in diffusers' names. Raises KeyError with the name of a missing one."""
    blocks = count(tensors, r"down_blocks\.(\d{1,2})\.")
    attended = [f"down_blocks.{block}.attentions.0.proj_in.weight" in tensors for block in range(blocks)]
    in_middle = "mid_block.attentions.0.proj_in.weight" in tensors
    place = f"down_blocks.{attended.index(True)}" if any(attended) else "mid_block"
    depths = [_depth(tensors, f"down_blocks.{block}") for block in range(blocks)]
    depths[-1] = _depth(tensors, "mid_block") if in_middle else depths[-1]
    beside = tensors.get("add_embedding.linear_1.weight")
    return {name: unet[name] for name in _SHARED if name in unet} | _of_kinds(tensors) | {
        "in_channels": tensors["conv_in.weight"].shape[1],
        "conditioning_channels": tensors["controlnet_cond_embedding.conv_in.weight"].shape[1],
        "conditioning_embedding_out_channels": _hint_widths(tensors),
        "block_out_channels": tuple(tensors[f"down_blocks.{block}.resnets.0.conv1.weight"].shape[0]
                                    for block in range(blocks)),
        "layers_per_block": count(tensors, r"down_blocks\.0\.resnets\.(\d{1,2})\."),
        "down_block_types": tuple("CrossAttnDownBlock2D" if each else "DownBlock2D" for each in attended),
        "mid_block_type": "UNetMidBlock2DCrossAttn" if in_middle else "UNetMidBlock2D",
        "cross_attention_dim": tensors[f"{place}.attentions.0.transformer_blocks.0.attn2.to_k.weight"].shape[1],
        "transformer_layers_per_block": tuple(depths),
        "use_linear_projection": tensors[f"{place}.attentions.0.proj_in.weight"].dim() == 2,
        "norm_num_groups": unet["norm_num_groups"],
        "addition_embed_type": None if beside is None else "text_time",
        "projection_class_embeddings_input_dim": None if beside is None else beside.shape[1],
    }


def _of_kinds(tensors: Mapping[str, Tensor]) -> Config:
    """What a ControlNet of several kinds has beside."""
    if KINDS not in tensors:
        return {}
    kinds, width = tensors[KINDS].shape
    added = tensors["control_add_embedding.linear_1.weight"].shape[1]
    return {"num_control_type": kinds, "num_trans_channel": width, "addition_time_embed_dim": added // kinds,
            "num_trans_layer": count(tensors, r"transformer_layes\.(\d{1,2})\."),
            "num_proj_channel": tensors["spatial_ch_projs.weight"].shape[0]}


def _depth(tensors: Mapping[str, Tensor], block: str) -> int:
    pattern = re.escape(block) + r"\.attentions\.0\.transformer_blocks\.(\d{1,2})\."
    return max(1, count(tensors, pattern))


def _hint_widths(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Channels of the stages that bring the hint to the latent's size; every second layer halves it."""
    first = tensors["controlnet_cond_embedding.conv_in.weight"].shape[0]
    layers = count(tensors, r"controlnet_cond_embedding\.blocks\.(\d{1,2})\.")
    return first, *(tensors[f"controlnet_cond_embedding.blocks.{layer}.weight"].shape[0]
                    for layer in range(1, layers, 2))


def _diffusers_names(tensors: Mapping[str, Any]) -> dict[str, Any]:
    trunk = {UNET_PREFIX + name: tensor for name, tensor in tensors.items() if not name.startswith(_BESIDE)}
    inputs = count(tensors, r"input_blocks\.(\d{1,3})\.")
    down = [i for i in range(inputs) if f"input_blocks.{i}.0.op.weight" in tensors]
    config: Config = {"layers_per_block": (down[0] if down else inputs) - 1}
    if "label_emb.0.0.weight" in tensors:
        config["addition_embed_type"] = "text_time"
    return convert_ldm_unet_checkpoint(trunk, config) | dict(_beside(tensors))


def _beside(tensors: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What the UNet does not have: the layers that read the hint, and those that give the residuals."""
    last = count(tensors, r"input_hint_block\.(\d{1,3})\.") - 1
    found = []
    for name, tensor in tensors.items():
        if hint := _HINT.fullmatch(name):
            layer = int(hint[1])
            part = "conv_in" if layer == 0 else "conv_out" if layer == last else f"blocks.{layer // 2 - 1}"
            found.append((f"controlnet_cond_embedding.{part}.{hint[2]}", tensor))
        elif name.startswith("zero_convs."):
            number, _, kind = name.removeprefix("zero_convs.").split(".")
            found.append((f"controlnet_down_blocks.{number}.{kind}", tensor))
        elif name.startswith("middle_block_out."):
            found.append((f"controlnet_mid_block.{name.rpartition('.')[2]}", tensor))
    return found

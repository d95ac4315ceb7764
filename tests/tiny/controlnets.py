"""Tiny ControlNets with random weights for a UNet, in the layouts of real files."""

from __future__ import annotations

import inspect

import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from torch import Tensor, nn

from tests.tiny.ldm import unet_name

WIDTHS = (4, 8, 8, 16)


def controlnet(unet: nn.Module, seed: int = 3) -> ControlNetModel:
    """A copy of the UNet's front half that says something, as one does after training."""
    torch.manual_seed(seed)
    network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=WIDTHS)
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter) * 0.05
    return network.eval().requires_grad_(False)


def union(unet: nn.Module, kinds: int) -> ControlNetUnionModel:
    """One of several kinds, for a UNet."""
    torch.manual_seed(8)
    known = inspect.signature(ControlNetUnionModel.__init__).parameters
    config = {name: value for name, value in unet.config.items() if name in known}
    width = unet.config.block_out_channels[0]
    network = ControlNetUnionModel(**config | {
        "conditioning_embedding_out_channels": WIDTHS, "num_control_type": kinds, "num_trans_channel": width, "num_proj_channel": width,
        "addition_time_embed_dim": unet.config.addition_time_embed_dim or 8})
    for parameter in network.parameters():
        parameter.data = torch.randn_like(parameter) * 0.05
    return network.eval().requires_grad_(False)


def ldm(network: ControlNetModel, prefix: str = "control_model.") -> dict[str, Tensor]:
    """By the names of lllyasviel's files."""
    return {prefix + ldm_name(name, network): tensor.clone().contiguous() for name, tensor in network.state_dict().items()}


def ldm_name(name: str, network: ControlNetModel) -> str:
    head, _, kind = name.rpartition(".")
    if head.startswith("controlnet_down_blocks."):
        return f"zero_convs.{head.rpartition('.')[2]}.0.{kind}"
    if head == "controlnet_mid_block":
        return f"middle_block_out.0.{kind}"
    if head.startswith("controlnet_cond_embedding."):
        part = head.removeprefix("controlnet_cond_embedding.")
        blocks = len(network.controlnet_cond_embedding.blocks)
        layer = {"conv_in": 0, "conv_out": blocks + 1}.get(part) if "." not in part else int(part.partition(".")[2]) + 1
        return f"input_hint_block.{2 * layer}.{kind}"
    return unet_name(name, network.config.layers_per_block, network)

"""Small upscalers and restorers with random weights, in the real files' formats and names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DAT import DAT
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.NAFNet import NAFNet
from spandrel.architectures.SCUNet import SCUNet
from spandrel.architectures.SwinIR import SwinIR
from torch import nn

State = dict[str, torch.Tensor]

# The names that BasicSR and Real-ESRGAN gave the layers which the first ESRGAN numbered.
NEW_NAMES = ((r"model\.0\.", "conv_first."), (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
             (r"model\.1\.sub\.\d+\.", "conv_body."), (r"model\.3\.", "conv_up1."), (r"model\.6\.", "conv_up2."),
             (r"model\.8\.", "conv_hr."), (r"model\.10\.", "conv_last."))


def compact(scale: int = 4, channels: int = 3, features: int = 8, convolutions: int = 2) -> State:
    """Real-ESRGAN's compact network: purely local, and it adds to the picture enlarged by nearest neighbours."""
    return made(lambda: Compact(num_in_ch=channels, num_out_ch=channels, num_feat=features, num_conv=convolutions, upscale=scale))


def nearest(scale: int = 4) -> State:
    """The compact network that adds nothing."""
    return {name: torch.zeros_like(tensor) for name, tensor in compact(scale).items()}


def esrgan_old() -> State:
    return made(lambda: ESRGAN(num_filters=8, num_blocks=1))


def esrgan_new() -> State:
    state = {}
    for name, tensor in esrgan_old().items():
        for pattern, better in NEW_NAMES:
            name, found = re.subn(f"^{pattern}", better, name)
            if found:
                break
        state[name] = tensor
    return state


def swinir() -> State:
    return made(lambda: SwinIR(img_size=16, embed_dim=12, depths=[1, 1], num_heads=[2, 2], window_size=8, upscale=2, mlp_ratio=2,
                               upsampler="pixelshuffledirect"))


def dat() -> State:
    return made(lambda: DAT(img_size=16, embed_dim=16, split_size=[8, 16], depth=[2], num_heads=[2], expansion_factor=2, upscale=2))


def nafnet() -> State:
    return made(lambda: NAFNet(width=4, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]))


def scunet() -> State:
    return made(lambda: SCUNet(config=[1, 1, 1, 1, 1, 1, 1], dim=64))


ARCHITECTURES: dict[str, tuple[Callable[[], State], int]] = {
    "ESRGAN old": (esrgan_old, 4), "ESRGAN new": (esrgan_new, 4), "Compact": (compact, 4), "SwinIR": (swinir, 2), "DAT": (dat, 2),
    "NAFNet": (nafnet, 1), "SCUNet": (scunet, 1),
}


def made(build: Callable[[], nn.Module]) -> State:
    torch.manual_seed(3)
    return {name: tensor.clone() for name, tensor in build().state_dict().items()}


def save(state: State, path: Path) -> Path:
    """By its ending: .safetensors, or a .pth as the training programs write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    else:
        torch.save({"params_ema": state}, path)
    return path

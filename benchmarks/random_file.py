"""A single-file checkpoint of full size with random weights, written tensor by tensor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from backend.worker.models import clip_text, open_clip_layout, sd1, sdxl
from tests.tiny import ldm

_NOISE = np.random.default_rng(0).standard_normal(1 << 22, np.float32)


def write_sd1(file: Path) -> Path:
    """Stable Diffusion 1 in float16, 2.1 GB, in the layout of its authors."""
    with torch.device("meta"):
        return _written(file, ldm.Networks(
            UNet2DConditionModel.from_config(sd1.UNET), AutoencoderKL.from_config(sd1.VAE),
            CLIPTextModel(CLIPTextConfig(**clip_text.CLIP_L)),
        ))


def write_sdxl(file: Path) -> Path:
    """Stable Diffusion XL in float16, 6.9 GB, in the layout of its authors."""
    with torch.device("meta"):
        return _written(file, ldm.Networks(
            UNet2DConditionModel.from_config(sdxl.UNET), AutoencoderKL.from_config(sdxl.VAE),
            CLIPTextModel(CLIPTextConfig(**clip_text.CLIP_L)),
            CLIPTextModelWithProjection(CLIPTextConfig(**open_clip_layout.OPEN_CLIP_BIG_G)),
        ))


def _written(file: Path, networks: ldm.Networks) -> Path:
    tensors = {name: tensor for name, tensor in ldm.layout(networks).items() if tensor.is_floating_point()}
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        header = json.dumps(_header(tensors)).encode()
        header += b" " * (-len(header) % 8)
        out.write(len(header).to_bytes(8, "little") + header)
        for name, tensor in tensors.items():
            out.write(_values(name, tensor).tobytes())
    return file


def _header(tensors: dict[str, Tensor]) -> dict[str, dict]:
    entries, start = {}, 0
    for name, tensor in tensors.items():
        end = start + 2 * tensor.numel()
        entries[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    return entries


def _values(name: str, tensor: Tensor) -> np.ndarray:
    """Such that each layer's output has about the size of its input: norms are 1, biases 0."""
    if tensor.dim() < 2:
        return np.full(tensor.shape, name.endswith("weight"), np.float16)
    spread = 0.02 if "embedding" in name else tensor[0].numel() ** -0.5
    return np.resize((_NOISE * spread).astype(np.float16), tensor.numel())

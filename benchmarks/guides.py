"""Guides: Easel's engine against diffusers' own pipelines, with a ControlNet and with an IP-Adapter.

Both sides have the same networks, with random values, and draw the same picture. What comes before the steps is done
once and kept by Easel; diffusers is spared it, too: it is given the picture's edges, or the numbers that stand for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from backend.catalog.guide_files import GUIDE
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CLIP_VISION, CONTROLNET, IP_ADAPTER, FileKey, ModelFile
from backend.request.request import Request
from backend.worker.adapters import controlnet
from backend.worker.adapters.ip_adapter import cross_attentions
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from benchmarks import models
from benchmarks.engine import NEGATIVE, PROMPT, asked, decoded, draw, networks, on_cpu
from benchmarks.gpu.networks import random_memory
from benchmarks.pictures import inputs, png
from benchmarks.timing import in_turns, medians, ratio

PICTURE = "a" * 64
TOKENS, SEEN = 4, 1024          # of the plain IP-Adapter: vectors that it makes, and numbers that stand for a picture
WIDTHS = (16, 32, 96, 256)      # of what a hint goes through until it is as small as the latent
WEIGHT = 0.7
CPU_STEPS = 20      # as many as a real picture has: with few, reading the words counts, which Easel does in float32
UNITS = {CONTROLNET: {"module": "none", "model": "control"}, IP_ADAPTER: {"module": "ip-adapter-auto", "model": "ip"}}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is drawn, by whose networks, and the files that guide it."""

    memory: Memory
    checkpoint: ModelFile
    request: Request
    files: dict[FileKey, ModelFile]

    @property
    def model(self) -> Model:
        return self.memory.get(self.checkpoint)


@torch.inference_mode()
def measure(device: str, tiny: bool = False) -> dict[str, Any]:
    """At SD1's size; `tiny` only rehearses it."""
    cpu = on_cpu(device)
    memory, checkpoint, *_ = random_memory("sd1", None, tiny=True) if tiny else models.full_size(device)
    with tempfile.TemporaryDirectory() as folder:
        files = written(memory.get(checkpoint), Path(folder))
        request = ordered(64 if tiny else 192 if cpu else 512, 2 if tiny else CPU_STEPS if cpu else 30)
        return _compared(_Asked(memory, checkpoint, request, files), rounds=1 if tiny else 3)


def ordered(side: int, steps: int, *guides: dict[str, Any]) -> Request:
    """What is drawn, with these guides."""
    return Request.parse({
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "width": side, "height": side, "steps": steps, "seed": 1,
        "variation_seed": 1, "cfg_scale": 5.0, "sampler": "DPM++ 2M", "schedule": "Karras", "guides": list(guides)})


def written(model: Model, folder: Path) -> dict[FileKey, ModelFile]:
    """A ControlNet and a plain IP-Adapter of the model's size; the latter sees through a small tower."""
    unet, halvings = model.denoiser, model.latent_scale.bit_length() - 1
    control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=WIDTHS[:halvings + 1])
    control.to(model.dtype).save_pretrained(folder / CONTROLNET / "control")
    tower = CLIPVisionConfig(hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                             image_size=28, patch_size=14, projection_dim=SEEN)
    CLIPVisionModelWithProjection(tower).save_pretrained(folder / CLIP_VISION / "tower")
    (folder / IP_ADAPTER).mkdir()
    save_file(picture_prompt(unet), folder / IP_ADAPTER / "ip.safetensors")
    catalog = ModelCatalog((folder,))
    return {(GUIDE, "control"): catalog.find(CONTROLNET, "control"), (GUIDE, "ip"): catalog.find(IP_ADAPTER, "ip"),
            (CLIP_VISION, "ip"): catalog.find(CLIP_VISION, "tower")}


def picture_prompt(unet: nn.Module) -> dict[str, Tensor]:
    """The tensors of a plain IP-Adapter's file."""
    words = unet.config.cross_attention_dim
    found = {"image_proj.proj.weight": torch.randn(TOKENS * words, SEEN) * SEEN**-0.5,
             "image_proj.proj.bias": torch.zeros(TOKENS * words), "image_proj.norm.weight": torch.ones(words),
             "image_proj.norm.bias": torch.zeros(words)}
    for number, attention in enumerate(cross_attentions(unet)):
        for part in ("k", "v"):
            width = attention.to_q.weight.shape[0]
            found[f"ip_adapter.{2 * number + 1}.to_{part}_ip.weight"] = torch.randn(width, words) * words**-0.5
    return {name: tensor.half() for name, tensor in found.items()}


def _compared(work: _Asked, rounds: int) -> dict[str, Any]:
    """Per kind of guide median seconds a picture, and Easel's time as a multiple of diffusers'."""
    picture = inputs(work.request.width)[0]
    pipelines = {CONTROLNET: _with_controlnet(work, picture), IP_ADAPTER: _with_picture_prompt(work)}
    results: dict[str, Any] = {
        "size": f"{work.request.width}x{work.request.height}", "steps": work.request.steps, "rounds": rounds,
        "device": work.memory.placement.name, "dtype": work.memory.placement.dtype}
    for kind, theirs in pipelines.items():
        unit = {"enabled": True, "image": PICTURE, "weight": WEIGHT, **UNITS[kind]}
        request = ordered(work.request.width, work.request.steps, unit)
        contenders = {"easel": lambda asked=request: draw(work.memory, work.checkpoint, asked,
                                                          files={PICTURE: png(picture)}, more=work.files),
                      "diffusers": theirs}
        seconds = in_turns(contenders, rounds)
        results[kind] = {"seconds": medians(seconds), "easel / diffusers": ratio(seconds, "easel", "diffusers")}
    return results


def _with_controlnet(work: _Asked, picture: Image.Image) -> Callable[[], object]:
    model, file = work.model, work.files[GUIDE, "control"]
    read = work.memory.fetch(CONTROLNET, file.key, file.path, lambda: controlnet.load(file, model))
    pipeline = StableDiffusionControlNetPipeline(**networks(model), controlnet=read.network)
    return _run(work, pipeline, image=picture, controlnet_conditioning_scale=WEIGHT)


def _with_picture_prompt(work: _Asked) -> Callable[[], object]:
    """Around a network of its own with the same tensors, since diffusers changes it."""
    model, path = work.model, Path(work.files[GUIDE, "ip"].path)
    shared = {id(tensor): tensor for tensor in (*model.denoiser.parameters(), *model.denoiser.buffers())}
    pipeline = StableDiffusionPipeline(**networks(model) | {"unet": deepcopy(model.denoiser, shared)})
    pipeline.load_ip_adapter(str(path.parent), subfolder="", weight_name=path.name, image_encoder_folder=None)
    pipeline.unet.to(model.device, model.dtype)
    pipeline.set_ip_adapter_scale(WEIGHT)
    seen = torch.randn(1, 1, SEEN, generator=torch.Generator().manual_seed(0)).to(model.device, model.dtype)
    return _run(work, pipeline, ip_adapter_image_embeds=[torch.cat([torch.zeros_like(seen), seen])])


def _run(work: _Asked, pipeline: Any, **more: Any) -> Callable[[], object]:
    pipeline.set_progress_bar_config(disable=True)
    request, model = work.request, work.model

    def run() -> object:
        latent = pipeline(height=request.height, width=request.width, num_inference_steps=request.steps, **more,
                          **asked(request)).images
        return decoded(model, latent)

    return run

"""Stable Diffusion XL at full size: the memory that loading takes, and a picture beside diffusers' own pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline

from backend.catalog.model_catalog import ModelCatalog
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.models.encoded_text import Role
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.sdxl import SIZES
from benchmarks.engine import NEGATIVE, PROMPT, decoded, draw, on_cpu, scheduler
from benchmarks.random_file import write_sdxl
from benchmarks.timing import in_turns, medians, ratio

STATUS = Path("/proc/self/status")


def measure(device: str) -> dict[str, Any]:
    cpu = on_cpu(device)
    side, steps = (512, 2) if cpu else (1024, 20)
    request = Request(
        prompt=PROMPT, negative_prompt=NEGATIVE, width=side, height=side, steps=steps, seed=1, variation_seed=1,
        cfg_scale=5.0, sampler="DPM++ 2M", schedule="Karras",
    )
    with tempfile.TemporaryDirectory() as folder:
        file = write_sdxl(Path(folder) / "checkpoints" / "random.safetensors")
        checkpoint = ModelCatalog((Path(folder),)).find("checkpoint", "random")
        memory = Memory(place(device))
        loading = loaded(memory, checkpoint, file)
        return {**loading, **compare(memory, checkpoint, request, rounds=4 if cpu else 7)}


def loaded(memory: Memory, checkpoint: Any, file: Path) -> dict[str, float]:
    """How much this process grows while the file is read, as a multiple of the file. Only Linux tells."""
    if not STATUS.exists():
        return {}
    Path("/proc/self/clear_refs").write_text("5")       # the peak starts anew
    before = _status("VmRSS")
    memory.get(checkpoint)
    return {"file GB": round(file.stat().st_size / 1e9, 2),
            "peak memory / file": round((_status("VmHWM") - before) / file.stat().st_size, 3)}


@torch.inference_mode()
def compare(memory: Memory, checkpoint: Any, request: Request, rounds: int) -> dict[str, Any]:
    """Median seconds a picture, and Easel's time as a multiple of diffusers'. Both start from the words."""
    model = memory.get(checkpoint)
    contenders = {"easel": lambda: draw(memory, checkpoint, request), "diffusers": pipeline(model, request)}
    seconds = in_turns(contenders, rounds, warmups=2)      # the file's pages come in during the first
    return {
        "size": f"{request.width}x{request.height}", "steps": request.steps, "rounds": rounds,
        "device": memory.placement.name, "dtype": memory.placement.dtype, "seconds": medians(seconds),
        "easel / diffusers": ratio(seconds, "easel", "diffusers"),
    }


def pipeline(model: Model, request: Request) -> Callable[[], object]:
    """diffusers around the same networks; the words are encoded as Easel does, in the same format, in each run."""
    made = StableDiffusionXLPipeline(
        vae=model.vae, text_encoder=None, text_encoder_2=None, tokenizer=None, tokenizer_2=None, unet=model.denoiser,
        scheduler=scheduler(), add_watermarker=False)
    made.set_progress_bar_config(disable=True)

    def run() -> object:
        tokens, pooled = _words(model, request, request.prompt, "cond")
        negative, negative_pooled = _words(model, request, request.negative_prompt, "uncond")
        latent = made(
            prompt_embeds=tokens, pooled_prompt_embeds=pooled, negative_prompt_embeds=negative,
            negative_pooled_prompt_embeds=negative_pooled, height=request.height, width=request.width,
            num_inference_steps=request.steps, guidance_scale=request.cfg_scale, output_type="latent",
            generator=torch.Generator().manual_seed(request.seed),
        ).images
        return decoded(model, latent)

    return run


def _words(model: Model, request: Request, text: str, role: Role) -> tuple[torch.Tensor, torch.Tensor]:
    encoded = model.encode_text(text, model.text_settings(request, role, (request.height, request.width), [text]))
    return encoded.tokens[None].to(model.dtype), encoded.pooled[None, :-SIZES].to(model.dtype)


def _status(name: str) -> int:
    """Bytes that the kernel counts for this process."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

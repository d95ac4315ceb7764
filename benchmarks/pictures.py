"""A picture from a picture: Easel's engine against diffusers' own img2img and inpainting pipelines.

Both use the same networks, seed, size, guidance and sampler (DPM++ 2M Karras), make as many steps, start from the words
and the pixels and end with the pixels. Diffusers is spared what Easel does besides: the PNG files, previews, events,
and putting the input's own pixels back around the mask.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
from PIL import Image

from backend.catalog.model_file import ModelFile
from backend.request.request import Request
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from benchmarks import models
from benchmarks.engine import NEGATIVE, PROMPT, asked, decoded, draw, networks, on_cpu
from benchmarks.timing import in_turns, medians, ratio

PICTURE, MASK = "a" * 64, "b" * 64


def measure(device: str) -> dict[str, Any]:
    """Per network and kind, "img2img" and "inpaint": median seconds, and Easel's time as a multiple of diffusers'."""
    cpu = on_cpu(device)
    return {
        "demo": _compared(*models.demo(device), ordered(128, 20), rounds=9),
        "sd1": _compared(*models.full_size(device), ordered(512, 4 if cpu else 30), rounds=3 if cpu else 7),
    }


def ordered(side: int, steps: int) -> Request:
    """What is measured, without a mask."""
    return Request(
        prompt=PROMPT, negative_prompt=NEGATIVE, width=side, height=side, steps=steps, seed=1, variation_seed=1,
        cfg_scale=5.0, sampler="DPM++ 2M", schedule="Karras", init_image=PICTURE, denoising_strength=0.5,
    )


@torch.inference_mode()
def _compared(memory: Memory, checkpoint: ModelFile, request: Request, rounds: int) -> dict[str, Any]:
    picture, mask = inputs(request.width)
    files = {PICTURE: png(picture), MASK: png(mask)}
    model = memory.get(checkpoint)
    pairs = {
        "img2img": (request, diffusers_img2img(model, request, picture)),
        "inpaint": (request.replace(mask=MASK), diffusers_inpaint(model, request, picture, mask)),
    }
    results: dict[str, Any] = {}
    for name, (own, theirs) in pairs.items():
        contenders = {"easel": lambda r=own: draw(memory, checkpoint, r, files=files), "diffusers": theirs}
        seconds = in_turns(contenders, rounds)
        results[name] = {
            "size": f"{request.width}x{request.height}", "steps": steps_made(request), "rounds": rounds,
            "device": memory.placement.name, "dtype": memory.placement.dtype, "seconds": medians(seconds),
            "easel / diffusers": ratio(seconds, "easel", "diffusers"),
        }
    return results


def steps_made(request: Request) -> int:
    """Easel, like AUTOMATIC1111, makes one step more than the strength's share of them."""
    return int(request.steps * request.denoising_strength) + 1


def diffusers_share(request: Request) -> dict[str, Any]:
    """The strength at which diffusers makes as many steps."""
    return {"num_inference_steps": request.steps, "strength": min(1.0, (steps_made(request) + 0.5) / request.steps)}


def diffusers_img2img(model: Model, request: Request, picture: Image.Image) -> Callable[[], object]:
    """Encoding and decoding as in Easel."""
    pipeline = StableDiffusionImg2ImgPipeline(**networks(model))
    pipeline.set_progress_bar_config(disable=True)

    def run() -> object:
        latent = model.encode(np.asarray(picture)[None])
        return decoded(model, pipeline(image=latent, **diffusers_share(request), **asked(request)).images)

    return run


def diffusers_inpaint(model: Model, request: Request, picture: Image.Image, mask: Image.Image) -> Callable[[], object]:
    """Encoding and decoding as in Easel; spared the hidden picture's encoding, which this network ignores."""
    pipeline = StableDiffusionInpaintPipeline(**networks(model))
    pipeline.set_progress_bar_config(disable=True)

    def run() -> object:
        latent = model.encode(np.asarray(picture)[None])
        result = pipeline(
            image=latent, masked_image_latents=latent, mask_image=mask, height=request.height, width=request.width,
            **diffusers_share(request), **asked(request),
        )
        return decoded(model, result.images)

    return run


def inputs(side: int) -> tuple[Image.Image, Image.Image]:
    """A picture of coarse random colours and a mask of its middle."""
    noise = np.random.default_rng(1).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    mask = Image.new("L", (side, side))
    mask.paste(255, (side // 4, side // 4, 3 * side // 4, 3 * side // 4))
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC), mask


def png(image: Image.Image) -> bytes:
    """As the page sends it."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()

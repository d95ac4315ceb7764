"""One picture: Easel's engine against the bare network calls it cannot do without, and against diffusers' own pipeline.

All three use the same networks, seed, size, steps and sampler (DPM++ 2M Karras). Easel and diffusers start from the
words and end with the pixels, Easel with previews and events besides; the bare calls are given the encoded words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from transformers import CLIPTokenizer

from backend.catalog.model_file import CHECKPOINT, FileKey, ModelFile
from backend.messages import Event, Failed, Picture, Run
from backend.request.request import Request
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.engine.engine import Engine
from backend.worker.models.encoded_text import Encoded, stacked
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from benchmarks import models
from benchmarks.timing import in_turns, medians, ratio

PROMPT, NEGATIVE = "a red circle and a blue star, yellow background", "green"


def on_cpu(device: str) -> bool:
    return place(device).device.type == "cpu"


def measure(device: str) -> dict[str, Any]:
    cpu = on_cpu(device)
    return {
        "demo": compare(*models.demo(device), Request(**_request(128, 20)), rounds=9),
        "sd1": compare(*models.full_size(device), Request(**_request(512, 2 if cpu else 30)), rounds=5 if cpu else 7),
    }


def _request(side: int, steps: int) -> dict[str, Any]:
    return {"prompt": PROMPT, "negative_prompt": NEGATIVE, "width": side, "height": side, "steps": steps, "seed": 1,
            "variation_seed": 1, "cfg_scale": 5.0, "sampler": "DPM++ 2M", "schedule": "Karras"}


@torch.inference_mode()
def compare(memory: Memory, checkpoint: ModelFile, request: Request, rounds: int) -> dict[str, Any]:
    """Median seconds a picture, and Easel's time as a multiple of the others'."""
    model = memory.get(checkpoint)
    texts = stacked([model.encode_text(text) for text in (PROMPT, NEGATIVE)])
    contenders = {
        "easel": lambda: draw(memory, checkpoint, request),
        "bare": bare(model, request, texts),
        "diffusers": diffusers_pipeline(model, request),
    }
    seconds = in_turns(contenders, rounds)
    return {
        "size": f"{request.width}x{request.height}", "steps": request.steps, "rounds": rounds,
        "device": memory.placement.name, "dtype": memory.placement.dtype, "seconds": medians(seconds),
        "easel / bare": ratio(seconds, "easel", "bare"), "easel / diffusers": ratio(seconds, "easel", "diffusers"),
        "steps per second": round(request.steps / medians(seconds)["easel"], 2),
    }


def draw(
    memory: Memory, checkpoint: ModelFile, *requests: Request, policy: str = "solo",
    files: dict[str, bytes] | None = None, more: Mapping[FileKey, ModelFile] | None = None,
) -> list[Picture]:
    """The pictures of all requests from a fresh engine (nothing encoded before).

    `files` are the PNGs they name, `more` the model files besides the checkpoint.
    """
    events: list[Event] = []
    engine = Engine(memory, policy, events.append)
    for number, request in enumerate(requests):
        models = {(CHECKPOINT, request.checkpoint): checkpoint, **(more or {})}
        engine.add(Run(str(number), "local", request, tuple(range(request.count)), models, files or {}))
    while engine.step():
        pass
    failed = [event for event in events if isinstance(event, Failed)]
    if failed:
        raise RuntimeError(failed[0].detail)
    return [event for event in events if isinstance(event, Picture)]


def bare(model: Model, request: Request, texts: Encoded) -> Callable[[], object]:
    """The network calls of the steps, two rows each, and the decoding: the floor."""
    latent = torch.randn(1, *model.latent_shape(request.width, request.height), device=model.device)
    rows, times = latent.repeat(2, 1, 1, 1), torch.full((2,), 500.0, device=model.device)

    def run() -> object:
        for _ in range(request.steps):
            model.predict(rows, times, texts)
        return model.decode(latent)

    return run


def scheduler() -> DPMSolverMultistepScheduler:
    """Diffusers' DPM++ 2M Karras over Stable Diffusion's noise levels."""
    return DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True, steps_offset=1,
    )


def networks(model: Model) -> dict[str, Any]:
    """What a pipeline of diffusers is made of, around the same networks.

    Its text encoder in the UNet's number format, as the pipelines ask. The demo's tokenizer serves both networks: any
    words become 77 tokens.
    """
    return {
        "vae": model.vae, "text_encoder": deepcopy(model.text_encoders[0]).to(model.dtype), "unet": model.denoiser,
        "tokenizer": CLIPTokenizer.from_pretrained(HOME / "models" / "demo" / "tokenizer"), "scheduler": scheduler(),
        "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
    }


def diffusers_pipeline(model: Model, request: Request) -> Callable[[], object]:
    """From the words to the pixels; the decoding as in Easel."""
    pipeline = StableDiffusionPipeline(**networks(model))
    pipeline.set_progress_bar_config(disable=True)

    def run() -> object:
        latent = pipeline(
            height=request.height, width=request.width, num_inference_steps=request.steps, **asked(request),
        ).images
        return decoded(model, latent)

    return run


def asked(request: Request) -> dict[str, Any]:
    """The arguments that every pipeline of diffusers takes."""
    return {
        "prompt": request.prompt, "negative_prompt": request.negative_prompt, "guidance_scale": request.cfg_scale,
        "output_type": "latent", "generator": torch.Generator().manual_seed(request.seed),
    }


def decoded(model: Model, latent: torch.Tensor) -> object:
    """Pixels of a latent that a pipeline of diffusers gave."""
    return model.decode(latent.float() / model.vae.config.scaling_factor)

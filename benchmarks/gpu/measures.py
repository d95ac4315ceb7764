"""The measurements. Each gives figures that JSON can carry; ratios compare what took turns in one process.

`tiny`: small networks, few steps and the CPU, to see that a measurement runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import nn
from transformers import CLIPTokenizer

from backend.request.request import Request
from backend.sampling.samplers import SAMPLERS
from backend.settings import HOME
from backend.worker.models.compiled_regions import CompiledRegions
from backend.worker.models.encoded_text import Encoded, stacked
from backend.worker.models.graph_capture import GRAPHS
from backend.worker.models.model_base import Model
from backend.worker.models.side_stream import NoStream, SideStream
from benchmarks import lossy_presets
from benchmarks.engine import NEGATIVE, PROMPT, asked, bare, decoded, scheduler
from benchmarks.engine import draw as drawn
from benchmarks.gpu.networks import random_memory
from benchmarks.networks import measured
from benchmarks.timing import in_turns, medians, ratio
from benchmarks.upscale import enlarge

STEPS = 20
COUNTS = (1, 2, 4, 8, 16)
PIPELINES = {"sd1": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}


def tests(*, tiny: bool) -> dict[str, Any]:
    """The tests in tests/gpu; on a machine without a card they are skipped, each with its reason."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
               "--confcutdir=tests/gpu", "tests/gpu"]      # the conftest above asks for packages that no worker needs
    ran = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
    lines = (ran.stdout + ran.stderr).strip().splitlines()
    if ran.returncode:
        return {"failed": f"pytest ended with code {ran.returncode}", "said": lines[-25:]}
    return {"said": lines[-1]}


@torch.inference_mode()
def draw(family: str, dtype: str, *, tiny: bool) -> dict[str, Any]:
    """One picture: the engine, the bare network calls, and diffusers as it comes."""
    memory, checkpoint, side = random_memory(family, getattr(torch, dtype), tiny=tiny)
    request = _request(side, 2 if tiny else STEPS)
    model = memory.get(checkpoint)
    contenders = {
        "easel": lambda: drawn(memory, checkpoint, request),
        "bare": bare(model, request, _texts(model, request)),
        "diffusers": _pipeline(family, model, request),
    }
    seconds = in_turns(contenders, rounds=2 if tiny else 3)
    return _about(model, request) | {
        "seconds": medians(seconds), "easel / bare": ratio(seconds, "easel", "bare"),
        "easel / diffusers": ratio(seconds, "easel", "diffusers"), "GiB": _peak(),
    }


@torch.inference_mode()
def compiled(family: str, *, tiny: bool) -> dict[str, Any]:
    """The engine, with and without `--compile`, against diffusers with a network that torch.compile has compiled whole.

    Also how long the first picture of each takes, in which everything is compiled.
    """
    memory, checkpoint, side = random_memory(family, torch.float16, tiny=tiny)
    request = _request(side, 2 if tiny else STEPS)
    model = memory.get(checkpoint)
    backend = "eager" if tiny else "inductor"
    regions = CompiledRegions.of(model.denoiser, backend=backend)

    def engine(compiled: CompiledRegions | None) -> object:
        model.compiled = compiled
        return drawn(memory, checkpoint, request)

    contenders = {"easel": lambda: engine(None), "easel compiled": lambda: engine(regions),
                  "compiled": _pipeline(family, model, request, torch.compile(model.denoiser, backend=backend))}
    firsts = {}
    for name in ("easel compiled", "compiled"):
        started = time.perf_counter()
        contenders[name]()
        firsts[name] = round(time.perf_counter() - started, 1)
    seconds = in_turns(contenders, rounds=3)
    return _about(model, request) | {
        "seconds": medians(seconds), "seconds of the first": firsts,
        "easel / compiled diffusers": ratio(seconds, "easel", "compiled"),
        "easel compiled / compiled diffusers": ratio(seconds, "easel compiled", "compiled"),
        "easel compiled / easel": ratio(seconds, "easel compiled", "easel"),
    }


@torch.inference_mode()
def presets(family: str, *, tiny: bool) -> dict[str, Any]:
    """How many times as fast presets that change the picture are on a large network."""
    memory, checkpoint, side = random_memory(family, torch.float16, tiny=tiny)
    asked = {lossy_presets.EXACT: {}, **{name: {field: choice} for name, field, choice in lossy_presets.presets()}}
    base = _request(side, 6 if tiny else STEPS).to_json()
    requests = {name: Request.parse(base | more) for name, more in asked.items()}
    seconds = in_turns({name: partial(drawn, memory, checkpoint, request) for name, request in requests.items()},
                       rounds=1 if tiny else 2)
    faster = {name: ratio(seconds, lossy_presets.EXACT, name) for name in asked if name != lossy_presets.EXACT}
    return _about(memory.get(checkpoint), requests[lossy_presets.EXACT]) | {"times as fast": faster}


def costs(*, tiny: bool) -> dict[str, Any]:
    """What those presets cost on the demo, and how many times as fast they are there."""
    prompts = lossy_presets.PROMPTS[:1] if tiny else lossy_presets.PROMPTS
    return lossy_presets.measure("cpu" if tiny else "auto", rounds=1, prompts=prompts)


@torch.inference_mode()
def packed(family: str, *, tiny: bool) -> dict[str, Any]:
    """Pictures a second of several jobs at once, one after another and in shared calls."""
    memory, checkpoint, side = random_memory(family, torch.float16, tiny=tiny)
    base = _request(side, 2 if tiny else 8)
    drawn(memory, checkpoint, base)
    rates: dict[str, Any] = {}
    for count in COUNTS[:3] if tiny else COUNTS:
        jobs = [base.replace(seed=seed, prompt=f"{PROMPT}, {seed}") for seed in range(count)]
        seconds = in_turns({policy: lambda p=policy, j=jobs: drawn(memory, checkpoint, *j, policy=p)
                            for policy in ("solo", "packed")}, rounds=1, warmups=int(not tiny and family == "sd1"))
        found = medians(seconds)
        rates[str(count)] = {"pictures a second": {policy: round(count / value, 3) for policy, value in found.items()},
                             "packed / solo": ratio(seconds, "solo", "packed")}
    return _about(memory.get(checkpoint), base) | {"jobs": rates, "GiB": _peak()}


@torch.inference_mode()
def launch(*, tiny: bool) -> dict[str, Any]:
    """How much of a network call of two rows is the launching of kernels: a recorded graph replays without it."""
    return {family: _launch(family, tiny) for family in ("sd1", "sdxl")}


def _launch(family: str, tiny: bool) -> dict[str, Any]:
    memory, checkpoint, side = random_memory(family, torch.float16, tiny=tiny)
    model = memory.get(checkpoint)
    latent = torch.randn(2, *model.latent_shape(side, side), device=model.device)
    times = torch.full((2,), 500.0, device=model.device)
    texts = _texts(model, _request(side, 1))

    def call() -> torch.Tensor:
        return model.predict(latent, times, texts)

    contenders: dict[str, Callable[[], object]] = {"call": call}
    if torch.cuda.is_available() and not tiny:
        contenders["replayed"] = _recorded(call).replay
    seconds = medians(in_turns(contenders, rounds=2 if tiny else 20, warmups=3))
    found: dict[str, Any] = {"seconds": seconds}
    if "replayed" in seconds:
        found["share of launching"] = round(1 - seconds["replayed"] / seconds["call"], 3)
    return found


def _recorded(call: Callable[[], object]) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph


@torch.inference_mode()
def graphs(family: str, *, tiny: bool) -> dict[str, Any]:
    """One picture with calls that are replayed, and made plainly; the bare replays, and diffusers as it comes."""
    contenders: dict[str, Callable[[], object]] = {}
    for name, use in {"plain": "off", "recorded": "check" if tiny else "on"}.items():
        os.environ[GRAPHS] = use
        memory, checkpoint, side = random_memory(family, torch.float16, tiny=tiny)
        request = _request(side, 6 if tiny else STEPS)
        contenders[name] = partial(drawn, memory, checkpoint, request)
    model = memory.get(checkpoint)
    contenders["diffusers"] = _pipeline(family, model, request)
    if torch.cuda.is_available() and not tiny:
        contenders["bare graph"] = _replayed(model, request)
    seconds = in_turns(contenders, rounds=2 if tiny else 5, warmups=1)
    found = {f"easel / {other}": ratio(seconds, "recorded", other) for other in contenders if other != "recorded"}
    return _about(model, request) | {"seconds": medians(seconds), **found, "GiB": _peak()}


def _replayed(model: Model, request: Request) -> Callable[[], object]:
    """As many replays of one recorded call as there are steps, and the decoding: the floor."""
    latent = torch.randn(1, *model.latent_shape(request.width, request.height), device=model.device)
    rows, times = latent.repeat(2, 1, 1, 1), torch.full((2,), 500.0, device=model.device)
    texts = _texts(model, request)
    graph = _recorded(lambda: model.predict(rows, times, texts))

    def run() -> object:
        for _ in range(request.steps):
            graph.replay()
        return model.decode(latent)

    return run


@torch.inference_mode()
def users(family: str, *, tiny: bool) -> dict[str, Any]:
    """Eight people's pictures in shared calls, against one after the other with diffusers."""
    memory, checkpoint, side = random_memory(family, torch.float16, tiny=tiny)
    base, count = _request(side, 4 if tiny else STEPS), 2 if tiny else 8
    jobs = [base.replace(seed=seed, prompt=f"{PROMPT}, {seed}") for seed in range(count)]
    one = _pipeline(family, memory.get(checkpoint), base)
    seconds = in_turns({
        "easel": lambda: drawn(memory, checkpoint, *jobs, policy="packed"),
        "diffusers one by one": lambda: [one() for _ in jobs],
    }, rounds=1 if tiny else 3, warmups=1)
    return _about(memory.get(checkpoint), base) | {
        "users": count, "seconds": medians(seconds),
        "easel / diffusers one by one": ratio(seconds, "easel", "diffusers one by one"), "GiB": _peak(),
    }


@torch.inference_mode()
def loras(family: str, *, tiny: bool) -> dict[str, Any]:
    """A call of eight rows with eight LoRAs of rank 16, and with none; both replayed, on a card."""
    memory, checkpoint, side = random_memory(family, torch.float16, tiny=tiny)
    with tempfile.TemporaryDirectory() as folder:
        return measured(memory, checkpoint, Path(folder), side, rounds=1 if tiny else 20)


@torch.inference_mode()
def batch(*, tiny: bool) -> dict[str, Any]:
    """Eight pictures of a job, and two batches one after the other, each against the same without what makes it fast:
    arithmetic of all pictures at once, decoding beside the next steps, channels last."""
    memory, checkpoint, side = random_memory("sd1", torch.float16, tiny=tiny)
    base, count = _request(side, 2 if tiny else STEPS), 2 if tiny else 8
    at_once, in_a_row = base.replace(batch_size=count), base.replace(batch_count=count)
    beside, nothing_beside = memory.side, NoStream()

    def run(request: Request, *, lazily: bool = True, stream: SideStream = beside) -> object:
        with patch.object(SAMPLERS, "owner_of", SAMPLERS.owner_of if lazily else lambda name: "one by one"):
            memory.side = stream
            return drawn(memory, checkpoint, request)

    rounds = 1 if tiny else 3
    arithmetic = in_turns({"at once": lambda: run(at_once), "one by one": lambda: run(at_once, lazily=False)},
                          rounds=rounds, warmups=1)
    decoding = in_turns({"beside": lambda: run(in_a_row), "between": lambda: run(in_a_row, stream=nothing_beside)},
                        rounds=rounds, warmups=1)
    model, texts = memory.get(checkpoint), _texts(memory.get(checkpoint), base)
    first = deepcopy(model.denoiser).to(memory_format=torch.contiguous_format)
    latent = torch.randn(2, *model.latent_shape(side, side), device=model.device, dtype=model.dtype)
    words, time_ = texts.tokens.to(model.dtype), torch.full((2,), 500.0, device=model.device)
    layout = in_turns({
        "channels last": lambda: _waited(model.denoiser, latent.to(memory_format=torch.channels_last), time_, words),
        "channels first": lambda: _waited(first, latent, time_, words)}, rounds=rounds * 5, warmups=1)
    return _about(model, base) | {
        "pictures": count, "seconds": medians(arithmetic) | medians(decoding) | medians(layout),
        "arithmetic at once / one by one": ratio(arithmetic, "at once", "one by one"),
        "decoding beside / between": ratio(decoding, "beside", "between"),
        "channels last / first": ratio(layout, "channels last", "channels first"),
    }


def _waited(network: nn.Module, *given: torch.Tensor) -> None:
    network(*given)
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@torch.inference_mode()
def decode(*, tiny: bool) -> dict[str, Any]:
    """Latents to pixels, whole and in tiles."""
    memory, checkpoint, _ = random_memory("sdxl", torch.float16, tiny=tiny)
    model = memory.get(checkpoint)
    found = {}
    for side in (64,) if tiny else (512, 1024, 2048):
        latent = torch.randn(1, *model.latent_shape(side, side), device=model.device)
        _reset_peak()
        seconds = in_turns({"whole": lambda x=latent: model.decode(x)}, rounds=3)
        whole = _peak()
        _reset_peak()
        seconds |= in_turns({"tiled": lambda x=latent: model.decode_tiled(x)}, rounds=3)
        found[f"{side}x{side}"] = {"seconds": medians(seconds), "GiB": {"whole": whole, "tiled": _peak()}}
    return found


@torch.inference_mode()
def upscale(*, tiny: bool) -> dict[str, Any]:
    """A picture enlarged four times by a network of Real-ESRGAN's compact kind, in tiles of the size that suits."""
    side, features, layers = (64, 8, 2) if tiny else (1024, 64, 32)
    found = enlarge("cpu" if tiny else "auto", side, 4, features, layers)
    return {"from": side, "to": 4 * side, "seconds": found["seconds"], "GiB": _peak()}


# ---- what they share ----


def _request(side: int, steps: int) -> Request:
    return Request(prompt=PROMPT, negative_prompt=NEGATIVE, width=side, height=side, steps=steps, seed=1,
                   variation_seed=1, cfg_scale=5.0, sampler="DPM++ 2M", schedule="Karras")


def _texts(model: Model, request: Request) -> Encoded:
    """The encoded words of the two rows of a step."""
    size, spoken = (request.height, request.width), {"cond": PROMPT, "uncond": NEGATIVE}
    return stacked([model.encode_text(text, model.text_settings(request, role, size, [text]))
                    for role, text in spoken.items()])


def _pipeline(family: str, model: Model, request: Request, network: nn.Module | None = None) -> Callable[[], object]:
    """Diffusers' pipeline around the same networks, from the words to the pixels; `network` in place of the UNet.

    The demo's tokenizer serves all text encoders: any words become 77 tokens.
    """
    tokenizer = CLIPTokenizer.from_pretrained(HOME / "models" / "demo" / "tokenizer")
    unet = model.denoiser if network is None else network
    parts: dict[str, Any] = {"vae": model.vae, "unet": unet, "scheduler": scheduler()}
    for number, encoder in enumerate(model.text_encoders):
        end = f"_{number + 1}" if number else ""
        parts |= {f"text_encoder{end}": deepcopy(encoder).to(model.dtype), f"tokenizer{end}": tokenizer}
    if family == "sd1":
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = PIPELINES[family](**parts)
    pipeline.set_progress_bar_config(disable=True)

    def run() -> object:
        latent = pipeline(height=request.height, width=request.width, num_inference_steps=request.steps,
                          **asked(request)).images
        return decoded(model, latent)

    return run


def _about(model: Model, request: Request) -> dict[str, Any]:
    return {"device": model.placement.name, "dtype": model.placement.dtype, "steps": request.steps,
            "size": f"{request.width}x{request.height}"}


def _peak() -> float:
    """GiB that the card held at the most."""
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else 0.0


def _reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()

"""LoRAs: what they cost beside a call, what a change of weight costs, and how long the first use of a file takes.

All files have random values. Rank 16 beside the linear layers that plain LoRAs change: attention, its neighbours, and
those of the text encoder.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from backend.catalog.model_file import LORA, ModelFile
from backend.prompt.network_terms import Applied
from backend.worker.adapters.lora_branches import Branches, attached
from backend.worker.adapters.network_file import NetworkFile, read_network
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from benchmarks import models
from benchmarks.engine import PROMPT, on_cpu
from benchmarks.gpu.networks import random_memory
from benchmarks.timing import in_turns, medians, ratio

ROWS, RANK = 8, 16
FIRST_USE_BYTES = 150_000_000
SIGMA = 3.0
BESIDE = ("attn", "ff.", "proj_in", "proj_out", "mlp", "_proj")     # in the paths of the layers
PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}


@torch.inference_mode()
def measure(device: str, tiny: bool = False) -> dict[str, Any]:
    """At the demo's size and at SD1's; `tiny` only rehearses it, with small networks and files."""
    cpu = on_cpu(device)
    with tempfile.TemporaryDirectory() as folder:
        if tiny:
            memory, checkpoint, side = random_memory("sd1", None, tiny=True)
            return {"tiny": measured(memory, checkpoint, Path(folder) / "tiny", side, rounds=1),
                    "first use": first_use(memory, checkpoint, Path(folder), rounds=1, size=FIRST_USE_BYTES // 1000)}
        return {
            "demo": measured(*models.demo(device), Path(folder) / "demo", side=128, rounds=15),
            "sd1": measured(*(full := models.full_size(device)), Path(folder) / "sd1", 256 if cpu else 512, rounds=5),
            "first use": first_use(*full, Path(folder)),
        }


def measured(memory: Memory, checkpoint: ModelFile, folder: Path, side: int, rounds: int) -> dict[str, Any]:
    """Eight LoRAs in calls of eight rows, and a change of weight."""
    model = memory.get(checkpoint)
    files = [written(model, folder / f"style{number}.safetensors", RANK, number) for number in range(ROWS)]
    networks = PromptNetworks(model, {(LORA, file.key): read_network(file, memory.placement) for file in files}, memory)
    return {
        "dtype": memory.placement.dtype, "size": f"{side}x{side}", "rows": ROWS, "rank": RANK,
        **rows(model, networks, [file.key for file in files], side, rounds),
        "ms of a change of weight": change_of_weight(model, networks, files[0].key),
    }


def written(model: Model, path: Path, rank: int, seed: int) -> ModelFile:
    """A LoRA file in kohya's names for the model's denoiser and first text encoder, float16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    parts = model.adapted()
    tensors = {f"{prefix}{layer.replace('.', '_')}.{name}": tensor for part, prefix in PREFIXES.items()
               for layer, module in _linear(parts[part]) for name, tensor in _factors(module, rank, generator).items()}
    save_file(tensors, path, {"sshs_model_hash": f"{seed:064x}"})
    return ModelFile(LORA, path.stem, str(path), family="sd1", facts={"model_hash": f"{seed:064x}"})


def _linear(component: nn.Module) -> list[tuple[str, nn.Module]]:
    found = [(path.removeprefix("text_model."), module) for path, module in component.named_modules()
             if isinstance(module, nn.Linear) or isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)]
    return [(path, module) for path, module in found if any(word in path for word in BESIDE)]


def _factors(module: nn.Module, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
    out, inside, *kernel = module.weight.shape
    down = torch.randn(rank, inside, *kernel, generator=generator) * inside**-0.5
    up = torch.randn(out, rank, *kernel, generator=generator) * 0.01
    return {"lora_down.weight": down.half(), "lora_up.weight": up.half(), "alpha": torch.tensor(rank / 2)}


def rows(model: Model, networks: PromptNetworks, names: Sequence[str], side: int, rounds: int) -> dict[str, Any]:
    """A call of 8 rows: with none, with one LoRA in all of them, and with 8 at 8 strengths.

    Weights into which a LoRA is merged cost what none costs, and once `merging`.
    """
    encoded = model.encode_text(PROMPT)
    latent = torch.randn(model.latent_shape(side, side), generator=torch.Generator().manual_seed(0)).to(model.device)
    plain = Row(latent * SIGMA, SIGMA, encoded, model, model.parametrisation)
    own = [networks.unet([_applied(name, 0.3 + 0.1 * number)]).branches for number, name in enumerate(names)]
    seconds = in_turns({
        "none": lambda: denoise([plain] * len(names)),
        "8 LoRAs": lambda: denoise([replace(plain, branches=each) for each in own]),
        "one LoRA": lambda: denoise([replace(plain, branches=own[0])] * len(names)),
        "merging": lambda: _merge(own[0][0]),
    }, rounds)
    return {"seconds": medians(seconds), "8 LoRAs / none": ratio(seconds, "8 LoRAs", "none"),
            "one LoRA / none": ratio(seconds, "one LoRA", "none")}


def _applied(name: str, weight: float) -> Applied:
    return Applied(LORA, name, weight, weight)


def _merge(use: Branches) -> None:
    """New weights for every layer, in float32 as the kinds that are no sum have them."""
    for path, layer in use.layers.items():
        branch, weight = layer.branch, layer.module.weight
        made = branch.up.float() @ branch.down.flatten(1).float()
        (weight.float() + use.weight(path) * branch.scale * made.view(weight.shape)).to(weight.dtype)


def change_of_weight(model: Model, networks: PromptNetworks, name: str) -> dict[str, float]:
    """Milliseconds for all that a weight goes into between two pictures: branches, and words that are read again."""

    def branches_anew(weight: float) -> None:
        with attached([networks.unet([_applied(name, weight)]).branches]):
            pass

    def words_anew(weight: float) -> None:
        with networks.text([_applied(name, weight)]).attached():
            model.encode_text(PROMPT)

    seconds = in_turns({
        "picture": lambda: branches_anew(random.random()), "words": lambda: words_anew(random.random()),
        "words without": lambda: model.encode_text(PROMPT),
    }, rounds=25)
    return {name: round(value * 1000, 2) for name, value in medians(seconds).items()}


def first_use(
    memory: Memory, checkpoint: ModelFile, folder: Path, rounds: int = 15, size: int = FIRST_USE_BYTES
) -> dict[str, Any]:
    """A file of `size` bytes whose hash nobody knows, from the disk to the branches, beside reading its bytes."""
    model = memory.get(checkpoint)
    layers = [module for part in PREFIXES for _, module in _linear(model.adapted()[part])]
    rank = round(size / 2 / sum(sum(module.weight.shape[:2]) for module in layers))
    file = replace(written(model, folder / "large.safetensors", rank, 0), facts={})
    path = Path(file.path)
    result: dict[str, Any] = {"MB": round(path.stat().st_size / 1e6)}
    for state, prepare in {"from the disk": _forget, "from the system's cache": Path.read_bytes}.items():
        seconds: dict[str, list[float]] = {"read": [], "use": []}
        for _ in range(rounds):
            prepare(path)
            seconds["read"].append(_seconds(path.read_bytes)[0])
            prepare(path)
            passed, network = _seconds(lambda: _used(memory, model, file))
            seconds["use"].append(passed)
            network.background_hash.wait()
        result[state] = {"seconds": medians(seconds), "use / read": ratio(seconds, "use", "read")}
    return result


def _used(memory: Memory, model: Model, file: ModelFile) -> NetworkFile:
    network = read_network(file, memory.placement)
    PromptNetworks(model, {(LORA, file.key): network}).unet([_applied(file.key, 1.0)])
    return network


def _seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    made = run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started, made


def _forget(path: Path) -> None:
    """Out of the system's cache, where the system can be asked for it."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

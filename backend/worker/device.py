"""Where the networks live and in which number format: chosen once per worker process."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psutil
import torch

from backend.catalog.call_estimate import DeviceLimits
from backend.errors import EaselError
from backend.messages import MemoryUse

EXACT = "EASEL_FLOAT32"
"""Environment variable: any value but "" and "0" keeps every network in float32, for results without rounding."""

CPU_MATRIX, CARD_MATRIX = 1024, 8192        # sides of what is multiplied to learn a device's speed
TRIES = 4


@dataclass(frozen=True, slots=True)
class Placement:
    """A device and the number formats of the three networks on it."""

    device: torch.device
    unet: torch.dtype
    text: torch.dtype
    vae: torch.dtype

    @property
    def dtype(self) -> str:
        """The UNet's format for people, like "float16"."""
        return str(self.unet).removeprefix("torch.")

    @property
    def name(self) -> str:
        """The device for people: "NVIDIA H200" or "CPU, 2 threads"."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        count = torch.get_num_threads()
        return f"CPU, {count} thread{'s' if count != 1 else ''}"


def place(device: str = "auto", *, exact: bool | None = None) -> Placement:
    """The placement for "auto", "cpu", "cuda" or "cuda:1"; `exact` forces float32, None asks EASEL_FLOAT32.

    Raises EaselError when the device does not exist.
    """
    chosen = _device(device)
    if os.environ.get(EXACT, "0") not in ("", "0") if exact is None else exact:
        return Placement(chosen, torch.float32, torch.float32, torch.float32)
    if chosen.type == "cuda":
        return Placement(chosen, torch.float16, torch.float16, torch.float16)
    unet = torch.bfloat16 if _cpu_multiplies_bfloat16() else torch.float32
    return Placement(chosen, unet, torch.float32, torch.float32)


def limits(placement: Placement) -> DeviceLimits:
    """The device's whole memory, and its speed in the UNet's number format: the best of a few multiplications."""
    card = placement.device.type == "cuda"
    memory = torch.cuda.mem_get_info(placement.device)[1] if card else psutil.virtual_memory().total
    side = CARD_MATRIX if card else CPU_MATRIX
    matrix = torch.ones(side, side, device=placement.device, dtype=placement.unet)
    seconds = min(_seconds_to_square(matrix) for _ in range(TRIES))
    return DeviceLimits(memory, 2 * side**3 / seconds, placement.dtype)


def free_bytes(device: torch.device) -> int:
    """Memory that nobody uses now, on the card or in the machine; what torch keeps for reuse counts as free."""
    if device.type != "cuda":
        return psutil.virtual_memory().available
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def memory_in_use(device: torch.device) -> MemoryUse:
    """What of the card's memory, or of the machine's, is in use now."""
    if device.type != "cuda":
        machine = psutil.virtual_memory()
        return MemoryUse(0, psutil.Process().memory_info().rss, machine.total - machine.available)
    free, total = torch.cuda.mem_get_info(device)
    return MemoryUse(torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device), total - free)


def _seconds_to_square(matrix: torch.Tensor) -> float:
    started = time.perf_counter()
    (matrix @ matrix)[0, 0].item()          # waits for the device
    return time.perf_counter() - started


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise EaselError(f"'{name}' is no device; say auto, cpu, cuda or cuda:1") from None
    if device.type not in ("cpu", "cuda"):
        raise EaselError(f"Easel does not run on '{name}'; say auto, cpu, cuda or cuda:1")
    if device.type == "cpu":
        return torch.device("cpu")
    index = device.index or 0
    if index >= torch.cuda.device_count():
        raise EaselError(f"this machine has no device '{name}'; torch sees {torch.cuda.device_count()} CUDA devices")
    return torch.device("cuda", index)


def _cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU has matrix or dot-product instructions for bfloat16; without them it is slower than float32."""
    return any(torch.cpu.get_capabilities().get(name, False) for name in ("amx_bf16", "avx512_bf16"))

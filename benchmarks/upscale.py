"""Memory of a large upscale: what a job of Extras takes at its peak above the loaded network, in a fresh process each.

The network is Real-ESRGAN's compact one with random weights. One job makes 4096x4096 pixels from 1024x1024, one starts
from 4096x4096 and makes 8192x8192.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from backend.catalog.model_file import UPSCALER, ModelFile
from backend.messages import Event, Failed, Picture, Run
from backend.request.choices import EXTRAS
from backend.request.request import Request
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.engine.engine import Engine
from backend.worker.models import upscaler
from backend.worker.models.memory import Memory

PICTURE = "0" * 64
JOBS = {"1024 to 4096": (1024, 4, 64, 16), "4096 to 8192": (4096, 2, 24, 8)}      # side, scale, features, layers


def measure(device: str) -> dict[str, Any]:
    return {name: _in_fresh_process(device, *job) for name, job in JOBS.items()}


def _in_fresh_process(device: str, *job: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.upscale", device, *map(str, job)]
    ran = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout.strip().splitlines()[-1])


@torch.inference_mode()
def enlarge(device: str, side: int, scale: int, features: int, layers: int) -> dict[str, Any]:
    """GiB of the process above what it had when the network was loaded, and seconds."""
    memory = Memory(place(device))
    with tempfile.TemporaryDirectory() as folder:
        file = _network(Path(folder) / "random.pth", scale, features, layers)
        memory.fetch(file.kind, file.key, file.path, lambda: upscaler.load(file, memory.placement))
        run = Run("job", "local", _request(scale), (0,), {(UPSCALER, file.key): file}, {PICTURE: _picture(side)})
        process = psutil.Process()
        before, started = process.memory_info().rss, time.perf_counter()
        _drive(memory, run, side * scale)
    seconds, grown = time.perf_counter() - started, _peak() - before
    return {"GiB above the network": round(grown / 2**30, 3), "seconds": round(seconds, 1)}


def _drive(memory: Memory, run: Run, side: int) -> None:
    events: list[Event] = []
    engine = Engine(memory, "solo", events.append)
    engine.add(run)
    while engine.step():
        pass
    failed = [event for event in events if isinstance(event, Failed)]
    if failed:
        raise RuntimeError(failed[0].detail)
    (picture,) = (event for event in events if isinstance(event, Picture))
    if (picture.width, picture.height) != (side, side):
        raise RuntimeError(f"the picture has {picture.width} x {picture.height} pixels")


def _request(scale: int) -> Request:
    return Request(process=EXTRAS, init_image=PICTURE, upscaler_1="random", upscale_by=scale, seed=1, variation_seed=1)


def _network(path: Path, scale: int, features: int, layers: int) -> ModelFile:
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    network = Compact(num_feat=features, num_conv=layers, upscale=scale)
    torch.save({"params": network.state_dict()}, path)
    return ModelFile(UPSCALER, "random", str(path))


def _picture(side: int) -> bytes:
    """A PNG of soft colours."""
    line = np.linspace(0, 255, side).astype(np.uint8)
    pixels = np.stack([np.broadcast_to(line, (side, side)), np.broadcast_to(line[:, None], (side, side)),
                       np.full((side, side), 90, np.uint8)], -1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _peak() -> int:
    """The most bytes that this process has had in memory so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell a process's peak of memory")


if __name__ == "__main__":
    print(json.dumps(enlarge(sys.argv[1], *map(int, sys.argv[2:]))))

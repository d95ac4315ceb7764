"""Runs the tests of the card and every measurement, each in a process of its own with a time limit.

    python -m benchmarks.gpu --wheels FOLDER      on a card; packages that are missing come from wheels in FOLDER
    python -m benchmarks.gpu --rehearse           the same at tiny sizes on the CPU, so that nothing fails on the card

Needs torch, transformers, safetensors, numpy, scipy, pillow and psutil; imports none of them itself. Results are
written after each part, so what was measured stays when the time runs out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[2]
RESULTS = HOME / "benchmarks" / "results"
TOTAL_SECONDS = 420
LEAST_SHARE = 0.5           # of its limit has to be left, or a part is not begun
REHEARSED_SLOWER = 5        # times, on a CPU that may be busy
SAID = 25                   # lines that are kept of what a part without a result has said

# Name, arguments of `benchmarks.gpu.part`, limit in seconds. In the order of their worth: the last are left out first.
PARTS: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("tests", ("tests",), 80),
    ("graphs sd1", ("graphs", "sd1"), 50),
    ("graphs sdxl", ("graphs", "sdxl"), 80),
    ("users sd1", ("users", "sd1"), 60),
    ("loras sd1", ("loras", "sd1"), 45),
    ("batch sd1", ("batch",), 45),
    ("compiled sd1", ("compiled", "sd1"), 90),
    ("presets sdxl", ("presets", "sdxl"), 60),
    ("costs of presets", ("costs",), 45),
    ("sd1 float16", ("draw", "sd1", "float16"), 40),
    ("sdxl float16", ("draw", "sdxl", "float16"), 70),
    ("packed sd1", ("packed", "sd1"), 45),
    ("launch", ("launch",), 40),
    ("decode", ("decode",), 30),
    ("upscale", ("upscale",), 30),
    ("sd1 bfloat16", ("draw", "sd1", "bfloat16"), 35),
    ("packed sdxl", ("packed", "sdxl"), 60),
    ("sdxl bfloat16", ("draw", "sdxl", "bfloat16"), 60),
    ("compiled sdxl", ("compiled", "sdxl"), 130),
)


def main() -> int:
    """Returns 0 when every part that there was time for gave a result."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--wheels", default="", help="a folder of wheels to take what is missing from")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes on the CPU")
    parser.add_argument("--seconds", type=int, default=TOTAL_SECONDS,
                        help=f"for all parts together; {TOTAL_SECONDS} unless given")
    parser.add_argument("parts", nargs="*", help="only these; all when none is named")
    chosen = parser.parse_args()
    file = RESULTS / ("gpu-rehearsal.json" if chosen.rehearse else "gpu.json")
    with tempfile.TemporaryDirectory() as unpacked:
        environment = surroundings(chosen.wheels, Path(unpacked))
        results = run_all(chosen, environment, file)
        plotted = subprocess.run([sys.executable, "-m", "benchmarks.gpu.plot", str(file)], cwd=HOME, env=environment)
    failed = [name for name, result in results.items() if "failed" in result]
    print(f"{file}: {len(results)} parts" + (f", without a result: {', '.join(failed)}" if failed else ""), flush=True)
    return 1 if failed or plotted.returncode else 0


def surroundings(wheels: str, unpacked: Path) -> dict[str, str]:
    """The environment of each part: wheels are unpacked, which is all that a pure one needs to be imported."""
    for wheel in sorted(Path(wheels).glob("*.whl")) if wheels else ():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
    path = os.pathsep.join([str(HOME), str(unpacked), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def run_all(chosen: argparse.Namespace, environment: dict[str, str], file: Path) -> dict[str, Any]:
    """Each part's result, or why there is none; written to `file` after each."""
    results: dict[str, Any] = {}
    slower = REHEARSED_SLOWER if chosen.rehearse else 1
    end = time.monotonic() + chosen.seconds * slower
    for name, arguments, limit in PARTS:
        if chosen.parts and name not in chosen.parts:
            continue
        started, whole = time.monotonic(), limit * slower
        left = min(whole, end - started)
        late = {"left out": "no time was left"}
        tiny = ["--rehearse"] if chosen.rehearse else []
        command = [sys.executable, "-m", "benchmarks.gpu.part", *tiny, *arguments]
        results[name] = run(command, left, environment) if left >= whole * LEAST_SHARE else late
        results[name]["wall seconds"] = round(time.monotonic() - started, 1)
        print(json.dumps({name: results[name]}), flush=True)
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(results, indent=2) + "\n")
    return results


def run(command: list[str], seconds: float, environment: dict[str, str]) -> dict[str, Any]:
    """What one part writes as its last line of output, or "failed" with the end of what it has said.

    It and all that it has started are gone afterwards, and hold nothing of the card.
    """
    with tempfile.TemporaryFile("w+") as figures, tempfile.TemporaryFile("w+", errors="replace") as said:
        part = subprocess.Popen(command, cwd=HOME, env=environment, stdout=figures, stderr=said, start_new_session=True)
        try:
            part.wait(seconds)
            why = f"ended with code {part.returncode}"
        except subprocess.TimeoutExpired:
            why = f"took longer than {seconds:.0f} s"
        finally:
            _end(part)
        heard, lines = _lines(said), _lines(figures)
    print(*heard, sep="\n", file=sys.stderr, flush=True)
    try:
        return dict(json.loads(lines[-1]))
    except (IndexError, TypeError, ValueError):
        return {"failed": why, "said": [*lines, *heard][-SAID:]}


def _end(part: subprocess.Popen[bytes]) -> None:
    """With its whole process group, which may outlive it."""
    try:
        os.killpg(part.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        part.wait()


def _lines(file: Any) -> list[str]:
    file.seek(0)
    return file.read().strip().splitlines()


if __name__ == "__main__":
    sys.exit(main())

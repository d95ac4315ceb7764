"""The figures as a table and as a plot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TARGETS = {
    "engine / demo / easel / bare": ("at most", 1.15),
    "engine / sd1 / easel / bare": ("at most", 1.03),
    "engine / demo / easel / diffusers": ("at most", 1.0),
    "engine / sd1 / easel / diffusers": ("at most", 1.0),
    "pictures / demo / img2img / easel / diffusers": ("at most", 1.0),
    "pictures / demo / inpaint / easel / diffusers": ("at most", 1.0),
    "pictures / sd1 / img2img / easel / diffusers": ("at most", 1.0),
    "pictures / sd1 / inpaint / easel / diffusers": ("at most", 1.0),
    "sdxl / peak memory / file": ("at most", 1.2),
    "sdxl / easel / diffusers": ("at most", 1.0),
    "packed / demo / packed / solo": ("at least", 1.8),
    "plots / guidance by LoRA / one by one / plot": ("at least", 2.0),
    "plots / hires denoising / one by one / plot": ("at least", 1.8),
    "plots / three checkpoints / loads": ("at most", 3),
    "networks / demo / 8 LoRAs / none": ("at most", 1.25),
    "networks / sd1 / 8 LoRAs / none": ("at most", 1.25),
    "networks / demo / ms of a change of weight / picture": ("at most", 5),
    "networks / sd1 / ms of a change of weight / picture": ("at most", 5),
    "networks / first use / from the disk / use / read": ("at most", 1.3),
    "guides / controlnet / easel / diffusers": ("at most", 1.0),
    "guides / ip_adapter / easel / diffusers": ("at most", 1.0),
    "startup / seconds to the page": ("at most", 5.0),
    "first visit / ms to Generate": ("at most", 2000),
    "first visit / kB of HTML": ("at most", 100),
    "upscale / 1024 to 4096 / GiB above the network": ("at most", 1.5),
    "upscale / 4096 to 8192 / GiB above the network": ("at most", 1.5),
    "load / submit p95 seconds": ("at most", 0.2),
    "load / event loop late p95 seconds": ("at most", 0.05),
    "load / event loop late at most seconds": ("at most", 0.1),
    "load / event loop busy at a stretch at most seconds": ("at most", 0.1),
    "load / requests that failed": ("at most", 0),
    "load / jobs not drawn exactly once": ("at most", 0),
    "load / 2,000 jobs wait / page p95 seconds": ("at most", 0.3),
    "load / 2,000 jobs wait / queue p95 seconds": ("at most", 0.3),
    "load / MB of the busiest open page": ("at most", 1.0),
    "load / slowest cancel all seconds": ("at most", 2.0),
    "history / ms first page": ("at most", 500),
    "history / ms slowest search": ("at most", 300),
    "plot page / frames a second": ("at least", 50),
    "plot page / MiB the front grows by": ("at most", 50),
}


def flat(results: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("engine / demo / easel / bare", 1.02), ... for every leaf."""
    for key, value in results.items():
        name = f"{prefix} / {key}" if prefix else key
        if isinstance(value, dict):
            yield from flat(value, name)
        else:
            yield name, value


def table(results: dict[str, Any]) -> str:
    """A Markdown table of every figure, with the target beside it where there is one."""
    lines = ["| figure | measured | target |", "| --- | --- | --- |"]
    for name, value in flat(results):
        word, bound = TARGETS.get(name, ("", ""))
        lines.append(f"| {name} | {value} | {word} {bound} |")
    return "\n".join(lines) + "\n"


def write_plot(results: dict[str, Any], file: Path) -> None:
    """Each figure that has a target, as a share of it: left of the line is better where less is better."""
    found = dict(flat(results))
    # Of nothing there is no share: a target of 0 stands in the table only.
    rows = [(name, found[name], *target) for name, target in TARGETS.items() if name in found and target[1]]
    figure, axes = plt.subplots(figsize=(8, 0.6 * len(rows) + 1.2))
    for place, (_, value, word, bound) in enumerate(reversed(rows)):
        met = value <= bound if word == "at most" else value >= bound
        axes.barh(place, value / bound, color="#3b7d5a" if met else "#c2573a")
        axes.text(value / bound + 0.01, place, f"{value} ({word} {bound})", va="center", fontsize=8,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)], fontsize=8)
    axes.axvline(1, color="#444", linewidth=1)
    axes.set_xlabel("measured / target")
    axes.set_xlim(0, max([value / bound for _, value, _, bound in rows] + [1]) * 1.35)
    figure.tight_layout()
    figure.savefig(file, dpi=130)

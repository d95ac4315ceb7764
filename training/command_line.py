"""What the scripts of this folder can be told when they are started, and where the figures of those that measure go."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from PIL import Image


def parser(text: str, **defaults: float | str | Path) -> argparse.ArgumentParser:
    """One with an option for each of `defaults`, of its type. `text` is the description."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        made.add_argument(f"--{name}", type=type(default), default=default)
    return made


def started(options: argparse.ArgumentParser) -> argparse.Namespace:
    """The options of a training, with --threads: torch uses so many. Random numbers begin the same each time."""
    options.add_argument("--threads", type=int, default=1)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    return chosen


def measuring(text: str, grid: str = "", **defaults: float | str | Path) -> argparse.ArgumentParser:
    """As `parser`, with --json for the figures; `grid` says of what the pictures are that go to --grid, "" for none."""
    made = parser(text, **defaults)
    made.add_argument("--json", type=Path, help="write the figures here")
    if grid:
        made.add_argument("--grid", type=Path, help=f"write some pictures here: {grid}")
    return made


def tell(
    options: argparse.Namespace, result: Mapping[str, object], sheet: Callable[[], Image.Image] | None = None
) -> None:
    """Print the figures; write them to --json, and the pictures that `sheet` makes to --grid, where those are given."""
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    if sheet and options.grid:
        sheet().save(options.grid)

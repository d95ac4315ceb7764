"""What the trainings can be told when they are started."""

from __future__ import annotations

import argparse

import torch


def started(text: str, **numbers: float) -> argparse.Namespace:
    """An option for each of `numbers`, of its type and with it as default, and --threads; torch uses so many.

    Random numbers begin the same each time. `text` is the description.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {**numbers, "threads": 1}.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    return options

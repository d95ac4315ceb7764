"""Prints the rows of the table in docs/prompts.md: how far each kind of network is from weights merged by LyCORIS.

    python -m tests.tiny.network_deviations

Relative, float32, of what a tiny model's denoiser answers to words that its changed text encoder has read.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from tests.tiny.test_network_kinds import KINDS, both, distance, drawn, opened


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = opened(Path(folder))
        for kind in KINDS:
            file, truth = both(model, Path(folder), kind)
            print(f"| {kind} | {distance(drawn(model, file), drawn(truth, None)):.1e} |", flush=True)


if __name__ == "__main__":
    main()

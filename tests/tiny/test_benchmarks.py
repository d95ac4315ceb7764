"""What is only measured on a card, or takes long, runs at tiny sizes: a machine that is lent for minutes must not find a slip."""

from __future__ import annotations

import pytest
import torch

from benchmarks import guides, networks, plots, sdxl
from benchmarks.gpu import measures
from benchmarks.gpu.networks import random_memory


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_picture_beside_the_bare_calls_and_diffusers(family):
    found = measures.draw(family, "float16", tiny=True)
    assert set(found["seconds"]) == {"easel", "bare", "diffusers"}
    assert min(found["seconds"].values()) > 0 and found["easel / bare"] > 0


def test_calls_and_decoding():
    assert set(measures.launch(tiny=True)) == {"sd1", "sdxl"}
    assert measures.decode(tiny=True)["64x64"]["seconds"].keys() == {"whole", "tiled"}


def test_several_jobs_at_once():
    assert list(measures.packed("sdxl", tiny=True)["jobs"]) == ["1", "2", "4"]


def test_plots_beside_their_requests_one_by_one():
    found = plots.measure("cpu", plots.TINY)
    assert {name: found[name]["cells"] for name in ("guidance by LoRA", "hires denoising")} == {"guidance by LoRA": 4, "hires denoising": 4}
    assert max(found[name]["mean difference of a pixel in 255"] for name in ("guidance by LoRA", "hires denoising")) < 2
    assert found["three checkpoints"] == {"cells": 6, "loads": 3}


def test_networks_beside_calls_with_none():
    found = networks.measure("cpu", tiny=True)
    assert found["tiny"]["rows"] == 8 and found["tiny"]["8 LoRAs / none"] > 0 and found["tiny"]["ms of a change of weight"]["words"] > 0
    assert found["first use"]["from the system's cache"]["use / read"] > 0


def test_guides_beside_diffusers():
    found = guides.measure("cpu", tiny=True)
    assert min(found[kind]["easel / diffusers"] for kind in ("controlnet", "ip_adapter")) > 0


@torch.inference_mode()
def test_sdxl_beside_diffusers():
    memory, checkpoint, side = random_memory("sdxl", None, tiny=True)
    request = measures._request(side, 2)
    assert sdxl.compare(memory, checkpoint, request, rounds=1)["easel / diffusers"] > 0

"""What only a graphics card can show."""

import numpy as np
import pytest
import torch

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Picture
from backend.request.request import Request
from backend.settings import HOME
from backend.worker.device import memory_in_use, place
from backend.worker.models.memory import Memory
from tests.tiny.test_engine import Studio, neighbours

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

REQUEST = Request(prompt="a red circle on a blue background", width=128, height=128, seed=1, variation_seed=1, cfg_scale=5)


@pytest.fixture(scope="module")
def demo():
    return ModelCatalog((HOME / "models",)).find("checkpoint", "demo")


def pixels(studio) -> np.ndarray:
    return np.frombuffer(studio.run().of(Picture, "mine")[0].pixels, np.uint8).astype(int)


def studio_on(device, demo, policy="solo", exact=None):
    return Studio((Memory(place(device, exact=exact)), {"first": demo}), policy)


def test_card_and_cpu_draw_the_same_picture(demo):
    drawn = []
    for device in ("cuda", "cpu"):
        studio = studio_on(device, demo, exact=True)
        studio.add("mine", REQUEST)
        drawn.append(pixels(studio))
    assert np.abs(drawn[0] - drawn[1]).mean() < 2


def test_neighbours_do_not_matter_on_the_card(demo):
    drawn = []
    for seed in (1, 2):
        studio = studio_on("cuda", demo, "packed")
        studio.add("mine", REQUEST.replace(width=64, height=64, steps=4))
        neighbours(studio, seed)
        drawn.append(pixels(studio))
    assert (drawn[0] == drawn[1]).all()


def test_the_card_is_given_back(demo):
    before = torch.cuda.memory_allocated()
    studio = studio_on("cuda", demo)
    studio.add("mine", REQUEST)
    pixels(studio)
    used = memory_in_use(studio.memory.placement.device)
    assert before < used.tensors <= used.worker <= used.device
    studio.memory.clear()
    assert torch.cuda.memory_allocated() - before < 2**20

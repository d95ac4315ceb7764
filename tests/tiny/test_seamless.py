"""Seamless tiling: opposite edges fit together, and nobody beside or after such a picture notices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Picture
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.models.encoded_text import Encoded
from backend.worker.models.memory import Memory
from backend.worker.models.seamless import seamless
from tests.tiny.test_engine import BASE, Studio, house
from tests.tiny.test_init_image import FROM, INIT, MASK, draw, drawn, picture, spot

__all__ = ["house"]
TILED = BASE.replace(prompt="a cat", tiling=True, steps=2)


def padding(network: nn.Module) -> Iterator[tuple]:
    for module in network.modules():
        yield getattr(module, "padding_mode", ""), len(module._forward_pre_hooks)


@torch.inference_mode()
def test_rolling_the_input_rolls_the_output(house):
    """The law of circular padding, for the UNet, for decoding and for encoding: there is no edge."""
    model = house[0].get(house[1]["first"])
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 32)
    pixels = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    with seamless(model.denoiser), seamless(model.vae):
        for run, given, step in (
            (lambda x: model.predict(x, torch.tensor([500.0]), Encoded(context)), x, 2),
            (lambda x: torch.from_numpy(model.decode(x)).permute(0, 3, 1, 2).float(), x, 8),
            (lambda x: model.encode(x.permute(0, 2, 3, 1).numpy()), torch.from_numpy(pixels).permute(0, 3, 1, 2), 1),
        ):
            cells = 8 if step == 1 else 2
            rolled = run(given.roll((cells, cells), (2, 3)))
            assert torch.allclose(rolled, run(given).roll((step if step != 8 else 16,) * 2, (2, 3)), atol=1e-3 if step != 8 else 1.01)


@torch.inference_mode()
def test_leaving_restores_everything(house):
    model = house[0].get(house[1]["first"])
    before = list(padding(model.vae)), list(padding(model.denoiser)), model.decode(torch.ones(1, 4, 8, 8)).tobytes()
    with pytest.raises(ZeroDivisionError), seamless(model.vae), seamless(model.denoiser):
        assert list(padding(model.vae)) != before[0] and list(padding(model.denoiser)) != before[1]
        _ = 1 / 0
    assert (list(padding(model.vae)), list(padding(model.denoiser)), model.decode(torch.ones(1, 4, 8, 8)).tobytes()) == before


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_neighbours_are_never_affected(house, policy):
    """At the same row count, whether the others are tiling or not."""
    def beside(tiling: bool) -> tuple[bytes, bytes]:
        studio = Studio(house, policy)
        studio.add("plain", TILED.replace(tiling=False))
        for number in range(3):
            studio.add(str(number), TILED.replace(seed=number, tiling=tiling))
        studio.run()
        return studio.pixels("plain"), studio.pixels("1")

    alone = Studio(house, "packed")
    alone.add("plain", TILED.replace(tiling=False))
    with_tiling, without = beside(True), beside(False)
    assert np.abs(np.frombuffer(with_tiling[0], np.uint8).astype(int) - np.frombuffer(without[0], np.uint8)).max() <= 1
    assert with_tiling[1] != without[1]
    assert policy == "packed" or with_tiling[0] == without[0]


def test_an_encoded_picture_is_not_mixed_up(house):
    plain, tiled = FROM.replace(denoising_strength=0.2), FROM.replace(denoising_strength=0.2, tiling=True)
    first = draw(house, plain)[0]
    assert not np.array_equal(draw(house, tiled)[0], first)
    assert np.array_equal(draw(house, plain)[0], first)


def test_where_only_a_part_is_drawn_it_is_left_out_and_told(house):
    request = FROM.replace(mask=MASK, inpaint_area="Only masked", tiling=True)
    studio = drawn(house, request, {INIT: picture(), MASK: spot()})
    assert "tiling" in studio.of(Picture)[0].notes[0]
    assert np.array_equal(draw(house, request)[0], draw(house, request.replace(tiling=False))[0])


@pytest.fixture(scope="module")
def demo() -> Memory:
    return Memory(place("cpu", exact=True))


def seam(pixels: np.ndarray) -> float:
    """The step across the wrap over the largest step inside, at the worse pair of sides."""
    values = pixels.astype(float)
    steps = [np.abs(np.diff(values, axis=axis, append=values.take([0], axis))).mean((1 - axis, 2)) for axis in (0, 1)]
    return max(side[-1] / side[:-1].max() for side in steps)


@pytest.mark.parametrize("side, hires", [(128, False), (64, True)])
def test_the_edges_of_a_picture_fit_together(demo, side, hires):
    studio = Studio((demo, {"first": ModelCatalog((HOME / "models",)).find("checkpoint", "demo")}), "solo")
    request = BASE.replace(prompt="a red star, blue background", negative_prompt="", width=side, height=side, steps=6, tiling=True,
                           sampler="Euler", enable_hr=hires, hr_scale=2.0, denoising_strength=0.6, seed=3)
    studio.add("mine", request)
    found = studio.run().of(Picture)[0]
    assert seam(np.frombuffer(found.pixels, np.uint8).reshape(found.height, found.width, 3)) <= 1.0

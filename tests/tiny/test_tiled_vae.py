"""The VAE in tiles: when it is used, that it gives what the whole gives, and that the person is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Failed, Picture
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.models import vae_memory_estimate as footprint
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.seamless import seamless
from backend.worker.models.vae_tiles import Tiles
from tests.tiny.test_engine import BASE, Studio, house
from tests.tiny.test_init_image import FROM, INIT, draw, drawn, picture

__all__ = ["house"]


@pytest.fixture(scope="module")
def demo() -> Model:
    return Memory(place("cpu", exact=True)).get(ModelCatalog((HOME / "models",)).find("checkpoint", "demo"))


def smooth(width: int, height: int) -> np.ndarray:
    small = np.random.default_rng(1).integers(60, 200, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("wrap", [False, True])
@torch.inference_mode()
def test_tiles_are_the_whole_for_smooth_pictures(demo, wrap):
    pixels, tiles = smooth(256, 192)[None], Tiles(16, 6)
    with seamless(demo.vae, wrap):
        whole = demo.encode(pixels)
        tiled = demo.encode_tiled(pixels, tiles, wrap=wrap)
        assert tiled.shape == whole.shape == (1, 4, 24, 32)
        assert (tiled - whole).abs().mean() < 0.05 * whole.std()
        back, in_tiles = demo.decode(whole).astype(int), demo.decode_tiled(whole, tiles, wrap=wrap).astype(int)
    assert np.abs(back - in_tiles).mean() < 3
    steps = np.abs(np.diff(in_tiles, axis=2)).mean((0, 1, 3))
    assert steps.max() < np.abs(np.diff(back, axis=2)).mean((0, 1, 3)).max() * 1.5 + 1, "no seam where tiles meet"


@torch.inference_mode()
def test_one_tile_is_the_whole(demo):
    pixels = smooth(64, 48)[None]
    assert torch.allclose(demo.encode_tiled(pixels), demo.encode(pixels), atol=1e-5)


def test_the_estimate_grows_with_pixels_channels_and_format(demo):
    one = footprint.needed(demo.vae, "decode", (64, 64))
    assert footprint.needed(demo.vae, "decode", (128, 128)) == pytest.approx(4 * one)
    assert footprint.needed(demo.vae, "encode", (64, 64)) < one
    assert footprint.fitting(demo.vae, "decode", (64, 64)) >= 1
    assert footprint.fitting(demo.vae, "encode", (2**15, 2**15)) == 0


@pytest.mark.parametrize("room, notes", [(10**12, 0), (10, 1)])
def test_free_memory_decides_and_the_person_is_told(house, monkeypatch, room, notes):
    monkeypatch.setattr(footprint, "_room", lambda device: room)
    studio = drawn(house, FROM.replace(seed=room % 1000), {INIT: picture(65, 64)})
    told = studio.of(Picture)[0].notes
    assert sum("decoded in tiles" in note for note in told) == notes
    assert sum("encoded in tiles" in note for note in told) == notes


def test_a_batch_is_decoded_in_parts_that_fit(house, monkeypatch):
    model, sizes = house[0].get(house[1]["first"]), []
    decoding = Model.decoding
    monkeypatch.setattr(Model, "decoding", lambda self, latent: sizes.append(len(latent)) or decoding(self, latent))
    monkeypatch.setattr(footprint, "_room", lambda device: 2 * footprint.needed(model.vae, "decode", (64, 64)))
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(batch_size=3, steps=1))
    assert not studio.run().of(Picture)[0].notes and sizes == [2, 1]


def test_encoding_goes_on_in_tiles_when_memory_is_short(house, monkeypatch):
    def encoding(self, pixels, noise=None):
        raise torch.OutOfMemoryError("CUDA out of memory")

    request, files = FROM.replace(seed=99), {INIT: picture(70, 64)}
    whole = draw(house, request, files)[0]
    monkeypatch.setattr(Model, "encoding", encoding)
    studio = drawn(house, request.replace(width=64, height=72), {INIT: picture(71, 64)})
    assert any("encoded in tiles" in note for note in studio.of(Picture)[0].notes)
    assert whole.shape == (64, 64, 3)


@pytest.mark.parametrize("fits, field", [(16, None), (0, "width")])
def test_tiles_shrink_until_they_fit(house, monkeypatch, fits, field):
    seen, decode_tiled = [], Model.decode_tiled

    def short(self, latent, tiles, *, wrap=False):
        seen.append(tiles.side)
        if tiles.side > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode_tiled(self, latent, tiles, wrap=wrap)

    monkeypatch.setattr(footprint, "_room", lambda device: 10)
    monkeypatch.setattr(Model, "decode_tiled", short)
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(steps=1))
    studio.run()
    assert seen == [64, 32, 16]
    assert [event.problems[0].field for event in studio.of(Failed)] == ([field] if field else [])

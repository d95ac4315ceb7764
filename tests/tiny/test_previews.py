"""Previews: as often and as good as the request says, and never at the cost of the picture."""

import io

import pytest
import torch
from PIL import Image

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Failed, Picture, Preview
from backend.request.choices import PREVIEWS
from backend.worker.device import place
from backend.worker.models.memory import Memory
from backend.worker.pixels.preview import FULL
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_engine import BASE, Studio


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    save_folder(tiny(seed=0), folder / "checkpoints" / "first")
    return Memory(place("cpu", exact=True)), {c.key: c for c in ModelCatalog((folder,)).scan()}


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr("backend.worker.engine.previews.PREVIEW_SECONDS", 0.0)


def drawn(house, **values):
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(steps=6, **values))
    return studio.run()


def sizes(studio):
    return {Image.open(io.BytesIO(event.jpeg)).size for event in studio.of(Preview, "mine")}


@pytest.mark.parametrize("every, count", [(0, 0), (1, 5), (2, 2), (3, 1), (7, 0)])
def test_every_so_many_steps(house, every, count):
    assert len(drawn(house, preview_every=every).of(Preview)) == count


def test_cheap_ones_have_a_pixel_per_cell_and_full_ones_are_whole(house):
    assert sizes(drawn(house, preview_every=2, preview_method="Approx cheap")) == {(8, 8)}
    assert sizes(drawn(house, preview_every=2, preview_method=FULL)) == {(64, 64)}
    assert FULL in PREVIEWS


def test_previews_do_not_change_the_picture(house):
    plain, cheap, full = (drawn(house, preview_every=every, preview_method=method).pixels("mine")
                          for every, method in ((0, FULL), (1, "Approx cheap"), (1, FULL)))
    assert plain == cheap == full


def test_a_preview_that_cannot_be_decoded_costs_nothing(house, monkeypatch):
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(steps=4, preview_every=1, preview_method=FULL))
    studio.step()
    model = house[0].get(house[1]["first"])
    decode = model.decode
    failing = iter([torch.OutOfMemoryError("out of memory"), RuntimeError("CUDA error"), MemoryError()])

    def short(latents):
        error = next(failing, None)
        if error:
            raise error
        return decode(latents)

    monkeypatch.setattr(model, "decode", short)
    studio.run()
    assert sizes(studio) == {(8, 8)} and studio.of(Picture, "mine") and not studio.of(Failed)

"""What `make bench` compares is the same work: Easel and diffusers call the networks equally often."""

from collections import Counter

import pytest
import torch

from benchmarks import models, pictures
from benchmarks.engine import draw


@pytest.fixture(scope="module")
def demo():
    memory, checkpoint = models.demo("cpu")
    return memory, checkpoint, memory.get(checkpoint)


@pytest.mark.parametrize("kind", ["img2img", "inpaint"])
@torch.inference_mode()
def test_easel_and_diffusers_make_as_many_calls(demo, kind, monkeypatch):
    memory, checkpoint, model = demo
    request = pictures.ordered(64, 6).replace(mask=pictures.MASK if kind == "inpaint" else "")
    picture, mask = pictures.inputs(64)
    files = {pictures.PICTURE: pictures.png(picture), pictures.MASK: pictures.png(mask)}
    others = {"img2img": lambda: pictures.diffusers_img2img(model, request, picture),
              "inpaint": lambda: pictures.diffusers_inpaint(model, request, picture, mask)}
    pipeline = others[kind]()
    calls = Counter()
    for name, network, method in (("step", model.denoiser, "forward"), ("encode", model, "encoding"), ("decode", model, "decoding")):
        run = getattr(network, method)
        monkeypatch.setattr(network, method, lambda *a, n=name, r=run, **k: calls.update([f"{n} {len(a[0])}"]) or r(*a, **k))
    draw(memory, checkpoint, request, files=files)
    easel = calls.copy()
    calls.clear()
    pipeline()
    assert easel == calls == Counter({"step 2": pictures.steps_made(request), "encode 1": 1, "decode 1": 1})

"""Keys and values of the words: made at the first step, the same to the bit at the others, and gone with the job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from backend.worker.adapters.adapter import Use
from backend.worker.adapters.attachment import NOTHING
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.adapters.key_value_cache import words_kept
from backend.worker.guidance import network_call
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.model_base import Model
from backend.worker.models.result_cache import ResultCache
from tests.tiny import ip_adapters
from tests.tiny import test_ip_adapter as ip
from tests.tiny.test_controlnet import model, own, row, use
from tests.tiny.test_networks import Studio, kohya, studio

__all__ = ["kohya", "model", "own", "studio"]
PROMPTS = ("a cat", "a cat <lora:style:0.8>", "a cat <lora:style:0:0.2,1:0.9>", "a [cat <lora:style:1>:dog:0.4] AND sky")


@contextmanager
def counted(model: Model) -> Iterator[list[int]]:
    """How often the keys of the words are made, in rows."""
    calls: list[int] = []
    attention = next(module for path, module in model.denoiser.named_modules() if path.endswith("attn2"))
    handle = attention.to_k.register_forward_hook(lambda module, given, found: calls.append(len(found)))
    try:
        yield calls
    finally:
        handle.remove()


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_pictures_are_the_same_to_the_bit(studio: Studio, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    def drawn() -> list[bytes]:
        own = Studio(studio.catalog.models[0], policy)
        return [own.draw(prompt=prompt, steps=4).pixels for prompt in PROMPTS]

    kept = drawn()
    monkeypatch.setattr(network_call, "words_kept", lambda network, key, kept: NOTHING)
    assert drawn() == kept


def test_they_are_made_once_in_a_picture_and_leave_with_it(studio: Studio) -> None:
    for prompt in ("a cat", "a cat <lora:style:0.8>"):
        with counted(studio.model) as calls:
            studio.draw(prompt=prompt, steps=5)
        assert calls == [2], "one call, of the words and of those to keep away from"
    with counted(studio.model) as calls:
        studio.draw(prompt="[a cat:a dog:0.5]", steps=4)
    assert calls == [2, 2], "other words are made anew"
    assert not studio.memory.words.bytes


def denoised(rows: list[Row]) -> list[Tensor]:
    return [answer.denoised for answer in denoise(rows)]


@pytest.fixture
def cache(model: Model) -> Iterator[ResultCache]:
    """An empty one, as the model's."""
    before, model.kept_words = model.kept_words, ResultCache(lambda coming: 1 << 30)
    yield model.kept_words
    model.kept_words = before


@torch.inference_mode()
def test_what_nobody_can_tell_is_not_kept(model: Model, cache: ResultCache) -> None:
    class Unknown:
        @contextmanager
        def attach(self, model: Model, rows: list[Row], uses: list[Use]) -> Iterator[None]:
            yield

    denoised([row(model, uses=(Use(Unknown()),))])
    assert not cache.bytes
    denoised([row(model)])
    assert cache.bytes


@torch.inference_mode()
def test_a_call_that_ends_halfway_keeps_nothing_and_leaves_nothing(model: Model, cache: ResultCache) -> None:
    before = list(model.denoiser.named_modules())
    with pytest.raises(RuntimeError), words_kept(model.denoiser, 1, cache).attach(()):
        raise RuntimeError("out of memory")
    assert not cache.bytes
    again = row(model)
    assert torch.equal(*denoised([again]), *denoised([again]))
    assert list(model.denoiser.named_modules()) == before
    assert not any(module._forward_hooks for module in model.denoiser.modules())


@torch.inference_mode()
def test_a_controlnet_and_a_picture_see_what_they_saw(model: Model, own, cache: ResultCache, tmp_path: Path) -> None:
    picture = ip.opened(tmp_path, "x.bin", model, ip_adapters.ip_adapter(model.denoiser, "plain"))
    width = picture.pairs[0].key.shape[1]
    tokens = [torch.randn(4, width, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4)]
    counts = torch.ones(len(picture.pairs))
    uses = [(use(own, 0.7), Use(picture, 0.5, (each, counts))) for each in tokens]
    plain = row(model)
    rows = [replace(plain, uses=uses[0]), replace(plain, uses=uses[1]), plain]
    model.kept_words = None
    expected, other_order = denoised(rows), denoised(rows[1::-1])
    model.kept_words = cache
    own.kept_words = picture.kept_words = cache
    try:
        for _ in range(2):
            assert all(map(torch.equal, denoised(rows), expected))
        held, calls = cache.bytes, made_by(picture, rows)
        assert not calls and cache.bytes == held
        assert all(map(torch.equal, denoised(rows[1::-1]), other_order))
    finally:
        own.kept_words = picture.kept_words = None


def made_by(picture: IPAdapter, rows: list[Row]) -> list[int]:
    calls: list[int] = []
    handles = [pair.register_forward_hook(lambda module, given, found: calls.append(1)) for pair in picture.pairs]
    denoised(rows)
    for handle in handles:
        handle.remove()
    return calls


@torch.inference_mode()
def test_a_controlnet_looks_at_a_hint_once(model: Model, own: ControlNet, cache: ResultCache) -> None:
    hints, calls = [use(own, seed=seed).data for seed in (7, 8)], []
    plain = row(model)
    rows = [replace(plain, uses=uses) for uses in (
        (Use(own, 0.7, hints[0]),), (Use(own, 0.4, hints[1]), Use(own, 0.3, hints[0])), (Use(own, 0.5, hints[0]),), ())]
    expected = denoised(rows)
    own.kept_words = cache
    handle = own.network.controlnet_cond_embedding.register_forward_hook(lambda module, given, found: calls.append(len(found)))
    before = list(own.network.named_modules())
    try:
        assert all(map(torch.equal, denoised(rows), expected)) and calls == [1, 1], "each alone, whoever is beside it"
        assert all(map(torch.equal, denoised([replace(each, sigma=1.0) for each in rows[::-1]])[::-1], denoised([replace(each, sigma=1.0) for each in rows])))
        assert calls == [1, 1], "in all steps, for all rows"
        tiled = denoised([replace(rows[0], tiling=True)])
        assert calls == [1, 1, 1] and not torch.equal(tiled[0], expected[0])
        own.kept_words = None
        assert torch.equal(denoised([replace(rows[0], tiling=True)])[0], tiled[0]), "its opposite edges are neighbours to the hint, too"
    finally:
        own.kept_words = None
        handle.remove()
    assert list(own.network.named_modules()) == before

"""Compiled blocks: in calls with nothing attached, with whatever rows; all others run as they always did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from backend.catalog.model_catalog import ModelCatalog
from backend.settings import COMPILE
from backend.worker.adapters.branches import Branches
from backend.worker.adapters.network_file import FittedLayer, LowRank
from backend.worker.device import place
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.base import Model
from backend.worker.models.compiled_regions import CompiledRegions, compiled_regions
from backend.worker.models.memory import Memory
from backend.worker.models.network_graph import RepeatedCall
from backend.worker.models.recordings import SEEN, Recordings
from backend.worker.models.result_cache import ResultCache
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_controlnet import row


class Compiler:
    """A backend that counts what it is given and runs it as it is."""

    def __init__(self) -> None:
        self.compiled = self.run = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        self.compiled += 1

        def run(*given: Tensor) -> object:
            self.run += 1
            return graph.forward(*given)

        return run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("model")
    save_folder(tiny(), folder / "checkpoints" / "first")
    return Memory(place("cpu", exact=True)).get(ModelCatalog((folder,)).find("checkpoint", "first"))


@pytest.fixture
def compiler(model: Model) -> Iterator[Compiler]:
    torch._dynamo.reset()
    compiler = Compiler()
    model.compiled = CompiledRegions.of(model.denoiser, backend=compiler)
    with torch.inference_mode():
        yield compiler
    model.compiled = None


def answers(*rows: Row) -> Tensor:
    return torch.stack([each.denoised for each in denoise(rows)])


def styled(model: Model, seed: int, weight: float) -> Row:
    path = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    module = model.denoiser.get_submodule(path)
    factors = LowRank(torch.ones(4, module.in_features), torch.ones(module.out_features, 4), 0.1)
    return row(model, seed, branches=(Branches({path: FittedLayer(module, "lora", 4, {}, "", factors)}, weight, key=1),))


def test_packs_run_compiled_and_rows_with_a_lora_as_they_always_did(model: Model, compiler: Compiler) -> None:
    packs = [[row(model, 1)], [row(model, 1), row(model, 2)], [row(model, 1), styled(model, 2, 0.5)], [styled(model, 2, 0.9)]]
    regions, model.compiled = model.compiled, None
    expected = [answers(*pack) for pack in packs]
    model.compiled = regions
    for pack, plain in zip(packs[:2], expected, strict=False):
        before = compiler.run
        assert torch.allclose(answers(*pack), plain, atol=1e-5) and compiler.run > before
    compiled, run = compiler.compiled, compiler.run
    for pack, plain in zip(packs[2:], expected[2:], strict=True):
        assert torch.equal(answers(*pack), plain)
    assert compiler.run == run, "nothing compiled hides a LoRA"
    answers(replace(row(model, 4), sigma=0.4))
    assert compiler.compiled == compiled and compiler.run > run, "and nothing is compiled again"
    assert all(block._compiled_call_impl is None for block, _ in regions.blocks)


def test_compiled_calls_are_recorded_too(model: Model, compiler: Compiler) -> None:
    model.recordings = Recordings(ResultCache(lambda coming: 1 << 30), RepeatedCall)
    try:
        for seed in range(SEEN + 2):
            answers(row(model, seed))
        assert model.recordings._kept.bytes and not model.recordings._refused
    finally:
        model.recordings = None


def test_a_block_that_cannot_be_compiled_is_run_as_it_is(model: Model) -> None:
    def fails(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        raise RuntimeError("no compiler")

    torch._dynamo.reset()
    with torch.inference_mode():
        plain = answers(row(model, 1))
        model.compiled = CompiledRegions.of(model.denoiser, backend=fails)
        assert torch.equal(answers(row(model, 1)), plain)
    model.compiled = None


def test_only_where_it_is_wanted(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled_regions(model.denoiser) is None
    monkeypatch.setenv(COMPILE, "1")
    assert len(compiled_regions(model.denoiser).blocks) > 4

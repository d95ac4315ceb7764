"""Compiled blocks: in calls with nothing attached, with whatever rows; all others run as they always did."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import MemoryUse
from backend.settings import COMPILE, HOME
from backend.worker.adapters.lora_branches import Branches
from backend.worker.adapters.network_file import FittedLayer, LowRank
from backend.worker.device import place
from backend.worker.engine.current_work import CurrentWork
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.compiled_regions import COMPILES, CompiledRegions, compiled_regions
from backend.worker.models.graph_capture import RepeatedCall
from backend.worker.models.graph_replay import SEEN, Recordings
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.result_cache import ResultCache
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_controlnet import row


class Compiler:
    """A backend that counts what it is given and runs it as it is."""

    def __init__(self) -> None:
        self.compiled = self.run = 0
        self.told = False

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        self.compiled += 1
        self.told = COMPILES.is_set()

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
    down = torch.linspace(-1, 1, module.in_features).expand(4, -1)      # what a layer norm gives sums up to nothing
    factors = LowRank(down, torch.ones(module.out_features, 4), 0.1)
    return row(model, seed, branches=(Branches({path: FittedLayer(module, "lora", 4, {}, "", factors)}, weight, key=1),))


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_call_that_compiles_is_told_from_others(model: Model, compiler: Compiler) -> None:
    answers(row(model, 1))
    assert compiler.told and not COMPILES.is_set()
    current = CurrentWork()
    with current.doing("denoising", ["1"]):
        assert current.alive("", MemoryUse(), compiles=True).activity == "compiling"
        assert current.alive("", MemoryUse()).activity == "denoising"
    assert current.alive("", MemoryUse(), compiles=True).activity == "idle"


@pytest.mark.slow
def test_compiled_calls_are_recorded_too(model: Model, compiler: Compiler) -> None:
    model.recordings = Recordings(ResultCache(lambda coming: 1 << 30), RepeatedCall)
    try:
        for seed in range(SEEN + 2):
            answers(row(model, seed))
        assert model.recordings._kept.bytes and not model.recordings._refused
    finally:
        model.recordings = None


@pytest.mark.slow
def test_a_block_that_cannot_be_compiled_is_run_as_it_is_and_that_is_told_once_for_its_kind(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        raise RuntimeError("no compiler")

    torch._dynamo.reset()
    with torch.inference_mode():
        plain = answers(row(model, 1))
        model.compiled = CompiledRegions.of(model.denoiser, backend=fails)
        for _ in range(2):
            assert torch.equal(answers(row(model, 1)), plain)
    model.compiled = None
    told = [each.getMessage() for each in caplog.records if each.name == compiled_regions.__module__]
    assert len(told) == 2 and all("runs as it is" in each and "no compiler" in each for each in told)


@pytest.mark.slow
def test_nothing_is_compiled_again_for_other_sizes_counts_prompts_and_networks_of_other_widths(
    model: Model, compiler: Compiler
) -> None:
    def compiled_for(*rows: Row) -> int:
        before = compiler.compiled, compiler.run
        answers(*rows)
        assert compiler.run - before[1] == len(model.compiled.blocks), "all of them run compiled"
        return compiler.compiled - before[0]

    one = row(model, 1)
    wide = replace(one, x=torch.cat([one.x, one.x], dim=2))
    assert compiled_for(one, one) and compiled_for(wide, wide) < len(model.compiled.blocks)
    for rows in ([row(model, 2)] * 4, [wide] * 8, [replace(one, sigma=0.3)] * 3, [replace(one, x=one.x[..., :-2])] * 2):
        assert not compiled_for(*rows)
    assert torch._dynamo.config.recompile_limit >= 100, "at torch's 8 the rest of a network would run plainly, and silently"


@pytest.mark.slow
def test_tiling_is_seen_by_what_is_compiled(model: Model, compiler: Compiler) -> None:
    plain, tiled = row(model, 1), row(model, 1, tiling=True)
    regions, model.compiled = model.compiled, None
    expected = answers(tiled)
    model.compiled = regions
    answers(plain)
    assert torch.allclose(answers(tiled), expected, atol=1e-5) and not torch.allclose(answers(plain), expected, atol=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")
def test_the_real_compiler_gives_the_same_within_rounding_with_loras_beside_it(model: Model) -> None:
    torch._dynamo.reset()
    packs = [[row(model, 1), row(model, 2)], [row(model, 3)] * 4, [row(model, 1), styled(model, 2, 0.5)]]
    with torch.inference_mode():
        expected = [answers(*pack) for pack in packs]
        regions = CompiledRegions.of(model.denoiser)
        stage = [each for each in regions.blocks if each[0] in set(model.denoiser.down_blocks[0].modules())]
        model.compiled = CompiledRegions(stage)     # has both kinds; the compiler needs seconds for each further pair of widths
        compiled = torch._dynamo.utils.counters["stats"]
        for pack, plain in zip(packs, expected, strict=True):
            assert torch.allclose(answers(*pack), plain, atol=1e-4)
        before = compiled["unique_graphs"]
        answers(row(model, 5), row(model, 6))
        answers(row(model, 5), styled(model, 6, -0.3))
    model.compiled = None
    assert before > 1 and compiled["unique_graphs"] == before


@pytest.mark.slow
def test_without_a_compiler_on_the_machine_that_is_one_sentence(tmp_path: Path) -> None:
    code = """
import logging, torch
from backend.worker.models.compiled_regions import CompiledRegions
logging.basicConfig(format="%(message)s")

class ResnetBlock2D(torch.nn.Module):
    def forward(self, x):
        return x.sin() * x.cos()

net = torch.nn.Sequential(ResnetBlock2D())
x = torch.randn(1, 8, 4, 4)
plain = net[0](x)
regions = CompiledRegions.of(net)
for _ in range(2):
    with torch.inference_mode(), regions.attached(()):
        print(torch.equal(net[0](x), plain))
"""
    environment = {**os.environ, "CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(HOME)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=HOME)
    assert ran.stdout.split() == ["True", "True"], ran.stderr
    assert [line for line in ran.stderr.splitlines() if "ResnetBlock2D" in line] and "Traceback" not in ran.stderr
    assert ran.stderr.count("runs as it is") == 1


def test_only_where_it_is_wanted(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled_regions(model.denoiser) is None
    monkeypatch.setenv(COMPILE, "1")
    assert len(compiled_regions(model.denoiser).blocks) > 4

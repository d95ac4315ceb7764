"""LoRA from the prompt to the picture: equal to merged weights, row by row, and gone without a trace."""

from __future__ import annotations

import hashlib
import math
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import backend.worker.engine.engine as engines
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.network_problems import network_problems
from backend.catalog.request_files import files_of
from backend.messages import Failed, Hashed, Picture, Run
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.engine.engine import Engine
from backend.worker.engine.row_counts import RowCurve
from backend.worker.models.memory import Memory
from tests.tiny.ldm import Networks, save_single, tiny
from tests.tiny.networks import attention, lora, save, tensors

BASE = Request(prompt="a cat", negative_prompt="bad", steps=3, width=64, height=64, seed=1, cfg_scale=5.0,
               sampler="Euler", checkpoint="first")


class Studio:
    """An engine over a folder of models, driven to the end."""

    def __init__(self, folder: Path, policy: str = "packed") -> None:
        self.catalog = ModelCatalog((folder,))
        self.memory = Memory(place("cpu", exact=True))
        self.events: list[object] = []
        self.engine = Engine(self.memory, policy, self.events.append)

    def add(self, job: str, request: Request) -> None:
        self.engine.add(Run(job, "local", request, tuple(range(request.count)), files_of(request, self.catalog)))

    def run(self) -> None:
        with torch.inference_mode():
            while self.engine.step():
                assert len(self.events) < 10_000

    def draw(self, **changes: object) -> Picture:
        self.add(f"job {len(self.events)}", BASE.replace(**changes))
        self.run()
        assert not [each for each in self.events if isinstance(each, Failed)], self.events
        return [each for each in self.events if isinstance(each, Picture)][-1]

    @property
    def model(self):
        return self.memory.get(self.catalog.find("checkpoint", "first"))


def merged(network: nn.Module, prefix: str, file: dict[str, Tensor], strength: float) -> None:
    """The plain formula: W + strength * alpha / rank * up down."""
    for path, module in network.named_modules():
        name = f"{prefix}{path.replace('.', '_')}"
        if f"{name}.lora_up.weight" in file:
            up, down = file[f"{name}.lora_up.weight"], file[f"{name}.lora_down.weight"]
            alpha = float(file.get(f"{name}.alpha", down.shape[0]))
            made = alpha / down.shape[0] * (up.flatten(1) @ down.flatten(1)).reshape(module.weight.shape)
            module.weight.data += strength * made


@pytest.fixture(scope="module")
def kohya() -> dict[str, Tensor]:
    networks = tiny()
    return tensors(networks.unet, "lora_unet_", attention(networks.unet), lora()) | tensors(
        networks.text, "lora_te_text_model_", attention(networks.text), lora(), seed=1)


@pytest.fixture
def studio(tmp_path: Path, kohya: dict[str, Tensor]) -> Studio:
    torch.set_num_threads(1)
    save_single(tiny(), tmp_path / "checkpoints" / "first.safetensors")
    save(tmp_path / "loras" / "style.safetensors", kohya)
    return Studio(tmp_path)


def pixels(picture: Picture) -> Tensor:
    return torch.frombuffer(bytearray(picture.pixels), dtype=torch.uint8).float()


def test_a_lora_draws_what_merged_weights_draw(studio: Studio, tmp_path: Path, kohya: dict[str, Tensor]) -> None:
    plain = studio.draw()
    styled = studio.draw(prompt="a cat <lora:style:0.8>")
    assert styled.pixels != plain.pixels
    networks: Networks = tiny()
    merged(networks.unet, "lora_unet_", kohya, 0.8)
    merged(networks.text, "lora_te_text_model_", kohya, 0.8)
    save_single(networks, tmp_path / "truth" / "checkpoints" / "first.safetensors")
    truth = Studio(tmp_path / "truth").draw()
    assert (pixels(truth) - pixels(styled)).abs().max() <= 1 < (pixels(truth) - pixels(plain)).abs().max()
    assert any("style on first: " in note and " of " in note for note in styled.notes)


def test_without_with_without(studio: Studio) -> None:
    before = {name: each.clone() for name, each in studio.model.denoiser.state_dict().items()}
    first, second, third = (studio.draw(prompt=prompt) for prompt in ("a cat", "a cat <lora:style:1>", "a cat"))
    assert first.pixels == third.pixels != second.pixels
    assert studio.draw(prompt="a cat <lora:style:0>").pixels == first.pixels
    assert all(torch.equal(each, before[name]) for name, each in studio.model.denoiser.state_dict().items())


def test_eight_rows_with_eight_networks_share_calls_and_are_as_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks and strengths differ; each picture has the bits that it has among seven copies of itself."""
    networks = tiny()
    save_single(networks, tmp_path / "checkpoints" / "first.safetensors")
    for number in range(8):
        file = tensors(networks.unet, "lora_unet_", attention(networks.unet)[number:], lora(rank=3 + 2 * number), seed=number)
        save(tmp_path / "loras" / f"style{number}.safetensors", file)
    calls: list[int] = []
    original = engines.denoise
    monkeypatch.setattr(engines, "denoise", lambda rows: calls.append(len(rows)) or original(rows))
    requests = [BASE.replace(prompt=f"a cat <lora:style{n}:{0.3 + 0.1 * n}>", negative_prompt="", cfg_scale=1.0) for n in range(8)]
    alone = []
    for request in requests:
        studio = Studio(tmp_path, "solo")
        studio.add("alone", request.replace(batch_size=8, variation_strength=1e-9, variation_seed=1))
        studio.run()
        alone.append(next(each for each in studio.events if isinstance(each, Picture) and each.index == 0).pixels)
    calls.clear()
    studio = Studio(tmp_path)
    for number, request in enumerate(requests):
        studio.add(str(number), request.replace(variation_strength=1e-9, variation_seed=1))
    studio.run()
    found = {each.job: each.pixels for each in studio.events if isinstance(each, Picture)}
    assert [found[str(number)] for number in range(8)] == alone and set(calls) == {8}


def test_rows_without_networks_share_calls_with_others(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RowCurve, "record", lambda *call: None)     # on a busy machine smaller calls can seem to pay
    alone = studio.draw(prompt="a cat")
    calls: list[int] = []
    original = engines.denoise
    monkeypatch.setattr(engines, "denoise", lambda rows: calls.append(len(rows)) or original(rows))
    for job, prompt in (("plain", "a cat"), ("styled", "a cat <lora:style:1>")):
        studio.add(job, BASE.replace(prompt=prompt))
    studio.run()
    assert set(calls) == {4}
    plain = next(each for each in studio.events if isinstance(each, Picture) and each.job == "plain")
    assert (pixels(plain) - pixels(alone)).abs().max() <= 1


@pytest.mark.parametrize(("prompt", "same"), [
    ("a cat <lora:style:1:end=0.0>", "a cat"), ("a cat <lora:style:1:start=1.0>", "a cat"), ("a cat <lora:style:0:hr=1>", "a cat"),
    ("a cat <lora:style:0.4><lora:style:0.4>", "a cat <lora:style:0.8>"), ("a cat <lora:style:0.8@0,0.8@1>", "a cat <lora:style:0.8>"),
    ("a cat <lyco:style:0.8>", "a cat <lora:style:0.8>"), ("a cat <lora:alias of it:0.8>", "a cat <lora:style:0.8>"),
    ("a cat <lora:style:te=0.8:unet=0.3>", "a cat <lora:style:0.8:0.3>"), ("a cat <lora:style:1:lbw=NONE>", "a cat"),
    ("a cat <lora:style:0.8:lbw=" + ",".join(["1"] * 26) + ">", "a cat <lora:style:0.8>"),
])
def test_two_ways_to_say_one_thing(studio: Studio, tmp_path: Path, kohya: dict[str, Tensor], prompt: str, same: str) -> None:
    save(tmp_path / "loras" / "style.safetensors", kohya, ss_output_name="alias of it")
    assert studio.draw(prompt=prompt).pixels == studio.draw(prompt=same).pixels


def test_no_two_of_these_draw_alike(studio: Studio) -> None:
    prompts = ("a cat", "a cat <lora:style:0.8>", "a cat <lora:style:0:0.8>", "a cat <lora:style:0.8:0>", "a cat <lora:style:0.8:start=2>",
               "a cat <lora:style:0:0,1:0.8>", "[a cat<lora:style:0.8>:a cat:1]", "a cat AND fish <lora:style:0.8:part>", "a cat AND fish",
               "a cat <lora:style:-0.8>", "a cat <lora:style:0.8:0.8:2>", "a cat <lora:style:0.8:lbw=OUTALL>")
    assert len({studio.draw(prompt=prompt).pixels for prompt in prompts}) == len(prompts)


def test_the_second_pass_has_its_own(studio: Studio) -> None:
    hires = {"enable_hr": True, "hr_scale": 2.0, "denoising_strength": 0.5, "hr_upscaler": "Latent"}
    pictures = {prompt: studio.draw(prompt=prompt, **hires).pixels
                for prompt in ("a cat", "a cat <lora:style:0:hr=1>", "a cat <lora:style:1:hr=0>", "a cat <lora:style:1>")}
    assert len(set(pictures.values())) == 4


def test_a_picture_tells_its_loras_hash(studio: Studio, tmp_path: Path, kohya: dict[str, Tensor]) -> None:
    picture = studio.draw(prompt="a <lora:style:0.5>")
    content = (tmp_path / "loras" / "style.safetensors").read_bytes()
    digest = hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
    assert picture.facts["Lora hashes"] == f"style: {digest[:12]}"
    deadline = time.monotonic() + 60
    while Hashed("style", digest, "lora") not in studio.events:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    save(tmp_path / "loras" / "style.safetensors", kohya, sshs_model_hash="0123456789abcdef" * 4, ss_output_name="by me, too")
    assert studio.draw(prompt="a <lora:by me, too:0.5>").facts["Lora hashes"] == "by me too: 0123456789ab"
    assert "Lora hashes" not in studio.draw(prompt="a <lora:style:0>").facts


TO_Q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def factors(rank: int = 2, alpha: float | None = None, value: float = 1.0) -> dict[str, Tensor]:
    """Of one layer."""
    made = {f"{TO_Q}.lora_up.weight": torch.full((32, rank), value), f"{TO_Q}.lora_down.weight": torch.ones(rank, 32)}
    return made if alpha is None else made | {f"{TO_Q}.alpha": torch.tensor(alpha)}


def broken(name: str) -> bytes:
    """What lies under the name of a LoRA that was whole when its job was queued."""
    whole = safetensors.torch.save(factors())
    return {"empty": b"", "cut off": whole[:-64], "longer header": (1 << 40).to_bytes(8, "little") + whole[8:],
            "lying shape": whole.replace(b"[2,32]", b"[9,99]"), "NaN": safetensors.torch.save(factors(value=math.nan)),
            "inf": safetensors.torch.save(factors(value=-math.inf)), "alpha inf": safetensors.torch.save(factors(alpha=math.inf)),
            "alpha NaN": safetensors.torch.save(factors(alpha=math.nan))}[name]


@pytest.mark.parametrize(("name", "words"), [
    ("empty", "safetensors"), ("cut off", "cut off"), ("longer header", "safetensors"), ("lying shape", "broken"), ("NaN", "no numbers"),
    ("inf", "no numbers"), ("alpha inf", "no numbers"), ("alpha NaN", "no numbers"), ("gone", "no longer there"),
])
def test_a_file_that_turned_bad_fails_its_job_alone_and_leaves_nothing(studio: Studio, tmp_path: Path, name: str, words: str) -> None:
    before, file = studio.draw(), save(tmp_path / "loras" / "bad.safetensors", factors())
    studio.add("bad", BASE.replace(prompt="a cat <lora:style:1><lora:bad:1>"))
    studio.add("beside it", BASE)
    file.unlink() if name == "gone" else file.write_bytes(broken(name))
    studio.run()
    problem, = [each.problems[0] for each in studio.events if isinstance(each, Failed)]
    assert problem.field == "prompt" and words in problem.message and "bad" in problem.message
    beside, = [each for each in studio.events if isinstance(each, Picture) and each.job == "beside it"]
    assert beside.pixels == before.pixels and not any(module._forward_hooks for module in studio.model.denoiser.modules())


def test_a_rank_of_nothing_changes_nothing_and_a_missing_alpha_is_the_rank(studio: Studio, tmp_path: Path) -> None:
    for name, content in (("none", factors(rank=0)), ("without", factors(rank=2)), ("with", factors(rank=2, alpha=2.0))):
        save(tmp_path / "loras" / f"{name}.safetensors", content)
    problem, = network_problems(BASE.replace(prompt="a <lora:none:1>"), studio.catalog, studio.catalog.find("checkpoint", "first"))
    assert problem.field == "prompt" and "changes nothing" in problem.message
    assert studio.draw(prompt="a cat <lora:none:1>").pixels == studio.draw().pixels
    assert studio.draw(prompt="a cat <lora:without:1>").pixels == studio.draw(prompt="a cat <lora:with:1>").pixels


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{\"lo", b"\xff" * 200, b"\x02\0\0\0\0\0\0\0{}"])
def test_files_that_are_none(studio: Studio, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "loras" / "bad.safetensors").write_bytes(content)
    request = BASE.replace(prompt="a <lora:bad:1>")
    assert network_problems(request, studio.catalog, studio.catalog.find("checkpoint", "first"))[0].field == "prompt"


def test_a_pickle_that_would_run_code_is_refused(studio: Studio, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Canary:
        def __reduce__(self) -> tuple:
            return (open, (str(canary), "w"))

    torch.save({f"{TO_Q}.lora_up.weight": torch.ones(32, 2), f"{TO_Q}.lora_down.weight": torch.ones(2, 32), "x": Canary()},
               tmp_path / "loras" / "bad.pt")
    problem, = network_problems(BASE.replace(prompt="a <lora:bad:1>"), studio.catalog, studio.catalog.find("checkpoint", "first"))
    assert problem.field == "prompt" and "could run code" in problem.message and not canary.exists()


def test_what_peft_keeps_beside_a_file_is_read_again_when_it_alone_has_changed(studio: Studio, tmp_path: Path, kohya: dict[str, Tensor]) -> None:
    bare, settings = {name: each for name, each in kohya.items() if not name.endswith("alpha")}, tmp_path / "loras" / "adapter_config.json"
    save(tmp_path / "loras" / "adapter_model.safetensors", bare)
    drawn = {}
    for alpha in (4, 32, 4):
        settings.write_text(f'{{"lora_alpha": {alpha}}}')
        studio.catalog.scan("lora")
        picture = pixels(studio.draw(prompt="a cat <lora:adapter_model:0.5>"))
        assert torch.equal(picture, drawn.setdefault(alpha, picture))
    assert not torch.equal(drawn[4], drawn[32])


def test_a_file_that_is_deleted_or_replaced_between_two_pictures(studio: Studio, tmp_path: Path, kohya: dict[str, Tensor]) -> None:
    first = studio.draw(prompt="a <lora:style:1>")
    save(tmp_path / "loras" / "style.safetensors", {name: -each if "up" in name else each for name, each in kohya.items()})
    assert studio.draw(prompt="a <lora:style:1>").pixels != first.pixels
    save(tmp_path / "loras" / "style.safetensors", kohya)
    assert studio.draw(prompt="a <lora:style:1>").pixels == first.pixels
    studio.add("late", BASE.replace(prompt="a <lora:style:1>", seed=5))
    (tmp_path / "loras" / "style.safetensors").unlink()
    studio.run()
    assert [each for each in studio.events if isinstance(each, Picture) and each.job == "late"], "what is in memory is used still"


def test_many_networks_stay_within_the_budget(studio: Studio, tmp_path: Path, kohya: dict[str, Tensor]) -> None:
    size = sum(each.nbytes for each in kohya.values())
    for number in range(12):
        save(tmp_path / "loras" / f"copy{number}.safetensors", kohya)
    studio.memory.budget_bytes = studio.model.bytes + 3 * size
    first = studio.draw(prompt="a <lora:copy0:1>").pixels
    assert all(studio.draw(prompt=f"a <lora:copy{number}:1>").pixels == first for number in range(12))
    taken = studio.memory.bytes + studio.memory.stacked.bytes
    assert taken <= studio.memory.budget_bytes and "first" in studio.memory.loaded and len(studio.memory.loaded) < 6


def test_a_refiner_draws_with_them_too(studio: Studio, tmp_path: Path) -> None:
    """The same weights under another name take over half-way: nothing may show it."""
    save_single(tiny(), tmp_path / "checkpoints" / "second.safetensors")
    alone = studio.draw(prompt="a cat <lora:style:0.8>", steps=4)
    refined = studio.draw(prompt="a cat <lora:style:0.8>", steps=4, refiner_checkpoint="second", refiner_switch_at=0.5)
    assert alone.pixels == refined.pixels
    assert [any(f"style on {name}: " in note for note in refined.notes) for name in ("first", "second")] == [True, True]


def test_three_hundred_in_one_prompt(studio: Studio, tmp_path: Path, kohya: dict[str, Tensor]) -> None:
    few = {name: each for name, each in kohya.items() if name.startswith(TO_Q)}
    for number in range(300):
        save(tmp_path / "loras" / f"n{number}.safetensors", few)
    many = studio.draw(prompt="a" + "".join(f"<lora:n{number}:0.002>" for number in range(300)), steps=1)
    one = studio.draw(prompt="a<lora:n0:0.6>", steps=1)
    assert (pixels(many) - pixels(one)).abs().max() <= 1 and len(many.notes) == 300


def test_a_network_in_the_negative_prompt_is_told_to_be_words(studio: Studio) -> None:
    picture = studio.draw(prompt="a cat", negative_prompt="bad <lora:style:1>")
    assert any("<lora:style:1> was read as words" in note for note in picture.notes)
    assert not studio.draw(prompt="a cat", negative_prompt="bad <this is:no network>").notes

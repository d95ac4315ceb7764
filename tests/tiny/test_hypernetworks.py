"""Hypernetworks as AUTOMATIC1111 has them: its layouts against its own module, row by row, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from backend.catalog.network_problems import network_problems
from backend.errors import CheckpointError
from backend.messages import Failed, Picture
from backend.worker.adapters.hypernetwork import HypernetworkUse, attached, read_hypernetwork
from backend.worker.device import place
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_networks import BASE, Studio, pixels


def sequence(width: int, structure: list[float], activation: nn.Module | None, norm: bool, last: bool, seed: int) -> nn.Sequential:
    """The order in which AUTOMATIC1111 puts its layers."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(structure)):
        layers.append(nn.Linear(int(width * before), int(width * after)))
        if activation and (number < len(structure) - 2 or last):
            layers.append(activation)
        if norm:
            layers.append(nn.LayerNorm(int(width * after)))
    return nn.Sequential(*layers)


LAYOUTS = [
    ([1, 2, 1], None, False, True), ([1, 2, 1], nn.ReLU(), False, False), ([1, 2, 2, 1], nn.Hardswish(), True, True), ([1, 1], nn.Tanh(), True, False),
    ([1, 0.5, 1], nn.Mish(), False, True),
]
NAMES = {nn.ReLU: "relu", nn.Hardswish: "swish", nn.Tanh: "tanh", nn.Mish: "mish", type(None): "linear"}


def content(layout: tuple, seed: int = 0) -> tuple[dict, dict[int, tuple[nn.Sequential, nn.Sequential]]]:
    structure, activation, norm, last = layout
    made = {width: tuple(sequence(width, structure, activation, norm, last, seed + width + number) for number in (0, 1)) for width in (32, 64)}
    states = {width: tuple({f"linear.{name}": each for name, each in one.state_dict().items()} for one in pair) for width, pair in made.items()}
    return {"step": 3, "name": "h", "layer_structure": structure, "activation_func": NAMES[type(activation)], "is_layer_norm": norm,
            "activate_output": last, "use_dropout": False} | states, made


def saved(folder: Path, held: dict, name: str = "h") -> Path:
    (folder / "hypernetworks").mkdir(exist_ok=True)
    torch.save(held, folder / "hypernetworks" / f"{name}.pt")
    return folder


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    torch.set_num_threads(1)
    save_folder(tiny(), tmp_path / "checkpoints" / "first")
    return Studio(saved(tmp_path, content(LAYOUTS[1])[0]))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@torch.inference_mode()
def test_every_layout_is_what_automatic1111_makes_of_it(tmp_path: Path, layout: tuple) -> None:
    held, made = content(layout)
    file, = Studio(saved(tmp_path, held)).catalog.listed("hypernetwork")
    network, x = read_hypernetwork(file, place("cpu", exact=True)), torch.randn(2, 5, 64)
    for ours, theirs in zip(network.layers[64], made[64], strict=True):
        assert torch.allclose(ours(x), theirs(x), atol=1e-6)


@torch.inference_mode()
def test_old_names(tmp_path: Path) -> None:
    held, made = content(LAYOUTS[0])
    old = {"linear.0.": "linear1.", "linear.1.": "linear2."}
    states = {width: tuple({old[name[:9]] + name[9:]: each for name, each in state.items()} for state in held[width]) for width in (32, 64)}
    file, = Studio(saved(tmp_path, {"step": 1} | states)).catalog.listed("hypernetwork")
    assert file.problem == ""
    x = torch.randn(1, 2, 32)
    assert torch.allclose(read_hypernetwork(file, place("cpu", exact=True)).layers[32][0](x), made[32][0](x), atol=1e-6)


@torch.inference_mode()
def test_each_row_has_its_own_before_keys_and_values(studio: Studio) -> None:
    made = content(LAYOUTS[1])[1]
    network = read_hypernetwork(studio.catalog.find("hypernetwork", "h"), place("cpu", exact=True))
    attention = studio.model.denoiser.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    x = torch.randn(3, 7, 32)

    def seen(module: nn.Module, pair: nn.Sequential, strength: float, row: Tensor) -> Tensor:
        return module(row + strength * pair(row))

    plain = attention.to_k(x)
    with attached(studio.model.denoiser, [[HypernetworkUse(network, 0.6)], [], [HypernetworkUse(network, -1.0)]]):
        keys, values = attention.to_k(x), attention.to_v(x)
    assert torch.allclose(keys[0], seen(attention.to_k, made[32][0], 0.6, x[0]), atol=1e-5)
    assert torch.allclose(values[2], seen(attention.to_v, made[32][1], -1.0, x[2]), atol=1e-5)
    assert torch.equal(keys[1], plain[1]) and not attention.to_k._forward_pre_hooks


def test_pictures(studio: Studio, tmp_path: Path) -> None:
    plain, first, weaker, nothing, again = (studio.draw(prompt=prompt) for prompt in (
        "a cat", "a cat <hypernet:h:0.6>", "a cat <hypernet:h:0.3>", "a cat <hypernet:h:0>", "a cat"))
    assert len({plain.pixels, first.pixels, weaker.pixels}) == 3 and plain.pixels == nothing.pixels == again.pixels
    for job, prompt in (("mine", "a cat <hypernet:h:0.6>"), ("other", "a cat")):
        studio.add(job, BASE.replace(prompt=prompt))
    studio.run()
    mine = next(each for each in studio.events if isinstance(each, Picture) and each.job == "mine")
    assert (pixels(mine) - pixels(first)).abs().max() <= 1


@pytest.mark.parametrize(("name", "shape"), [("linear.0.bias", (3,)), ("linear.1.weight", (65,)), ("linear.3.weight", (32, 64, 1)), ("linear.3.bias", (1, 32))])
def test_layers_that_do_not_fit_to_each_other_are_told_before_anything_is_drawn(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    """Linear, norm, activation..., linear."""
    held = {32: tuple({"linear.0.weight": torch.ones(64, 32), "linear.0.bias": torch.ones(64), "linear.1.weight": torch.ones(64), "linear.1.bias": torch.ones(64),
                       "linear.3.weight": torch.ones(32, 64), "linear.3.bias": torch.ones(32)} for _ in (0, 1))}
    whole, = Studio(saved(tmp_path, held)).catalog.listed("hypernetwork")
    assert read_hypernetwork(whole, place("cpu", exact=True)).layers
    held[32][1][name] = torch.ones(shape)
    file, = Studio(saved(tmp_path, held)).catalog.listed("hypernetwork")
    with pytest.raises(CheckpointError, match="do not fit"):
        read_hypernetwork(file, place("cpu", exact=True))


def test_what_does_not_fit_or_is_broken_is_told_of_the_prompt(studio: Studio, tmp_path: Path) -> None:
    held, _ = content(LAYOUTS[1])
    saved(tmp_path, {"step": 1, 768: tuple({"linear.0.weight": torch.ones(768, 768), "linear.0.bias": torch.ones(768)} for _ in (0, 1))}, "wide")
    (tmp_path / "hypernetworks" / "cut.pt").write_bytes(b"PK\x03\x04")
    saved(tmp_path, held | {"activation_func": "__import__"}, "strange")
    checkpoint = studio.catalog.find("checkpoint", "first")
    for name in ("wide", "cut", "absent"):
        problem, = network_problems(BASE.replace(prompt=f"<hypernet:{name}:1>"), studio.catalog, checkpoint)
        assert problem.field == "prompt", name
    studio.add("bad", BASE.replace(prompt="<hypernet:strange:1>"))
    studio.run()
    assert "activation" in next(each for each in studio.events if isinstance(each, Failed)).problems[0].message

"""Whatever shapes the tensors of a file have: what is said to fit can be computed, and gives what the module has."""

from __future__ import annotations

import random
from math import prod

import pytest
import torch
from torch import Tensor, nn

from backend.catalog.network_fit import fit
from backend.worker.adapters.lora_branches import Branches, attached
from backend.worker.adapters.network_file import _layer
from backend.worker.adapters.weight_deltas import change

MODULES = {"linear": nn.Linear(6, 4), "square": nn.Linear(4, 4), "conv": nn.Conv2d(6, 4, 3, padding=1), "point": nn.Conv2d(4, 4, 1),
           "norm": nn.LayerNorm(4), "conv_in": nn.Conv2d(6, 4, 3, padding=1)}
GIVEN = {"linear": (2, 5, 6), "square": (2, 4), "conv": (2, 6, 3, 3), "point": (2, 4, 3, 3), "norm": (2, 4), "conv_in": (2, 6, 3, 3)}
ALWAYS = {"lora": "lora_up lora_down", "loha": "hada_w1_a hada_w1_b hada_w2_a hada_w2_b", "lokr": "lokr_w1 lokr_w2", "lokr of factors": "lokr_w1_a lokr_w1_b lokr_w2_a lokr_w2_b",
          "ia3": "weight on_input", "full": "diff", "norm": "w_norm", "oft": "oft_blocks", "glora": "a1 a2 b1 b2"}
SOMETIMES = {"lora": "lora_mid scale magnitude", "loha": "hada_t1 hada_t2", "lokr": "lokr_w2_b lokr_t2", "lokr of factors": "lokr_t2", "ia3": "", "full": "diff_b",
             "norm": "b_norm", "oft": "oft_diag rescale", "glora": "bm"}
TRIALS = 600


def usual(part: str, weight: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes that a part has in whole files."""
    out, into, *kernel = weight if len(weight) > 1 else (*weight, 1)
    kr = part.startswith("lokr")
    before, behind = [(out // (1 + kr), 2), (2, out // (1 + kr))], [(2, max(into // (1 + kr), 1) * prod(flat)) for flat in (kernel, ())]
    return {
        "alpha": [(), (1,)], "scale": [()], "on_input": [(), (1,)], "dora_scale": [(out, 1), (1, into), (1, into, 1, 1), (out, 1, 1, 1)], "magnitude": [(out,), (1, out, 1, 1)],
        "diff": [weight, (out, into)], "diff_b": [(out,)], "w_norm": [(out,)], "b_norm": [(out,)], "weight": [(out,), (into,)], "rescale": [(out, 1)],
        "oft_blocks": [(2, out // 2, out // 2), (2, 2, 2, 2), (1, 2, 2, 2)], "oft_diag": [(2, out // 2, out // 2)], "lokr_w1": [(2, 2), (2, 1)],
        "lokr_w2": [(out // 2, into // 2, *kernel), (out // 2, into, *kernel)], "lora_mid": [(2, 2, *kernel)], "hada_t1": [(2, 2, *kernel)],
        "hada_t2": [(2, 2, *kernel)], "lokr_t2": [(2, 2, *kernel)], "bm": [(2, 2, *kernel), (2, 2)],
        "a1": [(into, 2), (2, into)], "a2": [(2, into), (into, 2)], "lora_down": [(2, into, *kernel), *behind], "b2": [*behind, (out, 2)],
    }.get(part, behind if part.endswith("_b") else before + behind[:1] * (part == "b1"))


def parts_of(kind: str, weight: tuple[int, ...], choose: random.Random) -> dict[str, tuple[int, ...]]:
    names = ALWAYS[kind].split() + [each for each in (*SOMETIMES[kind].split(), "alpha", "dora_scale") if choose.random() < 0.3]
    return {name: choose.choice(usual(name, weight)) if choose.random() < 0.9 else tuple(choose.choices([0, 1, 2, 3, 4, 6], k=choose.randrange(5))) for name in names}


@pytest.mark.parametrize("kind", ALWAYS)
@torch.inference_mode()
def test_what_fits_can_be_computed(kind: str) -> None:
    choose, fitting = random.Random(kind), 0
    for _ in range(TRIALS):
        name = choose.choice([*MODULES])
        module = MODULES[name]
        weight = tuple(module.weight.shape)
        shapes = {f"lora_unet_{name}.{part}": shape for part, shape in parts_of(kind, weight, choose).items()}
        layers = fit(shapes, {"unet": {name: weight}}, {"unet": ("lora_unet_",)}).layers
        if not layers:
            continue
        fitting += 1
        made = _layer(layers[0], {part: torch.rand(shape) for part, shape in shapes.items()}, module, "")
        assert given(made, module, GIVEN[name]), (name, shapes)
    assert fitting > 20


def given(layer: object, module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether the layer acts, as a branch or as new weights."""
    if layer.branch:
        plain = module(torch.ones(shape))
        with attached([[Branches({"": layer}, 0.5)]] * shape[0]):
            return module(torch.ones(shape)).shape == plain.shape
    seen: Tensor = module.weight if module.weight.dim() < 4 else module.weight[:, : layer.columns // module.weight[0, 0].numel()]
    made = change(layer.kind, {part: tensor.float() for part, tensor in layer.parts.items()}, seen)
    return all(tensor is None or tensor.numel() == like.numel() for tensor, like in ((made.weight, seen), (made.bias, module.bias)))

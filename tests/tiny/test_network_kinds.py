"""Every kind of layer, on every kind of module, against LyCORIS' own merged weights; file formats of the same numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.dylora import DyLoraModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from peft import BOFTConfig, IA3Config, LoraConfig, OFTConfig, PeftConfig, get_peft_model_state_dict
from peft.tuners.boft import layer as boft_layer
from safetensors import safe_open
from torch import Tensor, nn

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.prompt.network_terms import Applied
from backend.worker.adapters.network_file import NetworkFile, read_network
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.device import place
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.networks import save

UNET, TEXT = "lora_unet_", "lora_te_text_model_"
BLOCK = "down_blocks.0.attentions.0"
LINEAR = (f"{BLOCK}.transformer_blocks.0.attn1.to_q", f"{BLOCK}.transformer_blocks.0.attn2.to_k",
          "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj", "time_embedding.linear_1", f"{BLOCK}.proj_in")
CONVOLUTION = ("down_blocks.0.resnets.0.conv1", "down_blocks.0.downsamplers.0.conv", "conv_out")
ENCODER = ("encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc1")

# LyCORIS 4.1.3 counts alpha twice when it merges a LoHa or LoKr, though not when it runs one: theirs is the rank here.
KINDS = {
    "lora": (LoConModule, {}),
    "tucker": (LoConModule, {"use_tucker": True}),
    "dora": (LoConModule, {"weight_decompose": True}),
    "dora by column": (LoConModule, {"weight_decompose": True, "wd_on_out": False}),
    "loha": (LohaModule, {"alpha": 4.0, "use_tucker": True}),
    "dora loha": (LohaModule, {"alpha": 4.0, "use_tucker": True, "weight_decompose": True}),
    "lokr": (LokrModule, {"alpha": 4.0}),
    "lokr of factors": (LokrModule, {"lora_dim": 1, "alpha": 1.0, "decompose_both": True, "factor": 2}),
    "lokr tucker": (LokrModule, {"lora_dim": 1, "alpha": 1.0, "use_tucker": True, "factor": 2}),
    "ia3": (IA3Module, {}),
    "ia3 on input": (IA3Module, {"train_on_input": True}),
    "full": (FullModule, {}),
    "oft": (DiagOFTModule, {}),
    "oft within bounds": (DiagOFTModule, {"rescaled": True, "constraint": 0.01}),
    "boft": (ButterflyOFTModule, {"rescaled": True}),
    "glora": (GLoRAModule, {}),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.set_num_threads(1)
    return opened(tmp_path_factory.mktemp("models"))


def opened(folder: Path) -> Model:
    save_folder(tiny(), folder / "checkpoints" / "first")
    return Memory(place("cpu", exact=True)).get(ModelCatalog((folder,)).find("checkpoint", "first"))


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def trained(cls: type[nn.Module], module: nn.Module, options: dict[str, object], seed: int) -> nn.Module:
    """LyCORIS' module beside a layer, with random weights."""
    with torch.inference_mode(False):
        made = cls("x", deepcopy(module), 1.0, **{"lora_dim": 4, "alpha": 2.0} | options)
        random = torch.Generator().manual_seed(seed)
        for name, each in made.named_parameters():
            if not name.startswith("org"):
                each.requires_grad_(False).copy_(torch.randn(each.shape, generator=random) * 0.3 + ("scale" in name) * 1.5)
    return made


def file_of(made: nn.Module, name: str) -> dict[str, Tensor]:
    parts = made.state_dict()
    if isinstance(made, FullModule):        # it is not applied to its layer yet: its weights are the difference still
        parts = {"diff": made.weight} | ({} if made.bias is None else {"diff_b": made.bias})
    return {f"{name}.{part}": each.detach().clone() for part, each in parts.items() if not part.startswith("org")}


def merge(module: nn.Module, made: nn.Module, strength: float) -> None:
    """What LyCORIS makes of the weights at 1; strengths count linearly, as in AUTOMATIC1111."""
    weight, bias = made.get_merged_weight(1.0, shape=module.weight.shape)
    module.weight = nn.Parameter(torch.lerp(module.weight, weight.view_as(module.weight), strength), requires_grad=False)
    if bias is not None:
        module.bias = nn.Parameter(torch.lerp(module.bias, bias, strength), requires_grad=False)


def truth_of(model: Model) -> Model:
    return replace(model, denoiser=deepcopy(model.denoiser), text_encoders=tuple(deepcopy(each) for each in model.text_encoders))


def loaded(folder: Path, content: dict[str, Tensor], name: str = "x.safetensors") -> NetworkFile:
    return read_network(ModelFile("lora", "x", str(save(folder / name, content))), place("cpu", exact=True))


def drawn(model: Model, file: NetworkFile | None, strength: float = 0.7, dyn: int = 0) -> Tensor:
    """What the denoiser says to words that changed encoders have read."""
    networks = PromptNetworks(model, {("lora", "x"): file} if file else {}, Memory(model.placement))
    applied = [Applied("lora", "x", strength, strength, dyn)] if file else []
    changes, change = networks.unet(applied), networks.text(applied)
    if change:
        with change.attached():
            encoded = model.encode_text("a cat")
    else:
        encoded = model.encode_text("a cat")
    x = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(5))
    row = Row(x, 2.0, encoded, model, model.parametrisation, uses=changes.uses, branches=changes.branches)
    return denoise([row])[0].denoised


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def both(model: Model, folder: Path, kind: str) -> tuple[NetworkFile, Model]:
    """A file of a kind for layers of all sorts, and the model into which LyCORIS has merged it at 0.7."""
    cls, options = KINDS[kind]
    truth, content = truth_of(model), {}
    for number, (network, other, prefix, path) in enumerate(
            [(model.denoiser, truth.denoiser, UNET, path) for path in (*LINEAR, *CONVOLUTION)]
            + [(model.text_encoders[0], truth.text_encoders[0], TEXT, path) for path in ENCODER]):
        made = trained(cls, network.get_submodule(path), options, number)
        content |= file_of(made, prefix + path.replace(".", "_"))
        merge(other.get_submodule(path), made, 0.7)
    return loaded(folder, content), truth


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_what_lycoris_makes_of_it(model: Model, tmp_path: Path, kind: str) -> None:
    before = drawn(model, None)
    file, truth = both(model, tmp_path, kind)
    assert file.on(model).fit.told() == "10 of 10 layers"
    assert distance(drawn(model, file), drawn(truth, None)) < 1e-5 < distance(before, drawn(truth, None))
    assert torch.equal(drawn(model, None), before), "nothing stays"


def test_norms(model: Model, tmp_path: Path) -> None:
    truth, content = truth_of(model), {}
    for path in ("down_blocks.0.resnets.0.norm1", f"{BLOCK}.transformer_blocks.0.norm2", "conv_norm_out"):
        made = trained(NormModule, model.denoiser.get_submodule(path), {}, 1)
        content |= file_of(made, UNET + path.replace(".", "_"))
        merge(truth.denoiser.get_submodule(path), made, 0.7)
    file = loaded(tmp_path, content)
    assert file.on(model).fit.told() == "3 of 3 layers"
    assert distance(drawn(model, file), drawn(truth, None)) < 1e-5


def one(model: Model, parts: dict[str, Tensor], path: str = LINEAR[0]) -> dict[str, Tensor]:
    return {f"{UNET}{path.replace('.', '_')}.{part}": each for part, each in parts.items()}


def with_delta(model: Model, delta: Tensor, path: str = LINEAR[0]) -> Tensor:
    truth = truth_of(model)
    module = truth.denoiser.get_submodule(path)
    module.weight = nn.Parameter(module.weight + delta.view_as(module.weight), requires_grad=False)
    return drawn(truth, None)


def test_alphas_differ_from_layer_to_layer(model: Model, tmp_path: Path) -> None:
    """Trap: diffusers takes one for all."""
    truth, content = truth_of(model), {}
    for number, path in enumerate(LINEAR[:2]):
        module = truth.denoiser.get_submodule(path)
        up, down = torch.randn(32, 3 + number) * 0.3, torch.randn(3 + number, 32) * 0.3
        content |= one(model, {"lora_up.weight": up, "lora_down.weight": down, "alpha": torch.tensor(1.0 + 3 * number)}, path)
        module.weight = nn.Parameter(module.weight + 0.7 * (1 + 3 * number) / (3 + number) * up @ down, requires_grad=False)
    assert distance(drawn(model, loaded(tmp_path, content)), drawn(truth, None)) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_scale_alpha_and_number_formats(model: Model, tmp_path: Path, dtype: torch.dtype) -> None:
    up, down = (torch.randn(32, 4) * 0.3).to(dtype), (torch.randn(4, 32) * 0.3).to(dtype)
    plain = {"lora_up.weight": up, "lora_down.weight": down}
    product = 0.7 * up.float() @ down.float()
    for more, scale in (({}, 1.0), ({"alpha": torch.tensor(2.0)}, 0.5), ({"alpha": torch.tensor(2.0), "scale": torch.tensor(0.3)}, 0.3)):
        file = loaded(tmp_path, one(model, plain | more), f"{len(more)}.safetensors")
        assert distance(drawn(model, file), with_delta(model, scale * product)) < 1e-5


def test_only_the_first_ranks(model: Model, tmp_path: Path) -> None:
    up, down = torch.randn(32, 4) * 0.3, torch.randn(4, 32) * 0.3
    file = loaded(tmp_path, one(model, {"lora_up.weight": up, "lora_down.weight": down, "alpha": torch.tensor(2.0)}))
    assert distance(drawn(model, file, dyn=2), with_delta(model, 0.7 * 0.5 * up[:, :2] @ down[:2])) < 1e-5


def test_dylora_as_lycoris_saves_it(model: Model, tmp_path: Path) -> None:
    """Trap: for a convolution its `lora_up` has two sides only."""
    made = trained(DyLoraModule, model.denoiser.get_submodule(CONVOLUTION[0]), {}, 0)
    parts = {part: each.detach().clone() for part, each in made.custom_state_dict().items()}
    assert parts["lora_up.weight"].dim() == 2
    delta = 0.5 * parts["lora_up.weight"] @ parts["lora_down.weight"].flatten(1)
    assert distance(drawn(model, loaded(tmp_path, one(model, parts, CONVOLUTION[0]))), with_delta(model, 0.7 * delta, CONVOLUTION[0])) < 1e-5


@pytest.mark.parametrize("more", [{}, {"use_rslora": True}, {"alpha_pattern": {"attn1.to_q": 1, "attn2.to_q": 12}}])
def test_alphas_that_peft_keeps_in_the_metadata(model: Model, tmp_path: Path, more: dict[str, object]) -> None:
    config = LoraConfig(r=4, lora_alpha=6, target_modules=["to_q", "to_k"], init_lora_weights=False, **more)
    truth, before = truth_of(model), drawn(model, None)
    with torch.inference_mode(False):
        torch.manual_seed(0)
        truth.denoiser.add_adapter(config)
    truth.denoiser.save_lora_adapter(tmp_path, weight_name="alone.safetensors")
    alone = ModelFile("lora", "x", str(tmp_path / "alone.safetensors"))
    with safe_open(alone.path, "pt") as opened:
        told = json.loads(opened.metadata()["lora_adapter_metadata"])
        content = {f"unet.{name}": opened.get_tensor(name) for name in opened.offset_keys()}
    packed = json.dumps({f"unet.{key}": value for key, value in told.items()})
    whole = ModelFile("lora", "x", str(save(tmp_path / "whole.safetensors", content, lora_adapter_metadata=packed)))
    own = ModelFile("lora", "x", str(save(tmp_path / "adapter_model.safetensors", content)))
    (tmp_path / "adapter_config.json").write_text(json.dumps(told))
    for file in (alone, whole, own):
        assert distance(drawn(model, read_network(file, model.placement), 1.0), drawn(truth, None)) < 1e-5
    assert distance(before, drawn(truth, None)) > 1e-3


def test_magnitudes_that_peft_keeps_of_rows(model: Model, tmp_path: Path) -> None:
    """Of a convolution they lie as LyCORIS' magnitudes of columns do, and its sides can be equal."""
    square, other = "down_blocks.0.resnets.1.conv1", CONVOLUTION[1]
    truth, before = truth_of(model), drawn(model, None)
    with torch.inference_mode(False):
        torch.manual_seed(0)
        truth.denoiser.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=[LINEAR[0], square, other], use_dora=True, init_lora_weights=False))
    content = {f"unet.{name}": each.detach() for name, each in get_peft_model_state_dict(truth.denoiser).items()}
    for name, each in content.items():
        if "magnitude" in name:
            each.mul_(1 + torch.rand(each.shape))
    assert content[f"unet.{square}.lora_magnitude_vector"].shape == (1, 32, 1, 1)
    file = loaded(tmp_path, content)
    assert file.on(model).fit.told() == "3 of 3 layers"
    assert distance(drawn(model, file, 1.0), drawn(truth, None)) < 1e-5 < distance(before, drawn(truth, None))


PEFT_KINDS = {
    "oft": OFTConfig(r=0, oft_block_size=8, init_weights=False),
    "oft exactly": OFTConfig(r=0, oft_block_size=8, use_cayley_neumann=False, init_weights=False),
    "oft of few terms, bounded": OFTConfig(r=4, oft_block_size=0, num_cayley_neumann_terms=3, coft=True, eps=0.5, init_weights=False),
    "oft of one block": OFTConfig(r=0, oft_block_size=8, block_share=True, init_weights=False),
    "boft": BOFTConfig(boft_block_size=8, init_weights=False),
    "boft of three stages": BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=3, init_weights=False),
    "ia3": IA3Config(feedforward_modules=["to_k"], init_ia3_weights=False),
}


class BlockDiagonals:
    """PEFT's CUDA kernel (stages, blocks, n, n) -> (stages, blocks n, blocks n), in torch."""

    @staticmethod
    def apply(blocks: Tensor) -> Tensor:
        return torch.stack([torch.block_diag(*each) for each in blocks])


@pytest.mark.parametrize("kind", PEFT_KINDS)
def test_a_kind_is_what_peft_makes_of_it(model: Model, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear layers, one with a bias, and where PEFT merges what it runs a convolution."""
    config: PeftConfig = deepcopy(PEFT_KINDS[kind])
    convolution = {"boft": {CONVOLUTION[0]}, "ia3": {"down_blocks.1.resnets.0.conv1"}}.get(kind.partition(" ")[0], set())
    config.target_modules = {LINEAR[0], LINEAR[1], "time_embedding.linear_1"} | convolution
    monkeypatch.setattr(boft_layer, "get_fbd_cuda", lambda: True)
    monkeypatch.setattr(boft_layer, "FastBlockDiag", BlockDiagonals)
    truth, before = truth_of(model), drawn(model, None)
    truth.denoiser.get_submodule(CONVOLUTION[0]).to(memory_format=torch.contiguous_format)        # PEFT takes views of it
    with torch.inference_mode(False):
        torch.manual_seed(0)
        truth.denoiser.add_adapter(config)
    truth.denoiser.save_lora_adapter(tmp_path, weight_name="x.safetensors")
    file = read_network(ModelFile("lora", "x", str(tmp_path / "x.safetensors")), model.placement)
    count = len(config.target_modules)
    assert file.on(model).fit.told() == f"{count} of {count} layers"
    assert distance(drawn(model, file, 1.0), drawn(truth, None)) < 1e-5 < distance(before, drawn(truth, None))


@pytest.mark.parametrize(("parts", "path", "why"), [
    ({"oft_R": (4, 28)}, LINEAR[0], "use_cayley_neumann"), ({"oft_r": (4, 8, 8)}, LINEAR[0], "before oft_R"),
    ({"oft_R": (36, 28), "cayley_terms": ()}, CONVOLUTION[0], "convolution"), ({"ia3_l": (1, 32, 1, 1)}, CONVOLUTION[0], "as many inputs as outputs"),
    ({"oft_R": (5, 28), "cayley_terms": ()}, LINEAR[0], "another size"), ({"oft_R": (28,)}, LINEAR[0], "another size"),
    ({"boft_R": (1, 4, 8, 8)}, LINEAR[0], "another size"), ({"ia3_l": (32, 32)}, LINEAR[0], "another size"),
])
def test_what_peft_does_not_tell_is_said(model: Model, tmp_path: Path, parts: dict[str, tuple[int, ...]], path: str, why: str) -> None:
    file = loaded(tmp_path, one(model, {part: torch.ones(shape) for part, shape in parts.items()}, path))
    assert file.on(model).fit.told().startswith("0 of 1 layers (1: ") and why in file.on(model).fit.told()


def test_lokr_counts_alpha_where_something_is_a_product(model: Model, tmp_path: Path) -> None:
    w1, w2_a, w2_b = torch.randn(4, 4) * 0.5, torch.randn(8, 2) * 0.5, torch.randn(2, 8) * 0.5
    factors = {"lokr_w1": w1, "lokr_w2_a": w2_a, "lokr_w2_b": w2_b, "alpha": torch.tensor(1.0)}
    whole = {"lokr_w1": w1, "lokr_w2": w2_a @ w2_b, "alpha": torch.tensor(1.0)}
    for number, (parts, scale) in enumerate(((factors, 0.5), (whole, 1.0))):
        file = loaded(tmp_path, one(model, parts), f"{number}.safetensors")
        assert distance(drawn(model, file), with_delta(model, 0.7 * scale * torch.kron(w1, w2_a @ w2_b))) < 1e-5


def test_older_gloras_and_ofts(model: Model, tmp_path: Path) -> None:
    weight = model.denoiser.get_submodule(LINEAR[2]).weight
    a1, a2, b1, b2 = (torch.randn(size) * 0.3 for size in ((4, 32), (32, 4), (4, 32), (len(weight), 4)))
    file = loaded(tmp_path, one(model, {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2}, LINEAR[2]))
    assert distance(drawn(model, file), with_delta(model, 0.7 * (b2 @ b1 + (weight @ a2) @ a1), LINEAR[2])) < 1e-5
    turns = torch.linalg.qr(torch.randn(8, 4, 4))[0]
    weight = model.denoiser.get_submodule(LINEAR[0]).weight
    file = loaded(tmp_path, one(model, {"oft_diag": turns}), "oft.safetensors")
    turned = torch.einsum("knm,knp->kmp", turns, weight.view(8, 4, -1)).flatten(0, 1)
    assert distance(drawn(model, file), with_delta(model, 0.7 * (turned - weight))) < 1e-5


def test_loha_of_a_convolution_and_flat_factors(model: Model, tmp_path: Path) -> None:
    weight = model.denoiser.get_submodule(CONVOLUTION[0]).weight
    a, b = torch.randn(2, 32, 4) * 0.5, torch.randn(2, 4, 32 * 9) * 0.5
    parts = {"hada_w1_a": a[0], "hada_w1_b": b[0], "hada_w2_a": a[1], "hada_w2_b": b[1], "alpha": torch.tensor(2.0)}
    delta = 0.5 * (a[0] @ b[0]) * (a[1] @ b[1])
    file = loaded(tmp_path, one(model, parts, CONVOLUTION[0]))
    assert distance(drawn(model, file), with_delta(model, 0.7 * delta.view_as(weight), CONVOLUTION[0])) < 1e-5
    up, down = torch.randn(32, 4) * 0.3, torch.randn(4, 32 * 9) * 0.3
    file = loaded(tmp_path, one(model, {"lora_up.weight": up, "lora_down.weight": down}, CONVOLUTION[0]), "flat.safetensors")
    assert distance(drawn(model, file), with_delta(model, 0.7 * up @ down, CONVOLUTION[0])) < 1e-5


def test_several_networks_change_one_layer_in_their_order(model: Model, tmp_path: Path) -> None:
    """Each starts from what the one before it has made."""
    truth, files = truth_of(model), {}
    for number, kind in enumerate(("lora", "dora", "oft")):
        cls, options = KINDS[kind]
        made = trained(cls, truth.denoiser.get_submodule(LINEAR[0]), options, number)
        files["lora", kind] = loaded(tmp_path, file_of(made, UNET + LINEAR[0].replace(".", "_")), f"{kind}.safetensors")
        merge(truth.denoiser.get_submodule(LINEAR[0]), made, 0.5)
    changes = PromptNetworks(model, files, Memory(model.placement)).unet([Applied(*name, 0.5, 0.5) for name in files])
    assert changes.merged and not changes.branches
    x, encoded = torch.randn(4, 8, 8), model.encode_text("a cat")
    row = Row(x, 2.0, encoded, model, model.parametrisation, uses=changes.uses, branches=changes.branches)
    expected = denoise([Row(x, 2.0, encoded, truth, model.parametrisation)])[0].denoised
    assert distance(denoise([row])[0].denoised, expected) < 1e-5

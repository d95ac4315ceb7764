"""What a prompt names is checked before its job is queued: how it is written, whether it is here, and whether it fits."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from backend.catalog.families import FAMILIES
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.network_fit import fit
from backend.catalog.network_names import flat, text_name
from backend.catalog.network_problems import network_names, network_problems
from backend.catalog.peft_alphas import peft_alphas
from backend.catalog.peft_rotations import peft_rotations, shapes_told
from backend.request.request import Request

UNET = "model.diffusion_model."
TO_K = "transformer_blocks.0.attn2.to_k"
SD1 = {
    UNET + "input_blocks.0.0.weight": (320, 4, 3, 3), UNET + f"input_blocks.1.1.{TO_K}.weight": (320, 768),
    UNET + "input_blocks.3.0.op.weight": (320, 320, 3, 3), UNET + f"output_blocks.5.1.{TO_K}.weight": (1280, 768),
    UNET + "output_blocks.5.2.conv.weight": (1280, 1280, 3, 3), UNET + f"middle_block.1.{TO_K}.weight": (1280, 768),
    UNET + "input_blocks.1.0.in_layers.2.weight": (320, 320, 3, 3),
    "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight": (768, 768),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
}


def write(file: Path, shapes: dict[str, tuple[int, ...]], **metadata: str) -> None:
    """A .safetensors file whose tensors are sparse."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        entries[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(entries | ({"__metadata__": metadata} if metadata else {})).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        out.truncate(8 + len(header) + end)


def lora(module: str, out: int, into: int, rank: int = 4) -> dict[str, tuple[int, ...]]:
    return {f"{module}.lora_up.weight": (out, rank), f"{module}.lora_down.weight": (rank, into), f"{module}.alpha": ()}


@pytest.fixture
def catalog(tmp_path: Path) -> ModelCatalog:
    write(tmp_path / "checkpoints" / "old.safetensors", SD1)
    to_k = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    write(tmp_path / "loras" / "fits.safetensors", lora(f"lora_unet_{to_k}", 320, 768), ss_output_name="other name")
    write(tmp_path / "loras" / "xl.safetensors", lora(f"lora_unet_{to_k}", 640, 2048))
    write(tmp_path / "loras" / "other.safetensors", lora("lora_unet_nothing_like_it", 4, 4))
    write(tmp_path / "loras" / "sub, dir" / "it's (a) name é.safetensors", lora(f"lora_unet_{to_k}", 320, 768))
    return ModelCatalog((tmp_path,))


def told(catalog: ModelCatalog, prompt: str, **more: object) -> list[str]:
    request = Request(prompt=prompt, **more)
    return [str(problem) for problem in network_problems(request, catalog, catalog.find("checkpoint", "old"))]


@pytest.mark.parametrize("prompt", [
    "a cat", "a <lora:fits:0.5>", "a <lyco:fits>", "a <lora:other name:0.5>", "<lora:FITS:0:unet=-2:dyn=3>", "<tint:what>",
    "<lora:it_s (a) name é:0.3>", "<lora:fits:0:0.2,1:0.9:start=0.2:end=12:hr=0.5:part:lbw=MIDD>", "<lora:fits:1><lora:fits:1>" * 150,
])
def test_what_is_here_and_fits_is_drawn(catalog: ModelCatalog, prompt: str) -> None:
    assert told(catalog, prompt) == []


@pytest.mark.parametrize(("prompt", "words"), [
    ("<lora:xl:1>", ["prompt: xl", "made for Stable Diffusion XL", "old", "which is Stable Diffusion 1"]),
    ("<lora:other:1>", ["prompt: other", "changes nothing on old", "0 of 1 layers", "lora_unet_nothing_like_it"]),
    ("<lora:absent:1>", ["prompt: 'absent' is not in the list", "fits"]),
    ("<lora:../checkpoints/old:1>", ["is not in the list"]), ("<lora::1>", ["names no file"]),
    ("<lora:fits:much>", ["'much' where a number is expected"]), ("<lora:fits:nan>", ["nan"]), ("<lora:fits:1e9>", ["1e9"]),
    ("<lora:fits:>", ["no number"]), ("<lora:fits:1:1:0>", ["'0' where a number of ranks"]), ("<lora:fits:1:lbw=1,2,3>", ["12, 17, 20, 26"]),
    ("<lora:fits:1:lbw=MOST>", ["one of NONE"]), ("<lora:fits:1:colour=red>", ["no argument 'colour'"]), ("<lora:fits:0@2,1@3>", ["0 and 1"]),
])
def test_what_is_wrong_is_said_of_the_prompt(catalog: ModelCatalog, prompt: str, words: list[str]) -> None:
    sentences = told(catalog, prompt)
    assert len(sentences) == 1 and all(word in sentences[0] for word in words), sentences


def test_names_that_two_files_have_and_strange_ones(tmp_path: Path) -> None:
    write(tmp_path / "checkpoints" / "old.safetensors", SD1)
    shapes = lora("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 320, 768)
    for name in ("same", "one/same", "two/same", "a, b, c=d", "x [v2|3] (AND)", "\u202e\u540d"):
        write(tmp_path / "loras" / f"{name}.safetensors", shapes, ss_output_name="twin" if "/" in name else "")
    write(tmp_path / "Lora" / "same.safetensors", shapes)
    (tmp_path / "loras" / "one" / "loop").symlink_to(tmp_path / "loras")
    (tmp_path / "loras" / "round.safetensors").symlink_to(tmp_path / "loras" / "round.safetensors")
    catalog = ModelCatalog((tmp_path,))
    keys = {file.key for file in catalog.scan("lora")}
    assert keys == {"same", "one/same", "two/same", "same.safetensors", "a, b, c=d", "x [v2|3] (AND)", "_\u540d"}
    assert len({catalog.find("lora", key).path for key in keys}) == len(keys)
    assert all(told(catalog, f"a <lora:{key}:0.5> cat") == [] for key in keys if "=" not in key)
    assert "not in the list" in told(catalog, "<lora:twin:1>")[0], "it could be either"
    assert "no argument" in told(catalog, "<lora:a, b, c=d:1>")[0], "as in AUTOMATIC1111 = names an argument"


def test_every_prompt_of_a_job_is_looked_at(catalog: ModelCatalog) -> None:
    assert told(catalog, "{<lora:fits:1>|<lora:xl:1>}", prompts=("<lora:fits:1>", "<lora:xl:1>"))[0].startswith("prompt: xl")
    assert told(catalog, "a", hr_prompt="<lora:xl:1>") == []
    assert told(catalog, "a", hr_prompt="<lora:xl:1>", enable_hr=True)[0].startswith("hr_prompt: xl")
    assert network_names(Request(prompt="<lora:a:1><lyco:b:1><lora:a:2>")) == {("lora", "a"): "prompt", ("lora", "b"): "prompt"}


TO_KEYS = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
FOR_SDXL = {
    "lora": lora(TO_KEYS, 640, 2048), "full": {f"{TO_KEYS}.diff": (640, 2048)},
    "loha": {f"{TO_KEYS}.hada_w{i}_{side}": shape for i in (1, 2) for side, shape in (("a", (640, 4)), ("b", (4, 2048)))},
    "lokr": {f"{TO_KEYS}.lokr_w1": (16, 16), f"{TO_KEYS}.lokr_w2_a": (40, 4), f"{TO_KEYS}.lokr_w2_b": (4, 128)},
    "glora": {f"{TO_KEYS}.{name}.weight": shape for name, shape in (("a1", (2048, 4)), ("a2", (4, 2048)), ("b1", (640, 4)), ("b2", (4, 2048)))},
    "older glora": {f"{TO_KEYS}.{name}.weight": shape for name, shape in (("a2", (2048, 4)), ("a1", (4, 2048)), ("b2", (640, 4)), ("b1", (4, 2048)))},
    "oft": {f"{TO_KEYS.replace('blocks_0_', 'blocks_1_')}.oft_blocks": (40, 16, 16)},
    "text": lora("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", 1280, 1280),
}


@pytest.mark.parametrize("kind", FOR_SDXL)
def test_what_a_network_is_for_is_told_by_its_layers_of_any_kind(tmp_path: Path, kind: str) -> None:
    """Also where some of its layers have the name and the size of layers of the other family."""
    alike = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
    sd1 = SD1 | {UNET + "input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight": (640, 640)}
    write(tmp_path / "checkpoints" / "old.safetensors", sd1)
    write(tmp_path / "loras" / "xl.safetensors", FOR_SDXL[kind] | lora(alike, 640, 640))
    write(tmp_path / "loras" / "unknown.safetensors", lora(alike, 640, 640) | lora("lora_unet_absent", 4, 4))
    catalog = ModelCatalog((tmp_path,))
    sentence, = told(catalog, "<lora:xl:1>")
    assert "made for Stable Diffusion XL" in sentence and "old, which is Stable Diffusion 1: 1 of 2 layers" in sentence
    assert told(catalog, "<lora:unknown:1>") == []


SHAPES = {"unet": {
    "conv_in": (320, 4, 3, 3), "down_blocks_0_attentions_0_proj_in": (320, 320, 1, 1), "down_blocks_0_resnets_1_conv1": (320, 320, 3, 3),
    "down_blocks_0_downsamplers_0_conv": (320, 320, 3, 3), "mid_block_attentions_0_norm": (1280,), "up_blocks_1_upsamplers_0_conv": (640, 640, 3, 3),
    "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": (320, 320), "time_embedding_linear_1": (1280, 320), "conv_norm_out": (320,),
    "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0": (320, 320), "add_embedding_linear_2": (1280, 1280),
    "up_blocks_0_resnets_2_conv_shortcut": (1280, 2560, 1, 1)},
    "text_encoder": {"encoder_layers_3_self_attn_q_proj": (768, 768), "encoder_layers_3_self_attn_out_proj": (768, 768)}}
PREFIXES = {"unet": ("lora_unet_", "unet_", "diffusion_model_"), "text_encoder": ("lora_te_", "text_encoder_")}
Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"


@pytest.mark.parametrize(("up", "down", "module"), [
    ("lora_unet_input_blocks_1_1_proj_in.lora_up.weight", "lora_unet_input_blocks_1_1_proj_in.lora_down.weight",
     "down_blocks_0_attentions_0_proj_in"),
    (f"unet.{Q}.processor.to_q_lora.up.weight", f"unet.{Q}.processor.to_q_lora.down.weight", f"{Q}.to_q"),
    (f"unet.{Q}.processor.to_out_lora.up.weight", f"unet.{Q}.processor.to_out_lora.down.weight", f"{Q}.to_out.0"),
    (f"unet.{Q}.to_q.lora.up.weight", f"unet.{Q}.to_q.lora.down.weight", f"{Q}.to_q"),
    (f"unet.{Q}.to_q.lora_B.weight", f"unet.{Q}.to_q.lora_A.weight", f"{Q}.to_q"),
    (f"base_model.model.{Q}.to_q.lora_B.default.weight", f"base_model.model.{Q}.to_q.lora_A.default.weight", f"{Q}.to_q"),
    (f"base_model.model.unet.{Q}.to_q.lora_B.weight", f"base_model.model.unet.{Q}.to_q.lora_A.weight", f"{Q}.to_q"),
    (f"lora_unet.{Q}.to_q.lora_up.weight", f"lora_unet.{Q}.to_q.lora_down.weight", f"{Q}.to_q"),       # OneTrainer's
    ("lora_te.text_model.encoder.layers.3.self_attn.q_proj.lora_up.weight", "lora_te.text_model.encoder.layers.3.self_attn.q_proj.lora_down.weight",
     "encoder_layers_3_self_attn_q_proj"),
    (f"lycoris_{Q.replace('.', '_')}_to_q.lora_up.weight", f"lycoris_{Q.replace('.', '_')}_to_q.lora_down.weight", f"{Q}.to_q"),
    ("diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.lora_B.weight",
     "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.lora_A.weight", f"{Q}.to_q"),
    ("lora_te_text_model_encoder_layers_3_self_attn_q_proj.lora_up.weight", "lora_te_text_model_encoder_layers_3_self_attn_q_proj.lora_down.weight",
     "encoder_layers_3_self_attn_q_proj"),
    ("text_encoder.text_model.encoder.layers.3.self_attn.to_out_lora.up.weight",
     "text_encoder.text_model.encoder.layers.3.self_attn.to_out_lora.down.weight", "encoder_layers_3_self_attn_out_proj"),
    ("text_encoder.text_model.encoder.layers.3.self_attn.q_proj.lora_linear_layer.up.weight",
     "text_encoder.text_model.encoder.layers.3.self_attn.q_proj.lora_linear_layer.down.weight", "encoder_layers_3_self_attn_q_proj"),
    ("base_model.model.text_model.encoder.layers.3.self_attn.q_proj.lora_B.weight",
     "base_model.model.text_model.encoder.layers.3.self_attn.q_proj.lora_A.weight", "encoder_layers_3_self_attn_q_proj"),
])
def test_every_programs_names_lead_to_the_module(up: str, down: str, module: str) -> None:
    side = 768 if "layers" in module else 320
    found = fit({up: (side, 4), down: (4, side)}, SHAPES, PREFIXES)
    assert [layer.module for layer in found.layers] == [module.replace(".", "_")], found.told()


def test_names_that_only_sizes_and_families_tell() -> None:
    q = "text_model.encoder.layers.0.self_attn.q_proj"
    shapes = {"unet": SHAPES["unet"], "text_encoder": {text_name(flat(q)): (768, 768)}, "text_encoder_2": {text_name(flat(q)): (1280, 1280)}}
    for side, component in ((768, "text_encoder"), (1280, "text_encoder_2")):
        bare = {f"base_model.model.{q}.lora_A.weight": (4, side), f"base_model.model.{q}.lora_B.weight": (side, 4)}
        assert [layer.component for layer in fit(bare, shapes, FAMILIES["sdxl"].networks).layers] == [component]
    for name in (f"clip_g.{q}", f"text_encoders.clip_g.transformer.{q}", f"text_encoder_2.base_model.model.{q}"):
        big = {f"{name}.lora_A.weight": (4, 1280), f"{name}.lora_B.weight": (1280, 4)}
        assert [layer.component for layer in fit(big, shapes, FAMILIES["sdxl"].networks).layers] == ["text_encoder_2"], name
    found = fit({f"oft_unet_{flat(Q)}_to_q.oft_blocks": (8, 40, 40)}, SHAPES, FAMILIES["sd1"].networks)
    assert [layer.kind for layer in found.layers] == ["oft"], "kohya's own prefix"


@pytest.mark.parametrize(("module", "plain", "shape"), [
    ("input_blocks_0_0", "conv_in", (320, 4, 3, 3)), ("input_blocks_2_0_in_layers_2", "down_blocks_0_resnets_1_conv1", (320, 320, 3, 3)),
    ("input_blocks_3_0_op", "down_blocks_0_downsamplers_0_conv", (320, 320, 3, 3)), ("middle_block_1_norm", "mid_block_attentions_0_norm", (1280,)),
    ("output_blocks_5_2_conv", "up_blocks_1_upsamplers_0_conv", (640, 640, 3, 3)), ("time_embed_0", "time_embedding_linear_1", (1280, 320)),
    ("out_0", "conv_norm_out", (320,)), ("label_emb_0_2", "add_embedding_linear_2", (1280, 1280)),
    ("output_blocks_2_0_skip_connection", "up_blocks_0_resnets_2_conv_shortcut", (1280, 2560, 1, 1)),
])
def test_sgms_names(module: str, plain: str, shape: tuple[int, ...]) -> None:
    part = "w_norm" if len(shape) == 1 else "diff"
    assert [layer.module for layer in fit({f"lora_unet_{module}.{part}": shape}, SHAPES, PREFIXES).layers] == [plain]


def test_what_does_not_fit_is_counted_by_its_reason() -> None:
    to_q = f"lora_unet_{Q.replace('.', '_')}_to_q"
    shapes = lora(to_q, 320, 640) | lora("lora_unet_absent", 4, 4) | {"odd.thing": (3,), f"{to_q}_x.lora_up.weight": (3, 3)}
    found = fit(shapes | lora("lora_unet_conv_in", 320, 36) | lora("lora_unet_mid_block_attentions_0_norm", 1280, 1, rank=0), SHAPES, PREFIXES)
    assert found.total == 6 and len(found.layers) == 1
    assert found.told().startswith("1 of 6 layers (") and "another size" in found.told() and "unknown names, such as odd.thing" in found.told()


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 5000, '{"lora_alpha": "8"}', '{"lora_alpha": NaN}', '{"lora_alpha": true}', '{"alpha_pattern": 3}'])
def test_metadata_of_no_sense_tells_no_alpha(text: str) -> None:
    assert peft_alphas({"lora_adapter_metadata": text}, {"a.to_q.lora_A.weight": (4, 8), "a.to_q.lora_B.weight": (8, 4)}) == {}


@pytest.mark.parametrize(("told", "numbers"), [
    ({"use_cayley_neumann": True, "num_cayley_neumann_terms": 5}, {"terms": 5}), ({"use_cayley_neumann": False}, {"terms": 0}),
    ({"use_cayley_neumann": False, "coft": True, "eps": 0.1}, {"terms": 0, "bound": 0.1}), ({"use_cayley_neumann": False, "coft": True, "eps": "x"}, {}),
    ({"use_cayley_neumann": True, "num_cayley_neumann_terms": math.nan}, {}), ({"num_cayley_neumann_terms": 5}, {}), ({"use_cayley_neumann": 1}, {}),
])
def test_how_pefts_rotations_are_made_is_told_by_metadata_alone(tmp_path: Path, told: dict[str, object], numbers: dict[str, float]) -> None:
    name = f"unet.{Q}.to_q.oft_R.weight"
    of_unet = json.dumps({f"unet.{key}": value for key, value in told.items()})
    assert peft_rotations({"lora_adapter_metadata": of_unet}, {name: (40, 28)}) == {
        name.replace("oft_R.weight", f"cayley_{part}"): number for part, number in numbers.items()}
    write(tmp_path / "x.safetensors", {name: (40, 28)}, lora_adapter_metadata=of_unet)
    found = fit(shapes_told(tmp_path / "x.safetensors"), SHAPES, PREFIXES)
    assert len(found.layers) == bool(numbers) and (numbers or "use_cayley_neumann" in found.told())

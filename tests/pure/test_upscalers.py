"""The catalogue of upscalers: what lies in the folders, by which names it is found, and what is said of what is not there."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.request_files import files_of, missing_upscalers, needed, resolved, restorers_there
from backend.errors import InvalidRequest, NotFound
from backend.image import infotext
from backend.image.extras_text import extras_request, infotext_values
from backend.request.choices import EXTRAS
from backend.request.request import FIELDS, Request
from tests.pure.test_catalog import write

PICTURE = "0" * 64
EXTRA = {"process": EXTRAS, "init_image": PICTURE}
COMPACT = {"body.0.weight": (8, 3, 3, 3), "body.2.weight": (12, 8, 3, 3)}
DRAWN = "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768, Model: anything, Version: v1.10.1"


def put(path: Path, shapes: dict[str, tuple[int, ...]] = COMPACT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, shapes)
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    put(tmp_path / "upscalers" / "4x-UltraSharp.safetensors")
    put(tmp_path / "upscalers" / "deep" / "2x <b>.safetensors")
    put(tmp_path / "ESRGAN" / "old.safetensors", {"model.0.weight": (64, 3, 3, 3)})
    put(tmp_path / "RealESRGAN" / "RealESRGAN_x4plus.safetensors")
    put(tmp_path / "GFPGAN" / "GFPGANv1.3.safetensors", {"stylegan_decoder.style_mlp.1.weight": (4, 4)})
    put(tmp_path / "GFPGAN" / "GFPGANv1.4.safetensors", {"stylegan_decoder.style_mlp.1.weight": (4, 4)})
    put(tmp_path / "GFPGAN" / "detection_Resnet50_Final.safetensors", {"body.conv1.weight": (4, 4)})
    put(tmp_path / "upscalers" / "codeformer.safetensors", {"position_emb": (256, 512), "quantize.embedding.weight": (4, 4)})
    (tmp_path / "SwinIR").mkdir()
    (tmp_path / "SwinIR" / "broken.pth").write_bytes(b"nonsense")
    return tmp_path


@pytest.fixture
def catalogue(models: Path) -> ModelCatalog:
    return ModelCatalog((models,))


def with_detector(models: Path) -> None:
    (models / "insightface" / "models" / "buffalo_l").mkdir(parents=True)
    (models / "insightface" / "models" / "buffalo_l" / "det_10g.onnx").write_bytes(b"")


def test_every_folder_is_looked_through(catalogue: ModelCatalog) -> None:
    assert [file.key for file in catalogue.usable("upscaler")] == ["2x _b_", "4x-UltraSharp", "old", "RealESRGAN_x4plus"]
    assert [file.key for file in catalogue.listed("upscaler") if file.problem] == ["broken"]
    assert restorers_there(catalogue) == ["GFPGAN", "CodeFormer"]


@pytest.mark.parametrize("name", ["4x-UltraSharp", "4X-ULTRASHARP", "4x-UltraSharp.safetensors", " 4x-UltraSharp "])
def test_a_name_is_found_in_any_spelling(catalogue: ModelCatalog, name: str) -> None:
    assert catalogue.find("upscaler", name).key == "4x-UltraSharp"


def test_automatic1111s_names_find_their_files(catalogue: ModelCatalog) -> None:
    assert catalogue.find("upscaler", "R-ESRGAN 4x+").key == "RealESRGAN_x4plus"


def test_a_name_that_is_not_there_is_told_with_what_there_is(catalogue: ModelCatalog) -> None:
    with pytest.raises(InvalidRequest, match=r"'8x <?_?none' is not in the list; there is: Lanczos, Nearest, 2x _b_, 4x-UltraSharp"):
        resolved(Request.parse({**EXTRA, "upscaler_1": "8x <none"}), catalogue)
    with pytest.raises(NotFound):
        catalogue.find("upscaler", "GFPGANv1.4")


def test_files_that_come_and_go_are_noticed(catalogue: ModelCatalog, models: Path) -> None:
    catalogue.scan("upscaler")
    put(models / "DAT" / "later.safetensors")
    assert catalogue.find("upscaler", "later").key == "later"
    (models / "DAT" / "later.safetensors").unlink()
    with pytest.raises(NotFound):
        catalogue.find("upscaler", "later")


def test_hidden_files_and_other_endings_are_left_out(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside" / "notes.txt")
    models = tmp_path / "models"
    put(models / "upscalers" / ".hidden.safetensors")
    (models / "upscalers" / "notes.txt").write_text("x")
    os.symlink(outside, models / "upscalers" / "link.txt")
    os.mkfifo(models / "upscalers" / "pipe.pth")
    assert ModelCatalog((models,)).listed("upscaler") == ()


def test_the_first_of_two_with_one_name_is_taken(models: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    put(other / "upscalers" / "4x-UltraSharp.safetensors")
    assert str(other) in ModelCatalog((other, models)).find("upscaler", "4x-UltraSharp").path


@pytest.mark.parametrize("name, shapes, scale", [
    ("plain", COMPACT, 2),
    ("x", {"conv_first.weight": (64, 3, 3, 3), "conv_up1.weight": (64, 64, 3, 3), "conv_up2.weight": (64, 64, 3, 3)}, 4),
    ("x", {"conv_first.weight": (64, 12, 3, 3), "conv_up1.weight": (64, 64, 3, 3), "conv_up2.weight": (64, 64, 3, 3)}, 2),
    ("2x-name", {"a": (1,)}, 2), ("name_x3", {"a": (1,)}, 3), ("SwinIR-M_x8_v10", {"a": (1,)}, 8), ("unknown", {"a": (1,)}, 0),
])
def test_the_scale_is_told_where_the_header_or_the_name_shows_it(tmp_path: Path, name: str, shapes: dict, scale: int) -> None:
    put(tmp_path / "upscalers" / f"{name}.safetensors", shapes)
    assert ModelCatalog((tmp_path,)).find("upscaler", name).facts["scale"] == scale


class Trap:
    def __reduce__(self) -> tuple:
        return exec, ("raise SystemExit('code from the file ran')",)


def test_nothing_in_a_pickle_is_run(tmp_path: Path) -> None:
    (tmp_path / "upscalers").mkdir()
    with zipfile.ZipFile(tmp_path / "upscalers" / "trap.pth", "w") as archive:
        archive.writestr("trap/data.pkl", pickle.dumps({"params": {"a": Trap()}}))
    assert "could run code" in ModelCatalog((tmp_path,)).find("upscaler", "trap").problem


@pytest.mark.parametrize("values, field", [
    ({"enable_hr": True, "hr_upscaler": "nope"}, "hr_upscaler"), ({"init_image": PICTURE, "sd_upscale": "nope"}, "sd_upscale"),
    ({**EXTRA, "upscaler_1": "nope"}, "upscaler_1"), ({**EXTRA, "upscaler_2": "nope"}, "upscaler_2"),
    ({**EXTRA, "upscaler_1": "broken"}, "upscaler_1"),
])
def test_an_unknown_or_broken_one_is_told_of_its_field(catalogue: ModelCatalog, values: dict, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolved(Request.parse(values), catalogue)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_names_that_act_nowhere_are_not_looked_for(catalogue: ModelCatalog) -> None:
    request = Request(hr_upscaler="nope", upscaler_1="nope", sd_upscale="nope")
    assert resolved(request, catalogue) is request
    with pytest.raises(InvalidRequest) as refused:
        files_of(request, catalogue)
    assert [problem.field for problem in refused.value.problems] == ["checkpoint"], "there is none in these folders"


def test_a_request_gets_the_files_own_names_and_its_job_the_files(catalogue: ModelCatalog) -> None:
    request = resolved(Request.parse({**EXTRA, "upscaler_1": "r-esrgan 4x+", "upscaler_2": "lanczos"}), catalogue)
    assert (request.upscaler_1, request.upscaler_2) == ("RealESRGAN_x4plus", "Lanczos")
    files = files_of(request, catalogue)
    assert list(files) == [("upscaler", "RealESRGAN_x4plus")]
    assert [one.field for one in needed(request)] == ["upscaler_1"]


def test_what_an_infotext_names_and_is_not_here_is_told(catalogue: ModelCatalog) -> None:
    assert missing_upscalers({"enable_hr": True, "hr_upscaler": "4x-Gone"}, catalogue) == {"hr_upscaler": "4x-Gone"}
    for values in ({"hr_upscaler": "4x-Gone"}, {"enable_hr": True, "hr_upscaler": "Latent"}, {"enable_hr": True, "hr_upscaler": "4x-ultrasharp"}, {}):
        assert not missing_upscalers(values, catalogue)


def test_faces_need_a_restorer_and_a_detector(catalogue: ModelCatalog, models: Path) -> None:
    request = Request.parse({**EXTRA, "gfpgan_visibility": 1})
    with pytest.raises(InvalidRequest, match=r"gfpgan_visibility: .*det_10g.onnx into models/insightface"):
        resolved(request, catalogue)
    with_detector(models)
    files = files_of(request, catalogue)
    assert files["face_restorer", "GFPGAN"].key == "GFPGANv1.4" and files["face_detector", ""].path.endswith("det_10g.onnx")
    (models / "upscalers" / "codeformer.safetensors").unlink()
    with pytest.raises(InvalidRequest, match=r"codeformer_visibility: .*CodeFormer's model into models/Codeformer"):
        resolved(request.replace(codeformer_visibility=0.5), catalogue)


# ---- what the saved picture says ----


def edited(**values: object) -> Request:
    return extras_request({"init_image": PICTURE, **values}, infotext.read(str(values.get("source_text", ""))).values)


@pytest.mark.parametrize("values, keys", [
    ({}, {}),
    ({"upscaler_1": "Lanczos", "upscale_by": 2}, {"Postprocess upscale by": 2.0, "Postprocess upscaler": "Lanczos"}),
    ({"upscaler_1": "Lanczos", "upscale_to_width": 640, "upscale_to_height": 480},
     {"Postprocess upscale to": "640x480", "Postprocess crop to": "640x480", "Postprocess upscaler": "Lanczos"}),
    ({"upscaler_1": "Lanczos", "upscaler_2": "Nearest", "upscaler_2_visibility": 0.25},
     {"Postprocess upscale by": 4.0, "Postprocess upscaler": "Lanczos", "Postprocess upscaler 2": "Nearest", "Postprocess upscaler 2 visibility": 0.25}),
    ({"gfpgan_visibility": 0.5}, {"GFPGAN visibility": 0.5}),
    ({"codeformer_visibility": 1, "codeformer_weight": 0.3}, {"CodeFormer visibility": 1.0, "CodeFormer weight": 0.3}),
    ({"face_swap": PICTURE}, {"Face swap targets": "0"}),
    ({"face_swap": PICTURE, "face_swap_targets": "all", "face_swap_gender": "Female"}, {"Face swap targets": "all", "Face swap gender": "Female"}),
])
def test_automatic1111s_keys_tell_what_was_done(values: dict, keys: dict) -> None:
    assert infotext_values(edited(**values)) == keys


ACTS = [{"upscaler_1": "4x, odd: name", "upscale_by": 3.35}, {"upscaler_1": "Lanczos", "upscale_to_width": 640, "upscale_to_height": 480, "upscale_crop": False},
        {"gfpgan_visibility": 0.5, "codeformer_visibility": 0.25, "codeformer_weight": 0.75, "upscale_first": True},
        {"upscaler_1": "Nearest", "upscaler_2": "Lanczos", "upscaler_2_visibility": 0.5}]


@pytest.mark.parametrize("values", ACTS, ids=str)
@pytest.mark.parametrize("source", [DRAWN, ""], ids=["drawn", "unknown"])
def test_the_text_reads_back_as_what_drew_the_picture_and_what_was_done(values: dict, source: str) -> None:
    request = edited(source_text=source, **values)
    text = infotext.write(request)
    assert text.startswith(source) and "Version" in text
    found = infotext.read(text).values
    assert {name: found[name] for name in values} == values
    for name in ("prompt", "negative_prompt", "steps", "seed", "width"):
        assert found.get(name) == infotext.read(source).values.get(name) or not source
    assert "process" not in found and "init_image" not in found


def test_the_exact_request_inside_does_not_hide_what_drew_the_picture() -> None:
    import json

    request = edited(source_text=DRAWN, upscaler_1="Lanczos", upscale_by=1.5)
    found = infotext.read(infotext.write(request), json.dumps(request.to_json())).values
    assert (found["prompt"], found["steps"], found["upscale_by"]) == ("a cat", 20, 1.5)


def test_the_row_keeps_what_drew_the_picture() -> None:
    request = edited(source_text=DRAWN + ", Hires upscale: 2, Denoising strength: 0.4", upscaler_1="Lanczos")
    assert (request.prompt, request.seed, request.steps, request.process) == ("a cat", 5, 20, EXTRAS)
    assert not request.enable_hr and request.count == 1 and request.with_seeds().seed == 5


def test_wrong_values_are_told_of_their_fields() -> None:
    with pytest.raises(InvalidRequest) as refused:
        extras_request({"init_image": PICTURE, "upscale_by": 99, "gfpgan_visibility": "x", "what": 1}, {})
    assert {problem.field for problem in refused.value.problems} == {"upscale_by", "gfpgan_visibility", "what"}
    with pytest.raises(InvalidRequest, match="choose a picture"):
        extras_request({}, {})


def test_every_field_of_extras_is_told_by_a_key() -> None:
    assert all(field.infotext for field in FIELDS.values() if field.group == "extras")

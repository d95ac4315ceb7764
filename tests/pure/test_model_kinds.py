"""The table of kinds: where the files of each lie, what they tell of themselves, and how rarely the folders are looked through."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backend.catalog import model_catalog
from backend.catalog.description import Description
from backend.catalog.kinds import KINDS, Kind
from backend.catalog.model_catalog import NOT_READ, ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.errors import NotFound
from backend.house import House
from backend.table import Table
from tests.pure.test_catalog import SD1, write, write_folder
from tests.pure.test_hostile_models import NESTED, device, listening, pipe, zipped

KEYS = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
LORA = {f"lora_unet_{KEYS}": (4, 768), "lora_unet_x.lora_up.weight": (8, 4)}
IP = {"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)}
TOWER = {"vision_model.embeddings.patch_embedding.weight": (1280, 3, 14, 14), "visual_projection.weight": (1024, 1280)}
INSTANT = {"image_proj.proj_in.weight": (1280, 512), "ip_adapter.1.to_k_ip.weight": (640, 2048)}
CONTROL = {"control_model.input_hint_block.0.weight": (16, 3, 3, 3), "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)}
VAE = {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_out.weight": (8, 512, 3, 3),
       "decoder.conv_out.weight": (3, 128, 3, 3), "quant_conv.weight": (8, 8, 1, 1), "post_quant_conv.weight": (4, 4, 1, 1)}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "house" / "models"


@pytest.fixture
def catalog(models: Path) -> ModelCatalog:
    return ModelCatalog((models,))


def told(path: Path, shapes: dict[str, tuple[int, ...]], **metadata: str) -> Path:
    """A safetensors file with metadata."""
    write(path, shapes)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    text = json.dumps({"__metadata__": metadata, **json.loads(content[8:8 + length])}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length:])
    return path


def keys(catalog: ModelCatalog, kind: str) -> list[str]:
    return [file.key for file in catalog.listed(kind)]


# ---- where and what ----

@pytest.mark.parametrize(("kind", "folder", "shapes", "family"), [
    ("checkpoint", "checkpoints", SD1, "sd1"), ("checkpoint", "Stable-diffusion", SD1, "sd1"),
    ("vae", "vae", VAE, ""), ("vae", "VAE", VAE, ""), ("vae", "Stable-diffusion", VAE, ""), ("vae_approx", "VAE-approx", VAE, ""),
    ("lora", "loras", LORA, "sd1"), ("lora", "Lora", LORA, "sd1"), ("lora", "LyCORIS", LORA, "sd1"),
    ("embedding", "embeddings", {"emb_params": (2, 768)}, "sd1"), ("embedding", "../embeddings", {"emb_params": (2, 1024)}, "sd2"),
    ("embedding", "embeddings", {"clip_l": (1, 768), "clip_g": (1, 1280)}, "sdxl"),
    ("hypernetwork", "hypernetworks", {"768.0.linear.0.weight": (1536, 768)}, "sd1"),
    ("controlnet", "controlnet", CONTROL, "sd1"), ("controlnet", "ControlNet", CONTROL, "sd1"),
    ("t2i_adapter", "T2I-Adapter", {"body.0.block1.weight": (1,), "conv_in.weight": (320, 192, 3, 3)}, "sd1"), ("t2i_adapter", "ControlNet", {"adapter.body.0.block1.weight": (1,), "adapter.conv_in.weight": (320, 768, 3, 3)}, "sdxl"),
    ("ip_adapter", "IP-Adapter", IP, "sd1"), ("ip_adapter", "ControlNet", IP, "sd1"),
    ("instant_id", "ip_adapter", INSTANT, "sdxl"), ("clip_vision", "clip_vision", TOWER, ""),
    ("face_restorer", "Codeformer", {"position_emb": (256, 512), "quantize.embedding.weight": (4, 4)}, ""),
    ("upscaler", "ESRGAN", {"model.0.weight": (64, 3, 3, 3)}, ""), ("upscaler", "HAT", {"x": (1,)}, ""),
])
def test_a_file_is_listed_once_as_what_it_is(catalog: ModelCatalog, models: Path, kind: str, folder: str, shapes: dict, family: str) -> None:
    write(models / folder / "sub" / "a file.safetensors", shapes)
    found = {name: catalog.listed(name) for name in KINDS if catalog.listed(name)}
    assert list(found) == [kind]
    assert [(file.kind, file.key, file.family, file.problem) for file in found[kind]] == [(kind, "a file", family, "")]


def test_a_t2i_adapter_without_its_first_layer_is_listed_with_what_it_lacks(catalog: ModelCatalog, models: Path) -> None:
    write(models / "t2i_adapter" / "x.safetensors", {"body.0.block1.weight": (1,)})
    assert [file.problem for file in catalog.listed("t2i_adapter")] == ["it lacks the first layer of a T2I-Adapter"]


def test_a_broken_file_is_listed_where_its_kind_is_at_home_and_nowhere_else(catalog: ModelCatalog, models: Path) -> None:
    for folder in ("checkpoints", "ControlNet", "upscalers", "loras"):
        (models / folder).mkdir(parents=True)
        (models / folder / "broken.safetensors").write_bytes(b"")
    found = {kind for kind in KINDS for file in catalog.listed(kind)}
    assert found == {"checkpoint", "controlnet", "upscaler", "lora"}
    assert all(file.problem for kind in found for file in catalog.listed(kind))


def test_what_a_lora_tells_of_itself(catalog: ModelCatalog, models: Path) -> None:
    digits = "7c6bad76eb54" + "0" * 52
    told(models / "Lora" / "details.safetensors", LORA, ss_output_name="add_detail", sshs_model_hash=digits, ss_base_model_version="sdxl_base_v1-0")
    told(models / "Lora" / "other.safetensors", LORA, ss_output_name="None", ss_v2="True")
    detail = catalog.find("lora", "details")
    assert (detail.family, catalog.find("lora", "other").family) == ("sdxl", "sd2")
    for name in ("Details", "ADD_DETAIL", "7c6bad76eb54", "details.safetensors"):
        assert catalog.find("lora", name) == detail
    for name in ("None", "", "7c6ba"):
        with pytest.raises(NotFound):
            catalog.find("lora", name)


def test_pickled_embeddings_and_ip_adapters(catalog: ModelCatalog, models: Path) -> None:
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(NK\0(K\2M\0\3ttR"      # 2 vectors of 768
    for folder in ("embeddings", "ip_adapter"):
        (models / folder).mkdir(parents=True)
    (models / "embeddings" / "easy.pt").write_bytes(zipped(b"\x80\x02}(X\x0f\0\0\0string_to_param}X\1\0\0\0*" + tensor + b"su."))
    (models / "ip_adapter" / "face.bin").write_bytes(zipped(b"\x80\x02}(X\x0a\0\0\0image_proj}X\x0b\0\0\0proj.weight" + tensor + b"su."))
    easy = catalog.find("embedding", "easy")
    assert (easy.family, easy.facts["vectors"], easy.problem) == ("sd1", 2, "")
    assert catalog.find("ip_adapter", "face").problem == ""


def test_kinds_that_cannot_be_used_are_never_offered_as_usable(catalog: ModelCatalog, models: Path) -> None:
    write(models / "loras" / "x.safetensors", LORA)
    assert keys(catalog, "lora") == ["x"]
    assert [kind.name for kind in KINDS.values() if kind.usable] == ["checkpoint", "vae", "lora", "embedding", "hypernetwork", "controlnet", "t2i_adapter", "ip_adapter", "instant_id", "annotator", "clip", "inception", "clip_vision", "insightface", "face_detector", "face_model", "object_detector", "segmenter", "captioner", "tagger", "face_restorer", "upscaler"]
    assert not catalog.usable("vae_approx")


def test_two_names_of_one_folder_are_looked_through_once(catalog: ModelCatalog, models: Path) -> None:
    write(models / "loras" / "x.safetensors", LORA)
    (models / "Lora").symlink_to(models / "loras")
    assert keys(catalog, "lora") == ["x"]


def test_an_extension_adds_a_kind_before_the_house_is_open(models: Path) -> None:
    kinds: Table[Kind] = Table("kinds", KINDS.values())
    house = House(kinds=kinds)
    house.kinds.add(Kind("motion", "motion module", lambda found: Description("sd1", facts={"frames": 16}), ("motion",), (".mm",), usable=True))
    kinds.freeze()
    (models / "motion").mkdir(parents=True)
    (models / "motion" / "slow.mm").write_bytes(b"x")
    found = ModelCatalog((models,), kinds=kinds).usable("motion")
    assert [(file.key, file.facts["frames"]) for file in found] == [("slow", 16)]
    assert house.kinds is kinds and "motion" not in KINDS


# ---- a folder that somebody filled to hurt ----

@pytest.mark.timeout(60)
def test_no_kind_is_held_up_or_broken_by_a_hostile_folder(catalog: ModelCatalog, models: Path) -> None:
    for kind in KINDS.values():
        for name in (*kind.folders, *kind.guest_folders):
            folder = models / name
            if folder.exists():
                continue
            write(folder / "fine.safetensors", {"x": (1,)})
            for number, make in enumerate((pipe, listening, device, Path.mkdir)):
                make(folder / f"{number}.safetensors")
            pipe(folder / "fine.json")
            pipe(folder / "pipe.onnx")
            (folder / "nested.ckpt").write_bytes(zipped(NESTED))
            (folder / "nested.pth").write_bytes(pickle.dumps(1) * 3 + NESTED)
            (folder / "inf.safetensors").write_bytes((58).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,0]}}')
            (folder / "loop").symlink_to(folder)
            write_folder(folder / "diffusers" / "a", "StableDiffusionPipeline", in_channels=[4])
            (folder / "diffusers" / "b").mkdir()
            pipe(folder / "diffusers" / "b" / "model_index.json")
            (folder / "diffusers" / "c").mkdir()
            (folder / "diffusers" / "c" / "model_index.json").write_text('{"_class_name": ["StableDiffusionPipeline"]}')
    started = time.process_time()
    listed = {kind: catalog.scan(kind) for kind in KINDS}
    assert time.process_time() - started < 5
    assert {file.key for file in listed["checkpoint"] if not file.problem} == {"a", "diffusers/a"}
    assert all(file.key not in "0123" and "pipe" not in file.key for files in listed.values() for file in files)
    with pytest.raises(NotFound):
        catalog.find("lora", "0")


def test_very_deep_and_very_full_folders_are_cut_off(catalog: ModelCatalog, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = models / "loras" / Path(*["d"] * 40)
    write(deep / "lost.safetensors", LORA)
    write(models / "loras" / "kept.safetensors", LORA)
    assert keys(catalog, "lora") == ["kept"]
    monkeypatch.setattr("backend.catalog.folder_scan.MAX_SEEN", 3)
    for number in range(9):
        write(models / "loras" / "full" / f"{number}.safetensors", LORA)
    assert [file.key for file in catalog.scan("lora")] == ["kept"]


def test_a_scan_that_takes_too_long_is_gone_on_with_by_the_next(catalog: ModelCatalog, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(models / "loras" / "x.safetensors", LORA)
    monkeypatch.setattr(model_catalog, "MAX_SECONDS", -1.0)
    assert [file.problem for file in catalog.scan("lora")] == [NOT_READ]
    monkeypatch.setattr(model_catalog, "MAX_SECONDS", 60.0)
    assert [file.problem for file in catalog.scan("lora")] == [""]


def test_the_table_does_without_torch() -> None:
    code = "import sys, backend.catalog.kinds; assert not {'torch', 'safetensors', 'sqlalchemy', 'onnxruntime'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=60)


# ---- how rarely the folders are looked through ----

class Counted(ModelCatalog):
    """Counts its scans."""

    scans = 0

    def _scan(self, kind: Kind) -> object:
        self.scans += 1
        return super()._scan(kind)


@pytest.fixture
def counted(models: Path) -> Counted:
    for number in range(20):
        write(models / "checkpoints" / f"sub{number % 3}" / f"{number}.safetensors")
    for folder in [models / "checkpoints", *(models / "checkpoints").iterdir()]:
        os.utime(folder, ns=(1, 1))         # long ago
    return Counted((models,))


def test_known_names_need_no_scan(counted: Counted) -> None:
    for number in range(20):
        assert counted.find("checkpoint", str(number)).key == str(number)
    counted.listed()
    counted.find("checkpoint")
    assert counted.scans == 1


def test_an_unknown_name_needs_a_scan_only_if_a_folder_has_changed_or_time_has_passed(counted: Counted, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> int:
        with pytest.raises(NotFound):
            counted.find("checkpoint", "unknown")
        return counted.scans

    assert [unknown() for _ in range(5)] == [1] * 5
    write(models / "checkpoints" / "sub1" / "new.safetensors")
    assert unknown() == 2
    os.utime(models / "checkpoints" / "sub1", ns=(2, 2))
    assert unknown() == 3 and unknown() == 3
    monkeypatch.setattr(model_catalog, "FRESH", -1.0)
    assert unknown() == 4


def test_a_replaced_file_or_side_car_is_noticed_by_whoever_asks_for_it(counted: Counted, models: Path) -> None:
    before = counted.find("checkpoint", "7")
    file = models / "checkpoints" / "sub1" / "7.safetensors"
    write(file, {**SD1, "more": (3,)})
    after = counted.find("checkpoint", "7")
    assert after.fingerprint != before.fingerprint and counted.scans == 2
    file.with_suffix(".json").write_text('{"steps": 7}')
    assert counted.find("checkpoint", "7").defaults["steps"] == 7
    file.with_suffix(".json").write_text('{"steps": 8, "cfg_scale": 3}')
    assert counted.find("checkpoint", "7").defaults["steps"] == 8


def test_a_hash_holds_for_the_state_that_was_listed(counted: Counted, models: Path) -> None:
    counted.find("checkpoint", "7")
    write(models / "checkpoints" / "sub1" / "7.safetensors", {**SD1, "more": (3,)})
    counted.remember_hash("checkpoint", "7", "a" * 64)
    assert counted.find("checkpoint", "7").sha256 == ""
    counted.remember_hash("checkpoint", "7", "a" * 64)
    assert counted.find("checkpoint", "7").title.endswith("7.safetensors [aaaaaaaaaa]") and counted.find("checkpoint", "aaaaaa").key == "7"


def test_many_threads_ask_at_once(counted: Counted, models: Path) -> None:
    """Everybody gets a whole list; a change is looked at once, not by each of them."""
    answers: list[ModelFile | int | Exception] = []

    def ask() -> None:
        try:
            answers.append(counted.find("checkpoint", "11"))
            answers.append(len(counted.listed()))
        except Exception as error:  # noqa: BLE001
            answers.append(error)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.scans == 1 and len(answers) == 32
    assert {answer if isinstance(answer, int) else getattr(answer, "key", answer) for answer in answers} == {"11", 20}

"""The catalogue: what it finds, how it names it, what it survives."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from backend.catalog.checkpoints import tokenizer_folder
from backend.catalog.families import detect
from backend.catalog.fingerprints import fingerprint, sha256_of
from backend.catalog.headers import read_shapes
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError, NotFound
from tests.processor_speed import slowness

FIRST = "model.diffusion_model.input_blocks.0.0.weight"
SD1 = {FIRST: (2, 4, 1, 1), "first_stage_model.encoder.conv_in.weight": (2,), "cond_stage_model.transformer.x": (2,)}


def write(path: Path, shapes: dict[str, tuple[int, ...]] = SD1, fill: bytes = b"\0") -> Path:
    """A small, valid safetensors file with tensors of these shapes."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + fill * end)
    return path


def write_folder(path: Path, pipeline: str = "StableDiffusionPipeline", **unet: object) -> Path:
    (path / "unet").mkdir(parents=True)
    (path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    (path / "unet" / "config.json").write_text(json.dumps({"cross_attention_dim": 768} | unet))
    write(path / "unet" / "diffusion_pytorch_model.safetensors", {"conv_in.weight": (2, 4, 1, 1)})
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


class Checkpoints(ModelCatalog):
    """The catalogue as tests of checkpoints ask it."""

    def find(self, name: str = "") -> ModelFile:
        return super().find("checkpoint", name)

    def hash(self, checkpoint: ModelFile) -> str:
        """Read the whole file, as the worker does, and keep what comes of it."""
        digits = sha256_of(checkpoint.path)
        self.remember_hash("checkpoint", checkpoint.key, digits)
        return digits


@pytest.fixture
def catalog(models: Path) -> Checkpoints:
    return Checkpoints((models,))


def keys(catalog: ModelCatalog) -> list[str]:
    return [checkpoint.key for checkpoint in catalog.scan()]


# ---- what is found ----

def test_nothing_there(catalog: Checkpoints) -> None:
    assert catalog.scan() == ()
    with pytest.raises(NotFound) as caught:
        catalog.find("")
    assert caught.value.problems[0].field == "checkpoint" and "no checkpoint yet" in str(caught.value)


def test_files_and_folders_of_both_layouts(catalog: Checkpoints, models: Path) -> None:
    write_folder(models / "demo")
    write(models / "checkpoints" / "b.safetensors")
    write(models / "checkpoints" / "deep" / "down" / "c.SAFETENSORS")
    write_folder(models / "checkpoints" / "folder")
    write(models / "Stable-diffusion" / "a.safetensors")
    write(models / "checkpoints" / ".hidden.safetensors")
    write(models / "checkpoints" / "notes.txt")
    write(models / "loras" / "elsewhere.safetensors")
    assert keys(catalog) == ["a", "b", "c", "demo", "folder"]
    assert [c.single_file for c in catalog.scan()] == [True, True, True, False, False]
    assert {c.family for c in catalog.scan()} == {"sd1"}


def test_adapters_and_parts_are_not_listed(catalog: Checkpoints, models: Path) -> None:
    names = ["lora_unet_down_blocks_0.lora_down.weight", "unet.x.lora_A.weight", "a.hada_w1_a", "control_model.time_embed.0.weight",
             "controlnet_cond_embedding.conv_in.weight", "first_stage_model.encoder.conv_in.weight", "encoder.conv_in.weight",
             "emb_params", "ip_adapter.1.to_k_ip.weight", "text_model.encoder.layers.0.mlp.fc1.weight"]
    for index, name in enumerate(names):
        write(models / "checkpoints" / f"{index}.safetensors", {name: (2,)})
    assert keys(catalog) == []


@pytest.mark.parametrize(("family", "shapes"), [
    ("sd1", SD1),
    ("sd1-inpaint", SD1 | {FIRST: (2, 9, 1, 1)}),
    ("sd1-edit", SD1 | {FIRST: (2, 8, 1, 1)}),
    ("sd2", SD1 | {"cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight": (3, 1)}),
    ("sd2-inpaint", {FIRST: (2, 9, 1, 1), "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight": (3, 1)}),
    ("sd2", SD1 | {"model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (1, 1024)}),
    ("sdxl", SD1 | {"conditioner.embedders.1.model.ln_final.weight": (1,)}),
    ("sdxl-inpaint", {FIRST: (2, 9, 1, 1), "conditioner.embedders.1.model.ln_final.weight": (1,)}),
    ("sdxl-edit", {FIRST: (2, 8, 1, 1), "conditioner.embedders.1.model.ln_final.weight": (1,)}),
    ("sdxl-refiner", SD1 | {"conditioner.embedders.0.model.ln_final.weight": (1,)}),
    ("sdxl", {FIRST: (2, 4, 1, 1), "model.diffusion_model.label_emb.0.0.weight": (1, 1)}),
    ("sd3", {"model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias": (1,)}),
    ("flux", {"double_blocks.0.img_attn.norm.key_norm.scale": (1,)}),
    ("unknown", {"something.else": (1,)}),
    ("unknown", {}),
    ("", {"x.lora_down.weight": (1, 1)}),
])
def test_families(family: str, shapes: dict[str, tuple[int, ...]]) -> None:
    assert detect(shapes) == family


@pytest.mark.parametrize(("family", "pipeline", "unet"), [
    ("sd1", "StableDiffusionPipeline", {}), ("sd1", "StableDiffusionPipeline", {"cross_attention_dim": 96}),
    ("sd1-inpaint", "StableDiffusionInpaintPipeline", {"in_channels": 9}),
    ("sd2", "StableDiffusionPipeline", {"cross_attention_dim": 1024}), ("sdxl", "StableDiffusionXLPipeline", {}),
    ("sdxl-inpaint", "StableDiffusionXLInpaintPipeline", {"in_channels": 9}),
    ("sdxl", "StableDiffusionXLImg2ImgPipeline", {}), ("sdxl-refiner", "StableDiffusionXLImg2ImgPipeline", {}),
    ("flux", "FluxPipeline", {}), ("unknown", "SomethingPipeline", {}),
])
def test_families_of_folders(catalog: Checkpoints, models: Path, family: str, pipeline: str, unet: dict[str, object]) -> None:
    folder = write_folder(models / "checkpoints" / "x", pipeline, **unet)
    if family != "sdxl-refiner":
        (folder / "text_encoder").mkdir()
    checkpoint = catalog.scan()[0]
    assert checkpoint.family == family and bool(checkpoint.problem) != family.startswith(("sd1", "sd2", "sdxl"))


# ---- what is broken ----

@pytest.mark.parametrize(("content", "reason"), [
    (b"", "cut off"),
    (b"\xff" * 100, "no safetensors"),
    ((50).to_bytes(8, "little") + b"{}", "cut off"),
    ((2).to_bytes(8, "little") + b"[]", "broken"),
    ((2).to_bytes(8, "little") + b"\xff\xfe", "broken"),
    ((100_000).to_bytes(8, "little") + b"[" * 100_000, "broken"),
    ((13).to_bytes(8, "little") + b'{"a": {"b":1}', "broken"),
    ((13).to_bytes(8, "little") + b'{"a": {"b":1}}', "broken"),
    ((24).to_bytes(8, "little") + b'{"a": {"shape": "abcde"}}', "broken"),
])
def test_broken_headers_are_listed_with_a_reason(catalog: Checkpoints, models: Path, content: bytes, reason: str) -> None:
    file = models / "checkpoints" / "x.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    checkpoint = catalog.scan()[0]
    assert checkpoint.family == "unknown" and reason in checkpoint.problem


def test_cut_off_file_says_how_much_is_there(catalog: Checkpoints, models: Path) -> None:
    file = write(models / "checkpoints" / "x.safetensors", {FIRST: (500, 4, 1, 1)})
    file.write_bytes(file.read_bytes()[:-7])
    assert "bytes are there" in catalog.scan()[0].problem


class Runs:
    """A pickle that would make a file when opened by an ordinary unpickler."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("make", [
    lambda bomb: pickle.dumps(bomb),
    lambda bomb: pickle.dumps({"state_dict": {"a": bomb}}),
    lambda bomb: zipped(pickle.dumps({"state_dict": bomb})),
    lambda bomb: zipped(pickle.dumps([bomb])),
    lambda bomb: zipped(b"\x80\x02"),
    lambda bomb: b"PK\x03\x04 no zip at all",
    lambda bomb: b"",
])
def test_pickles_never_run(catalog: Checkpoints, models: Path, tmp_path: Path, make: object) -> None:
    file = models / "checkpoints" / "x.ckpt"
    file.parent.mkdir(parents=True)
    file.write_bytes(make(Runs(str(tmp_path / "ran"))))
    assert catalog.scan()[0].problem and not (tmp_path / "ran").exists()


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return buffer.getvalue()


def test_files_that_vanish(catalog: Checkpoints, models: Path) -> None:
    file = write(models / "checkpoints" / "x.safetensors")
    other = write(models / "checkpoints" / "y.safetensors")
    (models / "checkpoints" / "dangling.safetensors").symlink_to(models / "nowhere")
    assert keys(catalog) == ["x", "y"]
    known = catalog.find("x")
    file.unlink()
    with pytest.raises(NotFound, match="there is: y"):
        catalog.find("x")
    with pytest.raises(CheckpointError, match="cannot be read"):
        sha256_of(known.path)
    other.unlink()
    assert keys(catalog) == []


def test_what_cannot_be_looked_into_is_passed_over(models: Path, tmp_path: Path) -> None:
    write(models / "checkpoints" / "x.safetensors")
    os.mkfifo(models / "checkpoints" / "pipe.safetensors")      # to open it would wait for ever
    unreachable = tmp_path / ("long" * 100)
    assert keys(ModelCatalog((unreachable, models))) == ["x"]


def test_links_of_the_operator_are_followed_and_never_round(catalog: Checkpoints, models: Path, tmp_path: Path) -> None:
    """Models often lie on another disk, linked by files or by folders; what is there itself keeps its own name."""
    disk, folder = tmp_path / "disk", models / "checkpoints"
    write(disk / "anime" / "x.safetensors")
    write(folder / "own" / "y.safetensors")
    for link, target in (("one.safetensors", disk / "anime" / "x.safetensors"), ("all", disk), ("again", disk), ("a", folder / "own"),
                         ("round", "round"), ("round.safetensors", "round.safetensors"), ("up", models), ("null.safetensors", "/dev/null")):
        (folder / link).symlink_to(target)
    (disk / "back").symlink_to(folder)
    os.mkfifo(disk / "pipe.safetensors")
    (disk / "anime" / "device.safetensors").symlink_to("/dev/zero")
    assert {file.key: file.title.split(" [")[0] for file in catalog.scan()} == {
        "one": "one.safetensors", "x": "again/anime/x.safetensors", "y": "own/y.safetensors"}
    write(disk / "anime" / "later.safetensors")
    assert catalog.find("later").path == str(folder / "again" / "anime" / "later.safetensors")


def test_links_that_multiply_are_one_look_through_each_folder(catalog: Checkpoints, models: Path) -> None:
    rooms = [models / "checkpoints" / str(number) for number in range(12)]
    for room in rooms:
        room.mkdir(parents=True)
        write(room / "x.safetensors")
    for room in rooms:
        for other in rooms:
            (room / f"to{other.name}").symlink_to(other)
    assert len(keys(catalog)) == len(rooms)


# ---- names ----

def test_two_files_of_one_name(catalog: Checkpoints, models: Path) -> None:
    write(models / "checkpoints" / "a.safetensors")
    write(models / "checkpoints" / "old" / "a.safetensors")
    (models / "checkpoints" / "a.ckpt").write_bytes(b"")
    write(models / "Stable-diffusion" / "old" / "a.safetensors")
    assert sorted(keys(catalog)) == ["a", "a.ckpt", "old/a", "old/a.safetensors"]
    paths = {checkpoint.key: checkpoint.path for checkpoint in catalog.scan()}
    assert len(set(paths.values())) == 4
    assert all(catalog.find(key).path == path for key, path in paths.items())


def test_find_by_every_name(catalog: Checkpoints, models: Path) -> None:
    write(models / "checkpoints" / "sub" / "Model v1.5.safetensors")
    checkpoint = catalog.find("")
    catalog.hash(checkpoint)
    checkpoint = catalog.find("")
    digits = checkpoint.sha256
    assert checkpoint.key == "Model v1.5"
    assert checkpoint.title == f"sub/Model v1.5.safetensors [{digits[:10]}]"
    for name in ("Model v1.5", "model V1.5", "Model v1.5.safetensors", "sub/Model v1.5.safetensors", checkpoint.title,
                 f"renamed.safetensors [{digits[:10]}]", digits, digits[:10], digits[:6].upper(), "  Model v1.5 "):
        assert catalog.find(name) == checkpoint
    for name in (digits[:5], "Model", "v1.5", digits[:9] + "g"):
        with pytest.raises(NotFound, match=r"Model v1\.5"):
            catalog.find(name)


@pytest.mark.parametrize("name", [
    r"anime\example.safetensors", r"anime\example.safetensors [0123456789]", r"anime\example", "anime_example", "anime/example",
    "anime_example [0123456789]", "example.safetensors [0123456789]",
])
def test_a_model_in_a_folder_has_the_names_that_automatic1111_gives_it(catalog: Checkpoints, models: Path, name: str) -> None:
    write(models / "checkpoints" / "anime" / "example.safetensors")
    write(models / "checkpoints" / "other.safetensors")
    assert catalog.find(name).key == "example"
    catalog.hash(catalog.find("example"))
    assert catalog.find(name.replace("0123456789", catalog.find("example").sha256[:10])).key == "example"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "../outside", "checkpoints/x", "..", ".", "x\0", "\n", "*", "%00"])
def test_names_are_never_paths(catalog: Checkpoints, models: Path, name: str) -> None:
    write(models / "checkpoints" / "x.safetensors")
    write(models / "outside.safetensors")
    if not name.strip():
        assert catalog.find(name).key == "x"
        return
    with pytest.raises(NotFound):
        catalog.find(name)
    with pytest.raises(NotFound):
        catalog.find(str(models / "checkpoints" / "x.safetensors"))


def test_default_is_the_first_usable_and_the_demo_last(catalog: Checkpoints, models: Path) -> None:
    write_folder(models / "demo")
    assert catalog.find("").key == "demo"
    write(models / "checkpoints" / "a.safetensors", {"edm_mean": (1,)})
    catalog.scan()
    assert catalog.find("").key == "demo"
    write(models / "checkpoints" / "z.safetensors")
    catalog.scan()
    assert catalog.find("").key == "z"


def test_a_refiner_is_no_default_beside_others(catalog: Checkpoints, models: Path) -> None:
    write(models / "checkpoints" / "a.safetensors", SD1 | {"conditioner.embedders.0.model.ln_final.weight": (1,)})
    assert catalog.find("").key == "a"
    write_folder(models / "demo")
    catalog.scan()
    assert catalog.find("").key == "demo"


def test_only_unusable_ones(catalog: Checkpoints, models: Path) -> None:
    write(models / "checkpoints" / "a.safetensors", {"edm_mean": (1,)})
    with pytest.raises(NotFound, match="none of these can be used: a"):
        catalog.find("")
    assert "Playground" in catalog.find("a").problem


def test_new_files_are_found_without_asking_for_a_scan(catalog: Checkpoints, models: Path) -> None:
    write(models / "checkpoints" / "a.safetensors")
    assert catalog.find("a")
    write(models / "checkpoints" / "b.safetensors")
    assert catalog.find("b").key == "b"


def test_control_and_markup_characters_are_cleaned(catalog: Checkpoints, models: Path) -> None:
    write(models / "checkpoints" / "<img src=x onerror='a'>\x1b[2J\u202e&.safetensors")
    checkpoint = catalog.scan()[0]
    assert not set("<>&'\"\x1b\u202e") & set(checkpoint.key + checkpoint.title)
    assert catalog.find(checkpoint.key) == checkpoint == catalog.find(checkpoint.title)


# ---- hashes ----

def test_hash_of_a_file_is_its_sha256(catalog: Checkpoints, models: Path) -> None:
    file = write(models / "checkpoints" / "x.safetensors")
    assert catalog.hash(catalog.find("x")) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert catalog.find("x").short_hash == hashlib.sha256(file.read_bytes()).hexdigest()[:10]


def test_hash_of_a_folder_depends_on_its_weights_only(catalog: Checkpoints, models: Path) -> None:
    folder = write_folder(models / "demo")
    before = sha256_of(folder)
    (folder / "easel.json").write_text("{}")
    assert sha256_of(folder) == before
    write(folder / "vae" / "diffusion_pytorch_model.safetensors", {"x": (1,)})
    assert sha256_of(folder) != before


def test_remembered_hash_is_checked(catalog: Checkpoints, models: Path) -> None:
    write(models / "checkpoints" / "x.safetensors")
    for key, sha256 in (("nobody", "a" * 64), ("x", ""), ("x", "../etc"), ("x", "A" * 64)):
        catalog.remember_hash("checkpoint", key, sha256)
    assert catalog.find("x").sha256 == ""
    catalog.remember_hash("checkpoint", "x", "a" * 64)
    assert catalog.find("x").title == "x.safetensors [aaaaaaaaaa]"


def test_the_list_knows_new_hashes_and_what_was_found_by_name(catalog: Checkpoints, models: Path) -> None:
    write(models / "checkpoints" / "x.safetensors")
    assert [checkpoint.title for checkpoint in catalog.listed()] == ["x.safetensors"]
    catalog.hash(catalog.find("x"))
    assert [checkpoint.title for checkpoint in catalog.listed()] == [catalog.find("x").title]
    write(models / "checkpoints" / "y.safetensors")
    catalog.find("y")
    assert [checkpoint.key for checkpoint in catalog.listed()] == ["x", "y"]


# ---- defaults, tokenizer ----

def test_defaults(catalog: Checkpoints, models: Path) -> None:
    write(models / "checkpoints" / "plain.safetensors")
    write(models / "checkpoints" / "tuned.safetensors")
    (models / "checkpoints" / "tuned.json").write_text(json.dumps(
        {"cfg_scale": 3, "steps": -5, "sampler": "nonsense", "description": "hello", "checkpoint": "x"}))
    demo = write_folder(models / "demo")
    (demo / "easel.json").write_text(json.dumps({"defaults": {"width": 128, "height": 128, "steps": 12}}))
    found = {checkpoint.key: checkpoint.defaults for checkpoint in catalog.scan()}
    assert found["plain"] == {"width": 512, "height": 512}
    assert found["tuned"] == {"width": 512, "height": 512, "cfg_scale": 3.0}
    assert found["demo"] == {"width": 128, "height": 128, "steps": 12}


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"defaults": 3}', "\ud800".encode("utf-8", "surrogatepass")])
def test_broken_side_car_is_ignored(catalog: Checkpoints, models: Path, content: str | bytes) -> None:
    write(models / "checkpoints" / "x.safetensors")
    (models / "checkpoints" / "x.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert catalog.scan()[0].defaults == {"width": 512, "height": 512}


def test_tokenizer_folder(catalog: Checkpoints, models: Path) -> None:
    folder = write_folder(models / "demo")
    assert tokenizer_folder(catalog.find("demo")) is None
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    assert tokenizer_folder(catalog.find("demo")) == folder / "tokenizer"
    write(models / "checkpoints" / "x.safetensors")
    assert tokenizer_folder(catalog.find("x")) is None


# ---- speed and weight ----

def test_a_thousand_files_are_scanned_within_a_second(catalog: Checkpoints, models: Path) -> None:
    for index in range(1000):
        write(models / "checkpoints" / f"sub{index % 7}" / f"{index}.safetensors")
    started = time.process_time()
    assert len(catalog.scan()) == 1000
    assert time.process_time() - started < 1 * slowness()
    started = time.process_time()
    catalog.scan()
    assert time.process_time() - started < 0.5 * slowness()


def test_catalogue_does_without_torch() -> None:
    code = "import sys, backend.catalog.model_catalog; assert not {'torch', 'diffusers', 'transformers', 'safetensors'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=60)


def test_shapes_and_fingerprint(tmp_path: Path) -> None:
    file = write(tmp_path / "x.safetensors", {"a": (2, 3), "b": ()})
    assert read_shapes(file) == {"a": (2, 3), "b": ()}
    assert fingerprint(file) == (file.stat().st_size, file.stat().st_mtime_ns, file.stat().st_ino)
    assert fingerprint(tmp_path / "nothing") is None

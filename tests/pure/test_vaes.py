"""VAEs by name at the front: which is meant, whether it goes with the checkpoint, and what a picture's text says of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend import Backend, InvalidRequest, Settings
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.request_files import files_of
from backend.facade.submission import Submission
from backend.image import infotext
from backend.request.request import Request
from tests.guest import Guest
from tests.pure.test_catalog import SD1, write
from tests.pure.test_model_kinds import VAE

STAGES = {f"encoder.down.{i}.block.0.conv1.weight": (8, 8, 3, 3) for i in range(4)}
WHOLE = VAE | STAGES
IN_DIFFUSERS = VAE | {f"encoder.down_blocks.{i}.resnets.0.conv1.weight": (8, 8, 3, 3) for i in range(4)}
CHECKPOINT = SD1 | {f"first_stage_model.{name}": shape for name, shape in WHOLE.items()}
LINE = "a tree\nSteps: 9, Sampler: Euler, CFG scale: 3, Seed: 12, Size: 64x64"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    write(models / "Stable-diffusion" / "art.safetensors", CHECKPOINT)
    write(models / "Stable-diffusion" / "plain.safetensors", CHECKPOINT)
    write(models / "VAE" / "fine.safetensors", {f"first_stage_model.{name}": shape for name, shape in WHOLE.items()})
    write(models / "VAE" / "sub" / "bare.safetensors", WHOLE, b"\1")
    return models


@pytest.fixture
def house(models: Path, tmp_path: Path) -> Iterator[Guest]:
    backend = Backend(Settings(data=tmp_path / "data"), catalog=ModelCatalog((models,)), start_workers=False)
    yield Guest(backend)
    backend.close()


def refused(house: Guest, **values: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        house.submit(checkpoint="art", **values)
    assert [problem.field for problem in caught.value.problems] == ["vae"], caught.value.problems
    return caught.value.problems[0].message


@pytest.mark.parametrize("name, key", [
    ("fine", "fine"), ("fine.safetensors", "fine"), ("FINE.safetensors", "fine"), ("bare.safetensors", "bare"), ("sub/bare.safetensors", "bare"),
    ("None", "None"), ("none", "None"), ("Automatic", "Automatic"), ("automatic", "Automatic"), ("", "Automatic"),
])
def test_it_is_found_by_its_names(house: Guest, name: str, key: str) -> None:
    request = house.submit(checkpoint="art", vae=name).request
    assert request.vae == key
    files = files_of(request, house.backend._components.catalog)
    assert [kind for kind, _ in files] == ["checkpoint", *(["vae"] if key not in ("None", "Automatic") else [])]


@pytest.mark.parametrize("file", ["Stable-diffusion/art.vae.safetensors", "VAE/art.safetensors", "VAE/art.vae.safetensors"])
def test_automatic_takes_the_file_of_the_checkpoints_name(house: Guest, models: Path, file: str) -> None:
    write(models / file, WHOLE)
    key = "art.vae" if ".vae." in file else "art"
    assert house.submit(checkpoint="art").request.vae == key
    assert house.submit(checkpoint="plain").request.vae == "Automatic", "another checkpoint's"
    assert house.submit(checkpoint="art", vae="None").request.vae == "None"
    assert house.submit(checkpoint="art", vae="fine").request.vae == "fine"


def test_the_file_beside_a_checkpoint_says_which_it_prefers(house: Guest, models: Path) -> None:
    (models / "Stable-diffusion" / "art.json").write_text(json.dumps({"description": "x", "vae": "fine.safetensors"}))
    assert house.submit(checkpoint="art").request.vae == "fine"
    assert house.submit(checkpoint="art", vae="None").request.vae == "None"


def test_one_that_it_prefers_and_that_is_not_here_is_told_and_does_without(house: Guest, models: Path) -> None:
    (models / "Stable-diffusion" / "art.json").write_text(json.dumps({"vae": "moved away.pt", "steps": 11}))
    job = house.submit(checkpoint="art")
    assert (job.request.vae, job.request.steps) == ("Automatic", 11)
    assert job.notes == ("The VAE moved away.pt that art prefers is not in the models folders: its own was taken.",)
    assert house.defaults("art")["vae"] == "Automatic"
    assert not house.submit(checkpoint="art", vae="fine").notes and not house.submit(checkpoint="plain").notes


def test_each_cell_of_a_plot_has_the_file_beside_its_own_checkpoint(house: Guest, models: Path) -> None:
    write(models / "VAE" / "art.safetensors", WHOLE)
    submission = Submission(house.backend._components, house.user)
    base = submission.base({"checkpoint": "art", "prompt": "a tree"})
    assert base.request.vae == "Automatic"
    cells = [submission.with_files(base.request.replace(checkpoint=name)).request for name in ("art", "plain")]
    assert [cell.vae for cell in cells] == ["art", "Automatic"]


def test_what_lies_beside_and_does_not_fit_is_refused(house: Guest, models: Path) -> None:
    write(models / "VAE" / "art.safetensors", WHOLE | {"decoder.conv_in.weight": (512, 16, 3, 3)})
    assert "latents of 16 channels" in refused(house)


def test_what_is_not_there_is_named(house: Guest) -> None:
    assert refused(house, vae="absent.pt") == "'absent.pt' is not in the list; there is: bare, fine"


def test_a_vae_of_another_build_is_refused_before_it_is_queued(house: Guest, models: Path) -> None:
    write(models / "VAE" / "flux.safetensors", WHOLE | {"decoder.conv_in.weight": (512, 16, 3, 3)})
    write(models / "VAE" / "coarse.safetensors", WHOLE | {"encoder.down.4.block.0.conv1.weight": (8, 8, 3, 3)})
    assert "latents of 16 channels" in refused(house, vae="flux") and "Stable Diffusion 1, takes 4" in refused(house, vae="flux")
    assert "cells of 16 pixels" in refused(house, vae="coarse")
    for scale, said in ((0.13025, "is made for Stable Diffusion XL"), (0.18215, ""), (0.5, "")):
        folder = models / "VAE" / f"from {scale}"
        write(folder / "diffusion_pytorch_model.safetensors", IN_DIFFUSERS)
        (folder / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", "scaling_factor": scale}))
        if said:
            assert said in refused(house, vae=folder.name)
        else:
            assert house.submit(checkpoint="art", vae=folder.name).request.vae == folder.name
    assert not [job for job in house.jobs() if job.request.vae in ("flux", "coarse")]


@pytest.mark.parametrize("damage, said", [
    (lambda file: file.write_bytes(file.read_bytes()[:-10]), "cut off"),
    (lambda file: file.write_bytes(b"no"), "cut off or is no safetensors"),
    (lambda file: write(file, SD1), "it is no VAE"),
    (lambda file: write(file, {name: shape for name, shape in WHOLE.items() if "quant" not in name}), "has no quant_conv.weight"),
    (lambda file: write(file, {name: shape for name, shape in WHOLE.items() if "conv_out" not in name}), "has no encoder.conv_out.weight"),
])
def test_a_damaged_file_is_refused_at_its_field(house: Guest, models: Path, damage, said: str) -> None:
    damage(models / "VAE" / "fine.safetensors")
    assert said in refused(house, vae="fine")


# ---- what a picture says ----

def test_the_text_names_the_file_and_its_hash_as_automatic1111_does(house: Guest, models: Path) -> None:
    digest = hashlib.sha256((models / "VAE" / "fine.safetensors").read_bytes()).hexdigest()[:10]
    request = Request(prompt="a tree", vae="fine", seed=1)
    text = infotext.write(request, {"VAE hash": digest, "VAE": "fine.safetensors"})
    assert f"VAE hash: {digest}, VAE: fine.safetensors" in text and infotext.read(text).values["vae"] == "fine.safetensors"
    told = house.read_text(text)
    assert told.values["vae"] == "fine" and not [line for line in told.missing if "VAE" in line]


@pytest.mark.parametrize("keys, vae, said", [
    ("VAE: absent.pt", "absent.pt", "The VAE absent.pt is not in the models folders."),
    ("VAE hash: 0123456789, VAE: absent.pt", "absent.pt", "The VAE absent.pt [0123456789] is not in the models folders."),
    ("VAE hash: 0123456789, VAE: fine.safetensors", "fine", "The VAE fine here is another file than the one that was used [0123456789]."),
    ("VAE: None", "None", ""), ("VAE: Automatic", "Automatic", ""), ("ENSD: 5", "Automatic", ""),
])
def test_a_picture_tells_of_its_vae(house: Guest, keys: str, vae: str, said: str) -> None:
    told = house.read_text(f"{LINE}, {keys}")
    assert told.values["vae"] == vae and [line for line in told.missing if "VAE" in line] == ([said] if said else [])


def test_it_is_found_by_its_hash_where_it_has_another_name(house: Guest, models: Path) -> None:
    catalog = house.backend._components.catalog
    digest = catalog.hash_of(catalog.find("vae", "fine"))
    told = house.read_text(f"{LINE}, VAE hash: {digest[:10]}, VAE: its old name.pt")
    assert told.values["vae"] == "fine" and not [line for line in told.missing if "VAE" in line]


def test_a_text_with_one_that_is_not_here_draws_nothing(house: Guest) -> None:
    with pytest.raises(InvalidRequest) as caught:
        house.door.usable_infotext(f"{LINE}, VAE: absent.pt, Model: art", ())
    (problem,) = caught.value.problems
    assert (problem.field, problem.message) == ("infotext", "VAE absent.pt is not in the models folders")
    assert house.door.usable_infotext(f"{LINE}, VAE: absent.pt, Model: art", ("vae",))["prompt"] == "a tree"
    assert "absent.pt" in refused(house, **{name: value for name, value in house.read_text(f"{LINE}, VAE: absent.pt").values.items() if name == "vae"})


@pytest.mark.parametrize("key, field", [("Hires upscaler", "hr_upscaler"), ("SD upscale upscaler", "sd_upscale")])
def test_an_upscaler_that_is_not_here_is_the_infotexts_fault(house: Guest, key: str, field: str) -> None:
    text = f"{LINE}, Denoising strength: 0.5, Hires upscale: 2, {key}: 4x-Absent, Model: art"
    with pytest.raises(InvalidRequest) as caught:
        house.door.usable_infotext(text, ())
    assert [(problem.field, problem.message) for problem in caught.value.problems] == [("infotext", f"{key} 4x-Absent is not in the models folders")]
    assert house.door.usable_infotext(text, (field,))["steps"] == 9

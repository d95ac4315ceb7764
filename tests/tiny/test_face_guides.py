"""Faces in whole pictures: FaceID and InstantID through the engine, over small networks in insightface's signatures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backend.catalog.guide_files import GUIDE_FACES, annotator_files, encoders
from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Failed, Picture, Run
from backend.request.request import Request
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.device import place
from backend.worker.faces.analysis import FaceAnalysis
from backend.worker.models.memory import Memory
from tests.tiny import controlnets, face_networks, ip_adapters
from tests.tiny.face_networks import face_picture
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_engine import Studio
from tests.tiny.test_guides import png

BLUE, GREEN = (0, 0, 255), (0, 255, 0)
ANN, BOB, MOVED, BOTH, NOBODY, GREY, SEEN_THROUGH = (f"{number}" * 64 for number in range(1, 8))
FILES = {ANN: png(face_picture((3, 4), inside=[BLUE])), BOB: png(face_picture((3, 4), inside=[GREEN])), MOVED: png(face_picture((9, 12), inside=[BLUE])),
         BOTH: png(face_picture((3, 4), (3, 12), inside=[BLUE, GREEN])), NOBODY: png(face_picture()), GREY: png(face_picture((3, 4)), "L"),
         SEEN_THROUGH: png(face_picture((3, 4), inside=[BLUE]), "RGBA")}
House = tuple[Memory, dict, dict]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    torch.set_num_threads(1)
    folder, networks = tmp_path_factory.mktemp("models"), tiny()
    save_folder(networks, folder / "checkpoints" / "first")
    controlnets.controlnet(networks.unet).save_pretrained(folder / "controlnet" / "control_instant_id")
    ip_adapters.tower().save_pretrained(folder / "clip_vision" / "h")
    for pack in ("antelopev2", "buffalo_l"):
        face_networks.save(folder, pack, nested=pack == "antelopev2")
    named = {"ip-adapter-faceid": "ip_adapter", "ip-adapter-faceid-plusv2": "ip_adapter", "plus": "ip_adapter", "instant_id": "instant_id"}
    for name, home in named.items():
        (folder / home).mkdir(exist_ok=True)
        save_file(ip_adapters.flat(ip_adapters.ip_adapter(networks.unet, name)), folder / home / f"{name}.safetensors")
    catalog = ModelCatalog((folder,))
    files = {("guide", name): catalog.find(home, name) for name, home in named.items()}
    files["guide", "control_instant_id"] = catalog.find("controlnet", "control_instant_id")
    points = annotator_files([{"enabled": True, "module": "instant_id_face_keypoints", "model": "control_instant_id"}], catalog)
    return Memory(place("cpu", exact=True)), {"first": catalog.find("checkpoint", "first")}, files | encoders(files, catalog) | points


def studio(house: House, units: tuple[dict[str, object], ...], more: dict[str, object]) -> Studio:
    memory, checkpoints, files = house
    values = {"prompt": "a cat", "steps": 2, "width": 64, "height": 64, "seed": 1, "variation_seed": 1, "cfg_scale": 5, "sampler": "Euler",
              "schedule": "Uniform", "guides": [{"enabled": True, "module": "ip-adapter-auto"} | each for each in units], **more}
    made = Studio((memory, checkpoints), "solo")
    made.engine.add(Run("mine", "local", Request.parse(values), (0,), {("checkpoint", ""): checkpoints["first"], **files}, FILES))
    made.run()
    return made


def picture(house: House, *units: dict[str, object], **more: object) -> np.ndarray:
    made = studio(house, units, more)
    assert not made.of(Failed), made.of(Failed)
    return np.frombuffer(made.pixels("mine"), np.uint8).astype(int)


def refused(house: House, *units: dict[str, object]) -> tuple[str, str]:
    (failed,) = studio(house, units, {}).of(Failed)
    return failed.problems[0].field, failed.problems[0].message


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


@pytest.mark.parametrize("model", ["ip-adapter-faceid", "ip-adapter-faceid-plusv2"])
def test_who_is_in_the_picture_counts_and_not_where(house: House, model: str) -> None:
    plain, ann, bob, moved = picture(house), *(picture(house, {"model": model, "image": image}) for image in (ANN, BOB, MOVED))
    assert apart(ann, plain) > 1 and apart(ann, bob) > 10 * apart(ann, moved)
    assert np.array_equal(picture(house, {"model": model, "image": ANN, "weight": 0}), plain)
    assert not np.array_equal(picture(house, {"model": model, "image": ANN, "lora_weight": 0}), ann), "its LoRA counts"
    assert np.array_equal(picture(house, {"model": model, "image": SEEN_THROUGH}), ann)


def test_a_face_is_chosen_and_looked_for_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    original = FaceAnalysis.faces
    monkeypatch.setattr(FaceAnalysis, "faces", lambda self, pixels: looks.append(1) or original(self, pixels))
    unit = {"model": "instant_id", "image": BOTH, "face_order": "Left to right"}
    left, right = (picture(house, unit | {"face_index": number}) for number in (0, 1))
    picture(house, unit | {"face_index": 1}, seed=2)
    assert len(looks) == 1, "one picture, one look"
    assert apart(left, picture(house, {"model": "instant_id", "image": ANN})) < 0.1 * apart(left, right)


def test_instant_id_draws_by_both_of_its_parts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[torch.Tensor] = []
    original = ControlNet._residuals
    monkeypatch.setattr(ControlNet, "_residuals", lambda self, given, named, hints: read.append(given[2]) or original(self, given, named, hints))
    who, where = {"model": "instant_id", "image": ANN}, {"model": "control_instant_id", "module": "instant_id_face_keypoints", "image": ANN}
    one, both = picture(house, who), picture(house, who, where)
    assert apart(one, both) > 0.5
    assert apart(both, picture(house, where, who)) < 0.01, "in any order"
    assert apart(both, picture(house, who, where | {"image": MOVED})) > 0, "a pose picture of its own"
    assert apart(both, picture(house, who | {"image": BOB}, where)) > 0.5
    assert {tuple(each.shape[1:]) for each in read} == {(16, 32)}, "in place of the words"
    read.clear()
    for image in (ANN, BOB):
        picture(house, who | {"weight": 0, "image": image}, where)
    assert len(read) == 4 and (read[0] - read[2]).abs().max() > 0.1, "it reads whom, also where the other part does not act"
    assert (read[0][0] - read[0][1]).abs().max() > 0.1, "the rows without the words read nobody"


def test_several_pictures_weights_regions_and_noise_count(house: House) -> None:
    unit = {"model": "plus", "image": ANN}
    changes = [{}, {"more_images": [BOB]}, {"more_images": [BOB], "combine": "Average"}, {"more_images": [BOB], "combine": "Subtract"},
               {"weight_type": "ease in"}, {"weight_type": "weak output"}, {"block_weights": "0:1, 1:0.5"}, {"uncond_noise": 0.5}]
    found = [picture(house, unit | change) for change in changes]
    assert len({each.tobytes() for each in found}) == len(changes)
    assert np.array_equal(picture(house, unit | {"block_weights": "0:0"}), picture(house))


def test_a_weight_type_for_blocks_that_a_model_has_not_is_told(house: House) -> None:
    """Style and composition lie in single blocks of the published networks, which smaller ones may lack."""
    def notes(**change: object) -> list[str]:
        return [note for each in studio(house, ({"model": "plus", "image": ANN} | change,), {}).of(Picture) for note in each.notes]

    assert notes() == []
    assert notes(block_weights="0:0") == ["Guide 1 changes nothing: the weights of its blocks are all 0"]
    assert notes(weight_type="composition") == ["Guide 1 changes nothing: this model has none of the blocks in which 'composition' acts"]
    assert notes(weight_type="composition precise") == [], "it keeps the picture out of other blocks"


def test_what_is_wrong_with_a_face_is_told_at_the_unit(house: House) -> None:
    assert refused(house, {"model": "instant_id", "image": NOBODY}) == ("guides[0].image", "shows no face that could be found; choose a picture in which one is larger, sharper and seen from the front")
    assert "there is no number 2" in refused(house, {"model": "ip-adapter-faceid", "image": BOTH, "face_index": 2})[1]
    assert refused(house, {"model": "instant_id", "image": ANN}, {"model": "control_instant_id", "module": "instant_id_face_keypoints", "image": NOBODY})[0] == "guides[1].image"
    assert refused(house, {"model": "ip-adapter-faceid", "image": GREY})[0] == "guides[0].image", "grey is no face to these networks, and no accident either"


def test_a_broken_network_is_told_and_nothing_stays(house: House, tmp_path: Path) -> None:
    memory, checkpoints, files = house
    broken = face_networks.save(tmp_path, "buffalo_l") / "w600k_r50.onnx"
    broken.write_bytes(broken.read_bytes()[:200])
    bad = files | {(GUIDE_FACES, "ip-adapter-faceid"): ModelCatalog((tmp_path,)).find("insightface", "w600k_r50")}
    plain = picture(house)
    field, message = refused((memory, checkpoints, bad), {"model": "ip-adapter-faceid", "image": ANN, "face_index": 0})
    assert field == "guides[0].model" and "w600k_r50.onnx cannot be loaded" in message
    assert np.array_equal(picture(house), plain)

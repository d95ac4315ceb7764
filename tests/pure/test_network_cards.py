"""Cards of networks: what lies in the folders and beside the files, searched, fitting a checkpoint, edited in place."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from backend import Backend, Settings
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.network_cards import NetworkCards
from backend.errors import InvalidRequest, NotFound
from backend.facade.networks import Networks, Wanted
from backend.http import create_app
from tests.guest import Guest
from tests.processor_speed import slowness
from tests.pure.test_catalog import write_folder
from tests.pure.test_history import file as picture
from tests.pure.test_model_kinds import told

SD1 = {"lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768)}
SDXL = {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 2048)}
CHECKPOINT = {"model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    told(folder / "checkpoints" / "base.safetensors", CHECKPOINT)
    told(folder / "Lora" / "ink.safetensors", SD1, ss_tag_frequency=json.dumps({"10_ink": {"ink": 9, "line art": 4}, "x": {"ink": 2}}))
    told(folder / "Lora" / "style" / "oil.safetensors", SDXL, ss_output_name="oil_v3")
    told(folder / "Lora" / "style" / "old" / "wash.safetensors", SD1)
    return folder


@pytest.fixture
def networks(models: Path) -> Networks:
    return over(models)


def over(models: Path) -> Networks:
    catalog = ModelCatalog((models,))
    return Networks(catalog, NetworkCards(catalog))


def names(networks: Networks, **wanted: object) -> list[str]:
    return [card.file.key for card in networks.cards(Wanted(checkpoint="base", **wanted)).cards]


def test_only_what_fits_is_shown_and_a_switch_shows_the_rest_with_the_reason(networks: Networks) -> None:
    assert names(networks) == ["ink", "wash"]
    shown = {card.file.key: card.reason for card in networks.cards(Wanted(checkpoint="base", unfitting=True)).cards}
    assert list(shown) == ["ink", "oil", "wash"] and not shown["ink"]
    assert "Stable Diffusion XL" in shown["oil"] and "Stable Diffusion 1" in shown["oil"]


def test_folders_sorts_and_words(networks: Networks, models: Path) -> None:
    assert networks.folders("lora") == ["style", "style/old"]
    assert names(networks, folder="style", unfitting=True) == ["oil", "wash"]
    assert names(networks, text="STYLE oil_v3", unfitting=True) == ["oil"] and names(networks, text="nothing") == []
    told(models / "Lora" / "it's <mine>.safetensors", SD1)
    os.utime(models / "Lora" / "ink.safetensors", (10, 10))
    networks.refresh("lora")
    assert names(networks, text="it's <mine") == ["it_s _mine_"], "by the signs of its file, which its name here lacks"
    assert names(networks, sort="newest")[-1] == "ink"
    for wrong in ({"sort": "colour"}, {"kind": "vae"}):
        with pytest.raises(InvalidRequest) as refused:
            networks.cards(Wanted(**wrong))
        assert [problem.field for problem in refused.value.problems] == [*wrong]


def test_notes_of_automatic1111_and_of_civitai(networks: Networks, models: Path) -> None:
    (models / "Lora" / "ink.json").write_text(json.dumps({"activation text": "ink, brush", "preferred weight": 0.7, "negative text": "photo", "description": "d", "notes": "n", "sd version": "SD1"}))
    (models / "Lora" / "style" / "oil.civitai.info").write_text(json.dumps({"trainedWords": ["oil paint, ", 3, "impasto"], "description": "<p>Thick &amp; <b>wet</b></p>"}))
    ink, oil = networks.card("lora", "ink").notes, networks.card("lora", "oil").notes
    assert (ink.words, ink.weight, ink.negative, ink.description, ink.notes) == (("ink, brush",), 0.7, "photo", "d", "n")
    assert (oil.words, oil.weight) == (("oil paint", "impasto"), None)
    assert oil.description.split() == ["Thick", "&", "wet"]
    assert names(networks, text="impasto", unfitting=True) == ["oil"]
    assert networks.tags("lora", "ink") == [("ink", 11), ("line art", 4)] and networks.tags("lora", "oil") == []


def test_words_that_the_file_itself_tells(networks: Networks, models: Path) -> None:
    told(models / "Lora" / "ink.safetensors", SD1, **{"modelspec.trigger_phrase": "brush of ink"})
    told(models / "Lora" / "none.safetensors", SD1, **{"modelspec.trigger_phrase": "None"})
    networks.refresh("lora")
    assert {card.file.key: card.notes.words for card in networks.cards(Wanted()).cards}["ink"] == ("brush of ink",)
    assert networks.card("lora", "ink").notes.words == ("brush of ink",) and networks.card("lora", "none").notes.words == ()
    assert names(networks, text="brush") == ["ink"]
    networks.set_notes("lora", "ink", {"notes": "n"})
    assert json.loads((models / "Lora" / "ink.json").read_text())["activation text"] == "", "only what was written is kept"
    assert networks.set_notes("lora", "ink", {"words": ["mine"]}).notes.words == ("mine",)


def test_what_a_file_tells_and_why_it_changes_nothing(networks: Networks, models: Path) -> None:
    told(models / "Lora" / "ink.safetensors", SD1, ss_sd_model_name="None", ss_base_model_version="sd_v1", ss_resolution="(512, 768)", sshs_model_hash="0123456789abcdef" * 4)
    networks.refresh("lora")
    facts = networks.facts("lora", "ink")
    assert facts == {"Family": "Stable Diffusion 1", "Hash": "0123456789ab", "Rank": "4", "Base model": "sd_v1", "Resolution": "512 × 768"}
    assert networks.facts("lora", "oil")["Also called"] == "oil_v3", "a prompt may call it so, too"
    assert "does not go with base" in networks.misfit("lora", "oil", "base") and networks.misfit("lora", "oil", "no such checkpoint") == ""
    (models / "Lora" / "ink.safetensors").write_bytes(b"cut off")
    assert networks.facts("lora", "ink") == {}


def test_those_used_last_stand_first(networks: Networks) -> None:
    assert names(networks, unfitting=True, first=("wash", "gone", "oil")) == ["wash", "oil", "ink"]


@pytest.mark.parametrize("name, said", [("a, b (c) [d] ü", True), ("a:b", True), ("no #1", False), ("{x}", False), ("a__b", False), ("a=b", False)])
def test_a_name_that_no_prompt_can_hold_is_told(models: Path, name: str, said: bool) -> None:
    told(models / "Lora" / f"{name}.safetensors", SD1)
    told(models / "Lora" / f"{name} 2.safetensors", SD1, ss_output_name="plain")
    found = {card.file.key: card.said for card in over(models).cards(Wanted()).cards}
    key = name.replace(":", "_")    # as the catalogue names it
    assert found[key] == (key if said else "") and found[f"{key} 2"] == (f"{key} 2" if said else "plain")


def test_notes_and_picture_of_a_folder_lie_beside_it(models: Path) -> None:
    write_folder(models / "checkpoints" / "whole v1.5")
    networks = over(models)
    networks.cards(Wanted("checkpoint", unfitting=True))
    networks.set_notes("checkpoint", "whole v1.5", {"description": "in a folder"})
    assert json.loads((models / "checkpoints" / "whole v1.5.json").read_text())["description"] == "in a folder"
    assert {card.file.key: card.notes.description for card in networks.cards(Wanted("checkpoint", unfitting=True)).cards} == {"base": "", "whole v1.5": "in a folder"}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"activation text": 3, "preferred weight": "x", "notes": [1]}', b'{"preferred weight": NaN}', b"\xff\xfe", b"[" * 9999])
def test_a_broken_note_says_nothing(networks: Networks, models: Path, content: bytes) -> None:
    (models / "Lora" / "ink.json").write_bytes(content)
    (models / "Lora" / "ink.civitai.info").write_bytes(content)
    card = networks.card("lora", "ink")
    assert (card.notes.words, card.notes.weight, card.notes.notes) == ((), None, "")


def test_a_pipe_beside_a_network_is_not_waited_for(networks: Networks, models: Path) -> None:
    os.mkfifo(models / "Lora" / "ink.json")
    assert networks.card("lora", "ink").notes.words == ()


def test_edited_in_place_and_all_else_stays(networks: Networks, models: Path) -> None:
    (models / "Lora" / "ink.json").write_text('{"sd version": "SD1", "notes": "mine"}')
    card = networks.set_notes("lora", "ink", {"words": ["ink", " "], "weight": 0.5})
    assert (card.notes.words, card.notes.weight, card.notes.notes) == (("ink",), 0.5, "mine")
    assert json.loads((models / "Lora" / "ink.json").read_text())["sd version"] == "SD1"
    for wrong in ({"words": "ink"}, {"weight": "much"}, {"weight": 1e9}, {"weight": True}, {"colour": "red"}, {"notes": None}):
        with pytest.raises(InvalidRequest) as refused:
            networks.set_notes("lora", "ink", wrong)
        assert [problem.field for problem in refused.value.problems] == [*wrong]
    with pytest.raises(NotFound):
        networks.set_notes("lora", "../../etc/passwd", {"notes": "x"})


@pytest.mark.slow
def test_four_thousand_are_listed_and_searched_quickly(models: Path) -> None:
    for number in range(4000):
        told(models / "Lora" / f"set{number % 40}" / f"network {number}.safetensors", SD1)
        if number % 4 == 0:
            (models / "Lora" / f"set{number % 40}" / f"network {number}.json").write_text(json.dumps({"activation text": f"word{number}"}))
    networks = over(models)
    networks.cards(Wanted())        # the first look reads the headers
    started = time.process_time()
    assert len(networks.cards(Wanted()).cards) == 4002
    listed, started = time.process_time() - started, time.process_time()
    assert names(networks, text="word1200") == ["network 1200"]
    found = time.process_time() - started
    slow = slowness()
    assert listed < 0.5 * slow and found < 0.1 * slow, (listed, found, slow)


@pytest.fixture
def client(tmp_path: Path, models: Path) -> Iterator[tuple[TestClient, Guest]]:
    house = Guest(Backend(Settings(data=tmp_path / "data", models=(models,)), start_workers=False))
    with TestClient(create_app(house.backend), base_url="http://127.0.0.1:7860") as client:
        yield client, house
    house.close()


def test_over_http(client: tuple[TestClient, Guest], models: Path) -> None:
    client, house = client
    found = client.get("/easel/networks/lora", params={"checkpoint": "base", "limit": 1, "start": 1}).json()
    assert found["total"] == 2 and [card["name"] for card in found["cards"]] == ["wash"] and found["folders"] == ["style", "style/old"]
    assert found["left_out"] == 1 and found["home"] == "loras"
    assert client.get("/easel/networks/lora/picture", params={"name": "ink"}).status_code == 404
    image = house.gallery.take_in(picture(), "a.png").id
    kept = client.post("/easel/networks/lora/picture", params={"name": "ink"}, json={"image": image})
    assert kept.status_code == 200 and kept.json()["picture"], kept.text
    assert (models / "Lora" / "ink.preview.png").is_file()
    assert client.get("/easel/networks/lora/picture", params={"name": "ink"}).headers["content-type"] == "image/webp"
    assert client.post("/easel/networks/lora/picture", params={"name": "ink"}, json={"image": "f" * 32}).status_code == 404
    assert client.post("/easel/networks/lora/notes", params={"name": "ink"}, json={"words": ["ink"]}).json()["words"] == ["ink"]
    told = client.get("/easel/networks/lora/details", params={"name": "ink"}).json()
    assert told["tags"][0] == {"tag": "ink", "count": 11} and told["words"] == ["ink"] and told["editable"] and told["misfit"] == ""
    assert client.get("/easel/networks/lora/details", params={"name": "oil", "checkpoint": "base"}).json()["misfit"]
    assert client.get("/easel/networks/vae").status_code == 422
    (models / "Lora" / "ink.safetensors").unlink()
    assert client.post("/easel/networks/lora/refresh").status_code == 200
    assert client.get("/easel/networks/lora/details", params={"name": "ink"}).status_code == 404
    text = json.dumps(client.get("/easel/networks/lora").json())
    assert str(models) not in text

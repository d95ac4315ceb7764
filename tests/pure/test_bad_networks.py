"""Network files and names that are wrong, through the real routes: an error at the prompt, and nothing queued."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from backend import Backend, Settings
from backend.http import create_app
from tests.guest import Guest
from tests.pure.test_prompt_networks import SD1, TO_K, lora, write

FITS = lora(f"lora_unet_{'down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k'}", 320, 768)
XL = {f"lora_unet_input_blocks_4_1_{TO_K.replace('.', '_')}.lora_down.weight": (4, 2048),
      f"lora_unet_input_blocks_4_1_{TO_K.replace('.', '_')}.lora_up.weight": (640, 4)}
STRANGE = "it's \"so\", (a) 'näme' 名"


def header(text: str, behind: bytes = b"") -> bytes:
    return len(text).to_bytes(8, "little") + text.encode() + behind


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Guest]]:
    folder = tmp_path_factory.mktemp("house")
    models = folder / "models"
    write(models / "checkpoints" / "old.safetensors", SD1)
    loras = models / "loras"
    for number in range(300):
        write(loras / "many" / f"n{number}.safetensors", FITS)
    write(loras / "whole.safetensors", FITS)
    write(loras / "no alpha.safetensors", {name: shape for name, shape in FITS.items() if "alpha" not in name})
    write(loras / f"{STRANGE}.safetensors", FITS)
    write(loras / "a: b, c.safetensors", FITS)
    write(loras / "xl.safetensors", XL)
    write(loras / "rank 0.safetensors", lora(next(iter(FITS)).partition(".")[0], 320, 768, rank=0))
    write(loras / "one" / "twin.safetensors", FITS)
    write(loras / "two" / "twin.safetensors", XL)
    content = (loras / "whole.safetensors").read_bytes()
    (loras / "cut.safetensors").write_bytes(content[:-100])
    (loras / "empty.safetensors").write_bytes(b"")
    (loras / "longer.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + content[8:])
    (loras / "beyond.safetensors").write_bytes(header(json.dumps({"x.lora_up.weight": {"dtype": "F16", "shape": [4, 4], "data_offsets": [0, 1 << 50]}}), b"\0" * 32))
    (loras / "text.safetensors").write_bytes(header("[1, 2]"))
    (loras / "garbage.pt").write_bytes(b"\x80\x02nothing")
    (loras / "folder.safetensors").mkdir()
    (loras / "loop").symlink_to(loras)
    (loras / "round.safetensors").symlink_to(loras / "round.safetensors")
    guest = Guest(Backend(Settings(data=folder / "data", models=(models,)), start_workers=False))
    with TestClient(create_app(guest.backend), base_url="http://127.0.0.1:7860") as client:
        yield client, guest
    guest.close()


@pytest.mark.parametrize("route", ["/easel/jobs", "/sdapi/v1/txt2img"])
@pytest.mark.parametrize(("term", "words"), [
    ("<lora:cut:1>", "cut off"), ("<lora:empty:1>", "safetensors"), ("<lora:longer:1>", "safetensors"), ("<lora:beyond:1>", "broken"),
    ("<lora:text:1>", "broken"), ("<lora:garbage:1>", "broken or cut off"), ("<lora:folder:1>", "not in the list"), ("<lora:round:1>", "not in the list"),
    ("<lora:xl:1>", "Stable Diffusion XL"), ("<lora:rank 0:1>", "changes nothing"), ("<lora:../checkpoints/old:1>", "not in the list"),
    ("<lora:gone\" onload='x':1>", "not in the list"), ("<lora:whole:1e9>", "1e9"), ("<lora:whole:nan>", "nan"), ("<lora:whole:-inf>", "-inf"), ("<lora:whole:>", "no number"),
    ("<lora::1>", "names no file"), ("<hypernet:whole:1>", "hypernetwork"), ("<lora:two/twin:1>", "Stable Diffusion XL"),
    ("<lora:whole:0.5> [<lora:whole:1>:<lora:absent:1>:0.5]", "absent"), ("<lora:whole:1:start=soon>", "soon"),
])
def test_an_error_at_the_prompt_and_nothing_queued(house: tuple[TestClient, Guest], route: str, term: str, words: str) -> None:
    client, guest = house
    before = client.get("/easel/jobs").json()
    answer = client.post(route, json={"prompt": f"a cat {term}", "steps": 1, "width": 64, "height": 64})
    assert answer.status_code == 422, answer.text
    assert words in answer.text and "prompt" in answer.text, answer.text
    assert str(guest.backend.settings.models[0]) not in answer.text and client.get("/easel/jobs").json() == before


@pytest.mark.parametrize("prompt", [
    "a cat <lora:whole:-3>", "a cat <lora:>", "a cat <lora:no alpha:1>", "<lora:one/twin:1>", "<lora:twin:1>", "<lora:whole:1><lora:whole:0>",
    f"a <lora:{STRANGE}:0.5>", "a <lora:a_ b, c:0.5>", "a <lora:it_s _so_, (a) _näme_ 名:0.5>", " ".join(f"<lora:n{number}:0.01>" for number in range(300)),
])
def test_what_is_sane_is_taken(house: tuple[TestClient, Guest], prompt: str) -> None:
    client, guest = house
    answer = client.post("/easel/jobs", json={"prompt": prompt, "steps": 1, "width": 64, "height": 64})
    assert answer.status_code == 200, answer.text
    assert guest.door.job(answer.json()["id"]).state == "queued"


def test_of_many_that_are_not_there_some_are_named_and_the_others_counted(house: tuple[TestClient, Guest]) -> None:
    client, _ = house
    prompt = " ".join(f"<lora:absent {number}:1>" for number in range(300))
    problems = client.post("/easel/jobs", json={"prompt": prompt, "steps": 1, "width": 64, "height": 64}).json()["problems"]
    assert [problem["field"] for problem in problems] == ["prompt"] * 6 and "'absent 4' is not in the list" in problems[4]["message"]
    assert problems[5]["message"] == "names 295 more that cannot be used"


def test_the_lists_leave_out_nothing_and_tell_what_is_broken(house: tuple[TestClient, Guest]) -> None:
    client, _ = house
    found = client.get("/easel/networks/lora", params={"unfitting": True, "checkpoint": "old", "limit": 500}).json()
    broken = {card["name"] for card in found["cards"] if card["broken"]}
    assert broken == {"cut", "empty", "longer", "beyond", "text", "garbage"}
    assert not any("loop" in folder for folder in found["folders"])

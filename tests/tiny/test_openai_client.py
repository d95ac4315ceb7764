"""OpenAI's own Python package, as people install it, against a whole house with a fake worker."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from PIL import Image
from starlette.testclient import TestClient

from backend.errors import InvalidRequest
from backend.http import create_app
from backend.http.openai.edits import Form, start_from
from tests.pure.test_guides import FACE, PLAIN, picture_prompt
from tests.pure.test_prompt_networks import SD1, write
from tests.tiny.house import open_house, until
from tests.tiny.served import served

TOWER = {"vision_model.embeddings.patch_embedding.weight": (1280, 3, 14, 14), "visual_projection.weight": (1024, 1280)}
SMALL: dict[str, Any] = {"prompt": "a lighthouse", "size": "64x64"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("house")) as (address, _):
        yield address


@pytest.fixture
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)


def png(mode: str = "RGB", colour: Any = "teal", size: tuple[int, int] = (64, 64)) -> tuple[str, bytes]:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG")
    return "picture.png", out.getvalue()


def half_transparent() -> tuple[str, bytes]:
    picture, out = Image.new("RGBA", (64, 64), (255, 0, 0, 255)), io.BytesIO()
    picture.paste((0, 0, 0, 0), (0, 0, 32, 64))
    picture.save(out, "PNG")
    return "mask.png", out.getvalue()


def pictures(answer: Any) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(one.b64_json))) for one in answer.data]


def last_request(address: str) -> dict[str, Any]:
    job = httpx.get(f"{address}/api/jobs", params={"limit": 1}).json()["jobs"][0]["id"]
    return httpx.get(f"{address}/api/jobs/{job}").json()["request"]


def test_pictures_from_words(client: openai.OpenAI) -> None:
    answer = client.images.generate(**SMALL, model="dall-e-3", n=2, quality="standard", style="vivid", user="me", background="auto")
    made = pictures(answer)
    assert [picture.size for picture in made] == [(64, 64)] * 2 and made[0].format == "PNG"
    assert (answer.size, answer.output_format, answer.background) == ("64x64", "png", "opaque") and answer.created > 10**9


def test_the_address_of_a_picture(client: openai.OpenAI) -> None:
    answer = client.images.generate(**SMALL, response_format="url", output_format="webp", output_compression=50)
    file = httpx.get(answer.data[0].url)
    assert answer.data[0].b64_json is None and Image.open(io.BytesIO(file.content)).format == "WEBP"


def test_what_is_asked_reaches_the_request(client: openai.OpenAI, address: str) -> None:
    usual = last_request(address)["steps"] if client.images.generate(**SMALL) else 0
    client.images.generate(**SMALL, quality="high", output_format="jpeg", model="other", extra_body={"seed": 5, "negative_prompt": "fog"})
    request = last_request(address)
    assert (request["steps"], request["image_format"], request["checkpoint"]) == (round(usual * 1.5), "jpg", "other")
    assert (request["seed"], request["negative_prompt"]) == (5, "fog")
    client.images.generate(prompt="a", size="auto")
    assert (last_request(address)["width"], last_request(address)["height"]) == (512, 512)


@pytest.mark.parametrize(("values", "param"), [
    ({"background": "transparent"}, "background"), ({"output_format": "gif"}, "output_format"), ({"n": 11}, "n"),
    ({"size": "large"}, "size"), ({"size": "8x8"}, "size"), ({"quality": "best"}, "quality"), ({"frame_count": 4}, "frame_count"),
    ({"complexity": "high"}, "complexity"), ({"output_compression": 50}, "output_compression"),
    ({"extra_body": {"steps": 0}}, "steps"), ({"extra_body": {"template": "x"}}, "template"), ({"extra_body": {"colour": 1}}, "colour"),
    ({"partial_images": 4}, "partial_images"), ({"response_format": "file"}, "response_format"), ({"prompt": 5}, "prompt"),
])
def test_what_cannot_be_honoured_is_refused_by_name(client: openai.OpenAI, values: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(**{**SMALL, **values})
    assert refused.value.param == param and refused.value.type == "invalid_request_error" and refused.value.code


def test_an_edit_of_the_whole_picture(client: openai.OpenAI, address: str) -> None:
    answer = client.images.edit(image=png(size=(128, 64)), prompt="at night", input_fidelity="high", n=2)
    assert [picture.size for picture in pictures(answer)] == [(128, 64)] * 2
    request = last_request(address)
    assert request["init_image"] and not request["mask"] and request["denoising_strength"] == 0.5


def test_an_edit_where_the_mask_is_transparent(client: openai.OpenAI, address: str) -> None:
    client.images.edit(image=[png()], mask=half_transparent(), prompt="a red door", size="64x64")
    request = last_request(address)
    mask = Image.open(io.BytesIO(httpx.get(f"{address}/api/uploads/{request['mask']}").content))
    assert request["mask_mode"] == "Inpaint not masked" and (mask.getpixel((0, 0)), mask.getpixel((40, 0))) == (0, 255)
    client.images.edit(image=half_transparent(), prompt="a red door")
    assert last_request(address)["mask"] == request["mask"]


@pytest.mark.parametrize(("values", "param"), [
    ({"mask": png()}, "mask"), ({"mask": ("m.png", half_transparent()[1][:80])}, "mask"), ({"image": [png(), png()]}, "image[]"),
    ({"mask": png("RGBA", (0, 0, 0, 0), (32, 32))}, "mask"), ({"image": ("a.png", b"nothing")}, "image"), ({"markup": png()}, "markup"),
])
def test_a_wrong_edit_is_refused_by_name(client: openai.OpenAI, values: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(**{"image": png(), "prompt": "x", **values})
    assert refused.value.param == param


def test_further_pictures_of_an_edit_guide_by_an_ip_adapter(tmp_path: Path) -> None:
    """As clients of gpt-image send them; a file that looks at faces is passed over, and one without its eyes is told."""
    write(tmp_path / "demo.safetensors", SD1)
    (tmp_path / "ip_adapter").mkdir()
    (tmp_path / "clip_vision").mkdir()
    for name, kind in (("a face", FACE), ("plain", PLAIN)):
        write(tmp_path / "ip_adapter" / f"{name}.safetensors", picture_prompt(kind))
    house = open_house(tmp_path, start_workers=False)
    known = house.backend._components.catalog.known
    known[0] = replace(known[0], path=str(tmp_path / "demo.safetensors"))
    with TestClient(create_app(house.backend), base_url="http://127.0.0.1:7860") as client:
        def refused(count: int) -> dict[str, str]:
            sent = [("image[]", (f"{number}.png", png(colour=(number, 0, 0))[1])) for number in range(count)]
            return client.post("/v1/images/edits", data={"prompt": "like these"}, files=sent).json()["error"]

        blind = refused(3)
        assert blind["param"] == "image[]" and "clip_vision" in blind["message"] and refused(17)["param"] == "image"
    write(tmp_path / "clip_vision" / "tower.safetensors", TOWER)
    house.backend._components.catalog.scan("clip_vision")
    first, *others = (png(colour=colour)[1] for colour in ("red", "green", "blue"))
    job = house.door.submit(start_from(house.door, Form({}, first, tuple(others)), {}))
    (unit,) = job.request.to_json()["guides"]
    assert unit["model"] == "plain" and len({job.request.init_image, unit["image"], *unit["more_images"]}) == 3
    for units in ("{", "7", "[" * 50_000):
        with pytest.raises(InvalidRequest, match="must be a list"):
            start_from(house.door, Form({}, first, tuple(others)), {"guides": units})
    house.close()


def test_a_call_that_is_sent_again_under_its_key_draws_once(client: openai.OpenAI, address: str) -> None:
    def jobs() -> int:
        return len(httpx.get(f"{address}/api/jobs", params={"limit": 500}).json()["jobs"])

    def drawn(key: str, **values: Any) -> Any:
        return pictures(client.images.generate(**SMALL | values, extra_headers={"Idempotency-Key": key}))[0].tobytes()

    def edited(key: str, **values: Any) -> Any:
        return pictures(client.images.edit(**{"image": png(), "prompt": "x", **values}, extra_headers={"Idempotency-Key": key}))[0].tobytes()

    before = jobs()
    assert drawn("a") == drawn("a") and edited("b") == edited("b") and jobs() == before + 2
    for again in (lambda: drawn("a", prompt="another"), lambda: drawn("b"), lambda: edited("b", image=png(colour="red"))):
        with pytest.raises(openai.BadRequestError) as refused:
            again()
        assert refused.value.param == "Idempotency-Key"
    assert jobs() == before + 2
    with pytest.raises(openai.APITimeoutError):
        drawn("c", prompt="slow=0.05", n=10, timeout=0.05)
    made = drawn("c", prompt="slow=0.05", n=10)
    assert made and jobs() == before + 3, "who lost the answer asks for it again"


def test_a_large_picture_is_edited_at_the_size_of_the_checkpoint(client: openai.OpenAI, address: str) -> None:
    client.images.edit(image=png(size=(2048, 1024)), prompt="x")
    request = last_request(address)
    assert (request["width"], request["height"]) == (728, 360)


def test_variations(client: openai.OpenAI) -> None:
    assert len(pictures(client.images.create_variation(image=png(), n=2, size="64x64", response_format="b64_json"))) == 2


@pytest.mark.parametrize("kind", ["image_generation", "image_edit"])
def test_a_stream_tells_rough_pictures_and_then_the_whole(client: openai.OpenAI, kind: str) -> None:
    asked = {"prompt": "slow=0.8", "size": "64x64", "stream": True, "partial_images": 2}
    stream = client.images.generate(**asked) if kind == "image_generation" else client.images.edit(image=png(), **asked)
    events = list(stream)
    assert [event.type for event in events] == [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]
    assert [event.partial_image_index for event in events[:-1]] == [0, 1]
    assert Image.open(io.BytesIO(base64.b64decode(events[-1].b64_json))).size == (64, 64)
    assert events[-1].usage.input_tokens > 0 and events[-1].output_format == "png"


def test_a_job_that_fails_is_an_error_with_its_reason(client: openai.OpenAI) -> None:
    failing = {**SMALL, "prompt": "fail=0 always"}
    with pytest.raises(openai.APIStatusError, match="too wild") as failed:
        client.images.generate(**failing)
    assert failed.value.param == "prompt"
    with pytest.raises(openai.APIError, match="too wild"):
        list(client.images.generate(**failing, stream=True))


def test_who_hangs_up_lets_nothing_more_be_made(client: openai.OpenAI, address: str) -> None:
    stream = client.images.generate(**{**SMALL, "prompt": "slow=0.4"}, n=5, stream=True, partial_images=3)
    next(iter(stream))
    stream.close()
    until(lambda: httpx.get(f"{address}/api/jobs", params={"limit": 1}).json()["jobs"][0]["state"] == "cancelled")


def test_models(client: openai.OpenAI) -> None:
    models = client.models.list()
    assert [model.id for model in models] == ["demo", "other"] and models.data[0].object == "model"
    assert client.models.retrieve("other").id == "other" and client.models.retrieve("demo").owned_by == "easel"
    for call in (lambda: client.models.retrieve("none"), lambda: client.images.generate(**SMALL, model="none")):
        with pytest.raises(openai.NotFoundError) as missing:
            call()
        assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.APIStatusError) as refused:
        client.models.delete("demo")
    assert refused.value.status_code == 405


def test_the_same_without_blocking(address: str) -> None:
    async def whole() -> None:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0) as client:
            made = await asyncio.gather(*(client.images.generate(**SMALL) for _ in range(3)))
            assert [len(pictures(answer)) for answer in made] == [1, 1, 1]
            assert len(pictures(await client.images.edit(image=png(), mask=half_transparent(), prompt="x"))) == 1
            assert len(pictures(await client.images.create_variation(image=png()))) == 1
            assert [model.id async for model in client.models.list()] == ["demo", "other"]
            assert (await client.models.retrieve("demo")).id == "demo"
            stream = await client.images.generate(**{**SMALL, "prompt": "slow=0.6"}, stream=True, partial_images=1)
            assert [event.type async for event in stream] == ["image_generation.partial_image", "image_generation.completed"]
            edits = await client.images.edit(image=png(), prompt="x", stream=True)
            assert [event.type async for event in edits] == ["image_edit.completed"]
            raw = await client.images.with_raw_response.generate(**SMALL)
            assert raw.status_code == 200
            async with client.images.with_streaming_response.generate(**SMALL) as response:
                assert (await response.json())["data"]

    asyncio.run(whole())


def test_a_personal_token_is_the_key_and_a_wrong_one_is_told_in_openais_shape(tmp_path: Path) -> None:
    with served(tmp_path, users={"ann": "one"}) as (address, backend):
        token = backend.access_tokens.make(backend.user("ann").id, "chat", ["draw"])
        assert openai.OpenAI(base_url=f"{address}/v1", api_key=token, max_retries=0).images.generate(**SMALL).data
        with pytest.raises(openai.AuthenticationError) as refused:
            openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0).models.list()
        assert refused.value.code == "invalid_api_key"

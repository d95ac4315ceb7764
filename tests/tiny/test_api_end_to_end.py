"""The whole house as a client sees it: app.py as a process, its worker, and a checkpoint on the CPU."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import webuiapi
from PIL import Image as Pillow

from backend.image import infotext
from backend.settings import HOME

SMALL = {"prompt": "a large red circle on a blue background", "width": 64, "height": 64, "steps": 2, "seed": 7}
PATIENCE = 240.0


def models(folder: Path) -> list[str]:
    """The demo model is found without a flag; where it is not there yet, networks with random weights stand in."""
    if any((HOME / "models").glob("demo/*")):
        return []
    from tests.tiny.ldm import save_single, tiny

    (folder / "checkpoints").mkdir(parents=True)
    save_single(tiny(), folder / "checkpoints" / "tiny.safetensors")
    return ["--models", str(folder)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("house")
    command = [sys.executable, "app.py", "--port", "0", "--data", str(folder / "data"), "--device", "cpu", *models(folder / "models")]
    with subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, text=True) as house:
        try:
            address = house.stdout.readline().split()[-1]
            with httpx.Client(base_url=address, timeout=PATIENCE) as client:
                yield client
        finally:
            house.terminate()
            assert house.wait(timeout=60) == 0


def txt2img(client: httpx.Client, **values: Any) -> httpx.Response:
    return client.post("/sdapi/v1/txt2img", json={**SMALL, **values})


def pictures(answer: httpx.Response) -> list[Pillow.Image]:
    assert answer.status_code == 200, answer.text
    return [Pillow.open(io.BytesIO(base64.b64decode(image))) for image in answer.json()["images"]]


def until(found: Any) -> Any:
    """What `found()` gives as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.05)
    raise TimeoutError


def test_a_picture_carries_the_settings_that_made_it(client: httpx.Client) -> None:
    answer = txt2img(client, sampler_name="Euler a", cfg_scale=5, override_settings={"CLIP_stop_at_last_layers": 2})
    (picture,) = pictures(answer)
    assert picture.size == (64, 64)
    found = infotext.read(picture.text["parameters"]).values
    assert found["prompt"] == SMALL["prompt"]
    assert (found["steps"], found["seed"], found["sampler"], found["cfg_scale"], found["clip_skip"]) == (2, 7, "Euler a", 5, 2)
    info = json.loads(answer.json()["info"])
    assert info["infotexts"] == [picture.text["parameters"]] and len(info["sd_model_hash"]) == 10


def test_the_same_request_gives_the_same_picture(client: httpx.Client) -> None:
    first, second = (pictures(txt2img(client))[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_a_batch_is_single_pictures_with_seeds_counted_up(client: httpx.Client) -> None:
    first, second = pictures(txt2img(client, n_iter=2))
    assert first.tobytes() != second.tobytes()
    assert second.tobytes() == pictures(txt2img(client, seed=8))[0].tobytes()


def test_progress_is_seen_and_interrupt_ends_the_call(client: httpx.Client) -> None:
    answers: list[httpx.Response] = []
    calling = threading.Thread(target=lambda: answers.append(txt2img(client, steps=1000)))
    calling.start()
    seen = until(lambda: (now := client.get("/sdapi/v1/progress").json())["state"]["sampling_step"] > 2 and now)
    assert 0 < seen["progress"] < 1 and seen["state"]["sampling_steps"] >= 1000 and seen["state"]["job"]
    assert until(lambda: client.get("/sdapi/v1/progress").json()["current_image"])
    assert client.post("/sdapi/v1/interrupt").json() == {}
    calling.join(PATIENCE)
    (half,) = pictures(answers[0])
    info = json.loads(answers[0].json()["info"])
    assert half.size == (64, 64) and "interrupted: 1 of 1 pictures are here, 1 of them half-drawn" in info["notes"]
    assert info["infotexts"] == [half.text["parameters"]]
    assert client.get("/sdapi/v1/progress").json()["progress"] == 0


def test_a_client_that_hangs_up_cancels_its_job(client: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.post("/sdapi/v1/txt2img", json={**SMALL, "steps": 1000}, timeout=0.5)
    assert until(lambda: client.get("/easel/jobs?limit=1").json()["jobs"][0]["state"] == "cancelled")


def test_calls_at_the_same_time_all_get_their_own_picture(client: httpx.Client) -> None:
    answers: dict[int, httpx.Response] = {}
    calls = [threading.Thread(target=lambda seed=seed: answers.update({seed: txt2img(client, seed=seed)})) for seed in (1, 2, 3)]
    for call in calls:
        call.start()
    for call in calls:
        call.join(PATIENCE)
    for seed, answer in answers.items():
        assert infotext.read(pictures(answer)[0].text["parameters"]).values["seed"] == seed
    assert len(answers) == 3


BAD: list[tuple[str, str]] = [
    ('"steps": 0', "steps"), ('"steps": 1001', "steps"), ('"steps": NaN', "steps"), ('"steps": "NaN"', "steps"),
    ('"cfg_scale": 1e9', "cfg_scale"), ('"cfg_scale": Infinity', "cfg_scale"), ('"cfg_scale": "inf"', "cfg_scale"),
    ('"width": 0', "width"), ('"width": 1', "width"), ('"height": 7', "height"), ('"height": 1000000', "height"), ('"width": -1', "width"),
    ('"sampler_name": "Nonsense"', "sampler"), ('"scheduler": "Nonsense"', "schedule"), ('"seed": 1e40', "seed"), ('"seed": true', "seed"),
    ('"n_iter": 0', "batch_count"), ('"batch_size": 100000', "batch_size"), ('"prompt": ["a cat"]', "prompt"), ('"eta": "x"', "eta"),
    ('"override_settings": {"sd_model_checkpoint": "absent"}', "checkpoint"), ('"script_name": "x"', "script_name"),
    ('"override_settings": {"sd_model_checkpoint": "../../etc/passwd"}', "checkpoint"), ('"prompt": "' + "x" * 200_000 + '"', "prompt"),
]


@pytest.mark.parametrize("pair, field", BAD, ids=[pair[:40] for pair, _ in BAD])
def test_a_wrong_value_is_answered_with_its_name(client: httpx.Client, pair: str, field: str) -> None:
    rest = json.dumps({k: v for k, v in SMALL.items() if f'"{k}":' not in pair})[1:]
    answer = client.post("/sdapi/v1/txt2img", content="{" + pair + ", " + rest, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and [problem["field"] for problem in answer.json()["problems"]] == [field]


@pytest.mark.parametrize("prompt", ["", " ", "cat, " * 4000, "a\x00b\x07c\ud800\u202e", "((((", "[a:b", "(a:nan)", "\n\n", "AND AND", "🐈" * 300],
                         ids=["empty", "space", "20,000 characters", "controls", "brackets", "open", "nan", "lines", "AND", "emoji"])
def test_any_prompt_makes_a_picture(client: httpx.Client, prompt: str) -> None:
    answer = client.post("/sdapi/v1/txt2img", content=json.dumps({**SMALL, "prompt": prompt, "steps": 1}),
                         headers={"Content-Type": "application/json"})
    assert len(pictures(answer)) == 1


def test_hires_fix_draws_the_picture_at_its_full_size(client: httpx.Client) -> None:
    (picture,) = pictures(txt2img(client, enable_hr=True, hr_scale=1.5, hr_upscaler="Lanczos", denoising_strength=0.5, hr_second_pass_steps=1))
    assert picture.size == (96, 96)
    text = picture.text["parameters"]
    assert all(words in text for words in ("Hires upscale: 1.5", "Hires upscaler: Lanczos", "Hires steps: 1", "Denoising strength: 0.5", "Size: 64x64"))
    assert infotext.read(text).values["enable_hr"] is True


def in_base64(picture: Pillow.Image) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_a_drawn_picture_is_enlarged_and_keeps_its_settings(client: httpx.Client) -> None:
    (drawn,) = txt2img(client).json()["images"]
    answer = client.post("/sdapi/v1/extra-single-image", json={"image": drawn, "upscaler_1": "Lanczos", "upscaling_resize": 2.5})
    assert answer.status_code == 200, answer.text
    picture = Pillow.open(io.BytesIO(base64.b64decode(answer.json()["image"])))
    assert picture.size == (160, 160)
    text, found = picture.text["parameters"], infotext.read(picture.text["parameters"], picture.text["easel"]).values
    assert text.endswith("Postprocess upscale by: 2.5, Postprocess upscaler: Lanczos") and found["prompt"] == SMALL["prompt"]
    assert (found["steps"], found["width"], found["seed"]) == (2, 64, 7)


def test_webuiapi_enlarges_what_it_has_drawn(client: httpx.Client) -> None:
    api = webuiapi.WebUIApi(host=client.base_url.host, port=client.base_url.port)
    made = api.txt2img(**SMALL).image
    (single,) = api.extra_single_image(made, upscaler_1=webuiapi.Upscaler.Lanczos, upscaling_resize=2).images
    several = api.extra_batch_images([made, made.rotate(90)], upscaler_1=webuiapi.Upscaler.Nearest, upscaling_resize=1.5)
    assert single.size == (128, 128) and [image.size for image in several.images] == [(96, 96)] * 2
    assert "Postprocess upscaler: Nearest" in several.info


def test_models_are_unloaded_and_loaded_again(client: httpx.Client) -> None:
    before = pictures(txt2img(client))[0].tobytes()
    assert client.post("/sdapi/v1/unload-checkpoint").json() == {} == client.post("/sdapi/v1/reload-checkpoint").json()
    assert pictures(txt2img(client))[0].tobytes() == before


def test_an_unknown_upscaler_is_named_with_what_there_is(client: httpx.Client) -> None:
    answer = client.post("/sdapi/v1/extra-single-image", json={"image": in_base64(Pillow.new("RGB", (9, 9))), "upscaler_1": "nope"})
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body", "upscaler_1"]
    assert "Lanczos, Nearest" in answer.json()["detail"][0]["msg"]


def img2img(client: httpx.Client, **values: Any) -> httpx.Response:
    start = in_base64(Pillow.linear_gradient("L").resize((64, 64)).convert("RGB"))
    return client.post("/sdapi/v1/img2img", json={**SMALL, "init_images": [start], **values})


def test_img2img_starts_from_the_picture(client: httpx.Client) -> None:
    answer = img2img(client, denoising_strength=0.3, include_init_images=True)
    (picture,) = pictures(answer)
    assert "Denoising strength: 0.3" in picture.text["parameters"]
    assert answer.json()["parameters"]["denoising_strength"] == 0.3 and answer.json()["parameters"]["init_images"]
    assert pictures(img2img(client, denoising_strength=0.3))[0].tobytes() == picture.tobytes()
    assert pictures(img2img(client, denoising_strength=0.9))[0].tobytes() != picture.tobytes()


def test_img2img_takes_the_settings_of_a_hires_picture_without_its_second_pass(client: httpx.Client) -> None:
    text = "a red circle\nSteps: 2, Sampler: Euler, Seed: 4, Size: 64x64, Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Lanczos"
    answer = img2img(client, infotext=text)
    assert answer.status_code == 200 and "Hires" not in json.loads(answer.json()["info"])["infotexts"][0]
    assert img2img(client, infotext=text, enable_hr=True).status_code == 200, "AUTOMATIC1111's img2img has no such name"


@pytest.mark.parametrize("area", [0, 1, False, True])
def test_inpainting_leaves_the_rest_as_it_was(client: httpx.Client, area: Any) -> None:
    start = Pillow.linear_gradient("L").resize((64, 64)).convert("RGB")
    mask = Pillow.new("L", (64, 64))
    mask.paste(255, (40, 0, 64, 64))
    answer = img2img(client, init_images=[in_base64(start)], mask=in_base64(mask), mask_blur=0, inpaint_full_res=area, inpainting_fill=1,
                     denoising_strength=1)
    (picture,) = pictures(answer)
    assert picture.crop((0, 0, 40, 64)).tobytes() == start.crop((0, 0, 40, 64)).tobytes()
    assert picture.crop((40, 0, 64, 64)).tobytes() != start.crop((40, 0, 64, 64)).tobytes()


WRONG_PICTURES: list[tuple[dict[str, Any], str]] = [
    ({"init_images": []}, "init_images"), ({"init_images": ["%%%"]}, "init_images"), ({"init_images": "text"}, "init_images"),
    ({"init_images": [base64.b64encode(b"text").decode()]}, "init_images"), ({"init_images": [""]}, "init_images"),
    ({"mask": base64.b64encode(b"text").decode()}, "mask"), ({"denoising_strength": 1.5}, "denoising_strength"),
    ({"denoising_strength": "x"}, "denoising_strength"), ({"resize_mode": 9}, "resize_mode"), ({"inpainting_fill": -1}, "masked_content"),
    ({"mask_blur_x": 3, "mask_blur_y": -4}, "mask_blur_y"),
]


@pytest.mark.parametrize("values, field", WRONG_PICTURES, ids=[str(values)[:40] for values, _ in WRONG_PICTURES])
def test_a_wrong_picture_is_answered_with_its_name(client: httpx.Client, values: dict[str, Any], field: str) -> None:
    answer = img2img(client, **values)
    assert answer.status_code == 422 and [problem["field"] for problem in answer.json()["problems"]] == [field]


def test_the_house_stands_after_all_this(client: httpx.Client) -> None:
    health = client.get("/easel/health").json()
    assert health["status"] == "ok" and health["workers"][0]["state"] == "ready"
    assert "gradio" in client.get("/").text
    assert client.get("/sdapi/v1/sd-models").json()


@pytest.mark.parametrize(("line", "key"), [
    ("Sampler: Some new sampler, Seed: 3, Size: 64x64", "Sampler"), ("Sampler: Euler, Seed: 99999999999999999999, Size: 64x64", "Seed"),
    ("Sampler: Euler, Seed: 3, Size: 64x9000", "Size"), ("Sampler: Euler, Seed: 3, Size: 64x64, Model: gone", "Model"),
    ("Sampler: Euler, Seed: 3, Size: 64x64, Schedule type: New", "Schedule type"),
])
def test_an_infotext_that_cannot_be_drawn_is_refused_by_its_key(client: httpx.Client, line: str, key: str) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={"infotext": f"a red circle\nSteps: 2, CFG scale: 5, {line}"})
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert problem["field"] == "infotext" and problem["message"].startswith(key)


def test_what_the_payload_says_itself_need_not_be_in_the_infotext(client: httpx.Client) -> None:
    text = "a red circle\nSteps: 2, Sampler: Some new sampler, CFG scale: 5, Seed: 18446744073709551615, Size: 67x70"
    answer = client.post("/sdapi/v1/txt2img", json={"infotext": text, "sampler_name": "Euler"})
    told = json.loads(answer.json()["info"])
    assert (told["seed"], told["sampler_name"], told["width"], told["height"]) == (2**64 - 1, "Euler", 64, 64)
    (picture,) = pictures(answer)
    assert picture.size == (64, 64) and "Seed: 18446744073709551615, Size: 64x64" in picture.text["parameters"]


def test_the_python_client_draws_and_sees_it_come(client: httpx.Client) -> None:
    from tests.tiny.test_python_client import client as easel_client

    with easel_client.Easel(str(client.base_url), timeout=PATIENCE) as easel:
        job = easel.submit(SMALL, preview_every=1)
        events = list(easel.events(job))
        assert events[-1].name == "done" and [event.progress.steps for event in events if event.progress][-1] == 2
        (image,) = [event.image for event in events if event.image]
        assert Pillow.open(io.BytesIO(easel.image(image))).size == (64, 64) and image.seed == 7
        previews = [event.preview for event in events if event.preview]
        assert all(Pillow.open(io.BytesIO(preview)).format == "JPEG" for preview in previews)


def test_openais_client_draws_and_edits(client: httpx.Client) -> None:
    import openai

    easel = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="any", timeout=PATIENCE, max_retries=0)
    asked = {"prompt": SMALL["prompt"], "size": "64x64", "extra_body": {"steps": 2, "seed": 7}}
    drawn = base64.b64decode(easel.images.generate(**asked).data[0].b64_json)
    assert Pillow.open(io.BytesIO(drawn)).size == (64, 64)
    events = list(easel.images.edit(image=("a.png", drawn), stream=True, **asked))
    assert events[-1].type == "image_edit.completed" and base64.b64decode(events[-1].b64_json) != drawn

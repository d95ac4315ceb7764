"""AUTOMATIC1111's client `webuiapi`, as people install it, against a whole house with a fake worker."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
import webuiapi
from PIL import Image

from backend import Backend
from backend.http import create_app
from backend.http.server import Server
from backend.settings import Settings
from tests.tiny.house import FakeCatalog, until

SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 3, "seed": 5}
PICTURE, RED = Image.new("RGB", (64, 64), "teal"), Image.new("RGB", (64, 64), "red")
MASK = Image.new("L", (64, 64), 255)
Api = webuiapi.WebUIApi
Result = webuiapi.webuiapi.WebUIApiResult


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder = tmp_path_factory.mktemp("house")
    backend = Backend(Settings(data=folder / "data"), catalog=FakeCatalog(folder), worker="tests.tiny.fake_worker", start_workers=False)
    server = Server(create_app(backend), backend)
    listener = uvicorn.Config("", host="127.0.0.1", port=0).bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until(lambda: server.started)
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        backend.close()


@pytest.fixture
def api(address: tuple[str, int]) -> Api:
    """A new one each time: what it was given once, it sends again."""
    return Api(host=address[0], port=address[1], sampler="Euler", steps=3)


def drawing(**values: Any) -> Callable[[Api], Result]:
    return lambda api: api.txt2img(**{**SMALL, **values})


def from_picture(images: tuple[Image.Image, ...] = (PICTURE,), **values: Any) -> Callable[[Api], Result]:
    return lambda api: api.img2img(images=list(images), **{**SMALL, **values})


DRAWN: dict[str, tuple[Callable[[Api], Result], dict[str, Any]]] = {
    "minimal": (lambda api: api.txt2img(prompt="a cat", width=64, height=64), {}),
    "batch": (drawing(batch_size=2, n_iter=2), {"pictures": 4, "seeds": [5, 6, 7, 8]}),
    "hires": (drawing(enable_hr=True, hr_scale=2, hr_upscaler=webuiapi.HiResUpscaler.Lanczos, hr_second_pass_steps=2), {}),
    "placeholders below a switch": (drawing(hr_upscaler=webuiapi.HiResUpscaler.ESRGAN_4x, hr_scale=99), {}),
    "styles that are not there": (drawing(styles=["anime"]), {"note": "styles: there is no style called anime"}),
    "karras": (drawing(sampler_name="DPM++ 2M Karras"), {"sampler": "DPM++ 2M"}),
    "scheduler": (drawing(scheduler="karras"), {}), "tiling": (drawing(tiling=True), {}),
    "subseed": (drawing(subseed=9, subseed_strength=0.5), {}), "images on disk": (drawing(save_images=True), {}),
    "no images": (drawing(send_images=False), {"pictures": 0}),
    "checkpoint": (drawing(override_settings={"sd_model_checkpoint": "other"}), {"model": "other"}),
    "clip skip": (drawing(override_settings={"CLIP_stop_at_last_layers": 2, "sd_vae": "Automatic"}), {}),
    "a task": (drawing(alwayson_scripts={"Seed": {"args": [-1, False]}}), {}),
    "size that is cut": (drawing(width=133, height=71), {"size": (128, 64), "note": "width: 133 was cut to 128"}),
    "img2img": (from_picture(denoising_strength=0.4), {}),
    "two pictures": (from_picture((PICTURE, RED), batch_size=2), {"pictures": 2, "seeds": [5, 6]}),
    "mask": (from_picture(mask_image=MASK, inpainting_fill=1, inpaint_full_res=False), {}),
    "inverted mask": (from_picture(mask_image=MASK, inpainting_mask_invert=1), {}),
    "noise": (from_picture(initial_noise_multiplier=0.5, include_init_images=True, image_cfg_scale=2), {}),
    **{f"resize mode {mode}": (from_picture(resize_mode=mode), {}) for mode in range(4)},
    "sd upscale": (from_picture(script_name="SD upscale", script_args=["", 8, "Lanczos", 2.0], n_iter=2), {"pictures": 2}),
    "plot": (drawing(script_name="X/Y/Z plot", script_args=[4, "1-2", [], *[0, "", []] * 2, *[False] * 7, 0, False]), {"size": (128, 64)}),
    "loopback": (from_picture(script_name="Loopback", script_args=[2, 0.5, "Linear", "None"]), {"pictures": 2}),
    "outpainting": (from_picture(script_name="Outpainting mk2", script_args=["", 64, 8, ["left", "right"], 1, 0.05]), {"size": (192, 64)}),
}


@pytest.mark.parametrize("name", DRAWN)
def test_it_draws(api: Api, name: str) -> None:
    call, expected = DRAWN[name]
    result = call(api)
    assert len(result.images) == expected.get("pictures", 1)
    assert all(image.size == expected.get("size", (64, 64)) for image in result.images)
    info = result.info
    if "seeds" in expected:
        assert info["all_seeds"] == expected["seeds"]
    assert info["sampler_name"] == expected.get("sampler", "Euler" if name != "minimal" else info["sampler_name"])
    assert info["sd_model_name"] == expected.get("model", "demo")
    assert not expected.get("note") or any(note.startswith(expected["note"]) for note in info["notes"])
    assert {"prompt", "all_prompts", "infotexts", "job_timestamp", "passed_over"} <= set(info)


@pytest.mark.parametrize("call, words", [
    (drawing(script_name="Loopback", script_args=[]), "script_name"), (drawing(restore_faces=True), "CodeFormer"),
    (drawing(enable_hr=True, hr_upscaler="R-ESRGAN 4x+"), "hr_upscaler"), (lambda api: api.interrogate(PICTURE), "models/BLIP"),
    (from_picture(script_name="Poor man's outpainting"), "script_name"), (drawing(reactor=webuiapi.ReActor(img=PICTURE), alwayson_scripts={}), "inswapper_128.onnx"),
], ids=["loopback without a picture", "faces without a file", "upscaler without a file", "interrogate", "another outpainting", "faces of another without a file"])
def test_what_is_not_here_is_said(api: Api, call: Callable[[Api], Any], words: str) -> None:
    try:
        answer = str(call(api))
    except RuntimeError as error:
        answer = str(error)
    assert words in answer


def test_the_settings_of_a_picture_are_read(api: Api) -> None:
    assert api.png_info(api.txt2img(**SMALL).image).info.startswith("a red circle\nSteps: 3")


LISTED: dict[str, Callable[[Any], bool]] = {
    "get_samplers": lambda rows: len(rows) > 20 and {"name", "aliases", "options"} <= set(rows[0]),
    "get_schedulers": lambda rows: rows[0]["name"] == "automatic", "get_sd_models": lambda rows: [row["model_name"] for row in rows] == ["demo", "other"],
    "get_sd_vae": lambda rows: rows == [], "get_loras": lambda rows: rows == [], "get_hypernetworks": lambda rows: rows == [],
    "get_upscalers": lambda rows: [row["name"] for row in rows] == ["None", "Lanczos", "Nearest"],
    "get_latent_upscale_modes": lambda rows: rows[0] == {"name": "Latent"}, "get_face_restorers": lambda rows: rows == [],
    "get_realesrgan_models": lambda rows: rows == [], "get_prompt_styles": lambda rows: isinstance(rows, list),
    "get_embeddings": lambda rows: rows == {"loaded": {}, "skipped": {}}, "get_memory": lambda rows: set(rows) == {"ram", "cuda"},
    "get_scripts": lambda rows: "loopback" in rows["img2img"], "get_cmd_flags": lambda rows: rows["api"] is True,
    "refresh_checkpoints": lambda rows: rows is None, "get_progress": lambda rows: rows["state"]["job_count"] == 0,
    "util_get_model_names": lambda names: names == ["demo.safetensors", "other.safetensors"],
    "util_get_sampler_names": lambda names: "Euler a" in names, "util_get_scheduler_names": lambda names: "karras" in names,
    "skip": lambda answer: answer is None, "interrupt": lambda answer: answer == {}, "check_extensions": lambda answer: answer is None,
}


@pytest.mark.parametrize("name", LISTED)
def test_it_reads_every_list(api: Api, name: str) -> None:
    answer = getattr(api, name)()
    assert LISTED[name](answer), answer


def test_finished_pictures_are_worked_on(api: Api) -> None:
    one = api.extra_single_image(PICTURE, upscaling_resize=2, upscaler_1=webuiapi.Upscaler.Lanczos)
    assert len(one.images) == 1 and "Postprocess upscale by: 2" in one.info
    assert len(api.extra_batch_images([PICTURE, RED], name_list=["a.png", "b.png"], upscaler_1="Lanczos").images) == 2


def test_options_and_the_model_are_set(api: Api) -> None:
    before = api.get_options()
    assert api.set_options({**before, "samples_format": "jpg", "outdir_txt2img_samples": "x", "send_seed": False}) is None
    assert {"samples_format": "jpg", "outdir_txt2img_samples": "x", "send_seed": False}.items() <= api.get_options().items()
    assert api.txt2img(**SMALL).image.format == "JPEG"
    api.util_set_model("other.safe")
    assert api.util_get_current_model() == "other.safetensors"
    api.set_options({"sd_model_checkpoint": "demo", "samples_format": "png"})
    api.util_wait_for_ready(check_interval=0.05)


def test_progress_interrupt_and_what_was_drawn_until_then(address: tuple[str, int], api: Api) -> None:
    made: list[Result] = []
    drawing = threading.Thread(target=lambda: made.append(api.txt2img(**{**SMALL, "prompt": "hold=step:3", "n_iter": 2})))
    drawing.start()
    other = Api(host=address[0], port=address[1])
    told = until(lambda: (progress := other.get_progress())["state"]["sampling_step"] == 2 and progress)
    assert told["state"] | {"job_timestamp": ""} == {
        "skipped": False, "interrupted": False, "stopping_generation": False, "job": "scripts_txt2img", "job_count": 2,
        "job_timestamp": "", "job_no": told["state"]["job_no"], "sampling_step": 2, "sampling_steps": 3}
    assert 0.01 <= told["progress"] <= 1
    other.interrupt()
    drawing.join(timeout=60)
    (result,) = made
    half = [note for note in result.info["notes"] if note.startswith("interrupted:")]
    assert result.images and len(result.images) == len(result.info["infotexts"]) and "half-drawn" in half[0]
    assert other.get_progress()["state"]["job"] == ""


TRIED = {*LISTED, "txt2img", "img2img", "extra_single_image", "extra_batch_images", "png_info", "interrogate", "get_options", "set_options", "util_set_model",
         "util_get_current_model", "util_wait_for_ready"}
PLUMBING = {"set_auth", "async_post", "post_and_get_api_result", "get_endpoint", "custom_get", "custom_post"}
GONE: dict[str, Callable[[Api], Any]] = {
    "list_prompt_gen_models": Api.list_prompt_gen_models, "prompt_gen": Api.prompt_gen, "get_artists": Api.get_artists,
    "get_artist_categories": Api.get_artist_categories, "pix2pix": lambda api: webuiapi.InstructPix2PixInterface(api).img2img(images=[PICTURE]),
    "rembg": lambda api: webuiapi.RemBGInterface(api).rembg(input_image=PICTURE), "tagger": lambda api: webuiapi.TaggerInterface(api).tagger_interrogate(PICTURE),
    "model keyword": lambda api: webuiapi.ModelKeywordInterface(api).get_keywords(),
}
NOT_HERE = {name for name in GONE if hasattr(Api, name)}
ELSEWHERE = {"controlnet_version", "controlnet_model_list", "controlnet_module_list", "controlnet_detect"}      # test_a1111_controlnet_units.py


def test_no_method_of_the_client_is_left_out() -> None:
    there = {name for name in vars(Api) if not name.startswith("_") and callable(getattr(Api, name))}
    assert there == TRIED | PLUMBING | NOT_HERE | ELSEWHERE


@pytest.mark.parametrize("name", GONE)
def test_what_belongs_to_extensions_of_automatic1111_is_not_found(api: Api, name: str) -> None:
    answers: list[Any] = []
    api.session.hooks["response"].append(lambda answer, **_: answers.append((answer.status_code, answer.json()["errors"])))
    with contextlib.suppress(RuntimeError, KeyError):       # the client's own way to say that its answer is missing
        GONE[name](api)
    assert answers == [(404, "Not Found")]

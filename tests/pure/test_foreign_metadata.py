"""Pictures by other programs, and texts in other places and codes than AUTOMATIC1111's."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from backend.image import infotext
from backend.image.foreign_metadata.programs import PROGRAMS, UNKNOWN, foreign
from backend.image.foreign_metadata.texts import COMMENT, PARAMETERS, Texts
from backend.image.read import read_metadata
from backend.image.text_encodings import mended, user_comment

CASES = Path(__file__).parent.parent / "data" / "metadata"
TEXT = "a red circle\nNegative prompt: blurry\nSteps: 12, Sampler: Euler a, CFG scale: 5, Seed: 77, Size: 128x128, Model: demo"
DRAWN = {"prompt": "a red circle", "negative_prompt": "blurry", "steps": 12, "sampler": "Euler a", "cfg_scale": 5, "seed": 77,
         "width": 128, "height": 128, "checkpoint": "demo"}


def png(chunks: dict[str, str], image: Image.Image | None = None, international: bool = False) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, text in chunks.items():
        (info.add_itxt if international else info.add_text)(key, text)
    out = io.BytesIO()
    (image or Image.new("RGB", (16, 8))).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def values(source: Path | bytes) -> dict[str, Any]:
    return infotext.read(read_metadata(source).infotext).values


def agrees(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert {name: found.get(name) for name in wanted} == wanted


# ---- places and codes ----


@pytest.mark.parametrize("name", ["comment-in-first-ifd.jpg", "comment-segment.jpg", "template-lines.png"])
def test_settings_are_found_where_others_put_them(name: str) -> None:
    agrees(values(CASES / name), DRAWN)


@pytest.mark.parametrize("text", [TEXT, "a cat\nSteps: 3", "tree", "cats", "テスト, 夜の街\nSteps: 20, Sampler: Euler", "тихая ночь, снег", "猫"])
def test_utf8_behind_the_mark_of_utf16_is_read(text: str) -> None:
    for data in (text.encode(), text.encode("utf-8-sig"), text.encode() + b"\0" * (2 - len(text.encode()) % 2)):
        if any(sign in text for sign in " \n:") or len(data) % 2:
            assert user_comment(b"UNICODE\0" + data) == text


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
def test_user_comment_in_either_directory(kind: str, first: bool, order: str) -> None:
    exif, out = Image.Exif(), io.BytesIO()
    where = exif if first else exif.get_ifd(ExifTags.IFD.Exif)
    where[ExifTags.Base.UserComment] = b"UNICODE\0" + TEXT.encode(order)
    Image.new("RGB", (16, 8)).save(out, kind, exif=exif.tobytes())
    agrees(values(out.getvalue()), DRAWN)


@pytest.mark.parametrize("text", ["赤い円、白い背景", "テスト", "красный круг", "κόκκινος κύκλος", "빨간 동그라미", "红色的圆圈", "a", "один два, три"])
@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
def test_utf16_without_latin_letters(text: str, order: str) -> None:
    assert user_comment(b"UNICODE\0" + text.encode(order)) == text


def test_utf8_in_a_latin1_chunk() -> None:
    agrees(values(CASES / "utf8-in-text-chunk.png"), {**DRAWN, "prompt": "テスト, a red circle, ñ é", "negative_prompt": "ぼやけ"})
    assert mended("café") == "café" and mended("naïve – no") == "naïve – no"
    assert values(png({"parameters": "café, noël"}))["prompt"] == "café, noël"
    twice = "é".encode().decode("latin-1")      # what an iTXt says is so
    assert values(png({"parameters": twice}, international=True))["prompt"] == twice


def test_a_comment_that_is_no_settings_is_no_prompt() -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", comment=b"CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90")
    assert read_metadata(out.getvalue()).infotext == ""


@pytest.mark.parametrize("place", ["Parameters", "UserComment", "Comment", "Description"])
def test_settings_under_another_name_count_where_they_are_settings(place: str) -> None:
    agrees(values(png({place: TEXT}, international=True)), DRAWN)
    assert read_metadata(png({place: "a photo of my cat, lens: 85mm"})).infotext == ""


@pytest.mark.parametrize(("tag", "content"), [(ExifTags.Base.ImageDescription, TEXT), (ExifTags.Base.XPComment, TEXT.encode("utf-16-le") + b"\0\0")])
def test_settings_in_other_tags_of_exif(tag: int, content: str | bytes) -> None:
    exif, out = Image.Exif(), io.BytesIO()
    exif[tag] = content
    Image.new("RGB", (16, 8)).save(out, "JPEG", exif=exif.tobytes())
    agrees(values(out.getvalue()), DRAWN)


@pytest.mark.parametrize("text", ['[1, 2]', '[{"prompt": "a"}]', '{"prompt": "a"}'])
def test_no_json_is_a_prompt(text: str) -> None:
    found = read_metadata(png({PARAMETERS: text}))
    assert (found.infotext, found.program) == ("", UNKNOWN)


@pytest.mark.parametrize(("written", "sampler", "schedule"), [
    ("Euler, Scheduler: karras", "Euler", "Karras"), ("Euler, Scheduler: normal", "Euler", "Normal"), ("DPM++ 2M SDE GPU, Scheduler: exponential", "DPM++ 2M SDE", "Exponential"),
    ("Euler, Schedule type: Beta, Scheduler: karras", "Euler", "Beta"), ("Euler, Scheduler: EulerDiscreteScheduler", "Euler", "Automatic"),
])
def test_a_scheduler_that_has_a_key_of_its_own(written: str, sampler: str, schedule: str) -> None:
    read = infotext.read(f"a\nSteps: 9, Sampler: {written}, CFG scale: 3, Seed: 1, Size: 64x64")
    assert (read.values["sampler"], read.values["schedule"], read.dropped) == (sampler, schedule, ())


def test_keys_of_prompts_in_any_case_before_settings_only() -> None:
    read = infotext.read("a cat\nnegative prompt: a dog\nsteps: 9, sampler: euler, cfg scale: 3, seed: 1").values
    assert (read["prompt"], read["negative_prompt"], read["steps"]) == ("a cat", "a dog", 9)
    assert infotext.read("a sign\nnegative prompt: a dog").values["prompt"] == "a sign\nnegative prompt: a dog"


# ---- programs ----


@pytest.mark.parametrize(("name", "program", "wanted"), [
    ("novelai.png", "NovelAI", {"steps": 23, "cfg_scale": 12, "seed": 402874689, "sampler": "Euler a", "clip_skip": 2, "ensd": 31337}),
    ("swarmui.png", "SwarmUI", {"steps": 25, "cfg_scale": 4, "seed": 581626448, "sampler": "Euler a", "schedule": "Karras", "checkpoint": "demo"}),
    ("invokeai.png", "InvokeAI", {"steps": 25, "cfg_scale": 7.5, "seed": 2507332253, "sampler": "Euler a", "checkpoint": "demo", "clip_skip": 1}),
])
def test_programs_of_the_recorded_pictures(name: str, program: str, wanted: dict[str, Any]) -> None:
    assert read_metadata(CASES / name).program == program
    agrees(values(CASES / name), {"prompt": "a red circle", "negative_prompt": "blurry", "width": 128, "height": 128, **wanted})


FOOOCUS = {"prompt": "a circle", "negative_prompt": "", "full_prompt": ["a red circle", "sharp"], "full_negative_prompt": ["blurry"],
           "base_model": "demo.safetensors", "performance": "Speed", "steps": 30, "resolution": "(128, 64)", "guidance_scale": 4.0,
           "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "seed": "18446744073709551615", "version": "Fooocus v2.5.0"}
EASY = {"Prompt": "a red circle", "Negative Prompt": "blurry", "Seed": 9, "Steps": 25, "Guidance Scale": 7.5, "Width": 128, "Height": 64,
        "Sampler": "euler_a", "Stable Diffusion model": "models/demo.ckpt", "Clip Skip": "True"}
DRAW_THINGS = json.dumps({"c": "a red circle", "uc": "blurry", "sampler": "DPM++ 2M Karras", "scale": 7.5, "seed": 5, "size": "128x64",
                          "steps": 20, "strength": 1, "model": "demo.ckpt"}).replace('"', "&quot;")
XMP = ('<x:xmpmeta><rdf:Description><exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">'
       f"{DRAW_THINGS}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></x:xmpmeta>")
OLD_INVOKE = {"model": "stable diffusion", "model_weights": "demo", "app_version": "2.2", "image": {
    "prompt": [{"prompt": "a red circle [blurry]", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "width": 128, "height": 64, "seed": 12,
    "sampler": "k_euler_a"}}
SWARM = {"sui_image_params": {"prompt": "a red circle", "negativeprompt": "blurry", "seed": 3, "steps": 9, "cfgscale": 2.5, "width": 128,
                              "height": 64, "sampler": "dpmpp_2m", "scheduler": "normal", "variationseed": 4,
                              "variationseedstrength": 0.25, "clipstopatlayer": -2, "model": "folder/demo.safetensors"}}
WHAT = {"prompt": "a red circle", "negative_prompt": "blurry", "width": 128, "height": 64}


@pytest.mark.parametrize(("chunks", "program", "wanted"), [
    ({"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"}, "Fooocus",
     {**WHAT, "prompt": "a red circle, sharp", "sampler": "DPM++ 2M SDE", "schedule": "Karras", "seed": 2**64 - 1, "steps": 30, "checkpoint": "demo"}),
    ({key: str(value) for key, value in EASY.items()}, "Easy Diffusion",
     {**WHAT, "sampler": "Euler a", "seed": 9, "steps": 25, "cfg_scale": 7.5, "clip_skip": 2, "checkpoint": "demo"}),
    ({"XML:com.adobe.xmp": XMP}, "Draw Things",
     {**WHAT, "sampler": "DPM++ 2M", "schedule": "Automatic", "seed": 5, "steps": 20, "checkpoint": "demo"}),
    ({"sd-metadata": json.dumps(OLD_INVOKE)}, "InvokeAI", {**WHAT, "sampler": "Euler a", "seed": 12, "steps": 50, "checkpoint": "demo"}),
    ({"Dream": '"a red circle [blurry]" -s 50 -S 12 -W 128 -H 64 -C 7.5 -A k_lms'}, "InvokeAI", {**WHAT, "sampler": "LMS", "seed": 12}),
    ({"parameters": json.dumps(SWARM)}, "SwarmUI",
     {**WHAT, "sampler": "DPM++ 2M", "schedule": "Normal", "seed": 3, "variation_seed": 4, "variation_strength": 0.25, "clip_skip": 2}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_programs_in_png(chunks: dict[str, str], program: str, wanted: dict[str, Any]) -> None:
    file = png(chunks)
    assert read_metadata(file).program == program
    agrees(values(file), wanted)
    assert infotext.read(read_metadata(file).infotext).dropped == ()


NEW_INVOKE = {"positive_prompt": "a red circle", "steps": 4, "scheduler": "euler", "loras": [
    {"model": {"key": "k", "name": "ink", "base": "sd-1"}, "weight": 0.75}, {"lora": {"model_name": "oil", "base_model": "sd-1"}, "weight": 1}]}


@pytest.mark.parametrize(("chunks", "prompt"), [
    ({"parameters": json.dumps(FOOOCUS | {"loras": [["ink", 0.5, "ab12"]], "lora_combined_1": "ink.safetensors : 0.5"})}, "a red circle, sharp <lora:ink:0.5>"),
    ({"parameters": json.dumps(FOOOCUS | {"lora_combined_1": "sub/ink.safetensors : 0.5", "lora_combined_2": "True : oil.safetensors : 1.0"})},
     "a red circle, sharp <lora:ink:0.5> <lora:oil:1.0>"),
    ({"invokeai_metadata": json.dumps(NEW_INVOKE)}, "a red circle <lora:ink:0.75> <lora:oil:1>"),
    ({"parameters": json.dumps({"sui_image_params": SWARM["sui_image_params"] | {"loras": ["sub/ink.safetensors", "oil"], "loraweights": ["0.8"]}})},
     "a red circle <lora:ink:0.8> <lora:oil:1>"),
    ({"parameters": json.dumps({"sui_image_params": SWARM["sui_image_params"] | {"loras": "ink", "loraweights": 1.2, "prompt": "a <lora:ink:1>"}})}, "a <lora:ink:1>"),
    ({key: str(value) for key, value in EASY.items()} | {"LoRA model": "ink, oil", "LoRA Strength": "0.5, 0.6"}, "a red circle <lora:ink:0.5> <lora:oil:0.6>"),
    ({"XML:com.adobe.xmp": XMP.replace("&quot;model", "&quot;lora&quot;: [{&quot;model&quot;: &quot;ink.ckpt&quot;, &quot;weight&quot;: 0.4}], &quot;model")},
     "a red circle <lora:ink:0.4>"),
])
def test_networks_beside_the_prompt_come_into_it(chunks: dict[str, str], prompt: str) -> None:
    assert values(png(chunks))["prompt"] == prompt


@pytest.mark.parametrize(("sampler", "wanted", "dropped"), [
    ("Euler A Trailing", ("Euler a", "SGM Uniform"), ()), ("DPM++ 2M AYS", ("DPM++ 2M", "Align Your Steps"), ()),
    ("UniPC Trailing", ("UniPC", "SGM Uniform"), ()), ("DPM++ SDE Karras", ("DPM++ SDE", "Automatic"), ()),
    ("Euler A Substep", (None, "Automatic"), ("Sampler",)), ("TCD Trailing", (None, "SGM Uniform"), ("Sampler",)),
])
def test_what_draw_things_writes_behind_its_samplers(sampler: str, wanted: tuple[str | None, str], dropped: tuple[str, ...]) -> None:
    read = infotext.read(read_metadata(png({"XML:com.adobe.xmp": XMP.replace("DPM++ 2M Karras", sampler)})).infotext)
    assert (read.values.get("sampler"), read.values["schedule"], read.dropped) == (*wanted, dropped)


def test_swarmuis_former_names_for_samplers() -> None:
    former = {key: value for key, value in SWARM["sui_image_params"].items() if key not in ("sampler", "scheduler")}
    found = values(png({"parameters": json.dumps({"sui_image_params": former | {"comfyuisampler": "euler_ancestral", "comfyuischeduler": "karras"}})}))
    assert (found["sampler"], found["schedule"]) == ("Euler a", "Karras")


@pytest.mark.parametrize("told", [FOOOCUS, EASY, SWARM], ids=["Fooocus", "Easy Diffusion", "SwarmUI"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_programs_in_exif(told: dict[str, Any], kind: str) -> None:
    exif, out = Image.Exif(), io.BytesIO()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + json.dumps(told).encode("utf-16-be")
    Image.new("RGB", (16, 8)).save(out, kind, exif=exif.tobytes())
    assert values(out.getvalue())["prompt"].startswith("a red circle")


def hidden(text: str, compressed: bool, channels: int = 1) -> Image.Image:
    data = gzip.compress(text.encode()) if compressed else text.encode()
    mark = f"stealth_{'png' if channels == 1 else 'rgb'}{'comp' if compressed else 'info'}"
    bits = np.unpackbits(np.frombuffer(mark.encode() + (len(data) * 8).to_bytes(4, "big") + data, np.uint8))
    planes = np.full(128 * 96 * channels, 254, np.uint8)
    planes[: len(bits)] |= bits
    planes = np.ascontiguousarray(planes.reshape(128, 96, channels).transpose(1, 0, 2))
    image = Image.new("RGBA", (128, 96), (9, 9, 9, 255))
    if channels == 3:
        return Image.fromarray(planes)
    image.putalpha(Image.fromarray(planes[..., 0]))
    return image


@pytest.mark.parametrize("compressed", [True, False])
def test_what_is_hidden_in_pixels(compressed: bool) -> None:
    agrees(values(png({}, hidden(TEXT, compressed))), DRAWN)
    agrees(values(png({}, hidden(TEXT, compressed, channels=3))), DRAWN)
    told = {"Software": "NovelAI", "Description": "a red circle",
            "Comment": json.dumps({"steps": 12, "scale": 5, "seed": 77, "sampler": "k_euler_ancestral", "uc": "blurry", "width": 128, "height": 128})}
    file = png({"Software": "a screenshot tool"}, hidden(json.dumps(told), compressed))
    agrees(values(file), {name: value for name, value in DRAWN.items() if name != "checkpoint"})
    assert read_metadata(file).program == "NovelAI"


def test_an_ordinary_alpha_hides_nothing() -> None:
    for size in ((1, 1), (3, 500), (500, 3)):
        assert read_metadata(png({}, Image.new("RGBA", size, (1, 2, 3, 4)))).infotext == ""


@pytest.mark.parametrize("text", ['{"some": "json"}', '{"sui_image_params": {"seed": {}, "width": "x", "height": "y"}}', '{"prompt": 7}', "{}x"])
def test_json_is_never_a_prompt(text: str) -> None:
    found = read_metadata(png({"parameters": text}))
    assert text == "{}x" or not infotext.read(found.infotext).values.get("prompt", "").startswith("{")
    assert text == "{}x" or found.program


@given(st.dictionaries(st.sampled_from([PARAMETERS, COMMENT, "Comment", "Software", "Title", "prompt", "invokeai_metadata", "sd-metadata", "Dream", "xmp"]),
                       st.text(max_size=40) | st.recursive(st.none() | st.integers() | st.text(max_size=9),
                                                          lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                                                              st.sampled_from(["image", "prompt", "model", "sui_image_params", "seed", "width", "clip_skip"]),
                                                              inner, max_size=3), max_leaves=6).map(json.dumps)))
def test_any_texts_are_read(by_place: dict[str, str]) -> None:
    found = foreign(Texts(by_place, 8, 8))
    infotext.read(found.text)
    assert found.program in {"", UNKNOWN, *(program.name for program in PROGRAMS)}


@pytest.mark.parametrize("row", list(csv.DictReader((CASES / "comfyui-sampler-names.csv").open())), ids=lambda row: row["written"])
def test_sampler_names_of_comfyui(row: dict[str, str]) -> None:
    found = infotext.read(f"a\nSteps: 3, Sampler: {row['written']}, CFG scale: 3, Seed: 1").values
    assert (found["sampler"], found["schedule"]) == (row["sampler"], row["schedule"])

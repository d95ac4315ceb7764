"""The text inside a picture: AUTOMATIC1111's reader to the letter, and the law that nothing is lost on the way."""

import json
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import InvalidRequest
from backend.image import infotext
from backend.image.infotext.compatibility import parse_version
from backend.image.infotext.records import told
from backend.prompt.styles import extract
from backend.request.cross_field_checks import MAX_PICTURES, OUTPAINT
from backend.request.detailer import DETAILER_UNIT, LEAST_SIDE
from backend.request.field import MAX_PROMPT, Field
from backend.request.request import FIELDS, MAX_SEED, Request
from backend.version import VERSION
from tests.examples import examples

GOLDEN = Path(__file__).parent.parent / "golden"
TEXTS = json.loads((GOLDEN / "infotext.json").read_text("utf-8"))
EXTRAS = json.loads((GOLDEN / "extras.json").read_text("utf-8"))
KEYED = [field for field in FIELDS.values() if field.infotext]

ODD_LINES = [
    "Negative prompt: no", "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1", 'say "hi", <lora:a:0.5>', "(cat:1.2)",
    " indented", "trailing\t", "", "   ", "[a:b:0.5] AND c :2", "\\(", "Easel: {}", "数字１２", "e\u0301\u2028x\x85",
]  # fmt: skip


def mostly_printable() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def prompts() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(ODD_LINES) | mostly_printable(), max_size=4).map("\n".join)


PICTURE = "0" * 64
SWITCHES = {"variation_seed": {"variation_strength": 0.5, "variation_seed": 1}, "init_image": {"init_image": PICTURE},
            "mask": {"init_image": PICTURE, "mask": "1" * 64}, "enable_hr": {"enable_hr": True},
            "refiner_checkpoint": {"refiner_checkpoint": "xl"},
            "loopback_loops": {"init_image": PICTURE, "loopback_loops": 2},
            "sd_upscale": {"init_image": PICTURE, "sd_upscale": "Lanczos"}}


def values_of(field: Field) -> st.SearchStrategy:
    if field.name == "face_swap_sources":
        return st.just("")              # as many as the targets: see `requests`
    if field is DETAILER_UNIT["width"] or field is DETAILER_UNIT["height"]:
        return st.just(0) | st.integers(LEAST_SIDE, 2048)
    if field.name == "face_swap_targets":
        return st.sampled_from(["0", "all", "1, 12"])
    if field.kind in ("text", "checkpoint"):
        return prompts()
    if field.kind == "records":
        return st.lists(st.fixed_dictionaries({name: values_of(inner) for name, inner in field.record.items()}), max_size=int(field.maximum))
    if field.kind in ("upscaler", "second_checkpoint", "vae", "guide_model", "object_detector", "face_model"):
        return st.sampled_from([*field.choices, "4x-Name, with: signs"])
    if field.kind in ("texts", "pictures"):
        return st.just(())
    if field.kind == "choice":
        return st.sampled_from(field.choices)
    if field.kind == "bool":
        return st.booleans()
    if field.kind == "picture":
        return st.sampled_from(["", PICTURE])
    low, high = int(field.minimum or 0), int(field.maximum or 0)
    if field.kind == "float":
        numbers = st.floats(field.minimum, field.maximum)
        return numbers if field.default is not None else numbers | st.none()
    whole = st.integers(low, high)
    return whole.map(lambda n: max(low, n // 8 * 8)) if field.name in ("width", "height") else whole


@st.composite
def requests(draw: st.DrawFn) -> Request:
    chosen = draw(st.fixed_dictionaries({}, optional={field.name: values_of(field) for field in FIELDS.values()}))
    if chosen.get("sigma_min", 0) >= chosen.get("sigma_max", 0):
        chosen.pop("sigma_min", None)
    if chosen.get("width", 512) * chosen.get("height", 512) > 8192 * 8192:
        chosen.pop("width", None)
    for one_fewer in ("face_swap_keep_original", "batch_count", "loopback_loops"):
        kept = 1 + chosen.get("face_swap_keep_original", False)
        if chosen.get("batch_count", 1) * chosen.get("batch_size", 1) * chosen.get("loopback_loops", 1) * kept > MAX_PICTURES:
            chosen.pop(one_fewer, None)
    chosen.pop("enable_hr" if chosen.get("init_image") else "mask", None)
    chosen.pop("process", None)
    if draw(st.booleans()):
        chosen |= {"face_swap_targets": "0, 2", "face_swap_sources": "1, 0"}
    for other in ("face_swap_model", "face_swap_pictures") if chosen.get("face_swap") else ("face_swap_pictures",):
        chosen.pop(other, None)
    if chosen.get("loopback_loops", 1) > 1 and chosen.get("init_image"):
        chosen.pop("face_swap_keep_original", None)
    if chosen.get("face_swap_upscaler", "None") != "None":
        chosen |= {"width": 512, "height": 512}
    if {"mask", "loopback_loops", *OUTPAINT} & chosen.keys():
        chosen.pop("sd_upscale", None)
    chosen["sd_upscale_overlap"] = min(chosen.get("sd_upscale_overlap", 64), chosen.get("width", 512) - 8, chosen.get("height", 512) - 8)
    return Request.parse(chosen).with_seeds()


def carried(request: Request) -> dict:
    """Everything an infotext promises to give back: what changes the picture."""
    fields = {field.name: getattr(request, field.name) for field in KEYED if not request.idle(field)} | {
        name: told(FIELDS[name], getattr(request, name)) for name in ("guides", "detailers")}
    return fields | {"enable_hr": request.enable_hr}


def with_pictures(request: Request, values: dict) -> dict:
    """The values read from a text, and the pictures that the request started from, which no text can hold."""
    return {"init_image": request.init_image, "mask": request.mask, "face_swap": request.face_swap, **values}


# ---- AUTOMATIC1111's reader ----


@pytest.mark.parametrize("record", TEXTS, ids=lambda record: record["infotext"][-40:])
def test_parse_golden(record):
    found = infotext.parse(record["infotext"], styles=record.get("styles", ()), opts=record.get("opts"))
    assert found == record["params"]
    assert {key: type(value) for key, value in found.items()} == {k: type(v) for k, v in record["params"].items()}


@pytest.mark.parametrize("record", EXTRAS["quote"], ids=repr)
def test_quote_golden(record):
    assert infotext.quote(record["value"]) == record["quoted"]


@pytest.mark.parametrize("record", EXTRAS["unquote"], ids=repr)
def test_unquote_golden(record):
    assert infotext.unquote(record["text"]) == record["unquoted"]


@pytest.mark.parametrize("record", EXTRAS["style_extract"], ids=repr)
def test_style_extract_golden(record):
    assert list(extract(record["style"], record["prompt"])) == record["result"]


@given(mostly_printable())
def test_unquote_inverts_quote(text):
    assert infotext.unquote(infotext.quote(text)) == text or (text.startswith('"') and "\n" not in text)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v1.7.0-133-gde03882d", (1, 7, 0, 133)), ("1.6", (1, 6, 0, 0)), ("v1.6.0-RC-28-gab", (1, 6, 0, -1)),
     ("82a973c0", None), ("f2.0.1v1.10.1", None), ("Easel 0.1.0", None), ("", None), (None, None)],
)  # fmt: skip
def test_version(version, expected):
    assert parse_version(version) == expected


def test_an_empty_quoted_value_is_a_value():
    """AUTOMATIC1111 drops a key only when nothing stands behind its colon."""
    found = infotext.parse('a\nSteps: 20, Seed: 1, CFG scale: 7, Model: "", Model hash: ,Version: ""')
    assert (found["Model"], found["Version"]) == ("", "")
    assert "Model hash" not in found


def test_an_empty_hash_names_no_checkpoint():
    text = 'a\nSteps: 20, Seed: 1, Model: other, Model hash: ""'
    assert infotext.read(text).values["checkpoint"] == "other"
    assert infotext.read(text, '{"checkpoint": "mine"}').values["checkpoint"] == "mine"


# ---- hostile texts ----


@given(st.text(st.characters(), max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
def test_any_text_is_read(text):
    Request.parse(infotext.read(text).values)


@given(st.lists(st.sampled_from(["Size", "Steps", "Easel", ": ", ", ", '"', "\\", "{", "[", "1x", "9", "\n", "-1", "x"])))
def test_any_mixture_of_the_format_is_read(parts):
    Request.parse(infotext.read("".join(parts) + "\nAa: 1, Bb: 2, Cc: 3, " + "".join(parts)).values)


@pytest.mark.parametrize(
    "piece", ["a", "a ", ":", "aa:", 'aa:"', 'aa:"\\"', "aa: b,", "aa:  ", "\n", "(", "[", "(a", "(a:", "\\", "Negative prompt:",
              "Steps: 1, Size: 0x0, First pass size: 0x0, ", "\ud800", "\x00", "Easel: [", "9"],
)  # fmt: skip
def test_a_megabyte_takes_less_than_a_second(piece):
    text = (piece * (2**20 // len(piece)))[: 2**20]
    started = process_time()
    infotext.read(text)
    assert process_time() - started < 1


def test_values_no_request_can_have_are_dropped_and_named():
    text = "a\nSteps: many, Sampler: Nonesuch, CFG scale: 7, Seed: 18446744073709551616, Size: 9000x512, Eta: 7, Clip skip: 2"
    reading = infotext.read(text)
    assert set(reading.dropped) == {"Steps", "Sampler", "Seed", "Size", "Eta"}
    assert reading.values["clip_skip"] == 2
    assert "steps" not in reading.values
    assert reading.values["height"] == 512


# ---- request -> text -> request ----


@examples(300)
@given(requests(), st.integers(0, 5))
def test_round_trip_is_the_identity(request, index):
    one = request.of_image(index)
    reading = infotext.read(infotext.write(one))
    assert reading.dropped == ()
    assert carried(Request.parse(with_pictures(one, reading.values))) == carried(one)


@pytest.mark.parametrize("field", KEYED, ids=lambda field: field.name)
@examples(15)
@given(data=st.data())
def test_round_trip_of_each_field_alone(field, data):
    needed = SWITCHES.get(field.name) or next((SWITCHES[name] for name in field.needs if name in SWITCHES), {})
    request = Request.parse({**needed, field.name: data.draw(values_of(field))}).with_seeds()
    values = with_pictures(request, infotext.read(infotext.write(request)).values)
    assert carried(Request.parse(values)) == carried(request)


@examples(50)
@given(requests())
def test_a_checkpoint_s_own_defaults_do_not_step_in(request):
    others = {"clip_skip": 2, "cfg_rescale": 0.7, "eta": 0.5, "sampler": "DDIM", "steps": 7, "rho": 3.0}
    values = with_pictures(request, infotext.read(infotext.write(request)).values)
    assert carried(Request.parse(values, others)) == carried(request)


def test_longest_prompt():
    request = Request(prompt=" " + "x" * (MAX_PROMPT - 1), seed=MAX_SEED)
    assert infotext.read(infotext.write(request)).values["prompt"] == request.prompt


def test_written_as_automatic1111_does():
    request = Request(prompt="a cat", negative_prompt="dog", checkpoint="demo", seed=1, sampler="DPM2 a", clip_skip=2, ensd=31337,
                      variation_seed=7, variation_strength=0.3, seed_resize_from_w=512, seed_resize_from_h=768, eta=0.5)  # fmt: skip
    assert infotext.write(request, {"Model hash": "6ce0161689", "Lora hashes": "x: 12, y: 34", "Flag": "Flag"}) == (
        "a cat\nNegative prompt: dog\n"
        "Steps: 20, Sampler: DPM2 a, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x512, "
        "Model hash: 6ce0161689, Model: demo, Variation seed: 7, Variation seed strength: 0.3, "
        'Seed resize from: 512x768, Clip skip: 2, ENSD: 31337, RNG: CPU, Eta: 0.5, Lora hashes: "x: 12, y: 34", Flag, '
        f"Version: Easel {VERSION}"
    )


@pytest.mark.parametrize("record", EXTRAS["create_infotext"], ids=lambda record: str(record["p"] or record["opts"]))
def test_key_order_is_automatic1111_s(record):
    keys = [key for key in infotext.ORDER if f" {key}: " in f" {record['infotext'].splitlines()[-1]}"]
    places = [f" {record['infotext'].splitlines()[-1]}".index(f" {key}: ") for key in keys]
    assert places == sorted(places)


def test_every_key_of_the_table_is_one_that_the_format_can_read():
    for field in KEYED[2:]:
        assert infotext.parse(f"Aa: 1, Bb: 2, {field.infotext}: x")[field.infotext] == "x"


def test_a_plain_text_has_no_extra_key():
    assert "Easel:" not in infotext.write(Request(prompt="two\nlines", negative_prompt="x", checkpoint="demo", seed=1))


def test_automatic_and_the_sampler_s_own_schedule_stay_apart():
    for schedule in ("Automatic", "Karras"):
        text = infotext.write(Request(sampler="DPM++ 2M", schedule=schedule, seed=1))
        assert "Schedule type: Karras" in text
        assert infotext.read(text).values["schedule"] == schedule


def test_an_edited_prompt_wins_over_the_exact_one():
    text = infotext.write(Request(prompt="a cat ", seed=1))
    assert infotext.read(text).values["prompt"] == "a cat "
    assert infotext.read(text.replace("a cat \n", "a dog\n")).values["prompt"] == "a dog"


def test_a_forged_exact_request_is_not_believed():
    text = 'a\nSteps: 20, Sampler: Euler, Seed: 1, Easel: "{\\"steps\\": 7, \\"width\\": -3, \\"nonsense\\": 1}"'
    assert infotext.read(text).values["steps"] == 20


@examples(50)
@given(requests())
def test_the_exact_request_beside_the_text_wins(request):
    values = infotext.read(infotext.write(request), json.dumps(request.to_json())).values
    assert all(values[field.name] == getattr(request, field.name) for field in KEYED)
    assert set(values) - {"prompt_expansion", "prompt_comments"} == {field.name for field in KEYED} | {"enable_hr"}


@pytest.mark.parametrize("exact", ["", "[", "[" * 10**6, "[]", "7", '{"nonsense": 1, "steps": -3}', "9" * 5000, None])
def test_a_broken_exact_request_leaves_the_text(exact):
    text = infotext.write(Request(prompt="a cat", steps=7, seed=1))
    assert infotext.read(text, exact).values["steps"] == 7


def test_the_hash_finds_a_checkpoint_that_has_another_name_here():
    request = Request(checkpoint="mine", seed=1)
    reading = infotext.read(infotext.write(request, {"Model hash": "abc1234567"}), json.dumps(request.to_json()))
    assert (reading.values["checkpoint"], reading.model) == ("abc1234567", "mine")


# ---- pictures by AUTOMATIC1111 ----


@pytest.mark.parametrize(
    ("keys", "sampler", "schedule"),
    [("Sampler: DPM++ 2M Karras", "DPM++ 2M", "Automatic"), ("Sampler: Euler Karras", "Euler", "Karras"),
     ("Sampler: DPM2 a Karras, Schedule type: Exponential", "DPM2 a", "Automatic"),
     ("Sampler: DPM++ 2M, Schedule type: Karras", "DPM++ 2M", "Automatic"),
     ("Sampler: Euler, Schedule type: Uniform", "Euler", "Uniform"),
     ("Sampler: DDIM, Schedule type: Automatic", "DDIM", "Automatic"), ("Sampler: k_euler_a", "Euler a", "Automatic")],
)  # fmt: skip
def test_old_sampler_names(keys, sampler, schedule):
    values = infotext.read(f"a\nSteps: 20, {keys}, CFG scale: 7, Seed: 1").values
    assert (values["sampler"], values["schedule"]) == (sampler, schedule)


def test_the_hash_names_the_checkpoint_and_the_name_stays_known():
    reading = infotext.read("a\nSteps: 20, Seed: 1, Model hash: 6ce0161689, Model: v1-5-pruned-emaonly")
    assert reading.values["checkpoint"] == "6ce0161689"
    assert reading.model == "v1-5-pruned-emaonly"
    assert infotext.read("a\nSteps: 20, Seed: 1, Model: demo").values["checkpoint"] == "demo"


def test_a_text_without_parameters_is_only_a_prompt():
    assert infotext.read("a cat\nNegative prompt: a dog").values == {"prompt": "a cat", "negative_prompt": "a dog"}


@pytest.mark.parametrize("prompt, off", [
    ("a {red|green} star", True), ("__colour__", True), ("{2$$a|b}", True), ("{" * 60 + "a|b" + "}" * 60, True),
    ("{{masterpiece}}, [a|b], a {cat}", False), (r"\{a|b\}", False), ("a_b __ c", False),
])
@pytest.mark.parametrize("key", ["Prompt", "Negative prompt", "Hires prompt"])
def test_what_a_picture_says_in_braces_was_drawn_so(key, prompt, off):
    texts = {"Prompt": "", "Negative prompt": "", "Hires prompt": "x", key: prompt}
    hires = json.dumps(texts["Hires prompt"])
    text = f"{texts['Prompt']}\nNegative prompt: {texts['Negative prompt']}\nSteps: 4, Sampler: Euler, Hires upscale: 2, Hires prompt: {hires}"
    assert infotext.read(text).values.get("prompt_expansion") == ("Off" if off else None)


def test_a_prompt_alone_may_still_be_filled_in():
    assert infotext.read("a {red|green} star").values == {"prompt": "a {red|green} star", "negative_prompt": ""}


# ---- texts of other programs and of older versions ----


CASES = Path(__file__).parent.parent / "data" / "metadata"
OLD = "a cat\nNegative prompt: ugly\nSteps: 20, Sampler: {sampler}, CFG scale: 7, Seed: 5, Size: 512x512"


def test_lines_behind_the_settings_are_in_no_prompt():
    for behind in ("Template: a {red|blue} circle\nNegative Template: blurry", "Used embeddings: easy [ab12]\nTime taken: 4.5 sec.",
                   "Time taken: 5.36sTorch active/reserved: 3130/3406 MiB, Sys VRAM: 5085/24576 MiB (20.69%), A: 1 GB, Rr: 2 GB", "Warning: nothing"):
        values = infotext.read(OLD.format(sampler="Euler") + "\n" + behind).values
        assert (values["prompt"], values["negative_prompt"], values["steps"]) == ("a cat", "ugly", 20), behind
    text = (CASES / "template-lines.txt").read_text("utf-8")
    values = infotext.read(text).values
    assert (values["prompt"], values["negative_prompt"], values["seed"]) == ("a red circle", "blurry", 77)
    assert (values["template"], values["negative_template"]) == ("a {red|blue} circle", "blurry")
    assert infotext.parse(text)["Negative prompt"] == "blurry"


def test_templates_of_several_lines():
    text = OLD.format(sampler="Euler") + "\nTemplate: a\n{b|c}\nNegative Template: d\ne"
    values = infotext.read(text).values
    assert (values["template"], values["negative_template"]) == ("a\n{b|c}", "d\ne")


def test_sd_next():
    values = infotext.read((CASES / "sdnext.txt").read_text("utf-8")).values
    assert (values["prompt"], values["negative_prompt"]) == ("a red circle", "blurry")
    wanted = {"enable_hr": True, "hr_upscaler": "Lanczos", "hr_scale": 2, "denoising_strength": 0.3, "hr_second_pass_steps": 20,
              "hr_sampler": "Euler a", "steps": 12, "seed": 77}
    assert {name: values[name] for name in wanted} == wanted


@pytest.mark.parametrize("prompt", [
    (CASES / "prompt-of-pairs.txt").read_text("utf-8").strip(), "style: anime, mood: dark, steps towards the sea: many", "a cat\none: b, two: c, three: d",
])
def test_a_prompt_of_pairs_stays_a_prompt(prompt):
    assert infotext.read(prompt).values == {"prompt": prompt, "negative_prompt": ""}


def test_prompts_in_one_line_with_the_settings():
    """Chats and web forms make spaces of line ends, or nothing."""
    flat = OLD.format(sampler="Euler").replace("\n", " ")
    wanted = {"prompt": "a cat", "negative_prompt": "ugly", "steps": 20, "seed": 5, "sampler": "Euler"}
    for text, changed in [
        (flat, {}), (OLD.format(sampler="Euler").replace("\n", ""), {}), (flat.replace("ugly", "ugly, bad,"), {"negative_prompt": "ugly, bad,"}), (f"a hill,\n{flat}", {"prompt": "a hill,\na cat"}),
        (flat.replace("a cat", "style: anime, mood: dark"), {"prompt": "style: anime, mood: dark"}),
        (f"{flat}\nTime taken: 4 sec.", {}),
        (flat.replace(" Negative prompt: ugly", ""), {"negative_prompt": ""}), (flat.replace(" Negative prompt: ugly", ","), {"prompt": "a cat,", "negative_prompt": ""}),
        (flat.replace(" Steps", "\nSteps"), {"prompt": "a cat Negative prompt: ugly", "negative_prompt": ""}),
    ]:
        values = infotext.read(text).values
        assert {name: values.get(name) for name in wanted} == wanted | changed, text
    for line in ("Foreign: b, Steps: 20, Sampler: Euler, Seed: 5", "Sampler: Euler, CFG scale: 7, Steps: 20, Seed: 5, Size: 64x64", "Seed: 5 Steps: 20, Sampler: Euler, Size: 64x64"):
        assert infotext.read(f"a cat\n{line}").values["prompt"] == "a cat", line
    for prompt in ("style: anime, steps: many, mood: dark, size: large", "the Steps: 3, of: a house, with: a door"):
        assert infotext.read(prompt).values["prompt"] == prompt


def test_keys_in_any_case():
    values = infotext.read("a\nNegative prompt: b\nsteps: 7, SAMPLER: euler a, Cfg Scale: 3, seed: 4, size: 64x128, clip skip: 2").values
    wanted = {"steps": 7, "sampler": "Euler a", "cfg_scale": 3, "seed": 4, "width": 64, "height": 128, "clip_skip": 2, "negative_prompt": "b"}
    assert {name: values[name] for name in wanted} == wanted


@pytest.mark.parametrize("line", ["Hires upscale: 2", "Hires upscaler: Lanczos", "Hires steps: 9", "Hires resize: 100x81", "Hires resize: 0x128"])
def test_one_key_of_hires_fix_is_enough(line):
    values = infotext.read(f"a\nSteps: 4, Sampler: Euler, CFG scale: 7, {line}").values
    request = Request.parse(values)
    assert request.enable_hr
    assert values["hr_upscaler"] == ("Lanczos" if "Lanczos" in line else "Latent") and values["hr_scale"] == 2
    assert infotext.read("a\nSteps: 4, Sampler: Euler, CFG scale: 7, Hires prompt: x").values["enable_hr"] is False


@pytest.mark.parametrize("drop", range(8))
def test_a_group_without_one_of_its_keys_is_still_read(drop):
    keys = ["Size: 64x64", "Hires upscale: 2", "Hires upscaler: Latent", "Denoising strength: 0.5", "Variation seed: 3", "Variation seed strength: 0.5",
            "Seed resize from: 64x64", "Schedule type: Karras"]
    text = "a\nSteps: 4, Sampler: Euler, CFG scale: 7, " + ", ".join(key for number, key in enumerate(keys) if number != drop)
    reading = infotext.read(text)
    assert reading.dropped == () and Request.parse(reading.values).enable_hr


def test_both_sides_of_a_size_are_taken():
    for size in ("1000xx", "large", "64"):
        assert infotext.read(f"a\nSteps: 4, Sampler: Euler, CFG scale: 7, Size: {size}").dropped == ("Size",)
    values = infotext.read("a\nSteps: 4, Sampler: Euler, CFG scale: 7, Size: 1000x563").values
    assert (values["width"], values["height"]) == (1000, 563)


@pytest.mark.parametrize(("told", "hires", "sampler", "schedule"), [
    ("DPM++ 2M Karras", "DPM++ 2M SDE Karras", "DPM++ 2M SDE", "Karras"), ("Euler a", "DPM++ 2M Karras", "DPM++ 2M", "Automatic"),
    ("Euler Karras", "Euler a", "Euler a", "Automatic"), ("Euler", "dpmpp_2m_sde_karras", "DPM++ 2M SDE", "Karras"),
    ("Euler", "Heun, Hires schedule type: Exponential", "Heun", "Exponential"), ("Euler", "Heun", "Heun", "Use same scheduler"),
])
def test_the_sampler_of_an_old_hires_fix_keeps_its_schedule(told, hires, sampler, schedule):
    values = infotext.read(OLD.format(sampler=told) + f", Hires upscale: 2, Hires sampler: {hires}").values
    assert (values["hr_sampler"], values.get("hr_schedule")) == (sampler, schedule)


def test_a_request_takes_the_old_names_of_both_samplers():
    request = Request.parse({"sampler": "DPM++ 2M Karras", "hr_sampler": "DPM++ 2M SDE Karras"})
    assert (request.sampler, request.schedule, request.hr_sampler, request.hr_schedule) == ("DPM++ 2M", "Karras", "DPM++ 2M SDE", "Karras")
    assert Request.parse({"hr_sampler": "Euler Karras", "hr_schedule": "Exponential"}).hr_schedule == "Exponential"


# ---- keys that act only under some samplers ----


def test_eta_has_two_keys():
    for sampler, key in (("DDIM", "Eta DDIM"), ("UniPC", "Eta DDIM"), ("PLMS", "Eta DDIM"), ("Euler a", "Eta")):
        text = infotext.write(Request(sampler=sampler, eta=0.5, seed=1))
        assert f", {key}: 0.5," in text
        assert infotext.read(text).values["eta"] == 0.5
    assert infotext.read(OLD.format(sampler="DDIM") + ", Eta DDIM: 0.3").values["eta"] == 0.3
    assert infotext.read(OLD.format(sampler="DDIM") + ", Eta: 0.3").values["eta"] is None, "AUTOMATIC1111's Eta is not DDIM's"
    assert infotext.read(OLD.format(sampler="DDIM") + ", Eta: 0.3, Version: Easel 0.1.0").values["eta"] == 0.3
    assert infotext.read(OLD.format(sampler="Euler a") + ", Eta DDIM: 0.3").values["eta"] is None


@pytest.mark.parametrize(("values", "told"), [
    ({"sampler": "Euler a"}, True), ({"sampler": "Euler"}, False), ({"sampler": "Euler", "s_churn": 3.0}, True), ({"sampler": "DDIM"}, False),
    ({"sampler": "DDIM", "eta": 0.5}, True), ({"sampler": "Euler a", "eta": 0.0}, False), ({"sampler": "DPM++ SDE"}, False), ({"sampler": "LCM"}, True),
    ({"sampler": "Euler", "enable_hr": True, "hr_sampler": "Euler a"}, True), ({"sampler": "Euler", "hr_sampler": "Euler a"}, False),
], ids=str)
def test_ensd_is_told_where_it_acts(values, told):
    assert ("ENSD: 31337" in infotext.write(Request(ensd=31337, seed=1, **values))) == told


def test_half_a_size_to_resize_the_seed_from_is_none():
    assert "Seed resize from" not in infotext.write(Request(seed=1, seed_resize_from_w=512))
    assert "Seed resize from: 512x64" in infotext.write(Request(seed=1, seed_resize_from_w=512, seed_resize_from_h=64))


def test_unipc_and_downcast():
    text = OLD.format(sampler="UniPC") + ", UniPC variant: bh2, UniPC skip type: logSNR, UniPC order: 2, UniPC lower order final: False, Version: v1.6.0"
    values = infotext.read(text).values
    wanted = {"uni_pc_variant": "bh2", "uni_pc_skip_type": "logSNR", "uni_pc_order": 2, "uni_pc_lower_order_final": False, "downcast_alphas_cumprod": True}
    assert {name: values[name] for name in wanted} == wanted
    assert "UniPC" not in infotext.write(Request(sampler="Euler", uni_pc_variant="bh2", seed=1))
    assert infotext.read(OLD.format(sampler="UniPC") + ", Version: v1.10.1").values["downcast_alphas_cumprod"] is False


# ---- seeds of 64 bits ----


@pytest.mark.parametrize("seed", [2**53 + 1, 2**63, 2**64 - 1])
def test_seeds_of_64_bits(seed):
    request = Request.parse({"seed": str(seed), "variation_seed": seed, "variation_strength": 0.5})
    values = infotext.read(infotext.write(request)).values
    assert (request.seed, values["seed"], values["variation_seed"]) == (seed, seed, seed)
    assert Request.parse({"seed": seed}).of_image(1).seed == (seed + 1) % 2**64


@pytest.mark.parametrize("wrong", [2**64, -2, "18446744073709551616", "1e30", True, "x", 1.5])
def test_what_is_no_seed(wrong):
    with pytest.raises(InvalidRequest, match="seed"):
        Request.parse({"seed": wrong})


def test_units_beyond_those_that_can_be_on_are_told_and_the_others_kept():
    units = {f"ControlNet {number}": f"Module: canny, Model: m, Weight: {0.1 * number:.1f}" for number in range(12)}
    reading = infotext.read("a\nSteps: 8, " + ", ".join(f'{key}: "{value}"' for key, value in units.items()))
    assert [unit["weight"] for unit in reading.values["guides"]] == [round(0.1 * number, 1) for number in range(10)]
    assert reading.dropped == ("ControlNet 10", "ControlNet 11")

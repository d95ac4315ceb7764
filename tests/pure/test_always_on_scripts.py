"""Extensions that stand for scripts of AUTOMATIC1111 and Forge: by name in JSON, by key in a picture's text, in the lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from backend.house import House
from backend.http.a1111 import scripts
from backend.image.infotext.reading import read
from backend.image.infotext.script_keys import script_values
from backend.image.infotext.unsupported import unmet_sentence
from backend.request.always_on_scripts import ALWAYS_ON, AlwaysOnScript, Argument, switch
from backend.table import Table
from extensions.dynamic_thresholding import extension as dynamic_thresholding
from extensions.freeu import extension as freeu
from extensions.perturbed_attention import extension as perturbed_attention
from extensions.self_attention_guidance import extension as self_attention_guidance
from tests.pure.a1111_payloads import PICTURE
from tests.pure.door import Door
from tests.pure.test_a1111_clients import I, T, drawn
from tests.pure.test_http import app, client, door

__all__ = ["app", "client", "door"]
BROUGHT = (self_attention_guidance, perturbed_attention, freeu, dynamic_thresholding)
CHURN = AlwaysOnScript("Sample Churn", (
    switch("Churn on"), Argument("Amount", 2.0, "s_churn", 0, 10, 0.5, keys=("Churn amount", "Old churn")),
    Argument("Kind", "plain", keys=("Churn kind",)), Argument("", "", idle=True),
), {"s_noise": 1.25})
TEXT = "a cat\nSteps: 20, Sampler: Euler, Seed: 1, Size: 512x512, {}, Version: {}"


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> House:
    """All that these extensions register, in tables of its own."""
    tables = {name: Table(name) for name in ("fields", "samplers", "schedules", "families", "kinds", "axes", "scripts")}
    house = House(**tables)
    for extension in BROUGHT:
        extension.register(house)
    use(monkeypatch, house.scripts.values())
    return house


@pytest.fixture
def churn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    use(monkeypatch, [CHURN])
    yield


def use(monkeypatch: pytest.MonkeyPatch, rows: Any) -> None:
    monkeypatch.setattr(ALWAYS_ON, "_rows", {row.name: row for row in rows})


def asked(name: str, args: Any) -> tuple[dict[str, Any], list[str]]:
    values, problems = scripts.always_on({name: {"args": args}}, img2img=False)
    return values, [problem.field.removeprefix(f"alwayson_scripts.{name}").removeprefix(".") for problem in problems]


SAG, FREEU = "Self Attention Guidance", "FreeU Integrated (SD 1.x, SD 2.x, SDXL)"
THRESHOLDS = "DynamicThresholding (CFG-Fix) Integrated"
FREE = {"freeu_enabled": True, "freeu_b1": 1.5, "freeu_b2": 1.6, "freeu_s1": 0.9, "freeu_s2": 0.2, "freeu_version": "2"}
NARROW = {"dynthres_enabled": True, "dynthres_mimic_scale": 5, "dynthres_percentile": 98, "dynthres_separate_channels": False,
          "dynthres_startpoint": "ZERO", "dynthres_variability": "STD", "dynthres_phi": 0.5}
CLIENTS: list[tuple[str, Any, dict[str, Any], list[str]]] = [
    (SAG, [True, 0.6, 1.0], {"sag_scale": 0.6, "sag_blur": 1.0}, []), (SAG.lower(), [True], {"sag_scale": 0.75, "sag_blur": 1.0}, []),
    (SAG, [True, 0.6, 0.5], {"sag_scale": 0.6, "sag_blur": 1.0}, ["2"]), (SAG, [False, 0.6, 0.5], {}, []),
    (SAG, {"Enabled": True, "Scale": 0.5}, {"sag_scale": 0.5, "sag_blur": 1.0}, []), (SAG, {"Scale": 0.5}, {}, []),
    (SAG, [True, 1, 1, 1], {}, [""]), (SAG, ["perhaps", 1], {}, ["0"]),
    ("SelfAttentionGuidance Integrated", [True, 0.5, 2.0], {"sag_scale": 0.5, "sag_blur": 2.0}, []),
    ("SelfAttentionGuidance Integrated (SD 1.x, SD 2.x, SDXL)", [True, 0.5, 2, 1], {"sag_scale": 0.5, "sag_blur": 2}, []),
    ("PerturbedAttentionGuidance Integrated", [True, 4], {"pag_scale": 4, "pag_blocks": "Middle"}, []),
    ("PerturbedAttentionGuidance Integrated", [True, 4, 0, 0.2, 0.9], {"pag_scale": 4, "pag_blocks": "Middle"}, ["3", "4"]),
    ("FreeU Integrated", [True, 1.5, 1.6, 0.9, 0.2], FREE, []), (FREEU, [True, 1.5, 1.6, 0.9, 0.2, 0, 1], FREE, []),
    (FREEU, [True, 1.5, 1.6, 0.9, 0.2, 0, 0.8], FREE, ["6"]), (FREEU, [False, 1.01, 1.02, 0.99, 0.95, 0, 1], {}, []),
    (THRESHOLDS, [True, 5, 0.98, "Constant", 4, "Constant", 4, 4, "disable", "ZERO", "STD", 0.5], NARROW, []),
    (THRESHOLDS, [True, 5, 0.98, "Constant", 4, "Sawtooth", 4, 4, "disable", "ZERO", "STD", 0.5], NARROW, ["5"]),
    ("Dynamic Thresholding (CFG Scale Fix)", [True, 5, 98, "Constant", 0, "Constant", 0, 4, False, "ZERO", "STD", 0.5], NARROW, []),
]


@pytest.mark.parametrize("name, args, values, refused", CLIENTS)
def test_clients_of_automatic1111_and_forge_reach_what_easel_brings(
        brought: House, name: str, args: Any, values: dict[str, Any], refused: list[str]) -> None:
    assert asked(name, args) == (values, refused)


@pytest.mark.parametrize("line, values, unmet", [
    ("sag_enabled: True, sag_scale: 0.5, sag_blur_sigma: 2, sag_threshold: 1.0", {"sag_scale": "0.5", "sag_blur": "2"}, ""),
    ("sag_enabled: False, sag_scale: 0.5", {}, ""),
    ("SAG Guidance Scale: 0.6, SAG Mask Threshold: 0.9", {"sag_scale": "0.6", "sag_blur": 1.0}, "SAG Mask Threshold (0.9)"),
    ("pagi_enabled: True, pagi_scale: 4, pagi_start_step: 0.2", {"pag_scale": "4", "pag_blocks": "Middle"}, "pagi_start_step (0.2)"),
    ("PerturbedAttentionGuidance_enabled: True, PerturbedAttentionGuidance_scale: 2", {"pag_scale": "2", "pag_blocks": "Middle"}, ""),
    ("freeu_enabled: True, freeu_b1: 1.5, freeu_b2: 1.6, freeu_s1: 0.9, freeu_s2: 0.2, freeu_end: 1",
     {name: value if name == "freeu_version" else str(value) for name, value in FREE.items()}, ""),
    ("Dynamic thresholding enabled: True, Mimic scale: 5, Mimic mode: Sawtooth", None, "Mimic mode (Sawtooth)"),
])
def test_pictures_of_automatic1111_and_forge_tell_it(brought: House, line: str, values: dict[str, Any] | None, unmet: str) -> None:
    text = TEXT.format(line, "f2.0")
    told = dict(pair.split(": ") for pair in line.split(", "))
    assert values is None or script_values(told) == values
    assert script_values(told | {"Version": "Easel 1"}) == {}, "Easel's own texts tell the fields"
    assert unmet_sentence(text) == (f"Easel does without what else changed this picture: {unmet}." if unmet else "")


def test_the_client_that_has_a_name_for_it_is_understood(brought: House) -> None:
    sag = pytest.importorskip("webuiapi").Sag(scale=0.4)
    assert asked(SAG, sag.to_dict()) == ({"sag_scale": 0.4, "sag_blur": 1.0}, [])


def test_each_argument_becomes_a_field_that_is_there_and_can_have_its_usual_value(brought: House) -> None:
    for script in brought.scripts.values():
        usual = script.values([True, *(argument.value for argument in script.arguments[1:])])
        assert usual and set(usual) <= set(brought.fields), script.name
        for name, value in usual.items():
            row = brought.fields[name]
            assert not row.choices or value in row.choices, name
            assert row.minimum is None or row.minimum <= value <= row.maximum, name


def test_a_request_reaches_the_fields_by_the_scripts_name(client: TestClient, door: Door, churn: None) -> None:
    for path in (T, I):
        more = {"init_images": [PICTURE]} if path == I else {}
        request = drawn(client, door, {**more, "alwayson_scripts": {"sample churn": {"args": [True, 3]}}}, path)
        assert (request.s_churn, request.s_noise) == (3.0, 1.25)
    assert drawn(client, door, {"alwayson_scripts": {"Sample Churn": {"args": [False, 3, "odd"]}}}).s_churn == 0
    answer = client.post(T, json={"alwayson_scripts": {"Sample Churn": {"args": [True, 3, "odd"]}}})
    assert answer.status_code == 422 and "alwayson_scripts.Sample Churn.2" in answer.text
    passed = client.post(T, json={"alwayson_scripts": {"Sample Churn": {"args": [True, 3, "odd"]}}}, headers={"X-Easel-Unknown": "ignore"})
    assert passed.status_code == 200 and list(door.all.values())[-1].request.s_churn == 3


def test_the_lists_tell_of_it_on_both_tabs(client: TestClient, churn: None) -> None:
    listed = client.get("/sdapi/v1/scripts").json()
    assert "sample churn" in listed["txt2img"] and "sample churn" in listed["img2img"]
    rows = [row for row in client.get("/sdapi/v1/script-info").json() if row["name"] == "sample churn"]
    assert [(row["is_alwayson"], row["is_img2img"]) for row in rows] == [(True, False), (True, True)]
    assert [one["label"] for one in rows[0]["args"]] == ["Enabled", "Amount", "Kind", ""]
    assert (rows[0]["args"][1]["value"], rows[0]["args"][1]["maximum"]) == (2.0, 10)


@pytest.mark.parametrize("line, churned", [
    ("Churn on: True, Churn amount: 4", (4.0, 1.25)), ("Churn on: True, Old churn: 5", (5.0, 1.25)), ("Churn on: True", (2.0, 1.25)),
    ("Churn on: False, Churn amount: 4", (0.0, 1.0)), ("Churn amount: 4", (0.0, 1.0)),
    ("Churn on: True, Sigma churn: 1", (1.0, 1.25)),
])
def test_a_text_is_read_by_the_scripts_keys_and_its_own_keys_come_first(churn: None, line: str, churned: tuple[float, float]) -> None:
    found = read(TEXT.format(line, "v1.10.1")).values
    assert (found.get("s_churn", 0.0), found.get("s_noise", 1.0)) == churned

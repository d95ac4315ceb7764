"""Prompt matrix and prompts from a file, as plots: what A1111's scripts of these names draw."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import InvalidRequest, NotAllowed
from backend.facade import plot_requests
from backend.plots import prompts_from_file
from tests.examples import examples
from tests.guest import Guest
from tests.processor_speed import slowness
from tests.tiny.house import open_house

BASE = {"seed": 5, "variation_seed": 1, "width": 64, "height": 64, "negative_prompt": "bad"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    house = open_house(tmp_path, start_workers=False)
    yield house
    house.close()


def drawn(house: Guest, kind: str, prompt: str, options: dict[str, Any], **request: Any) -> dict[str, Any]:
    """Cell -> its request."""
    plot = house.plots.create({"kind": kind, "request": {**BASE, "prompt": prompt, **request}, "options": options})
    return {cell.cell: house.job(cell.job).request for cell in house.plots.get(plot).cells}


def test_a_prompt_matrix_draws_each_choice_of_the_parts(house: Guest) -> None:
    made = drawn(house, "prompt_matrix", "a town | in [snow|rain] , | at night|wide", {})
    assert {cell: request.prompt for cell, request in made.items()} == {
        "0,0": "a town", "1,0": "a town, in [snow|rain]", "2,0": "a town, at night", "3,0": "a town, in [snow|rain], at night",
        "0,1": "a town, wide", "1,1": "a town, in [snow|rain], wide", "2,1": "a town, at night, wide",
        "3,1": "a town, in [snow|rain], at night, wide"}
    assert {request.seed for request in made.values()} == {5}


def test_the_choices_of_a_prompt_matrix(house: Guest) -> None:
    made = drawn(house, "prompt_matrix", "a|b|c", {"put_at_start": True, "different_seeds": True, "variations_delimiter": "space"})
    assert [(made[cell].prompt, made[cell].seed) for cell in ("0,0", "1,0", "0,1", "1,1")] == [("a", 5), ("b a", 6), ("c a", 7), ("b c a", 8)]
    made = drawn(house, "prompt_matrix", "a|b", {"prompt_type": "negative"}, negative_prompt="x|y")
    assert [(made[cell].prompt, made[cell].negative_prompt) for cell in ("0,0", "1,0")] == [("a|b", "x"), ("a|b", "x, y")]


def test_prompts_from_a_file_with_options_of_their_own(house: Guest) -> None:
    text = 'a lighthouse\n\n--prompt a "red cat" --steps 3 --cfg_scale 2.5 --seed 9 --sampler_name "euler a" --negative_prompt ugly\n--width 128 --prompt "x -y"'
    made = drawn(house, "prompts", "oil", {"text": text})
    assert [(one.prompt, one.negative_prompt, one.steps, one.cfg_scale, one.seed, one.sampler, one.width) for one in map(made.get, "012")] == [
        ("a lighthouse oil", "bad", made["0"].steps, made["0"].cfg_scale, 5, made["0"].sampler, 64),
        ("a red cat oil", "ugly bad", 3, 2.5, 9, "Euler a", 64), ("x -y oil", "bad", made["0"].steps, made["0"].cfg_scale, 5, made["0"].sampler, 128)]
    made = drawn(house, "prompts", "oil", {"text": "a\n--sd_model other", "position": "end"})
    assert (made["0"].prompt, made["1"].prompt, made["1"].checkpoint) == ("oil a", "oil", "other")


def test_the_seeds_of_lines(house: Guest) -> None:
    lines, several = "a\nb\nc", {"batch_size": 2, "batch_count": 3}
    assert [one.seed for one in drawn(house, "prompts", "", {"text": lines}).values()] == [5, 5, 5]
    assert len({one.seed for one in drawn(house, "prompts", "", {"text": lines}, seed=-1).values()}) == 3
    assert len({one.seed for one in drawn(house, "prompts", "", {"text": lines, "same_seed": True}, seed=-1).values()}) == 1
    made = drawn(house, "prompts", "", {"text": f"{lines}\n--prompt d --seed 77", "iterate_seed": True}, **several)
    assert [made[cell].seed for cell in "0123"] == [5, 11, 17, 77]


@pytest.mark.parametrize(("kind", "options", "prompt", "field", "message"), [
    ("prompt_matrix", {}, "a town", "prompt", "has no |"),
    ("prompt_matrix", {}, "a" + "|b" * 20, "prompt", "1,048,576 cells"),
    ("prompt_matrix", {}, "a" + "|b" * 20_000, "prompt", "makes 2^20,000 cells"),
    ("prompt_matrix", {"prompt_type": "both"}, "a|b", "options.prompt_type", "positive, negative"),
    ("prompt_matrix", {"prompt_type": ["positive"]}, "a|b", "options.prompt_type", "positive, negative"),
    ("prompt_matrix", {"variations_delimiter": {}}, "a|b", "options.variations_delimiter", "comma, space"),
    ("prompts", {}, "", "options.text", "at least one line"),
    ("prompts", {"text": "a\n--colour red"}, "", "options.text", "Line 2: --colour is not an option"),
    ("prompts", {"text": "--steps many"}, "", "options.text", "Line 1: --steps 'many' must be a number"),
    ("prompts", {"text": "--steps"}, "", "options.text", "Line 1: --steps needs one value"),
    ("prompts", {"text": "--sd_model nowhere --prompt x"}, "", "options.text", "is not there; there is: demo, other"),
    ("prompts", {"text": "a --steps 3"}, "", "options.text", "must begin with --"),
    ("prompts", {"text": '--prompt "a'}, "", "options.text", "Line 1: No closing quotation"),
    ("prompts", {"text": "a <lora:none:1>"}, "", "options.text", "LoRA"),
    ("loops", {}, "", "kind", "xyz, prompt_matrix, prompts"),
])
def test_what_is_wrong_is_said_where_it_stands(house: Guest, kind: str, options: dict[str, Any], prompt: str, field: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        drawn(house, kind, prompt, options)
    assert (error.value.problems[0].field, message in error.value.problems[0].message) == (field, True), error.value.problems
    assert house.plots.list() == []


@given(st.text(st.sampled_from("ab -'\"\\\t\n#\u00a0"), max_size=12))
@examples(300)
def test_a_line_has_the_words_that_a_shell_reads(line: str) -> None:
    try:
        expected = shlex.split(line)
    except ValueError:
        with pytest.raises(ValueError, match="^No (closing quotation|escaped character)$"):
            prompts_from_file._words(line)
        return
    assert prompts_from_file._words(line) == expected


@pytest.mark.parametrize("line", ["--prompt " + "a" * 1_000_000, '--prompt "' + r"a\"" * 300_000, "--steps 5 " * 100_000 + "--colour red"])
def test_a_long_line_is_read_in_no_time(house: Guest, line: str) -> None:
    """Some megabytes of these took minutes in which nobody else was answered."""
    started = time.process_time()
    with pytest.raises(InvalidRequest):
        drawn(house, "prompts", "", {"text": line})
    assert time.process_time() - started < 2 * slowness()


LINES = [f"a cat number {number}" for number in range(300)]
OPTIONS = [f'--prompt "cat {number}" --seed {number} --steps {number % 4 + 1} --sampler_name {"Heun" if number % 3 else "Euler"}' for number in range(300)]


@pytest.mark.parametrize(("kind", "prompt", "text"), [
    ("prompt_matrix", "a town|" + "|".join(f"part {number}" for number in range(8)), ""),
    ("prompt_matrix", "a town|in snow|x AND y|a [b:c:0.5]|" + "|".join(f"part {number}" for number in range(5)), ""),
    ("prompts", "oil", "\n".join(LINES)),
    ("prompts", "", "\n".join([*LINES, "a AND b", "c AND d"])),
    ("prompts", "", "\n".join(OPTIONS)),
])
def test_a_dry_run_looks_at_a_few_cells_and_tells_of_all(house: Guest, monkeypatch: pytest.MonkeyPatch, kind: str, prompt: str, text: str) -> None:
    ask = {"kind": kind, "request": {**BASE, "prompt": prompt}, "options": {"text": text}}
    short = house.plots.check(ask)
    monkeypatch.setattr(plot_requests, "FEW", 10**6)
    whole = house.plots.check(ask)
    assert len(short.costs) < 10 < 200 < len(whole.costs) == sum(cost.cells for cost in short.costs)
    assert short.estimate == whole.estimate


@pytest.mark.parametrize(("kind", "prompt", "text", "message"), [
    ("prompts", "", "\n".join([*LINES, "<lora:nowhere:1>"]), "LoRA"),
    ("prompts", "", "\n".join([*LINES, "--width 8192 --height 16384", "--prompt a --width 16"]), "Line 301: --height"),
    ("prompt_matrix", "a town|<lora:nowhere:1>" + "|part" * 8, "", "LoRA"),
])
def test_a_dry_run_finds_the_one_cell_that_is_wrong(house: Guest, kind: str, prompt: str, text: str, message: str) -> None:
    found = house.plots.check({"kind": kind, "request": {**BASE, "prompt": prompt}, "options": {"text": text}}).problems
    assert found and message in found[0].message


def test_a_dry_run_of_two_thousand_cells_is_quick(house: Guest) -> None:
    for kind, prompt, text in (("prompts", "", "\n".join(LINES * 7)), ("prompt_matrix", "a town" + "|part" * 11, "")):
        ask = {"kind": kind, "request": {**BASE, "prompt": prompt}, "options": {"text": text}}
        began = time.process_time()
        check = house.plots.check(ask)
        assert time.process_time() - began < 0.25 * slowness() and sum(cost.cells for cost in check.costs) > 2000


def test_only_an_xyz_plot_gets_more_values(house: Guest) -> None:
    plot = house.plots.create({"kind": "prompts", "request": BASE, "options": {"text": "a"}})
    with pytest.raises(NotAllowed):
        house.plots.extend(plot, 0, "b")

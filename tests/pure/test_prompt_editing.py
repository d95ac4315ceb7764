"""Prompt editing: AUTOMATIC1111's answers, and laws for any text."""

import json
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.prompt.grammar import Wording, networks
from backend.prompt.prompt_editing import active, timeline

GOLDEN = Path(__file__).parents[1] / "golden"
SYNTAX = st.lists(st.sampled_from([*"()[]:\\| \n", "a", "b:3]", "[a:", "0.5", "[a|", "9e999", "-2."])).map("".join)
ANY_TEXT = st.one_of(st.text(), SYNTAX)


def golden(name: str) -> list:
    return json.loads((GOLDEN / name).read_text("utf-8"))


def name(record: dict) -> str:
    hires = f" hires {record['hires_steps']}" if record["hires_steps"] else ""
    old = " old" if record.get("use_old_scheduling") else ""
    return f"{record['text'][:40] or 'empty'} in {record['steps']}{hires}{old}"


@pytest.mark.parametrize("record", golden("prompts_schedule.json"), ids=name)
def test_timelines_are_automatic1111s(record: dict) -> None:
    old = record.get("use_old_scheduling", False)
    entries = timeline(record["text"], record["steps"], record["hires_steps"], old=old)
    assert [list(entry) for entry in entries] in [record["schedule"], *record.get("alternatives", [])]


@pytest.mark.parametrize("record", golden("extras.json")["active_schedule_entry"],
                         ids=lambda record: str(record["schedule"]))
def test_active_entries_are_automatic1111s(record: dict) -> None:
    expected = record["active_index_per_call"]
    assert [active(record["schedule"], call) for call in range(len(expected))] == expected


def test_past_the_end_the_last_entry_stays() -> None:
    assert active([(3, "a"), (5, "b")], 99) == 1


@pytest.mark.parametrize("text", ["[c:d:.5]((", "[c:d:.5]][", "x [[c:d:.5]) y"])
def test_stray_brackets_leave_schedules_alone(text: str) -> None:
    """AUTOMATIC1111's grammar is ambiguous here, and some of its answers ignore the schedule."""
    assert timeline(text, 4) == [(2, text.replace("[c:d:.5]", "c")), (4, text.replace("[c:d:.5]", "d"))]


@given(ANY_TEXT, st.integers(1, 12), st.one_of(st.none(), st.integers(1, 12)), st.booleans())
def test_end_steps_increase_up_to_the_last(text: str, steps: int, hires_steps: int | None, old: bool) -> None:
    ends = [end for end, _ in timeline(text, steps, hires_steps, old=old)]
    assert ends == sorted(set(ends))
    assert ends[0] >= 1
    assert ends[-1] == (steps if hires_steps is None or old else hires_steps)


@given(ANY_TEXT, st.integers(1, 12))
def test_entries_are_made_of_the_prompt(text: str, steps: int) -> None:
    for _, entry in timeline(text, steps):
        rest = iter(text)
        assert all(letter in rest for letter in entry)


@given(ANY_TEXT.filter(lambda text: "[" not in text), st.integers(1, 150))
def test_a_prompt_without_square_brackets_is_its_own_timeline(text: str, steps: int) -> None:
    assert timeline(text, steps) == [(steps, text)]


@given(st.from_regex(r"\A[a-z ]*\Z"), st.from_regex(r"\A[a-z ]*\Z"), st.integers(1, 19))
def test_an_edit_switches_after_its_step(before: str, after: str, when: int) -> None:
    assert timeline(f"x[{before}:{after}:{when}]y", 20) == [(when, f"x{before}y"), (20, f"x{after}y")]


@given(st.lists(st.from_regex(r"\A[a-z ]*\Z"), min_size=2, max_size=5), st.integers(1, 12))
def test_options_take_turns(options: list[str], steps: int) -> None:
    turns = [(step, options[(step - 1) % len(options)]) for step in range(1, steps + 1)]
    assert timeline(f"[{'|'.join(options)}]", steps) == turns


@pytest.mark.parametrize("text", ["(" * 20_000, "[" * 20_000, "[a" * 10_000, "[](:|" * 4_000, "[" + "\\" * 19_999,
                                  "[" * 10_000 + "]" * 10_000, "[" * 3_000 + "a" + ":b:1]" * 3_000,
                                  "[" * 5_000 + "a" + "|b]" * 5_000, "[a:b:.5]" * 2_500, "word " * 4_000 + "[b:3]"],
                         ids=lambda text: text[:6] + text[-6:])
def test_long_and_deep_prompts_are_quick(text: str) -> None:
    start = process_time()
    timeline(text, 30)
    assert process_time() - start < 2


def worded(text: str, steps: int = 10) -> list[tuple[int, str, list[str]]]:
    entries = ((end, Wording.of(entry)) for end, entry in timeline(text, steps))
    return [(end, said.text, [network.positional[0] for network in said.networks]) for end, said in entries]


@pytest.mark.parametrize("text, expected", [
    ("cat [<lora:a:1>:<lora:b:1>:0.5]", [(5, "cat ", ["a"]), (10, "cat ", ["b"])]),
    ("[<lora:a:1>::0.5]cat", [(5, "cat", ["a"]), (10, "cat", [])]),
    ("[cat <lora:a:0.5>:dog:3]", [(3, "cat ", ["a"]), (10, "dog", [])]),
    ("[[<lora:a>|b]:<lora:c|d:1>:0.2]", [(1, "", ["a"]), (2, "b", []), *((step, "", ["c|d"]) for step in range(3, 11))]),
    ("[<lora:a[0]:1>:b:4]", [(4, "", ["a[0]"]), (10, "b", [])]),
    ("<lora:a:1> [cat:dog:4]", [(4, " cat", ["a"]), (10, " dog", ["a"])]),
])
def test_networks_come_and_go_with_the_text(text: str, expected: list[tuple[int, str, list[str]]]) -> None:
    assert worded(text) == expected


@given(st.lists(st.sampled_from(["a", " [b:c:3]", "[d|e]", "(f:1.2)", "<lora:x:1>", " <lora:y|[:0.5>", "AND", " :", "[g::.5]"])))
def test_networks_beside_brackets_change_nothing_else(pieces: list[str]) -> None:
    """AUTOMATIC1111 takes networks out before it reads the timeline: outside of brackets that is the same."""
    text = "".join(pieces)
    assert [(end, Wording.of(entry).text) for end, entry in timeline(text, 10)] == timeline(networks(text)[0], 10)

"""Weights, AND and extra networks: AUTOMATIC1111's answers, and laws for any text."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.prompt.grammar import BREAK, Network, networks, parse_weights, split_and

GOLDEN = Path(__file__).parents[1] / "golden"
SYNTAX = st.lists(st.sampled_from([*"()[]:\\| \n<>=,", "1.2", "BREAK", "AND", "a", "猫", "١"])).map("".join)
ANY_TEXT = st.one_of(st.text(), SYNTAX)


def golden(name: str) -> list:
    return json.loads((GOLDEN / name).read_text("utf-8"))


def name(record: dict) -> str:
    return record.get("text", record.get("prompt"))[:40] or "empty"


@pytest.mark.parametrize("record", [r for r in golden("prompts_attention.json") if "parsed" in r], ids=name)
def test_weights_are_automatic1111s(record: dict) -> None:
    assert parse_weights(record["text"]) == [tuple(piece) for piece in record["parsed"]]


@pytest.mark.parametrize(("text", "piece"), [("(a:1.2.3)", "a:1.2.3"), ("(a:..)", "a:.."), ("(a:.)", "a:.")])
def test_a_weight_that_is_no_number_stays_text(text: str, piece: str) -> None:
    """AUTOMATIC1111 raises ValueError here."""
    assert parse_weights(text) == [(piece, 1.1)]


@pytest.mark.parametrize("record", golden("prompts_and.json"), ids=name)
def test_and_parts_are_automatic1111s(record: dict) -> None:
    assert split_and(record["text"]) == [tuple(part) for part in record["parts"]]


@pytest.mark.parametrize("record", golden("extras.json")["extra_networks"], ids=name)
def test_networks_are_automatic1111s(record: dict) -> None:
    text, found = networks(record["prompt"])
    assert text == record["text"]
    by_kind: dict[str, list[dict]] = {}
    for network in found:
        by_kind.setdefault(network.kind, []).append({"positional": [*network.positional], "named": network.named})
    expected = {kind: [{k: v for k, v in one.items() if k != "items"} for one in many]
                for kind, many in record["networks"].items()}
    assert by_kind == expected


def test_networks_keep_reading_order() -> None:
    assert networks("<lora:a:1>x<lyco:b:te=2>")[1] == [Network("lora", ("a", "1")), Network("lyco", ("b",), {"te": "2"})]


@given(ANY_TEXT)
def test_any_text_has_weights(text: str) -> None:
    pieces = parse_weights(text)
    assert pieces
    assert all(math.isfinite(weight) for _, weight in pieces)
    assert all(left[1] != right[1] for left, right in pairwise(pieces))
    assert not Counter("".join(piece for piece, _ in pieces)) - Counter(text)


@given(st.text().filter(lambda text: not set(text) & set("()[]\\") and "BREAK" not in text))
def test_text_without_syntax_is_one_piece(text: str) -> None:
    assert parse_weights(text) == [(text, 1.0)]


@given(st.lists(st.from_regex(r"\A[a-z][a-z ]*[a-z]\Z"), min_size=1))
def test_break_separates(parts: list[str]) -> None:
    assert parse_weights(" BREAK ".join(parts)) == list(_joined(parts))


def _joined(parts: list[str]) -> Iterator[tuple[str, float]]:
    for index, part in enumerate(parts):
        if index:
            yield BREAK
        yield part, 1.0


@given(ANY_TEXT)
def test_and_never_loses_letters(text: str) -> None:
    parts = split_and(text)
    kept = Counter("".join(part for part, _ in parts) + "AND" * (len(parts) - 1))
    lost = Counter(text) - kept
    assert not any(letter.isalpha() for letter in lost)
    assert all(math.isfinite(weight) for _, weight in parts)


@given(ANY_TEXT)
def test_a_text_without_networks_is_left_alone(text: str) -> None:
    rest, found = networks(text)
    assert len(rest) <= len(text)
    assert found or rest == text


@pytest.mark.parametrize("text", ["(" * 20_000, "(a" * 10_000, "[a" * 10_000, "(" * 10_000 + "a" + ")" * 10_000,
                                  " " * 20_000, "<a:" * 6_666, ":1" * 10_000, ":" + "1" * 20_000, "BREAK " * 3_333],
                         ids=lambda text: text[:6])
def test_long_and_deep_prompts_are_quick(text: str) -> None:
    start = process_time()
    parse_weights(text)
    split_and(text)
    networks(text)
    assert process_time() - start < 2


def test_networks_that_never_close_are_quick() -> None:
    text = "<lora:a:1>" + "<a:" * 30_000
    start = process_time()
    assert networks(text) == ("<a:" * 30_000, [Network("lora", ("a", "1"))])
    assert process_time() - start < 1


@pytest.mark.parametrize("text, expected", [
    ("cat <lora:a:1> AND dog", [("cat<lora:a:1>", 1.0), (" dog", 1.0)]),
    ("cat AND <lora:a:1>dog:0.5", [("cat", 1.0), (" <lora:a:1>dog", 0.5)]),
    ("cat :1.2 <lora:a:1> AND dog", [("cat<lora:a:1>", 1.2), (" dog", 1.0)]),
    ("<lora:cat AND dog:1>bird:2", [("<lora:cat AND dog:1>bird", 2.0)]),
])
def test_networks_stay_in_their_part(text: str, expected: list[tuple[str, float]]) -> None:
    assert split_and(text) == expected


@given(st.lists(st.sampled_from(["a", " AND ", "AND", ":1.5", " ", "<lora:x:1>", "<lora:AND:0.5>", "[b:c:3]", ":"])))
def test_parts_and_weights_are_those_of_the_text_without_networks(pieces: list[str]) -> None:
    text = "".join(pieces)
    parts = split_and(text)
    assert [(networks(part)[0], weight) for part, weight in parts] == split_and(networks(text)[0])
    assert [network for part, _ in parts for network in networks(part)[1]] == networks(text)[1]

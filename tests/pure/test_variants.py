"""Wildcards and variants: what is no syntax stays byte for byte; what is can be counted, drawn and listed alike."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.prompt.expansion import LOTS, Expansion
from backend.prompt.variants import Options, VariantError, is_plain, parse, parse_line
from tests.examples import examples

FILES = {"colour": ("red", "2::green", "{dark|light} blue"), "animals/cats": ("lion", "tiger"), "animals/dogs": ("husky",),
         "person": ("a __colour__ __animals/cats__", "nobody"), "empty": (), "loop": ("a __pool__",), "pool": ("b", "__loop__"),
         "double0": ("x" * 500,), **{f"double{i}": (f"__double{i - 1}__ __double{i - 1}__",) for i in range(1, 40)}}


def lines(name: str) -> Options:
    if name == "animals/*":
        return Options(lines("animals/cats").items + lines("animals/dogs").items)
    if name not in FILES:
        raise VariantError(f"uses the wildcard __{name}__, which is not there")
    return Options(tuple(map(parse_line, FILES[name])))


def every(text: str) -> list[str]:
    return list(Expansion(lines).every(parse(text)))


def draw(text: str, seed: int) -> str:
    return Expansion(lines).draw(parse(text), Random(seed))


@pytest.mark.parametrize("text", [
    "", "a cat", "[a|b] (c:1.2) <lora:x:1> d AND e", "{", "}", "{}", "{a}", "{prompt}", "a } b { c", "a|b", "{[a|b]}", "{a [b|c:0.5] d}",
    "\\{a|b\\}", "\\{a|b}", "{a\\|b}", "{a|b", "a|b}", "[a:b|c", "__", "____", "__ a__", "a__b", "___", "_a_", "2$$a|b", "{a:1.2}", "\\", "{\\}",
    "\n\t {a} \n", "[a|b}", "{$$a}", "2::a",
])  # fmt: skip
def test_what_is_no_syntax_is_not_touched(text: str) -> None:
    assert is_plain(parse(text))
    assert every(text) == [text] == [draw(text, 1)]


@pytest.mark.parametrize(("text", "wanted"), [
    ("{red|blue} {ball|cube}", ["red ball", "red cube", "blue ball", "blue cube"]),
    ("a {b|{c|d}} e", ["a b e", "a c e", "a d e"]),
    ("{a|}b", ["ab", "b"]),
    ("{2$$a|b|c}", ["a, b", "a, c", "b, a", "b, c", "c, a", "c, b"]),
    ("{1-2$$ and $$a|b}", ["a", "b", "a and b", "b and a"]),
    ("{-2$$a|b}", ["a", "b", "a, b", "b, a"]),
    ("{2-$$a|b}", ["a, b", "b, a"]),
    ("{0-1$$a|b}", ["", "a", "b"]),
    ("{9$$a|b}", ["a, b", "b, a"]),
    ("{2$$__animals/cats__}", ["lion, tiger", "tiger, lion"]),
    ("__colour__", ["red", "green", "dark blue", "light blue"]),
    ("__animals/*__", ["lion", "tiger", "husky"]),
    ("{2::a|0::b|c}", ["a", "c"]),
    ("{a|a}", ["a"]),
    ("{[a|b]|c} [{x|y}|z]", ["[a|b] [x|z]", "[a|b] [y|z]", "c [x|z]", "c [y|z]"]),
    ("{<lora:a:1>|(b:1.2)} AND {c}", ["<lora:a:1> AND {c}", "(b:1.2) AND {c}"]),
    ("{a|\\{b\\}} {", ["a {", "\\{b\\} {"]),
    ("{a|b} }", ["a }", "b }"]),
    ("{a|{b|c} ", ["{a|b ", "{a|c "]),
])  # fmt: skip
def test_every_combination(text: str, wanted: list[str]) -> None:
    assert every(text) == wanted
    assert Expansion(lines).count(parse(text)) == len(wanted)
    assert {draw(text, seed) for seed in range(60 * len(wanted))} == set(wanted)


pieces = st.sampled_from(["a", "b ", " ", "{", "|", "}", "[", "]", "::", "2::", "0.5::", "$$", "{2$$", "{1-2$$ + $$", "\\", "__colour__",
                          "__animals/cats__", "__", ",", ":", "(", ")"])
texts = st.lists(pieces, max_size=14).map("".join)


@examples(300)
@given(texts, st.integers(0, 2**32))
def test_the_three_agree(text: str, seed: int) -> None:
    expansion, parts = Expansion(lines), parse(text)
    try:
        count = expansion.count(parts)
    except VariantError:
        return
    drawn = draw(text, seed)
    assert drawn == draw(text, seed)
    if is_plain(parts):
        assert (count, drawn) == (1, text)
    if count <= 2000:
        found = every(text)
        assert len(found) == count
        assert drawn in found


@examples(200)
@given(st.text(max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    if "{" not in text and "__" not in text:
        assert parse(text) == (text,)
    else:
        assert parse(text)


def test_weights_are_shares() -> None:
    found = Counter(draw("{3::a|b}", seed) for seed in range(4000))
    assert 0.71 < found["a"] / 4000 < 0.79
    found = Counter(draw("__colour__", seed) for seed in range(4000))
    assert 0.46 < found["green"] / 4000 < 0.54


@pytest.mark.parametrize(("text", "complaint"), [
    ("__nothing__", "__nothing__"), ("{a|__nothing__}", "__nothing__"), ("__empty__", "no lines"), ("{0::a|0::b}", "every weight is 0"),
    ("__loop__", "__loop__ -> __pool__ -> __loop__"), ("{a|" * 60 + "}" * 60, "50 deep"),
])  # fmt: skip
def test_what_cannot_be_resolved_is_said(text: str, complaint: str) -> None:
    with pytest.raises(VariantError, match=complaint.replace("*", r"\*")):
        Expansion(lines).count(parse(text))


def test_wildcards_that_double_each_other_end() -> None:
    with pytest.raises(VariantError, match="too long"):
        draw("__double39__", 1)
    with pytest.raises(VariantError, match="too long"):
        every("__double39__")


def test_counts_stop_at_lots() -> None:
    assert Expansion(lines).count(parse("{a|b}" * 200)) == LOTS
    assert Expansion(lines).count(parse("{9$$" + "|".join(map(str, range(3000))) + "}")) == LOTS


@pytest.mark.slow
@pytest.mark.parametrize("text", ["{a|" * 30_000, "{" * 50_000 + "}" * 50_000, "[" * 50_000 + "}" * 50_000, "__" * 45_000, "{[" * 30_000 + "}" * 30_000])
def test_long_nonsense_is_read_in_linear_time(text: str) -> None:
    started = time.perf_counter()
    assert is_plain(parse(text))
    assert time.perf_counter() - started < 10

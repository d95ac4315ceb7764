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
         "person": ("a __colour__ __animals/cats__", "nobody"), "empty": (), "dressed": ("${season:any} shirts", "${season:any} hats"), "loop": ("a __pool__",), "pool": ("b", "__loop__"),
         "double0": ("x" * 500,), **{f"double{i}": (f"__double{i - 1}__ __double{i - 1}__",) for i in range(1, 40)}}


def lines(name: str, folder: str = "") -> Options:
    if name == "animals/*":
        return Options(lines("animals/cats").items + lines("animals/dogs").items)
    if name not in FILES:
        raise VariantError(f"uses the wildcard __{name}__, which is not there")
    return Options(tuple(map(parse_line, FILES[name])))


def every(text: str, seed: int = 0) -> list[str]:
    expansion = Expansion(lines, combinatorial=True)
    return [expansion.draw(parts, Random(seed), number) for number, parts in enumerate(expansion.variants(parse(text)))]


def draw(text: str, seed: int, number: int = 0) -> str:
    return Expansion(lines).draw(parse(text), Random(seed), number)


def count(text: str) -> int:
    return Expansion(lines, combinatorial=True).count(parse(text))


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
    assert count(text) == len(wanted)
    assert {draw(text, seed) for seed in range(60 * len(wanted))} == set(wanted)


pieces = st.sampled_from(["a", "b ", " ", "{", "|", "}", "[", "]", "::", "2::", "0.5::", "$$", "{2$$", "{1-2$$ + $$", "\\", "__colour__",
                          "__animals/cats__", "__", ",", ":", "(", ")", "${x=", "${x=!", "${x?=", "${x:", "${x}", "}"])
texts = st.lists(pieces, max_size=14).map("".join)


@examples(300)
@given(texts, st.integers(0, 2**32))
def test_the_three_agree(text: str, seed: int) -> None:
    try:
        parts, number = parse(text), count(text)
        drawn, found = draw(text, seed), every(text) if number <= 2000 else []
    except VariantError:
        return
    assert drawn == draw(text, seed)
    if is_plain(parts):
        assert (number, drawn) == (1, text)
    if number <= 2000:
        assert len(found) == number
        assert drawn in found


@examples(200)
@given(st.text(max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    if "{" not in text and "__" not in text:
        assert parse(text) == (text,)
    elif not any(sign in text for sign in ("${", "%{", "{%", "{{")):
        assert parse(text)


def test_weights_are_shares() -> None:
    found = Counter(draw("{3::a|b}", seed) for seed in range(4000))
    assert 0.71 < found["a"] / 4000 < 0.79
    found = Counter(draw("__colour__", seed) for seed in range(4000))
    assert 0.46 < found["green"] / 4000 < 0.54


@pytest.mark.parametrize(("text", "complaint"), [
    ("__nothing__", "__nothing__"), ("__empty__", "no lines"), ("{0::a|0::b}", "every weight is 0"),
    ("__loop__", "__loop__ -> __pool__ -> __loop__"), ("{a|" * 60 + "}" * 60, "50 deep"),
])  # fmt: skip
def test_what_cannot_be_resolved_is_said(text: str, complaint: str) -> None:
    with pytest.raises(VariantError, match=complaint.replace("*", r"\*")):
        count(text)
    with pytest.raises(VariantError, match=complaint.replace("*", r"\*")):
        for seed in range(20):
            draw(text, seed)


def test_wildcards_that_double_each_other_end() -> None:
    with pytest.raises(VariantError, match="too long"):
        draw("__double39__", 1)
    with pytest.raises(VariantError, match="too long"):
        every("__double39__")


def test_counts_stop_at_lots() -> None:
    assert count("{a|b}" * 200) == LOTS
    assert count("{9$$" + "|".join(map(str, range(3000))) + "}") == LOTS


@pytest.mark.slow
@pytest.mark.parametrize("text", ["{a|" * 30_000, "{" * 50_000 + "}" * 50_000, "[" * 50_000 + "}" * 50_000, "__" * 45_000, "{[" * 30_000 + "}" * 30_000])
def test_long_nonsense_is_read_in_linear_time(text: str) -> None:
    started = time.process_time()
    assert is_plain(parse(text))
    assert time.process_time() - started < 10


# ---- variables, parameters, and how choices are made ----


@pytest.mark.parametrize(("text", "wanted"), [
    ("${x=!{a|b}} ${x} and ${x}", {"a and a", "b and b"}),
    ("${x={a|b}}${x}${x}", {"aa", "ab", "ba", "bb"}),
    ("${x=!{a|b}}${x?=c}${x}", {"a", "b"}), ("${x?=c}${x}", {"c"}),
    ("in ${x:{spring|fall}}", {"in spring", "in fall"}), ("${x=a}${x:b}", {"a"}),
    ("${a-b={1|2}}${ a-b }", {"1", "2"}), ("${x={${y}|b}}${y=c}${x}", {"c", "b"}),
    ("__dressed(season=summer)__", {"summer shirts", "summer hats"}), ("__dressed(season=!{summer|winter})__ ", {
        "summer shirts ", "summer hats ", "winter shirts ", "winter hats "}),
    ("__dressed__", {"any shirts", "any hats"}), ("${season=winter}__dressed__", {"winter shirts", "winter hats"}),
    ("__dressed(season=summer)__, ${season:none}", {"summer shirts, none", "summer hats, none"}),
    ("{~a|b}", {"a", "b"}), ("__~animals/cats__", {"lion", "tiger"}),
])
def test_variables(text: str, wanted: set[str]) -> None:
    assert {draw(text, seed) for seed in range(60)} == wanted


@pytest.mark.parametrize(("text", "wanted"), [
    ("${x:{a|b}}", ["a", "b"]), ("${x={a|b}}${x} ${x}", ["a a", "a b", "b a", "b b"]), ("${x=!{a|b}}${x} ${x}", ["a a", "b b"]),
    ("${x={a|b}}${x} ${y:{c|d}}", ["a c", "a d", "b c", "b d"]), ("${x={a|b}}", [""]), ("${x={a|b}}${x?=c}${x}", ["a", "b"]),
    ("__dressed(season={w|s})__", ["w shirts", "s shirts", "w hats", "s hats"]), ("${x={a|${y}}}${y={1|2}}${x}", ["a", "1", "2"]),
    ("${x={~a|b}}${x}", ["a"]), ("{~{a|b}|c}", ["c"]), ("${x=a}{${x=b}${x}|${x}} ${x}", ["b a", "a a"]),
    ("${season=!{w|s}}__dressed(season=x)__ ${season}", ["x shirts w", "x hats w", "x shirts s", "x hats s"]),
    ("${a=cats}__animals/${a}__", ["lion", "tiger"]), ("${a={cats|dogs}}__animals/${a}__", ["lion", "tiger", "husky"]),
    ("__animals/${a:dogs}__", ["husky"]), ("${n=!{a|b}}${n}${n={c|d}}${n}", ["ac", "ad", "bc", "bd"]),
])
def test_every_combination_of_variables(text: str, wanted: list[str]) -> None:
    assert len(every(text)) == len(wanted) == count(text)
    if "~" not in text:
        assert every(text) == wanted
        assert {draw(text, seed) for seed in range(60 * len(wanted))} == set(wanted)


def test_a_sign_holds_for_what_stands_inside() -> None:
    expansion = Expansion(lines)
    assert expansion.count(parse("{!{a|b}|c}")) == 3 == len(expansion.variants(parse("{!{a|b}|c}")))
    assert expansion.count(parse("__!person__")) == 4 * 2 + 1


@pytest.mark.parametrize("seed", range(3))
def test_a_variable_in_a_wildcards_name(seed: int) -> None:
    assert draw("${a=!{cats|dogs}}${a}: __animals/${a}__", seed) in ("cats: lion", "cats: tiger", "dogs: husky")
    with pytest.raises(VariantError, match=r"__animals/\$\{a\}__, whose name is drawn with each picture"):
        count("${a=!{cats|dogs}}__animals/${a}__")
    with pytest.raises(VariantError, match=r"\$\{a\}, which has no value"):
        draw("__animals/${a}__", seed)


def test_too_many_variables_are_refused() -> None:
    with pytest.raises(VariantError, match="100 variables"):
        count("".join(f"${{x{number}=a}}" for number in range(101)))


def test_the_recorded_prompt_of_sd_dynamic_prompts() -> None:
    text = "${season=!{summer|winter}} In ${season}, I wear ${season} shirts"
    wanted = {f"In {season}, I wear {season} shirts" for season in ("summer", "winter")}
    assert {draw(text, seed) for seed in range(50)} == wanted == set(every(text))
    assert count(text) == 2


@pytest.mark.parametrize(("text", "wanted"), [
    ("{@a|b|c}", ["a", "b", "c", "a"]), ("{@a|b} {@x|y|z}", ["a x", "b y", "a z", "b x"]), ("__@animals/cats__", ["lion", "tiger", "lion", "tiger"]),
    ("{@2$$a|b|c}", ["a, b", "a, c", "b, a", "b, c"]), ("{@a|{b|c}}", ["a", "b", "a", "c"]), ("{@a|__animals/cats__}", ["a", "lion", "a", "tiger"]),
    ("{@a|{~b|b}} ${x={@c|d}}${x}", ["a c", "b d", "a c", "b d"]), ("{@a|{@b|c|d}}", ["a", "b", "a", "c"]),
])
def test_in_turn(text: str, wanted: list[str]) -> None:
    assert [draw(text, seed=5, number=number) for number in range(4)] == wanted


def test_every_one_though_others_are_drawn() -> None:
    expansion = Expansion(lines)
    parts = parse("{!a|b|c} {x|y}")
    assert expansion.count(parts) == 3
    found = [[expansion.draw(way, Random(seed)) for seed in range(30)] for way in expansion.variants(parts)]
    assert [{text[0] for text in texts} for texts in found] == [{"a"}, {"b"}, {"c"}]
    assert {text[2] for text in found[0]} == {"x", "y"}


def test_at_random_though_all_others_are_listed() -> None:
    assert count("{a|b} {~x|y}") == 2
    assert {text for seed in range(30) for text in every("{a|b} {~x|y}", seed)} == {"a x", "a y", "b x", "b y"}


@pytest.mark.parametrize(("text", "complaint"), [
    ("a ${x", "no variable"), ("${x=a", "no variable"), ("${1x}", "no variable"), ("${}", "no variable"), ("${x}", r"\$\{x\}, which has no value"),
    ("${x={a|${x}}}${x}${x}${x}${x}${x}${x}", "within itself"), ("%{a $$ b}", "wrapper"), ("{% for x in y %}{{ x }}{% endfor %}", "Jinja"), ("a {{ choice(\"red\", \"blue\") }}", "Jinja"), ("__dressed(summer)__", "no variable=value: summer"),
    ("${x:" * 60 + "}" * 60, "50 deep"),
])
def test_what_easel_does_not_take_is_named(text: str, complaint: str) -> None:
    with pytest.raises(VariantError, match=complaint):
        for seed in range(40):
            draw(text, seed)


@pytest.mark.parametrize("text", ["5$ {a}", "50% {a}", r"\${x}", "a@b ~ !c", "{@a}", "{!}", "__a(b", "a__b(c)d"])
def test_signs_alone_stay_text(text: str) -> None:
    assert draw(text, 1) == text


def test_one_dead_reference_refuses_only_the_line_that_is_drawn() -> None:
    texts, refused = set(), 0
    for seed in range(60):
        try:
            texts.add(draw("{a|b|__nothing__}", seed))
        except VariantError:
            refused += 1
    assert texts == {"a", "b"} and 5 < refused < 35
    with pytest.raises(VariantError, match="__nothing__"):
        count("{a|b|__nothing__}")

"""Which networks are in force when, and for whom: whole pictures and single parts, steps, ramps, editing, two passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from backend.errors import InvalidRequest
from backend.prompt.block_weights import block_of, read_blocks, weight_of
from backend.prompt.grammar import Wording, split_and
from backend.prompt.network_terms import Applied, Ramp
from backend.prompt.network_timeline import Clock, Timeline, with_networks
from backend.prompt.prompt_editing import active, timeline

CALLS = 10


def spread(prompt: str, negative: str = "no", second: bool = False, calls: int = CALLS, steps: int = CALLS) -> tuple[list[Timeline], Timeline]:
    parts = [tuple((end, Wording.of(text)) for end, text in timeline(part, steps)) for part, _ in split_and(prompt)]
    return with_networks(parts, ((steps, Wording(negative)),), Clock(calls, steps, second, "prompt"))


def at(told: Timeline, call: int) -> dict[str, float]:
    """Name -> strength of the UNet's networks at a call."""
    return {one.name: round(one.unet, 6) for one in told[active(told, call)][1].applied}


def over(told: Timeline, name: str = "a") -> list[float]:
    return [at(told, call).get(name, 0.0) for call in range(CALLS)]


def test_a_network_anywhere_counts_for_every_part_and_for_the_negative_prompt() -> None:
    parts, negative = spread("a cat AND a dog <lora:a:0.5> AND fish")
    assert [at(part, 0) for part in (*parts, negative)] == [{"a": 0.5}] * 4
    assert [part[0][1].text for part in parts] == ["a cat ", " a dog ", " fish"] or all("lora" not in part[0][1].text for part in parts)


def test_one_part_alone() -> None:
    parts, negative = spread("a cat AND a dog <lora:a:0.5:part> <lora:b> AND fish")
    assert [at(part, 0) for part in (*parts, negative)] == [{"b": 1.0}, {"b": 1.0, "a": 0.5}, {"b": 1.0}, {"b": 1.0}]


def test_prompts_without_networks_stay_as_they_are() -> None:
    parts, negative = spread("[a cat:a dog:0.5]", "no <lora:a:1>")
    assert parts == [((5, Wording("a cat")), (10, Wording("a dog")))] and negative == ((10, Wording("no <lora:a:1>")),)


@pytest.mark.parametrize(("term", "strengths"), [
    ("<lora:a:0.5>", [0.5] * 10), ("<lora:a:0.5:start=0.3>", [0.0] * 3 + [0.5] * 7), ("<lora:a:0.5:end=3>", [0.5] * 3 + [0.0] * 7),
    ("<lora:a:0.5:start=2:end=0.7>", [0.0] * 2 + [0.5] * 5 + [0.0] * 3), ("<lora:a:1:step=2-4>", [0.0] * 2 + [1.0] * 2 + [0.0] * 6),
    ("<lora:a:0:0,1:0.9>", [round(0.1 * n, 6) for n in range(10)]), ("<lora:a:0@0,0.9@1>", [round(0.1 * n, 6) for n in range(10)]),
    ("<lora:a:-0.5>", [-0.5] * 10), ("<lora:a:1><lora:a:-0.75>", [0.25] * 10), ("<lora:a:1><lora:a:-1>", [0.0] * 10),
    ("<lora:a:1:start=1.0>", [0.0] * 10), ("<lora:a:1:0>", [0.0] * 10), ("[<lora:a:1>:<lora:b:1>:0.5]", [1.0] * 6 + [0.0] * 4),
    ("[<lora:a:0.5>|<lora:b:1>]", [0.5, 0.5, 0.0, 0.5, 0.0, 0.5, 0.0, 0.5, 0.0, 0.5]),
])
def test_strengths_over_the_calls(term: str, strengths: list[float]) -> None:
    (told,), negative = spread(f"a cat {term}")
    assert over(told) == strengths == over(negative)


def test_the_second_pass_has_its_own_weight() -> None:
    assert [over(spread("<lora:a:0.5:hr=0.9>", second=second)[0][0])[0] for second in (False, True)] == [0.5, 0.9]
    assert [over(spread("<lora:a:0:hr=0.9>", second=second)[0][0])[0] for second in (False, True)] == [0.0, 0.9]
    assert over(spread("<lora:a:1:hr=0>", second=True)[0][0]) == [0.0] * 10


def test_steps_are_counted_as_steps_where_a_sampler_calls_twice() -> None:
    (told,), _ = spread("<lora:a:1:start=2>", calls=20, steps=10)
    assert [at(told, call).get("a", 0.0) for call in (3, 4)] == [0.0, 1.0]


def test_text_and_picture_have_weights_of_their_own() -> None:
    applied = spread("<lora:a:0.2:0.6:4:lbw=OUTALL>")[0][0][0][1].applied
    assert applied == (Applied("lora", "a", 0.2, 0.6, 4, read_blocks("OUTALL")),)
    assert spread("<lyco:a:0.2>")[0][0][0][1].applied == (Applied("lora", "a", 0.2, 0.2),)
    assert spread("<lora:a:0.5:0>")[0][0][0][1].applied == (Applied("lora", "a", 0.5, 0.0),)


def test_other_kinds_of_networks_stay_in_their_part() -> None:
    parts, _ = spread("a <tint:1> AND b <lora:a:1>")
    assert [[one.kind for one in part[0][1].networks] for part in parts] == [["tint"], []]


def test_the_prompt_is_named() -> None:
    with pytest.raises(InvalidRequest) as error:
        spread("<lora:a:b>")
    assert error.value.problems[0].field == "prompt"


@given(some.lists(some.tuples(some.floats(0, 1), some.floats(-2, 2)), min_size=1, max_size=6), some.floats(0, 1))
def test_a_ramp_stays_between_its_weights(points: list[tuple[float, float]], position: float) -> None:
    ramp = Ramp(tuple(sorted(points, key=lambda point: point[0])))
    weights = [weight for _, weight in points]
    assert min(weights) - 1e-9 <= ramp.at(position) <= max(weights) + 1e-9 and abs(ramp.most) == max(map(abs, weights))


def test_block_weights() -> None:
    assert len(read_blocks(",".join(["1"] * 26))) == 26 and dict(read_blocks("MIDD"))["MID"] == 1.0
    assert dict(read_blocks("ALL0.5"))["OUT11"] == 0.5 and dict(read_blocks("INS")) | {"IN04": 1.0, "IN05": 0.0} == dict(read_blocks("INS"))
    twelve = read_blocks("1,0,0,0,0,0.5,0,0,0,0,0,0")
    assert [weight_of(twelve, block) for block in ("BASE", "MID", "IN00", "")] == [1.0, 0.5, 0.0, 1.0] and weight_of((), "MID") == 1.0


@pytest.mark.parametrize(("module", "block"), [
    ("conv_in", "IN00"), ("down_blocks_0_resnets_0_conv1", "IN01"), ("down_blocks_0_attentions_1_proj_in", "IN02"),
    ("down_blocks_0_downsamplers_0_conv", "IN03"), ("down_blocks_2_attentions_1_norm", "IN08"), ("down_blocks_3_resnets_1_conv2", "IN11"),
    ("mid_block_attentions_0_norm", "MID"), ("up_blocks_0_resnets_0_conv1", "OUT00"), ("up_blocks_1_attentions_2_norm", "OUT05"),
    ("up_blocks_1_upsamplers_0_conv", "OUT05"), ("up_blocks_3_attentions_2_norm", "OUT11"), ("time_embedding_linear_1", ""), ("conv_out", ""),
])
def test_modules_lie_in_their_blocks(module: str, block: str) -> None:
    assert block_of(module, resnets=2) == block

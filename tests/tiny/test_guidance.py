"""Guidance: what the rows are, and how their answers combine."""

import json
from pathlib import Path

import pytest
import torch

from backend.sampling.protocol import Noisy
from backend.worker.guidance.cfg_denoiser import CFGDenoiser, Conditioning, Row, Strength, guided
from backend.worker.guidance.mask_hooks import Blend

EXTRAS = json.loads((Path(__file__).parents[1] / "golden" / "extras.json").read_text())


def conditioning(value: float, weight: float = 1.0, length: int = 2) -> Conditioning:
    return Conditioning(((20, "text"),), (torch.full((length, 3), value),), weight)


def guidance(*parts: Conditioning, **strength) -> CFGDenoiser:
    return CFGDenoiser(parts or [conditioning(1)], conditioning(0), Strength(**strength))


NOISY = Noisy(torch.ones(1, 2, 2), 3.0, 0)


@pytest.mark.parametrize("record", EXTRAS["combine_denoised"], ids=str)
def test_combines_as_the_peer_does(record):
    answers = torch.tensor(record["x_out"], dtype=torch.float64).reshape(record["x_out_shape"])
    results = []
    for image, parts in enumerate(record["conds_list"]):
        cfg = guidance(*(conditioning(i, weight) for i, weight in parts), scale=record["cond_scale"], s_min_uncond=0)
        uncond = answers[len(answers) - record["batch"] + image]
        results.append(cfg.combine(NOISY, [*(answers[i] for i, _ in parts), uncond])[0])
    expected = torch.tensor(record["result"], dtype=torch.float64)
    assert torch.allclose(torch.stack(results).flatten(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("record", EXTRAS["stack_conds"], ids=str)
def test_shorter_parts_repeat_their_last_vector(record):
    parts = [
        Conditioning(((1, ""),), (torch.tensor([[100.0 * i + 2 * r, 100.0 * i + 2 * r + 1] for r in range(length)]),))
        for i, length in enumerate(record["lengths"])
    ]
    rows = CFGDenoiser(parts, conditioning(0), Strength(scale=1 / len(parts))).rows(NOISY)
    stacked = torch.stack([row.context for row in rows[: len(parts)]])
    assert list(stacked.shape) == record["result_shape"] and stacked.flatten().tolist() == record["result"]


def test_cfg_one_needs_no_unconditional_row():
    assert len(guidance(scale=1.0).rows(NOISY)) == 1
    assert len(guidance(scale=1.01).rows(NOISY)) == 2


def test_and_weights_that_sum_to_one_over_the_scale_need_none_either():
    assert len(guidance(conditioning(1, 0.5), conditioning(2, 0.5), scale=1.0).rows(NOISY)) == 2
    assert len(guidance(conditioning(1, 0.5), conditioning(2, 1.0), scale=1.0).rows(NOISY)) == 3


@pytest.mark.parametrize("scale", [-3.0, 0.0, 0.5, 1.0, 7.0, 999.0])
def test_every_scale_is_linear_guidance(scale):
    cfg = guidance(scale=scale)
    cond, uncond = torch.full((1, 2, 2), 2.0), torch.full((1, 2, 2), 0.5)
    answers = [cond, uncond][: len(cfg.rows(NOISY))]
    assert torch.allclose(cfg.combine(NOISY, answers)[0], uncond + scale * (cond - uncond))


def test_negative_guidance_minimum_sigma_leaves_out_every_other_call_below_it():
    cfg = guidance(scale=7.0, s_min_uncond=5.0)
    counts = []
    for sigma in (9.0, 9.0, 3.0, 3.0, 3.0, 3.0):
        rows = cfg.rows(Noisy(NOISY.x, sigma, 0))
        counts.append(len(rows))
        cfg.combine(NOISY, [NOISY.x] * len(rows))
    assert counts == [2, 2, 2, 1, 2, 1]


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_full_rescale_restores_the_conditional_contrast(prediction):
    torch.manual_seed(0)
    noisy = Noisy(torch.randn(4, 8, 8), 2.0, 0)
    cond, uncond = torch.randn(4, 8, 8), torch.randn(4, 8, 8)
    cfg = guidance(scale=9.0, rescale=1.0, prediction=prediction)
    rescaled = cfg.combine(noisy, [cond, uncond])[0]
    assert torch.allclose(cfg._predicted(noisy, rescaled).std(), cfg._predicted(noisy, cond).std(), rtol=1e-4)
    assert torch.allclose(cfg._from_predicted(noisy, cfg._predicted(noisy, cond)), cond, atol=1e-5)


def test_timelines_change_the_context_at_the_call():
    contexts = (torch.zeros(2, 3), torch.ones(2, 3))
    cfg = CFGDenoiser([Conditioning(((2, "a"), (5, "b")), contexts)], conditioning(0), Strength(scale=2.0))
    seen = []
    for _ in range(5):
        rows = cfg.rows(NOISY)
        seen.append(float(rows[0].context[0, 0]))
        cfg.combine(NOISY, [NOISY.x, NOISY.x])
    assert seen == [0, 0, 0, 1, 1]


def test_blend_keeps_the_original_outside_the_mask():
    original, mask = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 0.0], [0.5, 0.0]]])
    cfg = CFGDenoiser([conditioning(1)], conditioning(0), Strength(scale=1.0), hooks=[Blend(original, mask)])
    assert cfg.combine(NOISY, [torch.full((1, 2, 2), 4.0)])[0].tolist() == [[[4.0, 0.0], [2.0, 0.0]]]


def test_guided_yields_rows_and_returns_the_latent():
    def halve(x):
        for step in range(3):
            denoised = yield Noisy(x, 1.0, step)
            x = (x + denoised) / 2
        return x

    heard = []
    program = guided(halve(torch.ones(1, 2, 2)), guidance(scale=1.0), lambda noisy, denoised: heard.append(noisy.step))
    rows = next(program)
    with pytest.raises(StopIteration) as end:
        while True:
            assert all(isinstance(row, Row) for row in rows)
            rows = program.send([torch.zeros(1, 2, 2)])
    assert heard == [0, 1, 2] and torch.equal(end.value.value, torch.full((1, 2, 2), 0.125))

"""Guidance: what the rows are, and how their answers combine."""

import json
from pathlib import Path

import pytest
import torch

from backend.sampling.noise_table import NoiseTable
from backend.sampling.parametrisation import PARAMETRISATIONS, Epsilon
from backend.sampling.protocol import Noisy
from backend.worker.guidance.cfg_denoiser import CFGDenoiser, Conditioning, Said, Strength, asked, guided
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.mask_hooks import Blend
from backend.worker.guidance.row import Answer, Row
from backend.worker.models.encoded_text import Encoded

EXTRAS = json.loads((Path(__file__).parents[1] / "golden" / "extras.json").read_text())


MODEL = None        # guidance hands it on to the rows, and never looks at it
EPSILON = Epsilon(NoiseTable.from_betas())


def conditioning(value: float, weight: float = 1.0, length: int = 2) -> Conditioning:
    return said((20, torch.full((length, 3), value)), weight=weight)


def said(*entries: tuple[int, torch.Tensor], weight: float = 1.0) -> Conditioning:
    return Conditioning(tuple((end, Said(Encoded(tokens))) for end, tokens in entries), weight)


def guidance(*parts: Conditioning, parametrisation=EPSILON, hooks=(), **strength) -> CFGDenoiser:
    return CFGDenoiser(MODEL, parametrisation, parts or [conditioning(1)], conditioning(0), Strength(**strength), hooks)


def combined(cfg: CFGDenoiser, answers, noisy=None) -> torch.Tensor:
    noisy = noisy or NOISY
    return cfg.combine(noisy, cfg.rows(noisy), [Answer(latent) for latent in answers])[0]


NOISY = Noisy(torch.ones(1, 2, 2), 3.0, 0)


@pytest.mark.parametrize("record", EXTRAS["combine_denoised"], ids=str)
def test_combines_as_the_peer_does(record):
    answers = torch.tensor(record["x_out"], dtype=torch.float64).reshape(record["x_out_shape"])
    results = []
    for image, parts in enumerate(record["conds_list"]):
        cfg = guidance(*(conditioning(i, weight) for i, weight in parts), scale=record["cond_scale"], s_min_uncond=0)
        uncond = answers[len(answers) - record["batch"] + image]
        results.append(combined(cfg, [*(answers[i] for i, _ in parts), uncond]))
    expected = torch.tensor(record["result"], dtype=torch.float64)
    assert torch.allclose(torch.stack(results).flatten(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("record", EXTRAS["stack_conds"], ids=str)
def test_shorter_parts_repeat_their_last_vector(record):
    parts = [
        said((1, torch.tensor([[100.0 * i + 2 * r, 100.0 * i + 2 * r + 1] for r in range(length)])))
        for i, length in enumerate(record["lengths"])
    ]
    rows = guidance(*parts, scale=1 / len(parts)).rows(NOISY)
    stacked = torch.stack([row.encoded.tokens for row in rows[: len(parts)]])
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
    assert torch.allclose(combined(cfg, answers), uncond + scale * (cond - uncond))


def test_negative_guidance_minimum_sigma_leaves_out_every_other_call_below_it():
    cfg = guidance(scale=7.0, s_min_uncond=5.0)
    counts = []
    for sigma in (9.0, 9.0, 3.0, 3.0, 3.0, 3.0):
        noisy = Noisy(NOISY.x, sigma, 0)
        counts.append(len(cfg.rows(noisy)))
        combined(cfg, [NOISY.x] * counts[-1], noisy)
    assert counts == [2, 2, 2, 1, 2, 1]


@pytest.mark.parametrize("prediction", PARAMETRISATIONS)
def test_full_rescale_restores_the_conditional_contrast(prediction):
    torch.manual_seed(0)
    noisy, network = Noisy(torch.randn(4, 8, 8), 2.0, 0), PARAMETRISATIONS[prediction](NoiseTable.from_betas())
    cond, uncond = torch.randn(4, 8, 8), torch.randn(4, 8, 8)
    rescaled = combined(guidance(scale=9.0, rescale=1.0, parametrisation=network), [cond, uncond], noisy)
    contrasts = [float(network.predicted(noisy.x, latent, noisy.sigma).std()) for latent in (rescaled, cond)]
    assert contrasts[0] == pytest.approx(contrasts[1], rel=1e-4)


def test_timelines_change_the_context_at_the_call():
    cfg = guidance(said((2, torch.zeros(2, 3)), (5, torch.ones(2, 3))), scale=2.0)
    seen = []
    for _ in range(5):
        seen.append(float(cfg.rows(NOISY)[0].encoded.tokens[0, 0]))
        combined(cfg, [NOISY.x, NOISY.x])
    assert seen == [0, 0, 0, 1, 1]


def test_blend_keeps_the_original_outside_the_mask():
    original, mask = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 0.0], [0.5, 0.0]]])
    cfg = guidance(scale=1.0, hooks=[Blend(original, mask)])
    assert combined(cfg, [torch.full((1, 2, 2), 4.0)]).tolist() == [[[4.0, 0.0], [2.0, 0.0]]]


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
            rows = program.send([Answer(torch.zeros(1, 2, 2))])
    assert heard == [0, 1, 2] and torch.equal(end.value.value, torch.full((1, 2, 2), 0.125))


def test_a_hook_that_raises_stop_iteration_does_not_end_the_sampling():
    class Careless(Hook):
        def denoised(self, noisy, denoised):
            return next(iter(()))

    def endless(x):
        while True:
            x = yield Noisy(x, 1.0, 0)

    program = guided(endless(torch.ones(1, 2, 2)), guidance(scale=1.0, hooks=[Careless()]), lambda noisy, denoised: None)
    next(program)
    with pytest.raises(RuntimeError, match="StopIteration"):
        program.send([Answer(torch.zeros(1, 2, 2))])


class Asking(Hook):
    """Wants rows of its own, and is told their answers, in their order."""

    def __init__(self, beside: int, after: int) -> None:
        self.sizes, self.own = (beside, after), []

    def beside(self, noisy, rows):
        return [rows[0]] * self.sizes[0]

    def after(self, noisy, rows, answers):
        assert len(rows) == len(answers) == 2
        return [rows[1]] * self.sizes[1]

    def guided(self, noisy, denoised, guidance, own):
        self.own = [float(answer.denoised.mean()) for answer in own]
        assert guidance.scale == 3.0
        return denoised + 100


def test_each_hook_is_answered_what_it_asked_for():
    hooks = [Asking(1, 2), Hook(), Asking(0, 0), Asking(2, 1)]
    cfg = guidance(scale=3.0, hooks=hooks)
    rows = cfg.rows(NOISY)
    asking = asked(cfg, NOISY, rows)
    first = next(asking)
    assert first[:2] == rows and len(first) == 5
    later = asking.send([Answer(torch.full((1, 2, 2), float(number))) for number in range(5)])
    assert len(later) == 3
    with pytest.raises(StopIteration) as end:
        asking.send([Answer(torch.full((1, 2, 2), 10.0 + number)) for number in range(3)])
    answers, own = end.value.value
    denoised, _ = cfg.combine(NOISY, rows, answers, own)
    assert [hook.own for hook in hooks if isinstance(hook, Asking)] == [[2.0, 10.0, 11.0], [], [3.0, 4.0, 12.0]]
    assert torch.allclose(denoised, torch.full((1, 2, 2), 1 + 3 * (0 - 1) + 300.0))

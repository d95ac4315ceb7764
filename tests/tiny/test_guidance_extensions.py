"""The extensions of guidance that Easel brings: each against its authors' or diffusers' own code, at single calls."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance
from diffusers.guiders.classifier_free_zero_star_guidance import cfg_zero_star_scale
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0
from diffusers.models.unets import unet_2d_blocks
from diffusers.pipelines.deprecated.stable_diffusion_sag import pipeline_stable_diffusion_sag as sag
from diffusers.utils import torch_utils
from torch import Tensor

from backend.sampling.protocol import Noisy
from backend.worker.guidance.cfg_denoiser import CFGDenoiser, Conditioning, Said, Strength, asked
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.preconditioning import denoise
from backend.worker.models.encoded_text import stacked
from backend.worker.models.model_base import Model
from extensions.adaptive_projected_guidance.worker import Projected
from extensions.cfg_zero_star.worker import ZeroStar
from extensions.dynamic_thresholding.worker import Thresholded
from extensions.freeu.worker import WithFreeU, freeu, second_freeu
from extensions.perturbed_attention.worker import ADAPTERS, PerturbedAttention
from extensions.self_attention_guidance.worker import SelfAttentionGuidance
from extensions.step_cache.worker import StepCache
from tests.tiny.test_controlnet import encoded, model

__all__ = ["model"]

SCALE, SIGMA = 6.0, 2.0
X = torch.randn(4, 8, 12, generator=torch.Generator().manual_seed(1)) * 3


def said(model: Model, text: str) -> Conditioning:
    return Conditioning(((99, Said(encoded(model, text))),))


def guidance(model: Model, *hooks: Hook) -> CFGDenoiser:
    return CFGDenoiser(model, model.parametrisation, [said(model, "cat")], said(model, "dog"), Strength(SCALE), hooks)


def called(cfg: CFGDenoiser, x: Tensor = X, sigma: float = SIGMA, step: int = 0) -> tuple[Tensor, list[int]]:
    """The guided latent of one call, and how many rows each network call had."""
    noisy, sizes = Noisy(x, sigma, step), []
    rows = cfg.rows(noisy)
    asking = asked(cfg, noisy, rows)
    wanted = next(asking)
    while True:
        sizes.append(len(wanted))
        try:
            assert len({row.key for row in wanted}) == 1, "the rows fit into one call"
            wanted = asking.send(denoise(wanted))
        except StopIteration as end:
            answers, own = end.value
            return cfg.combine(noisy, rows, answers, own)[0], sizes


def network(model: Model, x: Tensor, *texts: str) -> Tensor:
    """What the network denoises (B, C, h, w) to: diffusers' classes alone."""
    at, words = model.parametrisation.scalings(SIGMA), stacked([encoded(model, text) for text in texts])
    more = {}
    if words.pooled is not None:
        pooled, sizes = words.pooled.split([words.pooled.shape[-1] - 6, 6], dim=-1)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}
    output = model.denoiser(x * at.c_in, torch.tensor([at.timestep]), words.tokens, return_dict=False, **more)[0]
    return x * at.c_skip + output * at.c_out


def both(model: Model) -> tuple[Tensor, Tensor]:
    return tuple(network(model, torch.stack([X, X]), "cat", "dog"))


@torch.inference_mode()
def test_freeu_is_diffusers_own_and_nothing_of_it_stays(model: Model) -> None:
    plain, _ = called(guidance(model))
    model.denoiser.enable_freeu(0.9, 0.2, 1.3, 1.4)
    cond, uncond = both(model)
    model.denoiser.disable_freeu()
    found, _ = called(guidance(model, WithFreeU(freeu(0.9, 0.2, 1.3, 1.4))))
    assert (found - (uncond + SCALE * (cond - uncond))).abs().max() < 1e-4
    assert (found - plain).abs().max() > 1e-3 and torch.equal(called(guidance(model))[0], plain)


@torch.inference_mode()
def test_the_second_freeu_amplifies_what_is_strong_already(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where diffusers calls the first version's formula it is given the second's, as its authors publish that."""
    stages = {4 * model.denoiser.conv_in.out_channels: (1.3, 0.9), 2 * model.denoiser.conv_in.out_channels: (1.4, 0.2)}
    seen: set[int] = set()

    def second(resolution_idx: int, hidden_states: Tensor, res_hidden_states: Tensor, **_: float) -> tuple[Tensor, Tensor]:
        count = hidden_states.shape[1]
        if count not in stages:
            return hidden_states, res_hidden_states
        seen.add(count)
        b, s = stages[count]
        mean = hidden_states.mean(1).unsqueeze(1)
        flat = mean.flatten(1)
        low, high = (edge[:, None, None, None] for edge in (flat.min(1).values, flat.max(1).values))
        strong = hidden_states.clone()
        strong[:, :count // 2] *= (b - 1) * (mean - low) / (high - low) + 1
        return strong, torch_utils.fourier_filter(res_hidden_states, threshold=1, scale=s)

    plain, _ = called(guidance(model))
    first, _ = called(guidance(model, WithFreeU(freeu(0.9, 0.2, 1.3, 1.4))))
    found, _ = called(guidance(model, WithFreeU(second_freeu(0.9, 0.2, 1.3, 1.4))))
    assert torch.equal(called(guidance(model))[0], plain)
    monkeypatch.setattr(unet_2d_blocks, "apply_freeu", second)
    model.denoiser.enable_freeu(0.9, 0.2, 1.3, 1.4)
    cond, uncond = both(model)
    model.denoiser.disable_freeu()
    assert seen and (found - (uncond + SCALE * (cond - uncond))).abs().max() < 1e-4
    assert (found - plain).abs().max() > 1e-3 < (found - first).abs().max()


@torch.inference_mode()
def test_perturbed_attention_is_diffusers_own_in_one_call(model: Model) -> None:
    plain, _ = called(guidance(model))
    found, sizes = called(guidance(model, PerturbedAttention(3.0, ADAPTERS["Middle"])))
    own = model.denoiser.attn_processors
    perturbed = {name: PAGIdentitySelfAttnProcessor2_0() if name.startswith("mid_block") and "attn1" in name else processor
                 for name, processor in own.items()}
    model.denoiser.set_attn_processor(dict(perturbed))
    cond, alone = network(model, torch.stack([X, X]), "cat", "cat")
    model.denoiser.set_attn_processor(dict(own))
    cond_itself, uncond = both(model)
    assert (cond - cond_itself).abs().max() < 1e-4
    assert (found - (uncond + SCALE * (cond - uncond) + 3.0 * (cond - alone))).abs().max() < 1e-4
    assert sizes == [3] and (found - plain).abs().max() > 1e-3
    for blocks in ("Up", "Down", "All"):
        assert (called(guidance(model, PerturbedAttention(3.0, ADAPTERS[blocks])))[0] - found).abs().max() > 1e-4
    assert torch.equal(called(guidance(model))[0], plain)


@torch.inference_mode()
def test_self_attention_guidance_is_diffusers_own_in_two_calls(model: Model) -> None:
    plain, _ = called(guidance(model))
    found, sizes = called(guidance(model, SelfAttentionGuidance(0.75, 1.0)))
    unet, store, size = model.denoiser, sag.CrossAttnStoreProcessor(), []
    attention = unet.mid_block.attentions[0].transformer_blocks[0].attn1
    own, attention.processor = attention.processor, store
    handle = unet.mid_block.attentions[0].register_forward_hook(lambda module, given, said: size.append(said[0].shape[-2:]))
    cond, uncond = both(model)
    handle.remove()
    attention.processor = own
    # On the scale of x = clean + sigma * noise; the heads are counted from the map that was stored.
    heads = attention.heads
    theirs = SimpleNamespace(
        unet=SimpleNamespace(config=SimpleNamespace(attention_head_dim=heads)),
        scheduler=SimpleNamespace(add_noise=lambda latent, noise, timesteps: latent + SIGMA * noise))
    noise = ((X - uncond) / SIGMA)[None]
    degraded = sag.StableDiffusionSAGPipeline.sag_masking(theirs, uncond[None], store.attention_probs[heads:], size[0],
                                                          torch.tensor(1), noise)
    again = network(model, degraded, "dog")
    difference = noise - (degraded - again) / SIGMA             # in the unit noise, of which denoised is - sigma times
    assert (found - (uncond + SCALE * (cond - uncond) - SIGMA * 0.75 * difference[0])).abs().max() < 1e-4
    assert sizes == [2, 1] and (found - plain).abs().max() > 1e-4
    assert torch.equal(called(guidance(model))[0], plain)


@torch.inference_mode()
@pytest.mark.parametrize(("eta", "threshold", "momentum"), [(0.0, 0.0, 0.0), (0.5, 2.0, -0.5), (1.0, 0.0, 0.0)])
def test_adaptive_projected_guidance_is_diffusers_own(model: Model, eta: float, threshold: float, momentum: float) -> None:
    cond, uncond = both(model)
    cfg, buffer = guidance(model, Projected(eta, threshold, momentum)), MomentumBuffer(momentum)
    for call in range(2):           # the second has the average of the first
        found, _ = called(cfg)
        expected = normalized_guidance(cond[None], uncond[None], SCALE - 1, buffer if momentum else None, eta, threshold,
                                       use_original_formulation=True)[0]
        assert (found - expected).abs().max() < 1e-4, call


@torch.inference_mode()
def test_cfg_zero_star_is_diffusers_own_on_what_the_network_predicts(model: Model) -> None:
    cond, uncond = both(model)
    read = model.parametrisation
    predicted = [read.predicted(X, latent, SIGMA)[None] for latent in (cond, uncond)]
    alpha = cfg_zero_star_scale(*(each.flatten(1) for each in predicted)).view(-1, 1, 1, 1)
    expected = read.denoised(X, (predicted[1] * alpha + SCALE * (predicted[0] - predicted[1] * alpha))[0], SIGMA)
    assert (called(guidance(model, ZeroStar(1)), step=1)[0] - expected).abs().max() < 1e-4
    silent, _ = called(guidance(model, ZeroStar(1)), step=0)
    assert torch.allclose(silent, read.denoised(X, torch.zeros_like(X), SIGMA))


@torch.inference_mode()
def test_dynamic_thresholding_has_the_contrast_of_the_mimic_scale(model: Model) -> None:
    cond, uncond = both(model)
    wide, narrow = (uncond + scale * (cond - uncond) for scale in (SCALE, 2.0))
    settings = {"mimic": 2.0, "percentile": 1.0, "separate": True, "from_zero": False, "by_peak": True, "phi": 1.0}

    def found(**changed: object) -> Tensor:
        return called(guidance(model, Thresholded(**settings | changed)))[0]

    for channel, theirs, whole in zip(found(), narrow, wide, strict=True):
        off, reference = channel - whole.mean(), theirs - theirs.mean()
        assert off.abs().max() <= reference.abs().max() + 1e-4
        assert torch.corrcoef(torch.stack([channel.flatten(), whole.flatten()]))[0, 1] > 0.999
    for channel, theirs in zip(found(by_peak=False), narrow, strict=True):
        assert abs(channel.std() - theirs.std()) < 1e-3
    assert (found(phi=0.0) - wide).abs().max() < 1e-4
    assert (found(mimic=SCALE) - wide).abs().max() < 1e-3, "mimicking its own scale changes nothing"
    assert found(from_zero=True, separate=False).abs().max() <= narrow.abs().max() + 1e-4
    assert (found(percentile=0.9) - found()).abs().max() > 1e-3


@torch.inference_mode()
def test_the_step_cache_runs_the_whole_network_in_every_second_call(model: Model) -> None:
    ran = []
    handle = model.denoiser.mid_block.resnets[0].register_forward_hook(lambda *_: ran.append(True))
    cached, plain = guidance(model, StepCache(2)), guidance(model)
    first, second, third = (called(cached, X + 0.05 * call)[0] for call in range(3))
    handle.remove()
    assert len(ran) == 2
    expected = [called(plain, X + 0.05 * call)[0] for call in range(3)]
    assert torch.equal(first, expected[0]) and torch.equal(third, expected[2])
    assert 0 < (second - expected[1]).abs().mean() < (expected[0] - expected[1]).abs().mean(), "nearer than the old answer"
    same = called(guidance(model, cache := StepCache(3)))[0], called(guidance(model, cache))[0]
    assert (same[0] - same[1]).abs().max() < 1e-4, "on the same latent the cache changes nothing"
    other = guidance(model, WithFreeU(freeu(0.9, 0.2, 1.3, 1.4)), StepCache(3))
    assert torch.equal(called(other)[0], called(other)[0]), "beside others it rests"


@torch.inference_mode()
def test_they_work_together(model: Model) -> None:
    hooks = (Projected(0.0, 5.0, 0.0), WithFreeU(freeu(0.9, 0.2, 1.3, 1.4)), PerturbedAttention(2.0, ADAPTERS["Middle"]),
             SelfAttentionGuidance(0.5, 1.0))
    found, sizes = called(guidance(model, *hooks))
    assert sizes == [3, 1] and torch.isfinite(found).all()
    less = [called(guidance(model, *(hook for hook in hooks if hook is not left)))[0] for left in hooks]
    assert all((found - each).abs().max() > 1e-4 for each in less), "each has its part"

"""How denoising strength cuts a run of steps, and at which sigma a run begins that starts from a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from backend.sampling.noise_table import Floats
    from backend.sampling.sampler_row import SamplerRow


class Img2ImgSteps(NamedTuple):
    """``steps`` the schedule is computed for, ``t_enc`` (one less than the steps run), ``start`` index of the sigmas.

    With fixed steps and strength 0 there is nothing to do: steps is 0.
    """

    steps: int
    t_enc: int
    start: int


def img2img_steps(steps: int, strength: float, *, fixed: bool = False) -> Img2ImgSteps:
    """How denoising strength in [0, 1] cuts a run of ``steps``.

    ``fixed`` runs the requested number whatever the strength (the hires pass, or the "fix steps" setting) by
    computing a longer schedule; otherwise t_enc = int(strength * steps). Source: AUTOMATIC1111 setup_img2img_steps.
    """
    capped = min(strength, 0.999)
    if fixed:
        total, t_enc = (int(steps / capped) if strength > 0 else 0), steps - 1
    else:
        total, t_enc = steps, int(capped * steps)
    return Img2ImgSteps(total, t_enc, total - t_enc - 1)


def img2img_start(row: SamplerRow, sigmas: Floats, cut: Img2ImgSteps) -> tuple[float, Floats]:
    """(sigma to noise the picture to, sigmas to run), from the sigmas of all ``cut.steps`` steps.

    k-diffusion samplers make t_enc + 1 steps from the sigma they are noised to. Timestep samplers are noised one
    level above the first they visit (AUTOMATIC1111's habit); they always get at least one step.
    """
    if not row.timestep_space:
        run = sigmas[max(cut.start, 0) :]
        return float(run[0]), run
    run = sigmas[-max(cut.t_enc, 2) :]
    return float(sigmas[max(len(sigmas) - len(run) - 1, 0)]), run

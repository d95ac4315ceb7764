"""WHAT: the frozen request, and the field table that the whole house reads.

A parameter is one line of `Request`: its type, its default and its `param(...)` metadata. The page's components, the
HTTP schema, the infotext writer and reader and the XYZ axes are made from this table; no other list of parameters exists.
This file is read by both processes and imports nothing heavy.
"""

from __future__ import annotations

import dataclasses
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from backend.errors import InvalidRequest, Problem
from backend.sampling.names import SAME_SAMPLER, SAME_SCHEDULER, sampler_named, schedule_named, split_suffix
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES

Kind = Literal["text", "int", "float", "bool", "choice", "seed", "checkpoint", "picture"]
Cost = Literal["step", "image", "checkpoint"]
Group = Literal["prompt", "sampling", "size", "batch", "guidance", "seed", "seed_extra", "advanced", "output",
                "img2img", "img2img_extra", "inpaint", "hires"]

MAX_SEED = 2**32 - 1
MAX_PROMPT = 100_000          # characters; far above any prompt, below what could stall the parser
MAX_PIXELS = 8192 * 8192
PICTURE_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the field table. Neutral: knows no toolkit, no protocol."""

    name: str
    label: str
    kind: Kind
    default: Any
    group: Group
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None             # slider step of the page; also "must be a multiple of" for sizes
    slider_minimum: float | None = None   # the page's slider starts here, typed numbers may go down to `minimum`
    slider_maximum: float | None = None   # the page's slider ends here, typed numbers may go to `maximum`
    choices: tuple[str, ...] = ()
    infotext: str = ""                    # key in the saved picture's text; "" = does not change the picture
    infotext_always: bool = False         # written even at its default
    api: str = ""                         # the name in AUTOMATIC1111's JSON; "" = same as `name`
    api_index: bool = False               # AUTOMATIC1111's JSON gives a choice by its number, or by yes and no
    override: str = ""                    # the name in AUTOMATIC1111's options / override_settings
    needs: tuple[str, ...] = ()           # fields of which one must be set, or this one changes nothing
    xyz: str = ""                         # label of the XYZ axis; "" = no axis
    xyz_cost: Cost = "step"
    resolve: Callable[[str], str] | None = None  # turns an alias of a choice into the choice

    @property
    def api_name(self) -> str:
        return self.api or self.name


def param(default: Any, label: str, kind: Kind, group: Group, **more: Any) -> Any:
    """A field of `Request` with its row of the table (see `Field` for the keywords)."""
    return dataclasses.field(default=default, metadata={"label": label, "kind": kind, "group": group, **more})


EMPHASIS = ("Original", "No norm", "Ignore", "None")
SEED_SOURCES = ("CPU", "GPU", "NV")
IMAGE_FORMATS = ("png", "jpg", "webp")
UPSCALERS = ("Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)", "Latent (nearest)",
             "Latent (nearest-exact)", "Lanczos", "Nearest")
RESIZE_MODES = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
MASK_MODES = ("Inpaint masked", "Inpaint not masked")
MASKED_CONTENT = ("fill", "original", "latent noise", "latent nothing")
INPAINT_AREAS = ("Whole picture", "Only masked")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the user asked for: plain JSON values, validated by `parse`, frozen from then on."""

    prompt: str = param("", "Prompt", "text", "prompt", infotext="Prompt", xyz="Prompt S/R",
                        help="What to draw. (word:1.2) weighs, [a:b:0.5] switches half-way, [a|b] alternates, AND combines.")
    negative_prompt: str = param("", "Negative prompt", "text", "prompt", infotext="Negative prompt", xyz="Negative prompt S/R",
                                 help="What to keep out of the picture.")
    checkpoint: str = param("", "Checkpoint", "checkpoint", "prompt", override="sd_model_checkpoint", infotext="Model",
                            infotext_always=True, xyz="Checkpoint name", xyz_cost="checkpoint",
                            help="The model that draws: a name or a hash from the list.")
    sampler: str = param("DPM++ 2M", "Sampling method", "choice", "sampling", choices=tuple(SAMPLERS), resolve=lambda name: sampler_named(name).label,
                         infotext="Sampler", infotext_always=True, api="sampler_name", xyz="Sampler")
    schedule: str = param("Automatic", "Schedule type", "choice", "sampling", choices=tuple(SCHEDULES), resolve=lambda name: schedule_named(name).label,
                          infotext="Schedule type", infotext_always=True, api="scheduler", xyz="Schedule type",
                          help="How the noise levels are spaced. Automatic takes the sampler's own.")
    steps: int = param(20, "Sampling steps", "int", "sampling", minimum=1, maximum=1000, slider_maximum=150, step=1,
                       infotext="Steps", infotext_always=True, xyz="Steps")
    width: int = param(512, "Width", "int", "size", minimum=64, maximum=8192, slider_maximum=2048, step=8,
                       infotext="Size", infotext_always=True, xyz="Width", help="Pixels; a multiple of 8.")
    height: int = param(512, "Height", "int", "size", minimum=64, maximum=8192, slider_maximum=2048, step=8,
                        infotext="Size", infotext_always=True, xyz="Height", help="Pixels; a multiple of 8.")
    batch_count: int = param(1, "Batch count", "int", "batch", minimum=1, maximum=1000, slider_maximum=100, step=1, api="n_iter",
                             help="How many batches to make, one after another.")
    batch_size: int = param(1, "Batch size", "int", "batch", minimum=1, maximum=64, slider_maximum=16, step=1,
                            help="How many pictures to draw side by side; needs memory, not the result.")
    cfg_scale: float = param(7.0, "CFG scale", "float", "guidance", minimum=-999, maximum=999, slider_minimum=1, slider_maximum=30, step=0.5,
                             infotext="CFG scale", infotext_always=True, xyz="CFG scale",
                             help="How strictly to follow the prompt. 1 switches the negative prompt off and halves the work.")
    cfg_rescale: float = param(0.0, "CFG rescale", "float", "guidance", minimum=0, maximum=1, step=0.05,
                               infotext="CFG rescale", xyz="CFG rescale",
                               help="Pulls the contrast of strongly guided pictures back to normal (Lin et al. 2023); 0 is off.")
    seed: int = param(-1, "Seed", "seed", "seed", minimum=-1, maximum=MAX_SEED, infotext="Seed", infotext_always=True, xyz="Seed",
                      help="The same seed and settings give the same picture. -1 draws a new one.")
    variation_seed: int = param(-1, "Variation seed", "seed", "seed_extra", minimum=-1, maximum=MAX_SEED, api="subseed",
                                infotext="Variation seed", needs=("variation_strength",), xyz="Var. seed", help="A second seed to blend in.")
    variation_strength: float = param(0.0, "Variation strength", "float", "seed_extra", minimum=0, maximum=1, step=0.01,
                                      api="subseed_strength", infotext="Variation seed strength", xyz="Var. strength",
                                      help="0 is the seed alone, 1 the variation seed alone.")
    seed_resize_from_w: int = param(0, "Resize seed from width", "int", "seed_extra", minimum=0, maximum=8192, slider_maximum=2048,
                                    step=8, infotext="Seed resize from",
                                    help="Keep the composition that this seed has at another size; 0 is off.")
    seed_resize_from_h: int = param(0, "Resize seed from height", "int", "seed_extra", minimum=0, maximum=8192, slider_maximum=2048,
                                    step=8, infotext="Seed resize from")
    clip_skip: int = param(1, "Clip skip", "int", "advanced", minimum=1, maximum=12, step=1, override="CLIP_stop_at_last_layers",
                           infotext="Clip skip", xyz="Clip skip", xyz_cost="image",
                           help="Stop this many layers before the end of the text encoder; 1 uses all of it.")
    emphasis: str = param("Original", "Emphasis mode", "choice", "advanced", choices=EMPHASIS, override="emphasis",
                          infotext="Emphasis", xyz="Emphasis", xyz_cost="image", help="How (word:1.2) weights are applied.")
    eta: float | None = param(None, "Eta", "float", "advanced", minimum=0, maximum=1, step=0.01, infotext="Eta", xyz="Eta",
                              help="Share of fresh noise of ancestral, SDE and DDIM samplers; empty takes the sampler's own.")
    s_churn: float = param(0.0, "Sigma churn", "float", "advanced", minimum=0, maximum=100, step=0.01, infotext="Sigma churn",
                           xyz="Sigma Churn", help="Noise added back each step by Euler, Heun, DPM2 and HeunPP2.")
    s_tmin: float = param(0.0, "Sigma tmin", "float", "advanced", minimum=0, maximum=1000, slider_maximum=10, step=0.01,
                          infotext="Sigma tmin", xyz="Sigma min", help="Churn only above this noise level.")
    s_tmax: float = param(0.0, "Sigma tmax", "float", "advanced", minimum=0, maximum=1000, step=0.01, infotext="Sigma tmax",
                          xyz="Sigma max", help="Churn only below this noise level; 0 is no limit.")
    s_noise: float = param(1.0, "Sigma noise", "float", "advanced", minimum=0, maximum=2, step=0.001, infotext="Sigma noise",
                           xyz="Sigma noise", help="Strength of the noise that samplers add.")
    s_min_uncond: float = param(0.0, "Negative guidance minimum sigma", "float", "advanced", minimum=0, maximum=15, step=0.01,
                                infotext="NGMS", help="Leave the negative prompt out on every other step below this noise level: faster.")
    sigma_min: float = param(0.0, "Schedule min sigma", "float", "advanced", minimum=0, maximum=1000, step=0.001,
                             override="sigma_min", infotext="Schedule min sigma", xyz="Schedule min sigma", help="0 takes the model's.")
    sigma_max: float = param(0.0, "Schedule max sigma", "float", "advanced", minimum=0, maximum=1000, step=0.01,
                             override="sigma_max", infotext="Schedule max sigma", xyz="Schedule max sigma", help="0 takes the model's.")
    rho: float = param(0.0, "Schedule rho", "float", "advanced", minimum=0, maximum=100, step=0.1, override="rho",
                       infotext="Schedule rho", xyz="Schedule rho", help="Curve of the Karras and polyexponential schedules; 0 takes their own.")
    beta_alpha: float = param(0.6, "Beta schedule alpha", "float", "advanced", minimum=0.01, maximum=10, step=0.01,
                              override="beta_dist_alpha", infotext="Beta schedule alpha", xyz="Beta schedule alpha")
    beta_beta: float = param(0.6, "Beta schedule beta", "float", "advanced", minimum=0.01, maximum=10, step=0.01,
                             override="beta_dist_beta", infotext="Beta schedule beta", xyz="Beta schedule beta")
    discard_next_to_last: bool = param(False, "Discard next-to-last sigma", "bool", "advanced",
                                       override="always_discard_next_to_last_sigma", infotext="Discard penultimate sigma")
    ensd: int = param(0, "Eta noise seed delta (ENSD)", "int", "advanced", minimum=-MAX_SEED, maximum=MAX_SEED, step=1,
                      override="eta_noise_seed_delta", infotext="ENSD", help="Added to the seed for all noise after the first.")
    seed_source: str = param("CPU", "Random number source", "choice", "advanced", choices=SEED_SOURCES, override="randn_source",
                             infotext="RNG", infotext_always=True,
                             help="CPU repeats on every machine; NV gives an NVIDIA card's numbers anywhere; GPU is the device's own.")
    old_timelines: bool = param(False, "Old prompt editing timelines", "bool", "advanced", override="use_old_scheduling",
                                infotext="Old prompt editing timelines", help="Read [a:b:n] as AUTOMATIC1111 before 1.6 did.")
    image_format: str = param("png", "Image format", "choice", "output", choices=IMAGE_FORMATS, override="samples_format",
                              help="The settings are written into all three.")
    init_image: str = param("", "Image", "picture", "img2img", help="The picture to start from.")
    denoising_strength: float = param(0.75, "Denoising strength", "float", "img2img", minimum=0, maximum=1, step=0.01,
                                      needs=("init_image", "enable_hr"), infotext="Denoising strength", infotext_always=True, xyz="Denoising",
                                      help="How much may change: 0 keeps the picture, 1 keeps next to nothing of it.")
    resize_mode: str = param("Just resize", "Resize mode", "choice", "img2img", choices=RESIZE_MODES, api_index=True, needs=("init_image",),
                             infotext="Resize mode", help="How a picture of other proportions is brought to width and height.")
    color_correction: bool = param(False, "Colour correction", "bool", "img2img_extra", override="img2img_color_correction", needs=("init_image",),
                                   infotext="Color correction", help="Give the result the colours of the picture it started from.")
    initial_noise_multiplier: float = param(1.0, "Initial noise multiplier", "float", "img2img_extra", minimum=0, maximum=1.5, step=0.001,
                                            override="initial_noise_multiplier", needs=("init_image",), infotext="Noise multiplier",
                                            xyz="Initial noise multiplier", help="Below 1 the picture changes less and gets smoother.")
    extra_noise: float = param(0.0, "Extra noise", "float", "img2img_extra", minimum=0, maximum=1, step=0.01, needs=("init_image", "enable_hr"),
                               override="img2img_extra_noise", infotext="Extra noise", xyz="Extra noise",
                               help="Noise that the sampler does not expect: it becomes detail.")
    fix_steps: bool = param(False, "Do exactly the steps asked for", "bool", "img2img_extra", override="img2img_fix_steps", needs=("init_image",),
                            infotext="Img2img fix steps", help="Otherwise a lower strength makes fewer steps.")
    enable_hr: bool = param(False, "Hires. fix", "bool", "hires", help="Draw the picture small first, then once more at its full size.")
    hr_upscaler: str = param("Latent", "Upscaler", "choice", "hires", choices=UPSCALERS, needs=("enable_hr",), infotext="Hires upscaler",
                             infotext_always=True, xyz="Hires upscaler",
                             help="Latent ones need a denoising strength above 0.5; the others keep more of the first picture.")
    hr_scale: float = param(2.0, "Upscale by", "float", "hires", minimum=1, maximum=8, slider_maximum=4, step=0.05, needs=("enable_hr",),
                            infotext="Hires upscale", infotext_always=True, xyz="Hires upscale")
    hr_resize_x: int = param(0, "Resize width to", "int", "hires", minimum=0, maximum=8192, slider_maximum=2048, step=8, needs=("enable_hr",),
                             infotext="Hires resize", help="0 goes by the factor, or by the height.")
    hr_resize_y: int = param(0, "Resize height to", "int", "hires", minimum=0, maximum=8192, slider_maximum=2048, step=8, needs=("enable_hr",),
                             infotext="Hires resize", help="0 goes by the factor, or by the width.")
    hr_second_pass_steps: int = param(0, "Hires steps", "int", "hires", minimum=0, maximum=1000, slider_maximum=150, step=1,
                                      needs=("enable_hr",), infotext="Hires steps", xyz="Hires steps", help="0 makes as many as the first pass.")
    hr_sampler: str = param(SAME_SAMPLER, "Hires sampling method", "choice", "hires", choices=(SAME_SAMPLER, *SAMPLERS), api="hr_sampler_name",
                            resolve=lambda name: sampler_named(split_suffix(name, SCHEDULES["Automatic"])[0]).label, needs=("enable_hr",),
                            infotext="Hires sampler", xyz="Hires sampler")
    hr_schedule: str = param(SAME_SCHEDULER, "Hires schedule type", "choice", "hires", choices=(SAME_SCHEDULER, *SCHEDULES), api="hr_scheduler",
                             resolve=lambda name: schedule_named(name).label, needs=("enable_hr",), infotext="Hires schedule type")
    hr_prompt: str = param("", "Hires prompt", "text", "hires", needs=("enable_hr",), infotext="Hires prompt",
                           help="For the second pass; empty takes that of the first.")
    hr_negative_prompt: str = param("", "Hires negative prompt", "text", "hires", needs=("enable_hr",), infotext="Hires negative prompt",
                                    help="For the second pass; empty takes that of the first.")
    hr_cfg: float = param(0.0, "Hires CFG scale", "float", "hires", minimum=-999, maximum=999, slider_minimum=0, slider_maximum=30, step=0.5,
                          needs=("enable_hr",), infotext="Hires CFG Scale", xyz="Hires CFG scale", help="0 takes that of the first pass.")
    mask: str = param("", "Mask", "picture", "inpaint", help="White is painted anew, black stays.")
    mask_blur: int = param(4, "Mask blur", "int", "inpaint", minimum=0, maximum=256, slider_maximum=64, step=1, infotext="Mask blur", needs=("mask",),
                           help="Pixels over which the mask's edge is softened.")
    mask_mode: str = param("Inpaint masked", "Mask mode", "choice", "inpaint", choices=MASK_MODES, api="inpainting_mask_invert", api_index=True,
                           needs=("mask",), infotext="Mask mode")
    masked_content: str = param("original", "Masked content", "choice", "inpaint", choices=MASKED_CONTENT, api="inpainting_fill", api_index=True,
                                needs=("mask",), infotext="Masked content",
                                help="What lies under the mask at the start: neighbouring colours, the picture, noise or nothing.")
    inpaint_area: str = param("Whole picture", "Inpaint area", "choice", "inpaint", choices=INPAINT_AREAS, api="inpaint_full_res", api_index=True,
                              needs=("mask",), infotext="Inpaint area", help="Only masked draws the masked part alone, at full width and height.")
    masked_padding: int = param(32, "Only masked padding", "int", "inpaint", minimum=0, maximum=1024, slider_maximum=256, step=4,
                                api="inpaint_full_res_padding", needs=("mask",), infotext="Masked area padding",
                                help="Pixels around the masked part that are drawn with it, so that it fits in.")

    @classmethod
    def parse(cls, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Request:
        """A request from untrusted values by field name; missing ones come from `defaults`, then from the table.

        Raises InvalidRequest naming every wrong or unknown field.
        """
        values = _split_sampler(values)
        problems = [Problem("is not a setting that Easel knows", name) for name in values if name not in FIELDS]
        clean: dict[str, Any] = {}
        for field in FIELDS.values():
            value = values.get(field.name, (defaults or {}).get(field.name, field.default))
            try:
                clean[field.name] = _clean(field, value)
            except ValueError as error:
                problems.append(Problem(str(error), field.name))
        problems += [] if problems else _together(clean)
        if problems:
            raise InvalidRequest(problems=problems)
        return cls(**clean)

    def with_seeds(self) -> Request:
        """The same request with random seeds drawn: from here on, the pictures are a function of the request."""
        return self.replace(
            seed=secrets.randbelow(MAX_SEED) if self.seed < 0 else self.seed,
            variation_seed=secrets.randbelow(MAX_SEED) if self.variation_seed < 0 else self.variation_seed,
        )

    def of_image(self, index: int) -> Request:
        """The request that makes only picture `index` (0 to count-1) of this one, alone.

        Seeds count up; with a variation strength the variation seeds count up instead, as in AUTOMATIC1111.
        """
        step = {"variation_seed": self.variation_seed + index} if self.variation_strength else {"seed": self.seed + index}
        return self.replace(batch_count=1, batch_size=1, **{k: v % (MAX_SEED + 1) for k, v in step.items()})

    @property
    def count(self) -> int:
        """How many pictures this request makes."""
        return self.batch_count * self.batch_size

    def idle(self, field: Field) -> bool:
        """Whether the field changes nothing in this request, because all that it needs is at its default."""
        return bool(field.needs) and all(getattr(self, name) == FIELDS[name].default for name in field.needs)

    def replace(self, **changes: Any) -> Request:
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _table() -> dict[str, Field]:
    return {f.name: Field(name=f.name, default=f.default, **f.metadata) for f in dataclasses.fields(Request)}


FIELDS: dict[str, Field] = _table()


def _split_sampler(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """AUTOMATIC1111 before 1.9 wrote the schedule into the sampler's name: "DPM++ 2M Karras"."""
    sampler = values.get("sampler")
    if not isinstance(sampler, str) or sampler in SAMPLERS:
        return values
    name, schedule = split_suffix(sampler, SCHEDULES["Automatic"])
    if name == sampler:
        return values
    named = values.get("schedule", "Automatic")
    return {**values, "sampler": name, "schedule": schedule.label if named == "Automatic" else named}


def _clean(field: Field, value: Any) -> Any:
    if value is None and field.default is None:
        return None
    if field.kind in ("text", "checkpoint"):
        return _text(value)
    if field.kind == "choice":
        return _choice(field, value)
    if field.kind == "bool":
        return _boolean(value)
    if field.kind == "picture":
        return _picture(value)
    return _number(field, value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    if len(value) > MAX_PROMPT:
        raise ValueError(f"has {len(value):,} characters; at most {MAX_PROMPT:,} are read")
    kept = "".join(c if c >= " " or c in "\n\t" else " " for c in value.replace("\r\n", "\n"))
    return kept.encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be stored


def _choice(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    if value in field.choices:
        return value
    try:
        return field.resolve(value) if field.resolve else _same_letters(field, value)
    except (KeyError, ValueError):
        raise ValueError(f"'{value[:60]}' is unknown; one of: {', '.join(field.choices)}") from None


def _same_letters(field: Field, value: str) -> str:
    return {choice.casefold(): choice for choice in field.choices}[value.casefold()]


def _picture(value: Any) -> str:
    if isinstance(value, str) and (not value or PICTURE_ID.fullmatch(value)):
        return value
    raise ValueError("must be a picture that was sent to Easel before")


def _boolean(value: Any) -> bool:
    if value in (True, False, 0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().casefold() in ("true", "false"):
        return value.strip().casefold() == "true"
    raise ValueError("must be yes or no")


def _number(field: Field, value: Any) -> int | float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("must be a number")
    if field.kind != "float" and number != int(number):
        raise ValueError("must be a whole number")
    if field.minimum is not None and number < field.minimum or field.maximum is not None and number > field.maximum:
        raise ValueError(f"must be between {field.minimum:g} and {field.maximum:,}; {number:g} is not")
    if field.name in ("width", "height") and number % 8:
        raise ValueError(f"must be a multiple of 8; the nearest is {round(number / 8) * 8}")
    return int(number) if field.kind != "float" else number


def _together(clean: Mapping[str, Any]) -> list[Problem]:
    """What single fields cannot see."""
    problems = []
    if clean["width"] * clean["height"] > MAX_PIXELS:
        problems.append(Problem(f"together with the height it makes more than {MAX_PIXELS // 2**20} megapixels", "width"))
    if clean["sigma_min"] and clean["sigma_max"] and clean["sigma_min"] >= clean["sigma_max"]:
        problems.append(Problem("must be below the schedule's max sigma", "sigma_min"))
    if clean["enable_hr"] and clean["init_image"]:
        problems.append(Problem("is for pictures from nothing; it cannot be used with a picture to start from", "enable_hr"))
    if clean["mask"] and not clean["init_image"]:
        problems.append(Problem("is missing: a mask needs the picture that it lies on", "init_image"))
    return problems


assert set(get_args(Kind)) >= {field.kind for field in FIELDS.values()}

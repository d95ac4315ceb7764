"""WHAT: the frozen request, and the field table that the whole house reads.

A parameter is one line of `Request`: its type, its default and its `param(...)` metadata. The page's components, the
HTTP schema, the infotext writer and reader and the XYZ axes are made from this table; no other list of parameters exists.
This file is read by both processes and imports nothing heavy.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import InvalidRequest, Problem
from backend.request import choices, cross_field_checks, inert_settings
from backend.request import face_swap as swap
from backend.request.detailer import DETAILER_UNIT, MOST_DETAILERS, with_texts
from backend.request.face_swap import EVERYBODY, GENDERS
from backend.request.field import Field, clean, param
from backend.request.guide_unit import FACE_ORDERS, GUIDE_UNIT, LARGEST, MOST
from backend.request.legacy_sampler_names import split_samplers
from backend.request.record import Record, gathered, plain
from backend.request.region import MOST_REGIONS, REGION
from backend.sampling.names import SAME_SAMPLER, SAME_SCHEDULER, sampler_named, schedule_named
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES
from backend.table import Names, Table

MAX_SEED = 2**64 - 1            # what torch's generators take
RANDOM_SEEDS = 2**32 - 1        # random ones stay below this: short enough to be typed
RESOLVED = {"prompt": "prompts", "negative_prompt": "negative_prompts", "hr_prompt": "hr_prompts",
            "hr_negative_prompt": "hr_negative_prompts"}    # what is typed, and the texts that the pictures have of it


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the user asked for: plain JSON values, validated by `parse`, frozen from then on."""

    prompt: str = param("", "Prompt", "text", "prompt", infotext="Prompt",
                        help="What to draw. (word:1.2) weighs, [a:b:0.5] switches half-way, [a|b] alternates, {a|b} picks one, AND combines.")
    negative_prompt: str = param("", "Negative prompt", "text", "prompt", infotext="Negative prompt",
                                 help="What to keep out of the picture.")
    styles: tuple[str, ...] = param((), "Styles", "texts", "styles", help="Saved pieces of prompt that are added to what is typed.")
    prompt_expansion: str = param("Random", "Wildcards and variants", "choice", "styles", choices=choices.EXPANSIONS, api="prompt_expansion",
                                  help="__colour__ and {a|b|c}: one at random for each picture, every combination once, or left as they stand.")
    prompt_comments: bool = param(True, "Comments in prompts", "bool", "advanced", override="enable_prompt_comments",
                                  help="What stands between a # and the end of its line is not drawn.")
    checkpoint: str = param("", "Checkpoint", "checkpoint", "prompt", override="sd_model_checkpoint", infotext="Model",
                            infotext_always=True, xyz="Checkpoint name", xyz_cost="checkpoint",
                            help="The model that draws: a name or a hash from the list.")
    vae: str = param(choices.AUTOMATIC_VAE, "VAE", "vae", "advanced", choices=choices.VAES, override="sd_vae", infotext="VAE", xyz="VAE",
                     xyz_cost="checkpoint", help="What turns latents into pixels and back. Automatic is the checkpoint's own, unless a file of its name lies in models/VAE or beside it; None is always its own.")
    sampler: str = param("DPM++ 2M", "Sampling method", "choice", "sampling", choices=Names(SAMPLERS), resolve=lambda name: sampler_named(name).label,
                         infotext="Sampler", infotext_always=True, api="sampler_name", xyz="Sampler")
    schedule: str = param("Automatic", "Schedule type", "choice", "sampling", choices=Names(SCHEDULES), resolve=lambda name: schedule_named(name).label,
                          infotext="Schedule type", infotext_always=True, api="scheduler", xyz="Schedule type",
                          help="How the noise levels are spaced. Automatic takes the sampler's own.")
    steps: int = param(20, "Sampling steps", "int", "sampling", minimum=1, maximum=1000, slider_maximum=150, step=1,
                       infotext="Steps", infotext_always=True, xyz="Steps")
    width: int = param(512, "Width", "int", "size", minimum=64, maximum=8192, slider_maximum=2048, step=8,
                       infotext="Size", infotext_always=True, xyz="Width", help="Pixels; what stands over a multiple of 8 is cut off.")
    height: int = param(512, "Height", "int", "size", minimum=64, maximum=8192, slider_maximum=2048, step=8,
                        infotext="Size", infotext_always=True, xyz="Height", help="Pixels; what stands over a multiple of 8 is cut off.")
    batch_count: int = param(1, "Batch count", "int", "batch", minimum=1, maximum=1000, slider_maximum=100, step=1, api="n_iter",
                             help="How many batches to make, one after another.")
    batch_size: int = param(1, "Batch size", "int", "batch", minimum=1, maximum=64, slider_maximum=16, step=1,
                            help="How many pictures to draw side by side; needs memory, not the result.")
    cfg_scale: float = param(7.0, "CFG scale", "float", "guidance", minimum=-999, maximum=999, slider_minimum=1, slider_maximum=30, step=0.5,
                             infotext="CFG scale", infotext_always=True, xyz="CFG Scale",
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
                                    step=8, infotext="Seed resize from", acts=inert_settings.resizes_seed,
                                    help="Keep the composition that this seed has at another size; 0 is off.")
    seed_resize_from_h: int = param(0, "Resize seed from height", "int", "seed_extra", minimum=0, maximum=8192, slider_maximum=2048,
                                    step=8, infotext="Seed resize from", acts=inert_settings.resizes_seed)
    clip_skip: int = param(1, "Clip skip", "int", "advanced", minimum=1, maximum=12, step=1, override="CLIP_stop_at_last_layers",
                           infotext="Clip skip", xyz="Clip skip", xyz_cost="image",
                           help="Stop this many layers before the end of the text encoder; 1 uses all of it.")
    emphasis: str = param("Original", "Emphasis mode", "choice", "advanced", choices=choices.EMPHASIS, override="emphasis",
                          infotext="Emphasis", xyz="Emphasis mode", xyz_cost="image", help="How (word:1.2) weights are applied.")
    sdxl_clip_l_skip: bool = param(False, "Clip skip for SDXL", "bool", "advanced", override="sdxl_clip_l_skip", infotext="SDXL clip skip",
                                   help="Clip skip counts for SDXL's first text encoder, too; otherwise each stops one layer early.")
    sdxl_zero_negative: bool = param(True, "SDXL: an empty negative prompt is zeros", "bool", "advanced", override="sdxl_zero_negative",
                                     infotext="SDXL zero negative", help="As AUTOMATIC1111 does; otherwise the empty text is read like any other.")
    sdxl_crop_top: int = param(0, "SDXL crop top", "int", "advanced", minimum=0, maximum=4096, slider_maximum=1024, step=1,
                               override="sdxl_crop_top", infotext="SDXL crop top", xyz="SDXL crop top", xyz_cost="image",
                               help="Where the model shall believe that its picture was cut out of a larger one; 0 is not cut.")
    sdxl_crop_left: int = param(0, "SDXL crop left", "int", "advanced", minimum=0, maximum=4096, slider_maximum=1024, step=1,
                                override="sdxl_crop_left", infotext="SDXL crop left", xyz="SDXL crop left", xyz_cost="image")
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
                                infotext="NGMS", xyz="Negative Guidance minimum sigma", help="Leave the negative prompt out on every other step below this noise level: faster.")
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
                                       override="always_discard_next_to_last_sigma", infotext="Discard penultimate sigma", xyz="Always discard next-to-last sigma")
    ensd: int = param(0, "Eta noise seed delta (ENSD)", "int", "advanced", minimum=-RANDOM_SEEDS, maximum=RANDOM_SEEDS, step=1,
                      override="eta_noise_seed_delta", infotext="ENSD", acts=inert_settings.draws_noise, help="Added to the seed for all noise after the first.")
    seed_source: str = param("CPU", "Random number source", "choice", "advanced", choices=choices.SEED_SOURCES, override="randn_source",
                             infotext="RNG", infotext_always=True, xyz="RNG source",
                             help="CPU repeats on every machine; NV gives an NVIDIA card's numbers anywhere; GPU is the device's own.")
    old_timelines: bool = param(False, "Old prompt editing timelines", "bool", "advanced", override="use_old_scheduling",
                                infotext="Old prompt editing timelines", help="Read [a:b:n] as AUTOMATIC1111 before 1.6 did.")
    downcast_alphas_cumprod: bool = param(False, "Noise levels in half precision", "bool", "advanced", override="use_downcasted_alpha_bar",
                                          infotext="Downcast alphas_cumprod", help="As AUTOMATIC1111 before 1.7 had them.")
    sgm_noise_multiplier: bool = param(False, "SGM noise multiplier", "bool", "advanced", override="sgm_noise_multiplier",
                                       infotext="SGM noise multiplier", xyz="SGM noise multiplier", acts=inert_settings.scales_first_noise, help="Scale the first noise as SDXL's own code does; DDIM, PLMS and UniPC go without.")
    uni_pc_variant: str = param("bh1", "UniPC variant", "choice", "advanced", choices=inert_settings.UNIPC_VARIANTS, override="uni_pc_variant",
                                infotext="UniPC variant", acts=inert_settings.uses_unipc)
    uni_pc_skip_type: str = param("time_uniform", "UniPC skip type", "choice", "advanced", choices=inert_settings.UNIPC_SKIP_TYPES,
                                  override="uni_pc_skip_type", infotext="UniPC skip type", acts=inert_settings.uses_unipc)
    uni_pc_order: int = param(3, "UniPC order", "int", "advanced", minimum=1, maximum=4, step=1, override="uni_pc_order",
                              infotext="UniPC order", xyz="UniPC Order", acts=inert_settings.uses_unipc)
    uni_pc_lower_order_final: bool = param(True, "UniPC lower order at the end", "bool", "advanced", override="uni_pc_lower_order_final",
                                           infotext="UniPC lower order final", acts=inert_settings.uses_unipc)
    tiling: bool = param(False, "Tiling", "bool", "advanced", infotext="Tiling", xyz="Tiling", xyz_cost="image",
                         help="A picture whose edges fit together, for patterns and textures.")
    face_restoration: str = param(choices.NO_RESTORER, "Restore faces", "choice", "advanced", choices=(choices.NO_RESTORER, *choices.RESTORERS), api="restore_faces",
                                  infotext="Face restoration", xyz="Face restore", help="Makes faces of the finished picture clean; needs the restorer's file.")
    face_restoration_weight: float = param(0.5, "CodeFormer weight for faces", "float", "advanced", minimum=0, maximum=1, step=0.01,
                                           needs=("face_restoration",), infotext="Face restoration weight",
                                           help="0 repairs most, 1 keeps closest to the face that is there.")
    face_restoration_visibility: float = param(1.0, "Visibility of restored faces", "float", "advanced", minimum=0, maximum=1, step=0.01,
                                               needs=("face_restoration",), infotext="Face restoration visibility", xyz="Face restore visibility",
                                               help="How much of the restored faces is laid over the picture.")
    face_swap: str = param("", "Face to put in", "picture", "face_swap", xyz="Face swap picture",
                           help="The picture of the person whose face the finished picture gets.")
    face_swap_model: str = param(swap.NO_FACE_MODEL, "Face model", "face_model", "face_swap", choices=(swap.NO_FACE_MODEL,), infotext="Face swap model",
                                 xyz="Face swap model", help="In the place of a picture: a file that ReActor made, from models/reactor/faces.")
    face_swap_pictures: tuple[str, ...] = param((), "Pictures of faces", "pictures", "face_swap", maximum=swap.MOST_PICTURES, xyz="Face swap pictures",
                                                help="Several in the place of one; what becomes of them is said below.")
    face_swap_choice: str = param(swap.ONE, "Of several pictures", "choice", "face_swap", choices=swap.FACE_CHOICES, needs=("face_swap_pictures",),
                                  infotext="Face swap of several", xyz="Face swap of several",
                                  help="One at random, the same for the same seed, or as many results as there are faces.")
    face_swap_source: int = param(0, "Number of the face in it", "int", "face_swap", minimum=0, maximum=99, step=1, needs=swap.PICTURED,
                                  infotext="Face swap source", xyz="Face swap source", help="0 is the first in the order below.")
    face_swap_sources: str = param("", "A face in it for each", "text", "face_swap", needs=swap.PICTURED, infotext="Face swap sources", xyz="Face swap sources",
                                   help="Numbers such as 1, 0, one for each of the faces that are replaced; empty gives all of them the one above.")
    face_swap_source_gender: str = param(EVERYBODY, "Gender of the face in it", "choice", "face_swap", choices=GENDERS, needs=swap.PICTURED,
                                         infotext="Face swap source gender", xyz="Face swap source gender")
    face_swap_targets: str = param("0", "Faces that it replaces", "text", "face_swap", needs=(*swap.SOURCES,), infotext="Face swap targets", infotext_always=True, xyz="Face swap targets",
                                   help="Numbers such as 0, 2 in the order below, or all.")
    face_swap_gender: str = param(EVERYBODY, "Gender that it replaces", "choice", "face_swap", choices=GENDERS, needs=(*swap.SOURCES,),
                                  infotext="Face swap gender", xyz="Face swap gender")
    face_swap_order: str = param(LARGEST, "Faces in order", "choice", "face_swap", choices=FACE_ORDERS, needs=(*swap.SOURCES,),
                                 infotext="Face swap order", xyz="Face swap order", help="How faces are counted, in both pictures.")
    face_swap_count_all: bool = param(False, "Count faces of both genders", "bool", "face_swap", needs=(*swap.SOURCES,), infotext="Face swap counts all",
                                      xyz="Face swap counts all", help="A number is that among all faces, and one of the other gender stays as it is; otherwise it is that among those of the gender.")
    face_swap_threshold: float = param(0.5, "Certainty of faces", "float", "face_swap", minimum=0.1, maximum=1, step=0.01, needs=(*swap.SOURCES,),
                                       infotext="Face swap threshold", xyz="Face swap threshold", help="How sure the detector must be that it sees a face, in both pictures.")
    face_swap_most: int = param(0, "Faces at most", "int", "face_swap", minimum=0, maximum=20, step=1, needs=(*swap.SOURCES,), infotext="Face swap most",
                                xyz="Face swap most", help="Only so many are looked at, large ones and those in the middle first; 0 is all.")
    face_swap_mask: bool = param(False, "Only within the face", "bool", "face_swap", needs=(*swap.SOURCES,), infotext="Face swap mask", xyz="Face swap mask",
                                 help="What lies beside the face stays as it was; its outline follows the key points of the face, with a soft edge.")
    face_swap_place: str = param(swap.RESULT, "Faces are replaced in", "choice", "face_swap", choices=swap.PLACES, needs=(*swap.SOURCES,),
                                 acts=inert_settings.starts_from_picture, infotext="Face swap in", xyz="Face swap in")
    face_swap_keep_original: bool = param(False, "Keep the picture with its own faces", "bool", "face_swap", needs=(*swap.SOURCES,), acts=inert_settings.draws,
                                          help="As a picture of its own, before the one with other faces.")
    face_swap_upscaler: str = param(choices.NO_UPSCALER, "Then enlarge with", "upscaler", "face_swap", choices=(choices.NO_UPSCALER, *choices.PIXEL_UPSCALERS),
                                    needs=(*swap.SOURCES,), infotext="Face swap upscaler", xyz="Face swap upscaler",
                                    help="After the swap, where a face was replaced.")
    face_swap_upscale_by: float = param(2.0, "Enlarge by", "float", "face_swap", minimum=1, maximum=8, step=0.05, needs=("face_swap_upscaler",),
                                        infotext="Face swap upscale by", xyz="Face swap upscale by", help="At 1 a network works through the picture without enlarging it.")
    face_swap_upscaler_visibility: float = param(1.0, "Visibility of the upscaler", "float", "face_swap", minimum=0, maximum=1, step=0.01,
                                                 needs=("face_swap_upscaler",), infotext="Face swap upscaler visibility", xyz="Face swap upscaler visibility",
                                                 help="Laid over the picture, or over its plain enlargement.")
    face_swap_upscale_first: bool = param(False, "Enlarge before faces are restored", "bool", "face_swap", needs=("face_swap_upscaler",),
                                          infotext="Face swap upscale first", xyz="Face swap upscale first")
    face_swap_upscale_always: bool = param(False, "Enlarge even if no face was replaced", "bool", "face_swap", needs=("face_swap_upscaler",),
                                           infotext="Face swap upscale always", xyz="Face swap upscale always")
    image_format: str = param("png", "Image format", "choice", "files", choices=choices.IMAGE_FORMATS, override="samples_format",
                              help="PNG keeps every pixel. How a picture was made is written into all three.")
    image_quality: int = param(95, "Quality of JPEG and WebP", "int", "files", minimum=1, maximum=100, step=1, override="jpeg_quality",
                               help="100 is the best and the largest; PNG has none.")
    webp_lossless: bool = param(False, "Lossless WebP", "bool", "files", override="webp_lossless", help="Keeps every pixel, in larger files.")
    folder_pattern: str = param("[date]", "Folder of pictures", "text", "files", override="directories_filename_pattern",
                                help="Below the outputs folder. [date], [model_name], [prompt_words], ... are filled in; / makes folders within folders.")
    name_pattern: str = param("[time]-[job]-[number]-[seed]", "File name of pictures", "text", "files", override="samples_filename_pattern",
                              help="[seed], [prompt_words], [steps], ... are filled in. Two pictures never get the same name.")
    save_grid: bool = param(False, "Save a grid of several pictures", "bool", "files", override="grid_save",
                            help="Beside the pictures of a job, all of them in one.")
    save_incomplete_images: bool = param(False, "Keep half-drawn pictures", "bool", "files", override="save_incomplete_images",
                                         help="What Interrupt and Skip leave of a picture stays in the history. Otherwise it is only shown, and lies in the bin for a day.")
    preview_every: int = param(3, "Preview every N steps", "int", "preview", minimum=0, maximum=100, step=1,
                               override="show_progress_every_n_steps", help="0 shows none.")
    preview_method: str = param("Approx cheap", "Preview method", "choice", "preview", choices=choices.PREVIEWS, override="show_progress_type",
                                help="Approx cheap costs nothing; Full decodes the latent, which takes time.")
    init_image: str = param("", "Image", "picture", "img2img", xyz="Source picture", help="The picture to start from.")
    denoising_strength: float = param(0.75, "Denoising strength", "float", "img2img", minimum=0, maximum=1, step=0.01,
                                      needs=("init_image", "enable_hr"), infotext="Denoising strength", infotext_always=True, xyz="Denoising",
                                      help="How much may change: 0 keeps the picture, 1 keeps next to nothing of it.")
    resize_mode: str = param("Just resize", "Resize mode", "choice", "img2img", choices=choices.RESIZE_MODES, api_index=True, needs=("init_image",),
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
    image_cfg_scale: float = param(1.5, "Image CFG scale", "float", "img2img_extra", minimum=0, maximum=24, slider_maximum=3, step=0.05,
                                   needs=("init_image",), infotext="Image CFG scale", xyz="Image CFG Scale",
                                   help="For models that edit pictures by words (InstructPix2Pix): how closely to keep to the picture.")
    loopback_loops: int = param(1, "Loops", "int", "loopback", minimum=1, maximum=32, step=1, needs=("init_image",), infotext="Loopback loops",
                                help="Each round starts from the picture of the round before.")
    final_denoising_strength: float = param(0.5, "Final denoising strength", "float", "loopback", minimum=0, maximum=1, step=0.01,
                                            needs=("loopback_loops",), infotext="Final denoising strength", help="Of the last round.")
    denoising_curve: str = param("Linear", "Denoising strength curve", "choice", "loopback", choices=choices.STRENGTH_CURVES, needs=("loopback_loops",),
                                 infotext="Denoising curve", help="Aggressive changes most of the way early, Lazy late.")
    sd_upscale: str = param(choices.NO_UPSCALER, "SD upscale with", "upscaler", "sd_upscale", choices=(choices.NO_UPSCALER, *choices.PIXEL_UPSCALERS), needs=("init_image",),
                            infotext="SD upscale upscaler", help="Enlarge the picture, then draw it again tile by tile, each of width x height.")
    sd_upscale_factor: float = param(2.0, "Scale factor", "float", "sd_upscale", minimum=1, maximum=8, slider_maximum=4, step=0.05,
                                     needs=("sd_upscale",), infotext="SD upscale factor")
    sd_upscale_overlap: int = param(64, "Tile overlap", "int", "sd_upscale", minimum=0, maximum=256, step=16, needs=("sd_upscale",),
                                    infotext="SD upscale overlap", help="Pixels that neighbouring tiles share, so that no seam shows.")
    enable_hr: bool = param(False, "Hires. fix", "bool", "hires", help="Draw the picture small first, then once more at its full size.")
    hr_upscaler: str = param("Latent", "Upscaler", "upscaler", "hires", choices=(*choices.LATENT_UPSCALERS, *choices.PIXEL_UPSCALERS), needs=("enable_hr",), infotext="Hires upscaler",
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
    hr_sampler: str = param(SAME_SAMPLER, "Hires sampling method", "choice", "hires", choices=Names(SAMPLERS, (SAME_SAMPLER,)), api="hr_sampler_name",
                            resolve=lambda name: sampler_named(name).label, needs=("enable_hr",),
                            infotext="Hires sampler", xyz="Hires sampler")
    hr_schedule: str = param(SAME_SCHEDULER, "Hires schedule type", "choice", "hires", choices=Names(SCHEDULES, (SAME_SCHEDULER,)), api="hr_scheduler",
                             resolve=lambda name: schedule_named(name).label, needs=("enable_hr",), infotext="Hires schedule type")
    hr_prompt: str = param("", "Hires prompt", "text", "hires", needs=("enable_hr",), infotext="Hires prompt",
                           help="For the second pass; empty takes that of the first.")
    hr_negative_prompt: str = param("", "Hires negative prompt", "text", "hires", needs=("enable_hr",), infotext="Hires negative prompt",
                                    help="For the second pass; empty takes that of the first.")
    hr_cfg: float = param(0.0, "Hires CFG scale", "float", "hires", minimum=-999, maximum=999, slider_minimum=0, slider_maximum=30, step=0.5,
                          needs=("enable_hr",), infotext="Hires CFG Scale", xyz="Hires CFG scale", help="0 takes that of the first pass.")
    hr_checkpoint_name: str = param(choices.SAME_CHECKPOINT, "Hires checkpoint", "second_checkpoint", "hires", choices=(choices.SAME_CHECKPOINT,), needs=("enable_hr",),
                                    infotext="Hires checkpoint", help="Draws the second pass; of the same family as the checkpoint.")
    refiner_checkpoint: str = param(choices.NO_REFINER, "Refiner", "second_checkpoint", "refiner", choices=(choices.NO_REFINER,), infotext="Refiner",
                                    xyz="Refiner checkpoint", xyz_cost="checkpoint",
                                    help="Another checkpoint that takes over for the last steps; of the same family as the checkpoint.")
    refiner_switch_at: float = param(0.8, "Switch at", "float", "refiner", minimum=0.01, maximum=1, step=0.01, needs=("refiner_checkpoint",),
                                     infotext="Refiner switch at", infotext_always=True, xyz="Refiner switch at",
                                     help="How much of the noise is gone by then: 0.5 is half of the timesteps, 1 is never.")
    sdxl_refiner_high_aesthetic_score: float = param(6.0, "Aesthetic score", "float", "refiner", minimum=0, maximum=20, step=0.1,
                                                     override="sdxl_refiner_high_aesthetic_score", infotext="SDXL refiner aesthetic score",
                                                     xyz="Refiner aesthetic score", xyz_cost="image",
                                                     help="Only for SDXL's own refiner: how good it shall believe that its picture looks.")
    sdxl_refiner_low_aesthetic_score: float = param(2.5, "Aesthetic score, negative", "float", "refiner", minimum=0, maximum=20, step=0.1,
                                                    override="sdxl_refiner_low_aesthetic_score",
                                                    infotext="SDXL refiner negative aesthetic score",
                                                    xyz="Refiner negative aesthetic score", xyz_cost="image")
    hires_fix_refiner_pass: str = param("second pass", "Refiner in hires fix", "choice", "hires", choices=choices.REFINER_PASSES, needs=("enable_hr",),
                                        override="hires_fix_refiner_pass", infotext="Hires refiner", help="Which of its passes the refiner takes over.")
    mask: str = param("", "Mask", "picture", "inpaint", help="White is painted anew, black stays.")
    mask_blur: int = param(4, "Mask blur", "int", "inpaint", minimum=0, maximum=256, slider_maximum=64, step=1, infotext="Mask blur", needs=cross_field_checks.MASKING,
                           help="Pixels over which the mask's edge is softened.")
    mask_blur_y: int | None = param(None, "Vertical mask blur", "int", "hidden", minimum=0, maximum=256, step=1, infotext="Mask blur Y",
                                    needs=cross_field_checks.MASKING, internal=True)       # None: as `mask_blur`
    mask_mode: str = param("Inpaint masked", "Mask mode", "choice", "inpaint", choices=choices.MASK_MODES, api="inpainting_mask_invert", api_index=True,
                           needs=cross_field_checks.MASKING, infotext="Mask mode")
    masked_content: str = param("original", "Masked content", "choice", "inpaint", choices=choices.MASKED_CONTENT, api="inpainting_fill", api_index=True,
                                needs=cross_field_checks.MASKING, infotext="Masked content",
                                help="What lies under the mask at the start: neighbouring colours, the picture, noise or nothing.")
    inpaint_area: str = param("Whole picture", "Inpaint area", "choice", "inpaint", choices=choices.INPAINT_AREAS, api="inpaint_full_res", api_index=True,
                              needs=cross_field_checks.MASKING, infotext="Inpaint area", help="Only masked draws the masked part alone, at full width and height.")
    masked_padding: int = param(32, "Only masked padding", "int", "inpaint", minimum=0, maximum=1024, slider_maximum=256, step=4,
                                api="inpaint_full_res_padding", needs=cross_field_checks.MASKING, infotext="Masked area padding",
                                help="Pixels around the masked part that are drawn with it, so that it fits in.")
    soft_inpainting: bool = param(False, "Soft inpainting", "bool", "inpaint", needs=cross_field_checks.MASKING, infotext="Soft inpainting enabled",
                                  help="Grey parts of the mask change less instead of later being mixed (differential diffusion).")
    outpaint_left: int = param(0, "Outpaint left", "int", "outpaint", minimum=0, maximum=2048, slider_maximum=512, step=8, needs=("init_image",),
                               infotext="Outpaint left", help="Pixels to add at this side.")
    outpaint_right: int = param(0, "Outpaint right", "int", "outpaint", minimum=0, maximum=2048, slider_maximum=512, step=8, needs=("init_image",),
                                infotext="Outpaint right", help="Pixels to add at this side.")
    outpaint_up: int = param(0, "Outpaint up", "int", "outpaint", minimum=0, maximum=2048, slider_maximum=512, step=8, needs=("init_image",),
                             infotext="Outpaint up", help="Pixels to add at this side.")
    outpaint_down: int = param(0, "Outpaint down", "int", "outpaint", minimum=0, maximum=2048, slider_maximum=512, step=8, needs=("init_image",),
                               infotext="Outpaint down", help="Pixels to add at this side.")
    upscaler_1: str = param(choices.NO_UPSCALER, "Upscaler 1", "upscaler", "extras", choices=(choices.NO_UPSCALER, *choices.PIXEL_UPSCALERS), needs=("process",),
                            infotext="Postprocess upscaler")
    upscaler_2: str = param(choices.NO_UPSCALER, "Upscaler 2", "upscaler", "extras", choices=(choices.NO_UPSCALER, *choices.PIXEL_UPSCALERS), needs=("process",),
                            infotext="Postprocess upscaler 2", help="Blended over the first.")
    upscaler_2_visibility: float = param(0.0, "Upscaler 2 visibility", "float", "extras", minimum=0, maximum=1, step=0.01, needs=("process",),
                                         api="extras_upscaler_2_visibility", infotext="Postprocess upscaler 2 visibility")
    upscale_by: float = param(4.0, "Scale by", "float", "extras", minimum=0.1, maximum=16, slider_minimum=1, slider_maximum=8, step=0.05,
                              needs=("process",), api="upscaling_resize", infotext="Postprocess upscale by")
    upscale_to_width: int = param(0, "Scale to width", "int", "extras", minimum=0, maximum=16384, slider_maximum=4096, step=8, needs=("process",),
                                  api="upscaling_resize_w", infotext="Postprocess upscale to", help="0 goes by the factor, or by the height.")
    upscale_to_height: int = param(0, "Scale to height", "int", "extras", minimum=0, maximum=16384, slider_maximum=4096, step=8, needs=("process",),
                                   api="upscaling_resize_h", infotext="Postprocess upscale to", help="0 goes by the factor, or by the width.")
    upscale_crop: bool = param(True, "Crop to fit", "bool", "extras", needs=("process",), api="upscaling_crop", infotext="Postprocess crop",
                               help="When both sides are given: cut what stands over. Otherwise the picture is only made large enough.")
    gfpgan_visibility: float = param(0.0, "GFPGAN visibility", "float", "extras", minimum=0, maximum=1, step=0.01, needs=("process",),
                                     infotext="GFPGAN visibility", help="Restores faces; 0 is off.")
    codeformer_visibility: float = param(0.0, "CodeFormer visibility", "float", "extras", minimum=0, maximum=1, step=0.01, needs=("process",),
                                         infotext="CodeFormer visibility", help="Restores faces; 0 is off.")
    codeformer_weight: float = param(0.0, "CodeFormer weight", "float", "extras", minimum=0, maximum=1, step=0.01, needs=("process",),
                                     infotext="CodeFormer weight", help="0 repairs most, 1 keeps closest to the face that is there.")
    upscale_first: bool = param(False, "Upscale before restoring faces", "bool", "extras", needs=("process",),
                                infotext="Postprocess upscale first")
    regions: tuple[Record, ...] = param((), "Regions of the prompt", "records", "guides", xyz="Region", maximum=MOST_REGIONS, record=REGION, listed=True,
                                        help="A mask for each part of the prompt between AND: it acts only there.")
    guides: tuple[Record, ...] = param((), "ControlNet", "records", "guides", maximum=MOST, record=GUIDE_UNIT, switch="enabled", listed=True,
                                       infotext="ControlNet", help="Pictures that guide what is drawn: edges, depth, poses, tiles.")
    detailers: tuple[Record, ...] = param((), "Detailer", "records", "detailer", maximum=MOST_DETAILERS, record=DETAILER_UNIT, switch="enabled", flat=True,
                                          infotext="ADetailer", help="Faces, or what else a detector finds in the finished picture, drawn again at full size.")
    loopback_round: int = param(0, "Loopback round", "int", "hidden", minimum=0, maximum=32, step=1, needs=("loopback_loops",),
                                infotext="Loopback round", internal=True)      # only the picture of this round, counted from 1; 0 is all
    process: str = param(choices.DRAW, "Process", "choice", "hidden", choices=choices.PROCESSES, internal=True)
    source_text: str = param("", "Settings of the source picture", "text", "hidden", internal=True)
    output_name: str = param("", "File name", "text", "hidden", internal=True)       # of a batch: the source file's, without ending
    output_folder: str = param("", "Folder", "text", "hidden", internal=True)        # of a batch: below the outputs folder
    prompts: tuple[str, ...] = param((), "Prompts as resolved", "texts", "hidden", internal=True)     # one for each picture, one for all, or none
    negative_prompts: tuple[str, ...] = param((), "Negative prompts as resolved", "texts", "hidden", internal=True)
    hr_prompts: tuple[str, ...] = param((), "Hires prompts as resolved", "texts", "hidden", internal=True)
    hr_negative_prompts: tuple[str, ...] = param((), "Hires negative prompts as resolved", "texts", "hidden", internal=True)
    detailer_texts: tuple[str, ...] = param((), "Detailers' prompts as resolved", "texts", "hidden", internal=True)
    template: str = param("", "Template", "text", "hidden", infotext="Template", internal=True)       # what `prompt` was resolved from
    negative_template: str = param("", "Negative template", "text", "hidden", infotext="Negative Template", internal=True)
    added: tuple[tuple[str, Any], ...] = ()     # (name, value) of the fields that extensions have added to the table

    @classmethod
    def parse(cls, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None, *, whole: bool = True) -> Request:
        """A request from untrusted values by field name; missing ones come from `defaults`, then from the table.

        Raises InvalidRequest naming every wrong or unknown field; without `whole` not for what is wrong only together.
        """
        values = gathered(split_samplers(values))
        problems = [Problem("is not a setting that Easel knows", name) for name in values if name not in FIELDS]
        found: dict[str, Any] = {}
        for field in FIELDS.values():
            value = values.get(field.name, (defaults or {}).get(field.name, field.default))
            try:
                found[field.name] = clean(field, value)
            except ValueError as error:
                problems.append(Problem(str(error), field.name + getattr(error, "within", "")))
        problems += [] if problems or not whole else cross_field_checks.together(found)
        if problems:
            raise InvalidRequest(problems=problems)
        return cls.of(found)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Request:
        """A request from values that are clean, by field name; missing ones take the table's default."""
        others = values.keys() - _CORE
        own = {name: value for name, value in values.items() if name in _CORE} if others else values
        return cls(**own, added=tuple((name, values[name]) for name in sorted(others)))

    def __getattr__(self, name: str) -> Any:
        """The value of a field that an extension has added."""
        if name.startswith("_") or name == "added" or name not in FIELDS:
            raise AttributeError(name)
        return dict(self.added).get(name, FIELDS[name].default)

    def with_seeds(self) -> Request:
        """The same request with random seeds drawn: from here on, the pictures are a function of the request."""
        return self.replace(
            seed=secrets.randbelow(RANDOM_SEEDS) if self.seed < 0 else self.seed,
            variation_seed=secrets.randbelow(RANDOM_SEEDS) if self.variation_seed < 0 else self.variation_seed,
        )

    def of_image(self, index: int) -> Request:
        """The request that makes only picture `index` (0 to count-1) of this one, alone.

        Seeds count up; with a variation strength the variation seeds count up instead, as in AUTOMATIC1111. With
        loopback the pictures are the rounds of one chain after the other; a round keeps the seed of its chain's first.
        So do pictures that are kept of one drawing, with its own faces and with others.
        """
        chain, number = divmod(index, self.rounds)
        kept = self._kept
        step = {"variation_seed": self.variation_seed + chain} if self.variation_strength else {"seed": self.seed + chain * self.rounds // len(kept)}
        alone = self.replace(batch_count=1, batch_size=1, **{k: v % (MAX_SEED + 1) for k, v in step.items()}, **kept[number % len(kept)])
        alone = alone.replace(loopback_round=number + 1) if self.rounds > len(kept) else alone
        return (alone._resolved(chain) if self.prompts else alone)._with_one_face()

    def _with_one_face(self) -> Request:
        """With one of the pictures of faces, as the seed says; in Extras the picture, too, which may have no seed."""
        if not self.face_swap_pictures:
            return self
        seeds: tuple[int | str, ...] = (self.seed, self.variation_seed) if self.variation_strength else (self.seed,)
        seeds += (self.init_image,) if self.process == choices.EXTRAS else ()
        return self.replace(face_swap=swap.by_seed(self.face_swap_pictures, *seeds), face_swap_pictures=())

    @property
    def _kept(self) -> list[dict[str, Any]]:
        """See `face_swap.results`."""
        if not swap.swaps(self):
            return [{}]
        return swap.results({name: getattr(self, name) for name in swap.OF_RESULTS})

    @property
    def loops(self) -> bool:
        """Whether the rounds of loopback are drawn."""
        return self.loopback_loops > 1 and bool(self.init_image) and self.process == choices.DRAW

    @property
    def rounds(self) -> int:
        """How many pictures a chain delivers: with loopback one for each round; all that are kept of a face swap."""
        return (self.loopback_loops if self.loops and not self.loopback_round else 1) * len(self._kept)

    @property
    def chains(self) -> int:
        """How many pictures are drawn from the start, each with a prompt of its own."""
        return len(self.prompts) if len(self.prompts) > 1 else self.batch_count * self.batch_size

    @property
    def count(self) -> int:
        """How many pictures this request makes."""
        return self.chains * self.rounds

    def _resolved(self, index: int) -> Request:
        """With the texts of chain `index` in the place of what was typed."""
        lists = {name: getattr(self, resolved) for name, resolved in RESOLVED.items()}
        texts = {name: texts[index if len(texts) > 1 else 0] for name, texts in lists.items() if texts}
        units = with_texts(self.detailers, self.detailer_texts, index)
        return self.replace(**texts, **dict.fromkeys(RESOLVED.values(), ()), detailers=units, detailer_texts=(), styles=())

    def idle(self, field: Field) -> bool:
        """Whether the field changes nothing in this request: what it needs is switched off, or it has no hold on it."""
        off = bool(field.needs) and not any(self._acts(FIELDS[name]) for name in field.needs)
        return off or (field.acts is not None and not field.acts(self))

    def _acts(self, field: Field) -> bool:
        return getattr(self, field.name) != field.default and not self.idle(field)

    def replace(self, **changes: Any) -> Request:
        return Request.of({**self.values(), **changes})

    def values(self) -> dict[str, Any]:
        """Every value by field name."""
        return {name: getattr(self, name) for name in FIELDS} | dict(self.added)

    def to_json(self) -> dict[str, Any]:
        """The same as JSON has it: lists for tuples, objects for records."""
        return {name: plain(value) for name, value in self.values().items()}


def _core() -> Iterator[Field]:
    own = (f for f in dataclasses.fields(Request) if f.metadata)
    return (Field(name=f.name, default=f.default, **f.metadata) for f in own)


_CORE = frozenset(f.name for f in dataclasses.fields(Request) if f.metadata)
FIELDS: Table[Field] = Table("fields", _core())
"""Every parameter: those of `Request`, then those that extensions add while the process starts."""

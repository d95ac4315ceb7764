"""What single fields cannot see: values that are right alone and wrong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.errors import Problem
from backend.request.choices import DRAW, EXTRAS, NO_UPSCALER
from backend.request.detailer import too_small
from backend.request.face_swap import results, wrong_numbers, wrong_sources

MAX_PIXELS = 8192 * 8192
MAX_PICTURES = 1_000                            # of one job; AUTOMATIC1111's page goes to 100 batches of 8
OUTPAINT = ("outpaint_left", "outpaint_right", "outpaint_up", "outpaint_down")
MASKING = ("mask", *OUTPAINT)                   # what makes a request an inpainting one


def together(found: Mapping[str, Any]) -> list[Problem]:
    """What single fields cannot see."""
    problems = []
    if found["width"] * found["height"] > MAX_PIXELS:
        megapixels = MAX_PIXELS // 2**20
        problems.append(Problem(f"together with the height it makes more than {megapixels} megapixels", "width"))
    if found["sigma_min"] and found["sigma_max"] and found["sigma_min"] >= found["sigma_max"]:
        problems.append(Problem("must be below the schedule's max sigma", "sigma_min"))
    if found["enable_hr"] and found["init_image"]:
        problems.append(Problem("is for pictures from nothing; it cannot be used with a picture to start from",
                                "enable_hr"))
    if found["mask"] and not found["init_image"]:
        problems.append(Problem("is missing: a mask needs the picture that it lies on", "init_image"))
    problems += _too_many(found)
    problems += too_small(found["detailers"])
    problems += _sd_upscale(found) if found["init_image"] and found["process"] == DRAW else []
    if found["process"] == EXTRAS and not found["init_image"]:
        problems.append(Problem("is missing: choose a picture first", "init_image"))
    problems += _too_large(found)
    problems += wrong_sources(found)
    problems += wrong_numbers(found["face_swap_sources"], found["face_swap_targets"])
    if len(found["prompts"]) != len(found["negative_prompts"]):
        problems.append(Problem("must be as many as the prompts", "negative_prompts"))
    return problems


def _too_many(found: Mapping[str, Any]) -> list[Problem]:
    """More pictures than one job may make; those of combinations are counted when the texts are known."""
    chains = max(found["batch_count"] * found["batch_size"], len(found["prompts"]))
    loops = found["loopback_loops"] if found["init_image"] and found["process"] == DRAW else 1
    kept = len(results(found))
    count = chains * (1 if found["loopback_round"] else loops) * kept
    if count <= MAX_PICTURES:
        return []
    field = "batch_count" if chains > MAX_PICTURES else "face_swap_choice" if kept > 2 else "loopback_loops"
    beside = "the batch size" if chains > MAX_PICTURES else "the batch"
    sentence = f"together with {beside} it makes {count:,} pictures; one job makes at most {MAX_PICTURES:,}"
    return [Problem(sentence, field)]


def _too_large(found: Mapping[str, Any]) -> list[Problem]:
    """A picture that a face swap makes larger than the rest of the house takes."""
    by = found["face_swap_upscale_by"] if found["face_swap_upscaler"] != NO_UPSCALER else 1
    if found["width"] * found["height"] * by**2 <= MAX_PIXELS:
        return []
    return [Problem(f"makes the picture larger than {MAX_PIXELS // 2**20} megapixels", "face_swap_upscale_by")]


def _sd_upscale(found: Mapping[str, Any]) -> list[Problem]:
    """What SD upscale cannot do."""
    if found["sd_upscale"] == NO_UPSCALER:
        return []
    problems = []
    if found["sd_upscale_overlap"] >= min(found["width"], found["height"]):
        problems.append(Problem("must be less than the width and the height of a tile", "sd_upscale_overlap"))
    if any(found[name] for name in MASKING):
        problems.append(Problem("draws the whole picture; it cannot be used with a mask or outpainting", "sd_upscale"))
    if found["loopback_loops"] > 1:
        problems.append(Problem("cannot be used with loopback; set the loops to 1", "sd_upscale"))
    return problems

"""The pictures of AUTOMATIC1111's JSON: what a job starts from, its masks, and several pictures as a batch."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageChops, ImageOps

from backend import Door
from backend.errors import InvalidRequest, UserError
from backend.image import upload_decoding
from backend.request.choices import MASK_MODES
from backend.request.cross_field_checks import MAX_PICTURES
from backend.request.field import clean
from backend.request.loose_values import is_same
from backend.request.request import FIELDS, MAX_SEED, RANDOM_SEEDS

WEB = ("http://", "https://")
ONE_EACH = ("batch_count", "batch_size", "seed", "variation_seed", "variation_strength")


def starts(images: Any, door: Door) -> list[str]:
    """Ids of the pictures in `init_images`, stored as uploads of the user. Raises InvalidRequest."""
    if not isinstance(images, list) or not images:
        raise InvalidRequest("must be a list of pictures in base64", field="init_images")
    return [_stored(image, "init_images", door) for image in images]


def masks(payload: Mapping[str, Any], values: Mapping[str, Any], door: Door) -> dict[str, Any]:
    """The mask that is drawn under, and its blur. Raises InvalidRequest.

    A `latent_mask` beside a mask bounds what is drawn, the mask what is taken over from that: both together count.
    Alone it does nothing in AUTOMATIC1111.
    """
    if not payload.get("mask"):
        return _blur(payload)
    mask = _stored(payload["mask"], "mask", door)
    if not payload.get("latent_mask"):
        return {"mask": mask, **_blur(payload)}
    latent = _stored(payload["latent_mask"], "latent_mask", door)
    inverted = values.get("mask_mode") == MASK_MODES[1]
    both = _both(door, mask, latent, inverted=inverted)
    return {"mask": both, "mask_mode": MASK_MODES[0], **_blur(payload)}


def batch(values: Mapping[str, Any], images: Sequence[str]) -> list[dict[str, Any]]:
    """The values of each job. One picture is one job; of several each is drawn once in every batch.

    Seeds count up over the pictures of all batches, or with a variation strength the variation seeds.
    """
    if len(images) == 1:
        return [{**values, "init_image": images[0]}]
    count, seed, variation, strength = (_clean(name, values) for name in ONE_EACH if name != "batch_size")
    if count * len(images) > MAX_PICTURES:
        raise InvalidRequest(f"together with {len(images)} pictures makes more than {MAX_PICTURES:,}",
                             field="batch_count")
    seed, variation = (secrets.randbelow(RANDOM_SEEDS) if drawn < 0 else drawn for drawn in (seed, variation))
    alone = {**values, "batch_count": 1, "batch_size": 1}
    jobs = []
    for number in range(count * len(images)):
        ahead = (0, number) if strength else (number, 0)
        seeds = {name: (start + more) % (MAX_SEED + 1)
                 for name, start, more in zip(("seed", "variation_seed"), (seed, variation), ahead, strict=True)}
        jobs.append({**alone, **seeds, "init_image": images[number % len(images)]})
    return jobs


def _clean(name: str, values: Mapping[str, Any]) -> Any:
    """Raises InvalidRequest."""
    try:
        return clean(FIELDS[name], values.get(name, FIELDS[name].default))
    except ValueError as error:
        raise InvalidRequest(str(error), field=name) from error


def _stored(text: Any, field: str, door: Door) -> str:
    if isinstance(text, str) and text.startswith(WEB):
        raise InvalidRequest("is an address; Easel fetches nothing, send the picture itself in base64", field=field)
    try:
        return door.upload(upload_decoding.from_base64(text), mask="mask" in field).id
    except UserError as error:
        raise InvalidRequest(str(error), field=field) from error


def _both(door: Door, mask: str, latent: str, *, inverted: bool) -> str:
    """The upload of what both masks mark. AUTOMATIC1111 inverts the first alone."""
    with Image.open(door.uploaded(mask)) as first, Image.open(door.uploaded(latent)) as second:
        own = ImageOps.invert(first.convert("L")) if inverted else first.convert("L")
        marked = ImageChops.darker(own, second.convert("L").resize(own.size, Image.Resampling.LANCZOS))
    return door.upload(upload_decoding.png(marked), mask=True).id


def _blur(payload: Mapping[str, Any]) -> dict[str, Any]:
    """`mask_blur` is the blur of both directions and stands before those of one."""
    if payload.get("mask_blur") is not None:
        return {}
    across, along = payload.get("mask_blur_x"), payload.get("mask_blur_y")
    if across is None and along is None:
        return {}
    default = FIELDS["mask_blur"].default
    across, along = (default if side is None else side for side in (across, along))
    return {"mask_blur": across} if is_same(across, along) else {"mask_blur": across, "mask_blur_y": along}

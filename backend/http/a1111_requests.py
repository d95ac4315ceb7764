"""AUTOMATIC1111's JSON in: a txt2img payload, or options, to values of the field table.

Names come from the table (`api_name`, `override`). What Easel does not have is passed over only when it is switched
off or cannot change the picture; anything else is refused by name, because a picture made without it would be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend import Door
from backend.catalog.model_file import ModelFile
from backend.errors import EaselError, InvalidRequest, NotFound, Problem, UserError
from backend.image import file_names, upload_validation
from backend.request.field import Field
from backend.request.request import FIELDS, Request
from backend.sampling.names import split_suffix
from backend.sampling.schedules import SCHEDULES

_OF_PICTURES = ("img2img", "img2img_extra", "inpaint", "outpaint", "loopback", "sd_upscale")


def _img2img_name(field: Field) -> str:
    """AUTOMATIC1111's name of a field in img2img's JSON, "" for one that is not there."""
    told = field.kind != "picture" and field.group != "extras" and not field.internal
    return field.api_name if told else ""


def _txt2img_name(field: Field) -> str:
    return _img2img_name(field) if field.group not in _OF_PICTURES or "enable_hr" in field.needs else ""


IMG2IMG: Mapping[str, Field] = FIELDS.by(_img2img_name)
TXT2IMG: Mapping[str, Field] = FIELDS.by(_txt2img_name)
BY_OVERRIDE: Mapping[str, Field] = FIELDS.by(lambda field: field.override)
READ_HERE = ("sampler_index", "infotext", "override_settings", "send_images")
PICTURES = ("init_images", "mask", "mask_blur_x", "mask_blur_y", "include_init_images")

# What AUTOMATIC1111's API takes where a client says nothing; its page has other defaults, which are the table's.
IMG2IMG_DEFAULTS = {"masked_content": "fill", "inpaint_area": "Only masked", "masked_padding": 0}

# What a client may send with any value: it says where pictures go or what the server keeps, not what is drawn.
WITHOUT_EFFECT = frozenset({
    "save_images", "do_not_save_samples", "do_not_save_grid", "override_settings_restore_afterwards", "force_task_id",
    "comments", "samples_save", "save_to_dirs", "grid_to_dirs", "return_grid", "outdir_samples",
    "outdir_txt2img_samples", "outdir_img2img_samples", "mask_round", "live_previews_enable",
    "live_preview_refresh_period", "save_images_add_number", "grid_format",
    "sd_checkpoint_hash", "sd_checkpoint_cache", "sd_checkpoints_limit", "sd_checkpoints_keep_in_cpu",
    "sd_vae_checkpoint_cache", "cross_attention_optimization", "persistent_cond_cache", "batch_cond_uncond",
})
# Settings of a feature, and the switch without which they mean nothing.
NEEDS = {
    "denoising_strength": "enable_hr",
    "firstphase_width": "enable_hr",
    "firstphase_height": "enable_hr",
    "script_args": "script_name",
}
# Values that change nothing, for settings that are not off when they are empty, false or zero.
OFF: dict[str, tuple[Any, ...]] = {
    "sd_vae": ("Automatic", "None"),
    "sd_unet": ("Automatic", "None"),
    "sd_lora": ("None",),
    "fp8_storage": ("Disable",),
    "enable_pnginfo": (True,),
    "enable_batch_seeds": (True,),
    "eta_ancestral": (1,),
    "s_noise": (1,),
    "comma_padding_backtrack": (20,),
    "script_name": ("None",),
    "face_restoration_model": ("None",),
}

# AUTOMATIC1111's own default for these is -1.
MINUS_ONE_IS_OFF = ("seed_resize_from_w", "seed_resize_from_h")


# Words of options that stand for one of ours. AUTOMATIC1111 shows previews after each step at 0, and none at -1.
OPTION_WORDS: dict[str, dict[Any, Any]] = {
    "samples_format": {"jpeg": "jpg"},
    "show_progress_every_n_steps": {-1: 0, 0: 1},
    "show_progress_type": {"Approx NN": "Approx cheap", "TAESD": "Approx cheap"},
}


class Options:
    """What a client set with POST /options: defaults of that user's later API requests, kept until Easel stops.

    AUTOMATIC1111 keeps such options for everybody; here they reach nobody else, and never a job already queued.
    """

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}

    def of(self, door: Door) -> dict[str, Any]:
        """Values by field name."""
        return self._values.get(door.user.id, {})

    def update(self, door: Door, values: Mapping[str, Any]) -> None:
        self._values[door.user.id] = {**self.of(door), **values}


def read_payload(
    payload: Mapping[str, Any], options: Mapping[str, Any], door: Door,
    table: Mapping[str, Field] = TXT2IMG,
) -> dict[str, Any]:
    """Field values of a payload with the names in `table`; `options` are the client's own defaults.

    Raises InvalidRequest.
    """
    overrides = payload.get("override_settings") or {}
    if not isinstance(overrides, Mapping):
        raise InvalidRequest("must be an object", field="override_settings")
    problems = [*_unknown(payload, table, ""), *_unknown(overrides, BY_OVERRIDE, "override_settings.")]
    if problems:
        raise InvalidRequest(problems=problems)
    values = {**options, **_from_infotext(payload.get("infotext"), door)}
    values |= _known(payload, table) | _known(overrides, BY_OVERRIDE)
    no_grid = {"save_grid": False} if payload.get("do_not_save_grid") is True else {}
    return {**values, **_sampler(payload), **no_grid}


def read_img2img(
    payload: Mapping[str, Any], options: Mapping[str, Any], door: Door
) -> dict[str, Any]:
    """Field values of an img2img payload; its pictures are stored as uploads of the user. Raises InvalidRequest."""
    plain = {key: value for key, value in payload.items() if key not in PICTURES}
    values = {**IMG2IMG_DEFAULTS, **read_payload(plain, options, door, IMG2IMG)}
    no_hires = {} if payload.get("enable_hr") else {"enable_hr": False}      # an infotext's belongs to txt2img
    return values | no_hires | _mask_blur(payload) | _pictures(payload, door)


def _pictures(payload: Mapping[str, Any], door: Door) -> dict[str, str]:
    images = payload.get("init_images")
    if not isinstance(images, list) or len(images) != 1:
        raise InvalidRequest("must be a list of one picture in base64", field="init_images")
    stored = {"init_image": _stored(images[0], "init_images", door)}
    if payload.get("mask"):
        stored["mask"] = _stored(payload["mask"], "mask", door)
    return stored


def _stored(text: Any, field: str, door: Door) -> str:
    try:
        return door.upload(upload_validation.from_base64(text), mask=field == "mask").id
    except UserError as error:
        raise InvalidRequest(str(error), field=field) from error


def _mask_blur(payload: Mapping[str, Any]) -> dict[str, Any]:
    """AUTOMATIC1111 can blur the two directions differently; Easel takes one radius for both."""
    sides = [payload[key] for key in ("mask_blur_x", "mask_blur_y") if payload.get(key) is not None]
    if len(set(map(str, sides))) > 1:
        raise InvalidRequest("must be the same as mask_blur_x", field="mask_blur_y")
    return {"mask_blur": sides[0]} if sides and payload.get("mask_blur") is None else {}


def read_options(payload: Mapping[str, Any], door: Door) -> dict[str, Any]:
    """Field values of a POST /options payload, each checked. Raises InvalidRequest."""
    problems = list(_unknown(payload, BY_OVERRIDE, ""))
    values = _known(payload, BY_OVERRIDE)
    try:
        problems += file_names.problems(Request.parse(values))
        problems += _unusable(door.backend.checkpoint(values["checkpoint"])) if "checkpoint" in values else []
    except InvalidRequest as error:
        problems += error.problems
    except NotFound as error:
        problems += error.about("checkpoint")
    if problems:
        raise InvalidRequest(problems=problems)
    return values


def write_options(options: Mapping[str, Any], door: Door) -> dict[str, Any]:
    """Every option of the table by AUTOMATIC1111's name, with the value that a request without it would get."""
    try:
        checkpoint = door.backend.checkpoint(str(options.get("checkpoint", "")))
        own, title, sha256 = door.backend.defaults(checkpoint.key), checkpoint.title, checkpoint.sha256
    except EaselError:  # no model yet, or it was taken away: the other options are still true
        own, title, sha256 = {name: field.default for name, field in FIELDS.items()}, None, ""
    values = {**own, **options}
    named = {name: values[field.name] for name, field in BY_OVERRIDE.items()}
    named["show_progress_every_n_steps"] = values["preview_every"] or -1
    return {**named, "sd_model_checkpoint": title, "sd_checkpoint_hash": sha256}


def _unusable(checkpoint: ModelFile) -> list[Problem]:
    return [Problem(checkpoint.problem, "checkpoint")] if checkpoint.problem else []


def _known(payload: Mapping[str, Any], table: Mapping[str, Field]) -> dict[str, Any]:
    given = {table[key]: _our_word(key, value) for key, value in payload.items() if key in table}
    return {field.name: _as_ours(field, value) for field, value in given.items() if not _is_missing(field, value)}


def _our_word(key: str, value: Any) -> Any:
    return OPTION_WORDS.get(key, {}).get(value, value) if isinstance(value, int | str) else value


def _is_missing(field: Field, value: Any) -> bool:
    """null stands for "not given", and so does an empty name."""
    return value is None or (value == "" and field.kind in ("choice", "upscaler", "second_checkpoint"))


def _as_ours(field: Field, value: Any) -> Any:
    if field.api_index and isinstance(value, int):
        return _choice_at(field, int(value))
    return 0 if field.name in MINUS_ONE_IS_OFF and value == -1 else value


def _choice_at(field: Field, index: int) -> Any:
    """The choice that AUTOMATIC1111 numbers so; an unknown number stays, to be refused with the field's name."""
    return field.choices[index] if 0 <= index < len(field.choices) else str(index)


def _unknown(payload: Mapping[str, Any], table: Mapping[str, Field], prefix: str) -> list[Problem]:
    return [
        Problem("is not something that Easel has; leave it out or switch it off", prefix + name)
        for key, value in payload.items()
        if not (key in table or (key in READ_HERE and not prefix) or _is_neutral(key, value, payload))
        for name in _culprits(key, value)
    ]


def _culprits(key: str, value: Any) -> list[str]:
    """The name to complain about; of the always-on scripts, each one that is switched on."""
    if key != "alwayson_scripts" or not isinstance(value, Mapping):
        return [key]
    return [f"{key}.{name}" for name, script in value.items() if not _is_idle(script)]


def _is_neutral(key: str, value: Any, payload: Mapping[str, Any]) -> bool:
    switch = "enable_hr" if key.startswith("hr_") else NEEDS.get(key)
    if key in WITHOUT_EFFECT or value in OFF.get(key, ()):
        return True
    if switch is not None and _is_neutral(switch, payload.get(switch), {}):
        return True
    if key == "alwayson_scripts" and isinstance(value, Mapping):
        return all(_is_idle(script) for script in value.values())
    return not value


def _is_idle(script: Any) -> bool:
    """An always-on script whose arguments are all off: missing, false, or an object that says so."""
    arguments = script.get("args") if isinstance(script, Mapping) else script
    if not isinstance(arguments, list):
        return not arguments
    return all(not unit or (isinstance(unit, Mapping) and unit.get("enabled") is False) for unit in arguments)


def _sampler(payload: Mapping[str, Any]) -> dict[str, Any]:
    """`sampler_index` is an older name of `sampler_name`; "DPM++ 2M Karras" is how schedules were named before 1.9."""
    name = payload.get("sampler_name") or payload.get("sampler_index")
    if not isinstance(name, str):
        return {} if name is None else {"sampler": name}
    automatic = SCHEDULES["Automatic"]
    short, schedule = split_suffix(name, automatic)
    return {"sampler": name} if schedule is automatic else {"sampler": short, "schedule": schedule.label}


def _from_infotext(text: Any, door: Door) -> dict[str, Any]:
    if not text:
        return {}
    if not isinstance(text, str):
        raise InvalidRequest("must be text", field="infotext")
    return door.infotext(text)

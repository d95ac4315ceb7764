"""AUTOMATIC1111's JSON out: finished jobs, and the lists of models, samplers and schedulers."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend import Door, Image, Job
from backend.catalog.model_file import ModelFile
from backend.errors import EaselError
from backend.http.a1111.controlnet_units import detected_maps
from backend.http.a1111.fields import IMG2IMG, READ_IMG2IMG, READ_TXT2IMG, TXT2IMG, WITHOUT_EFFECT
from backend.http.a1111.requests import Reading
from backend.http.a1111.scripts import answers_last_rounds
from backend.image import infotext
from backend.image.infotext.entries import entries
from backend.image.read import Metadata
from backend.request.choices import NO_RESTORER
from backend.request.field import Field
from backend.request.loose_values import truth
from backend.request.request import FIELDS
from backend.sampling.sampler_row import SamplerRow
from backend.sampling.schedules import ScheduleRow
from backend.version import VERSION

# Schedules computed from the network's own levels.
ON_MODEL_LEVELS = ("uniform", "sgm_uniform", "simple", "normal", "ddim", "beta")


def drawn(door: Door, jobs: Sequence[Job], reading: Reading, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a txt2img or img2img call: the files as saved, in base64, and what made them."""
    send_images = truth(payload.get("send_images", True)) is not False
    images = [image for job in jobs for image in _answered(job, door.results(job.id), payload)]
    files = [door.image_file(image.id).read_bytes() for image in images] if send_images else []
    maps = detected_maps(door, jobs[0], payload) if send_images else []
    echoed = ("init_images", "mask") if send_images and truth(payload.get("include_init_images")) else ()
    return {
        "images": [*(base64.b64encode(file).decode("ascii") for file in files), *maps],
        "parameters": parameters(jobs[0], payload) | {name: payload.get(name) for name in echoed},
        "info": json.dumps(info(jobs, images, _model(door, jobs[0])) | told(jobs, images, reading)),
    }


def _answered(job: Job, images: Sequence[Image], payload: Mapping[str, Any]) -> list[Image]:
    """The pictures of a job that its client gets; those that it does not are in the gallery."""
    rounds = job.request.rounds
    if rounds == 1 or job.request.chains == 1 or not answers_last_rounds(payload):
        return list(images)
    return list({image.index // rounds: image for image in images}.values())


def parameters(job: Job, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The request by AUTOMATIC1111's names, random seeds already drawn; what is no field as it was sent."""
    img2img, values = bool(job.request.init_image), job.request.to_json()
    table, read = (IMG2IMG, READ_IMG2IMG) if img2img else (TXT2IMG, READ_TXT2IMG)
    plain = {name: _as_theirs(field, values[field.name]) for name, field in table.items() if _is_reported(field)}
    overrides = {field.override: values[field.name] for field in FIELDS.values() if field.override}
    sent = {name: payload.get(name, default) for name, default in (read | WITHOUT_EFFECT).items()
            if name not in ("init_images", "mask", "latent_mask")}
    faces = {"restore_faces": job.request.face_restoration != NO_RESTORER}
    return {**sent, **plain, **faces, "sampler_index": job.request.sampler, "override_settings": overrides}


def told(jobs: Sequence[Job], images: Sequence[Image], reading: Reading) -> dict[str, Any]:
    """What Easel adds to `info`: names that were passed over, and sentences that a person should know."""
    notes = [*reading.notes, *(note for job in jobs for note in job.notes)]
    count, half = sum(job.request.count for job in jobs), sum(image.unfinished for image in images)
    if half or any(job.state == "cancelled" for job in jobs):
        notes.append(f"interrupted: {len(images)} of {count} pictures are here, {half} of them half-drawn")
    return {"passed_over": list(reading.passed_over), "notes": list(dict.fromkeys(notes))}


def _is_reported(field: Field) -> bool:
    return not field.override and not field.internal and field.kind not in ("picture", "pictures")


def _as_theirs(field: Field, value: Any) -> Any:
    return field.choices.index(value) if field.api_index else value


def info(jobs: Sequence[Job], images: list[Image], model: tuple[str, str]) -> dict[str, Any]:
    """What AUTOMATIC1111 calls `info`: one entry per picture in the `all_` lists. `model`: its name and hash."""
    job, (model_name, model_hash) = jobs[0], model
    request, first = job.request, job.request.of_image(0)
    said = entries(images[0].infotext) if images else {}
    each = [image.request for image in images]
    return {
        "prompt": first.prompt,
        "all_prompts": [values["prompt"] for values in each],
        "negative_prompt": first.negative_prompt,
        "all_negative_prompts": [values["negative_prompt"] for values in each],
        "seed": request.seed,
        "all_seeds": [values["seed"] for values in each],
        "subseed": request.variation_seed,
        "all_subseeds": [values["variation_seed"] for values in each],
        "subseed_strength": request.variation_strength,
        "seed_resize_from_w": request.seed_resize_from_w,
        "seed_resize_from_h": request.seed_resize_from_h,
        "width": request.width,
        "height": request.height,
        "sampler_name": request.sampler,
        "cfg_scale": request.cfg_scale,
        "steps": request.steps,
        "batch_size": request.batch_size if len(jobs) == 1 else len({job.request.init_image for job in jobs}),
        "clip_skip": request.clip_skip,
        "sd_model_name": model_name,
        "sd_model_hash": model_hash,
        "sd_vae_name": said.get("VAE"),
        "sd_vae_hash": said.get("VAE hash"),
        "restore_faces": request.face_restoration != NO_RESTORER,
        "face_restoration_model": request.face_restoration if request.face_restoration != NO_RESTORER else None,
        "denoising_strength": request.denoising_strength if request.init_image else None,
        "extra_generation_params": {"Schedule type": request.schedule},
        "styles": list(request.styles),
        "is_using_inpainting_conditioning": False,
        "index_of_first_image": 0,
        "infotexts": [image.infotext for image in images],
        "job_timestamp": timestamp(job),
        "version": f"Easel {VERSION}",
    }


def model(checkpoint: ModelFile) -> dict[str, Any]:
    """A row of /sd-models. `filename` is the bare name: where models lie is the server's business."""
    return {
        "title": checkpoint.title,
        "model_name": checkpoint.key,
        "hash": checkpoint.short_hash or None,
        "sha256": checkpoint.sha256 or None,
        "filename": Path(checkpoint.path).name,
        "config": None,
    }


def png_info(metadata: Metadata, styles: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The text of a picture's settings, all texts of its file, and what AUTOMATIC1111 with these styles reads."""
    text = metadata.infotext
    items = dict(metadata.texts) | ({"parameters": text} if text else {})
    return {"info": text, "items": items, "parameters": infotext.parse(text, styles=styles) if text else {}}


def upscaler(name: str, scale: int = 0) -> dict[str, Any]:
    """A row of /upscalers; AUTOMATIC1111 says 4 where it does not know. Where files lie is the server's business."""
    return {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": scale or 4}


def sampler(row: SamplerRow, schedules: dict[str, ScheduleRow]) -> dict[str, Any]:
    """A row of /samplers; option values are text, as in AUTOMATIC1111."""
    marks = {
        "uses_ensd": row.uses_ensd,
        "second_order": row.second_order,
        "brownian_noise": row.brownian,
        "discard_next_to_last_sigma": row.discard_next_to_last_sigma,
    }
    default = {} if row.schedule == "Uniform" else {"scheduler": schedules[row.schedule].name}
    options = default | {name: "True" for name, mark in marks.items() if mark}
    return {"name": row.label, "aliases": list(row.aliases), "options": options}


def scheduler(row: ScheduleRow) -> dict[str, Any]:
    """A row of /schedulers."""
    return {
        "name": row.name,
        "label": row.label,
        "aliases": list(row.aliases) or None,
        "default_rho": -1 if row.default_rho is None else row.default_rho,
        "need_inner_model": row.name in ON_MODEL_LEVELS,
    }


def _model(door: Door, job: Job) -> tuple[str, str]:
    """Name and hash of the job's checkpoint; it may have been taken away while the job ran."""
    try:
        checkpoint = door.backend.checkpoint(job.request.checkpoint)
    except EaselError:
        return job.request.checkpoint, ""
    return checkpoint.key, checkpoint.short_hash


def timestamp(job: Job | None) -> str:
    """When a job was begun, as AUTOMATIC1111 writes it; "0" without one."""
    moment = (job.started or job.created) if job else None
    return moment.strftime("%Y%m%d%H%M%S") if moment else "0"

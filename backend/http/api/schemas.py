"""What /api answers. Each model is also its own description for `/openapi.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field

from backend import Job, JobLine, Live
from backend.catalog.model_file import ModelFile
from backend.http.easel.jobs import from_outside
from backend.store.view_types import State
from backend.store.webhooks import WebhookState, WebhookView

ID = "5f1c2a9be07d4c33a1b2c3d4"
MOMENT = "2026-01-31T12:00:00+00:00"
PicturesToo = Annotated[bool, Query(description="Its pictures go into the bin, too.")]


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Its name; empty for what concerns the request as a whole.", examples=["steps"])
    message: str = Field(examples=["must be between 1 and 1,000; 0 is not"])


class ProblemDetails(BaseModel):
    """An error as RFC 9457 describes it, sent as application/problem+json."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["steps: must be between 1 and 1,000; 0 is not"])
    instance: str = Field(description="The path that was asked for.", examples=["/api/jobs"])
    errors: list[FieldProblem] = Field(description="One for each wrong field.")


PROBLEMS: dict[int | str, dict[str, Any]] = {status: {"model": ProblemDetails, "description": why} for status, why in {
    401: "No login, or a wrong one", 403: "Not from this page, or not for this caller",
    404: "There is no such thing, or it is somebody else's",
    409: "Not possible now", 413: "Too large", 422: "Fields are wrong; each is named", 429: "Too many wrong logins",
}.items()}


class Picture(BaseModel):
    """A picture that was made."""

    id: str = Field(examples=[ID])
    job: str = Field(examples=[ID])
    index: int = Field(description="Its place in the job, from 0; -1 is a grid of all.", examples=[0])
    url: str = Field(examples=[f"/api/images/{ID}"])
    thumbnail: str = Field(examples=[f"/api/images/{ID}/thumbnail"])
    width: int = Field(examples=[512])
    height: int = Field(examples=[512])
    seed: int = Field(examples=[1234567])
    format: str = Field(description="Of the file: png, jpg or webp.", examples=["png"])
    created: datetime = Field(examples=[MOMENT])
    prompt: str = Field(examples=["a lighthouse at dawn"])
    starred: bool = False
    unfinished: bool = Field(False, description="It was interrupted half-way.")


class Pictures(BaseModel):
    """Pictures, newest first."""

    images: list[Picture]
    next_cursor: str | None = Field(description="For the next page; null where this is the last.", examples=[ID])


class PictureSettings(Picture):
    """A picture with everything that made it."""

    infotext: str = Field(description="AUTOMATIC1111's text.", examples=["a lighthouse at dawn\nSteps: 20"])
    request: dict[str, Any] = Field(description="Field values; sent to POST /api/jobs they make the picture again.",
                                    examples=[{"prompt": "a lighthouse at dawn", "steps": 20, "seed": 1234567}])


class Progress(BaseModel):
    """How far a job has come."""

    index: int = Field(description="The picture in work, from 0.", examples=[0])
    done: int = Field(description="Pictures finished.", examples=[0])
    count: int = Field(description="Pictures in all.", examples=[1])
    step: int = Field(description="Network calls that the picture has made.", examples=[7])
    steps: int | None = Field(description="How many it makes; null until it has made the first.", examples=[20])
    fraction: float = Field(description="0 to 1, of the whole job.", examples=[0.35])
    eta: float | None = Field(description="Seconds left; null until it can be measured.", examples=[4.2])
    message: str = Field(description="What happens before the first step.", examples=[""])


class WebhookTold(BaseModel):
    """A job's webhook, and whether it was delivered. The secret is never told."""

    url: str = Field(examples=["https://example.com/hook"])
    state: WebhookState
    attempts: int = Field(description="Those that failed since the job ended last.", examples=[0])
    problem: str = Field(description="Why the last one failed.", examples=[""])


class JobTold(BaseModel):
    """A job: what was asked for, how far it is, what came of it."""

    id: str = Field(examples=[ID])
    state: State = Field(examples=["queued"])
    position: int | None = Field(description="0 runs; 1, 2, ... wait, everyone's counted; null: ended.", examples=[1])
    created: datetime = Field(examples=[MOMENT])
    started: datetime | None
    ended: datetime | None
    count: int = Field(description="Pictures that it makes.", examples=[1])
    request: dict[str, Any] = Field(description="Every field, random seeds drawn; it may be sent again.",
                                    examples=[{"prompt": "a lighthouse at dawn", "steps": 20, "seed": 1234567}])
    progress: Progress | None = Field(description="Null unless a worker has it.")
    images: list[Picture]
    problems: list[FieldProblem] = Field(description="Why it failed.")
    notes: list[str] = Field(description="What became otherwise than it was asked for.")
    webhook: WebhookTold | None = None


class JobSummary(BaseModel):
    """A job in a list."""

    id: str = Field(examples=[ID])
    state: State
    position: int | None
    created: datetime
    prompt: str = Field(examples=["a lighthouse at dawn"])
    count: int = Field(examples=[1])
    done: int = Field(description="Pictures finished.", examples=[1])
    problems: list[FieldProblem]
    notes: list[str]


class JobList(BaseModel):
    """Jobs, newest first; cells of plots are not among them."""

    jobs: list[JobSummary]
    next_cursor: str | None = Field(description="For the next page; null where this is the last.", examples=[ID])


class UploadTold(BaseModel):
    """A picture that was kept; `id` is what `init_image`, masks and guides take."""

    id: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    width: int = Field(examples=[512])
    height: int = Field(examples=[512])


class ModelTold(BaseModel):
    """A model file."""

    kind: str = Field(examples=["checkpoint"])
    name: str = Field(description="What a request calls it.", examples=["demo"])
    title: str = Field(examples=["demo.safetensors [0123456789]"])
    sha256: str = Field(description="Empty until the file was read as a whole.", examples=[""])
    family: str = Field(description="Of the networks that it is, or goes with.", examples=["sd1"])
    defaults: dict[str, Any] = Field(description="Field values that suit it.", examples=[{"steps": 20}])
    usable: bool = Field(examples=[True])
    problem: str = Field(description="Why it cannot be used.", examples=[""])


class ModelList(BaseModel):
    """Model files of one kind, or of all."""

    models: list[ModelTold]
    kinds: list[str] = Field(description="Those that `kind` may be.", examples=[["checkpoint", "lora"]])


class SamplerTold(BaseModel):
    """A sampler; `name` is for the field `sampler`."""

    name: str = Field(examples=["DPM++ 2M"])
    aliases: list[str] = Field(description="Other names that are understood.", examples=[["k_dpmpp_2m"]])


class ScheduleTold(BaseModel):
    """A schedule; `name` is for the field `schedule`."""

    name: str = Field(examples=["Karras"])
    aliases: list[str] = Field(examples=[["karras"]])


class FieldTold(BaseModel):
    """A row of the field table: what a request may say."""

    name: str = Field(examples=["steps"])
    label: str = Field(examples=["Sampling steps"])
    kind: str = Field(examples=["int"])
    default: Any = Field(examples=[20])
    minimum: float | None = Field(examples=[1])
    maximum: float | None = Field(examples=[1000])
    choices: list[str] = Field(examples=[[]])
    help: str
    group: str = Field(examples=["sampling"])
    needs: list[str] = Field(description="Fields of which one must be set, or this one changes nothing.")
    record: list[FieldTold] | None = Field(None, description="Of a list of objects: the fields of one.")


class Fields(BaseModel):
    """The field table, in the order of the page."""

    fields: list[FieldTold]


def picture(summary: Mapping[str, Any]) -> Picture:
    """Of what the front door says of a picture in one line."""
    own = f"/api/images/{summary['id']}"
    told = {name: summary[name] for name in Picture.model_fields if name in summary}
    return Picture(**{**told, "url": own, "thumbnail": f"{own}/thumbnail", "seed": int(summary["seed"])})


def problems(job: Job | JobLine) -> list[FieldProblem]:
    return [FieldProblem(field=one.field, message=one.message) for one in job.problems]


def progress(live: Live) -> Progress:
    values = {name: getattr(live, name) for name in Progress.model_fields}
    return Progress(**values | {"steps": live.steps or None})


def job_told(job: Job, live: Live | None, webhook: WebhookView | None) -> JobTold:
    return JobTold(
        id=job.id, state=job.state, position=job.position, created=job.created, started=job.started, ended=job.ended,
        count=job.request.count, request=from_outside(job.request.to_json()), problems=problems(job),
        progress=progress(live) if live else None,
        images=[picture(image.summary()) for image in job.images], notes=list(job.notes),
        webhook=WebhookTold(**dataclasses.asdict(webhook)) if webhook else None)


def job_summary(job: JobLine) -> JobSummary:
    return JobSummary(id=job.id, state=job.state, position=job.position, created=job.created, prompt=job.prompt,
                      count=job.count, done=job.done, problems=problems(job), notes=list(job.notes))


def model(file: ModelFile, usable: bool) -> ModelTold:
    return ModelTold(kind=file.kind, name=file.key, title=file.title or file.key, sha256=file.sha256,
                     family=file.family, defaults=dict(file.defaults), usable=usable and not file.problem,
                     problem=file.problem)

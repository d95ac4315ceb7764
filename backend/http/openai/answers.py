"""Pictures and models in OpenAI's shapes. Each model is also its own description for `/openapi.json`."""

from __future__ import annotations

import base64
import time
from typing import Literal

from pydantic import BaseModel, Field

from backend import Door, Image, Job, ModelFile
from backend.http.easel.files import existing
from backend.http.openai.requests import Asked

OWNER = "easel"


class ImageData(BaseModel):
    """One picture."""

    b64_json: str | None = None
    url: str | None = Field(None, description="Asks for the same login as the call.")


class ImagesAnswer(BaseModel):
    """Pictures that were made for a call."""

    created: int = Field(description="Seconds since 1970.", examples=[1769860800])
    background: Literal["opaque"] = "opaque"
    data: list[ImageData]
    output_format: str = Field(examples=["png"])
    quality: str = Field(examples=["auto"])
    size: str = Field(examples=["512x512"])


class ModelAnswer(BaseModel):
    """A checkpoint."""

    id: str = Field(examples=["demo"])
    object: Literal["model"] = "model"
    created: int = Field(description="When its file changed last, in seconds since 1970.", examples=[1769860800])
    owned_by: str = OWNER


class ModelsAnswer(BaseModel):
    """All checkpoints."""

    object: Literal["list"] = "list"
    data: list[ModelAnswer]


def images_answer(door: Door, job: Job, asked: Asked, base_url: str) -> ImagesAnswer:
    """Reads the files."""
    if asked.as_url:
        data = [ImageData(url=f"{base_url}api/images/{image.id}") for image in job.images]
    else:
        data = [ImageData(b64_json=encoded(door, image)) for image in job.images]
    return ImagesAnswer(created=int(time.time()), data=data, output_format=asked.file_format, quality=asked.quality,
                        size=size_of(job))


def encoded(door: Door, image: Image) -> str:
    """A picture's file in base64. NotFound."""
    return base64.b64encode(existing(door.image_file(image.id)).read_bytes()).decode()


def size_of(job: Job) -> str:
    width, height = job.request.width, job.request.height
    if job.images:
        width, height = job.images[0].width, job.images[0].height
    return f"{width}x{height}"


def model_answer(file: ModelFile) -> ModelAnswer:
    return ModelAnswer(id=file.key, created=file.fingerprint.changed // 10**9 if file.fingerprint else 0)

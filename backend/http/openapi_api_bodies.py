"""The description of /api and /v1: bodies from the field table, with examples, and their errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from backend.http.easel.jobs import from_outside
from backend.http.openai.requests import EFFORT, FIDELITY, FILE_FORMATS, LONGEST, MOST
from backend.http.openapi_schemas import Schema, object_schema
from backend.request.request import FIELDS

PATHS = ("/api/", "/v1/")
LIGHTHOUSE = "a lighthouse at dawn"
FILE: Schema = {"type": "string", "format": "binary"}
WEBHOOK: Schema = {
    "type": ["object", "null"], "required": ["url"], "additionalProperties": False,
    "description": "Told when the job is done or has failed; only to hosts that the operator allows.",
    "properties": {"url": {"type": "string"},
                   "secret": {"type": "string", "description": "whsec_ and 24 to 64 bytes in base64."}},
}
EXAMPLES: Mapping[str, Any] = {
    "words": {"summary": "A picture from words",
              "value": {"prompt": LIGHTHOUSE, "steps": 20, "width": 512, "height": 512}},
    "picture": {"summary": "From a picture that was sent to /api/uploads",
                "value": {"prompt": LIGHTHOUSE, "init_image": "9f86d081" * 8, "denoising_strength": 0.5}},
    "webhook": {"summary": "With a webhook", "value": {
        "prompt": LIGHTHOUSE, "webhook": {"url": "https://example.com/hook", "secret": "whsec_" + "AAECAwQF" * 4}}},
}
PROBLEM: Schema = {"$ref": "#/components/schemas/ProblemDetails"}
OPENAI_ERROR: Schema = {"type": "object", "required": ["error"], "properties": {"error": {
    "type": "object", "required": ["message", "type", "param", "code"], "properties": {
        "message": {"type": "string"}, "type": {"type": "string"}, "param": {"type": ["string", "null"]},
        "code": {"type": ["string", "null"]}}}}}
OPENAI_STATUSES = {"400": "A parameter is wrong or cannot be honoured; `param` names it",
                   "401": "No key, or a wrong one", "404": "There is no such thing", "409": "It was cancelled",
                   "413": "Too large", "500": "The picture could not be drawn"}
TAGS = {"Jobs": "Requests by field names, queued at once.", "Events": "What happens, as server-sent events.",
        "Images": "What was made.", "Uploads": "Pictures to start from.", "Models": "What a request may name.",
        "Plots": "Many requests along axes.", "OpenAI": "OpenAI's shapes for pictures and models."}


def describe(made: dict[str, Any]) -> None:
    """Puts it into the description of the whole API."""
    schemas = made["components"]["schemas"]
    made["tags"] = [{"name": name, "description": about} for name, about in TAGS.items()]
    schemas["OpenAIError"] = OPENAI_ERROR
    for (path, media), (name, body) in BODIES.items():
        schemas[name] = body()
        content: Schema = {"schema": {"$ref": f"#/components/schemas/{name}"}}
        if name == "JobRequest":
            content["examples"] = dict(EXAMPLES)
        made["paths"][path]["post"]["requestBody"] = {"required": True, "content": {media: content}}
    for path, methods in made["paths"].items():
        if path.startswith(PATHS):
            for route in methods.values():
                route["summary"] = _first_sentence(route["description"])
                _describe_errors(route["responses"], is_openai=path.startswith("/v1/"))


def _first_sentence(text: str) -> str:
    """What a route does, in the line that stands beside its path."""
    return re.split(r"[.:;](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]


def _describe_errors(responses: dict[str, Any], *, is_openai: bool) -> None:
    if is_openai:
        for status in [status for status in responses if status >= "400"]:
            del responses[status]
        told = {"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIError"}}}
        responses |= {status: {"description": why, "content": told} for status, why in OPENAI_STATUSES.items()}
        return
    for status, answer in responses.items():
        if status >= "400":
            answer["content"] = {"application/problem+json": {"schema": PROBLEM}}


def _job() -> Schema:
    own = from_outside(FIELDS)
    return object_schema(own.values(), {"webhook": WEBHOOK}) | {
        "description": "Field values by name. What is left out takes the caller's preferences, then the checkpoint's "
                       "defaults."}


def _picture(*, form: bool) -> Schema:
    """What OpenAI's calls have in common; fields of Easel's own table may stand beside it."""
    number: Schema = {"type": "integer"}
    return {
        "n": {**number, "minimum": 1, "maximum": MOST, "default": 1},
        "model": {"type": "string",
                  "description": "A checkpoint of /v1/models; OpenAI's own names mean the default one."},
        "size": {"type": "string", "pattern": r"^(auto|\d{1,5}x\d{1,5})$", "default": "auto",
                 "description": "auto is the checkpoint's own size, in an edit that of the picture."},
        "quality": {"type": "string", "enum": list(EFFORT), "default": "auto", "description": "How many steps: "
                    + ", ".join(f"{name} x {factor:g}" for name, factor in EFFORT.items())},
        "response_format": {"type": "string", "enum": ["b64_json", "url"], "default": "b64_json"},
        "output_format": {"type": "string", "enum": list(FILE_FORMATS), "default": "png"},
        "output_compression": {**number, "minimum": 0, "maximum": 100, "description": "Of JPEG and WebP."},
        "background": {"type": "string", "enum": ["auto", "opaque"]},
        "stream": {"type": "boolean", "default": False},
        "partial_images": {**number, "minimum": 0, "maximum": 3, "default": 0},
        "user": {"type": "string", "description": "Has no effect, as `safety_identifier`, `moderation` and `style`."},
        **({"input_fidelity": FIDELITIES} if form else {}),
    }


FIDELITIES: Schema = {"type": "string", "enum": list(FIDELITY), "description": "How little an edit may change."}
PROMPT: Schema = {"type": "string", "maxLength": LONGEST, "examples": [LIGHTHOUSE]}


def _generation() -> Schema:
    return {"type": "object", "required": ["prompt"], "properties": {"prompt": PROMPT, **_picture(form=False)},
            "additionalProperties": True, "examples": [{"prompt": LIGHTHOUSE, "size": "512x512", "n": 1}]}


def _edit() -> Schema:
    mask = {**FILE, "description": "As large as the picture; where it is transparent is drawn anew."}
    files = {"image": FILE, "mask": mask}
    return {"type": "object", "required": ["image", "prompt"],
            "properties": {**files, "prompt": PROMPT, **_picture(form=True)}}


def _variation() -> Schema:
    own = {name: schema for name, schema in _picture(form=True).items() if name not in ("stream", "partial_images")}
    return {"type": "object", "required": ["image"], "properties": {"image": FILE, **own}}


BODIES: dict[tuple[str, str], tuple[str, Callable[[], Schema]]] = {
    ("/api/jobs", "application/json"): ("JobRequest", _job),
    ("/v1/images/generations", "application/json"): ("ImageGenerationRequest", _generation),
    ("/v1/images/edits", "multipart/form-data"): ("ImageEditRequest", _edit),
    ("/v1/images/variations", "multipart/form-data"): ("ImageVariationRequest", _variation),
}
"""By path and media type: the name of the schema, and what makes it."""

"""What AUTOMATIC1111's routes answer, for the description of the API: the response models of its version 1.10.1.

A type is a JSON type's name, with "?" behind it where null is possible; a list holds the type of its entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

PART: Mapping[str, Any] = {"model_name": "string", "filename": "string"}
EMBEDDING: Mapping[str, Any] = {"step": "integer?", "sd_checkpoint": "string?", "sd_checkpoint_name": "string?",
                                "shape": "integer", "vectors": "integer"}
DRAWN: Mapping[str, Any] = {"images": ["string"], "parameters": "object", "info": "string"}
ARGUMENT: Mapping[str, Any] = {"label": "string?", "value": "any", "minimum": "any", "maximum": "any", "step": "any",
                               "choices": "any"}
STATE: Mapping[str, Any] = {
    "skipped": "boolean", "interrupted": "boolean", "stopping_generation": "boolean", "job": "string",
    "job_count": "integer", "job_timestamp": "string", "job_no": "integer", "sampling_step": "integer",
    "sampling_steps": "integer",
}

ANSWERS: Mapping[str, tuple[str, str, Any]] = {
    "/sdapi/v1/txt2img": ("post", "TextToImageResponse", DRAWN),
    "/sdapi/v1/img2img": ("post", "ImageToImageResponse", DRAWN),
    "/sdapi/v1/extra-single-image": ("post", "ExtrasSingleImageResponse", {
        "html_info": "string", "image": "string?"}),
    "/sdapi/v1/extra-batch-images": ("post", "ExtrasBatchImagesResponse", {
        "html_info": "string", "images": ["string"]}),
    "/sdapi/v1/png-info": ("post", "PNGInfoResponse", {"info": "string", "items": "object", "parameters": "object"}),
    "/sdapi/v1/progress": ("get", "ProgressResponse", {
        "progress": "number", "eta_relative": "number", "state": STATE, "current_image": "string?",
        "textinfo": "string?", "current_task": "string?"}),
    "/sdapi/v1/samplers": ("get", "SamplerItem", [{"name": "string", "aliases": ["string"], "options": "object"}]),
    "/sdapi/v1/schedulers": ("get", "SchedulerItem", [{
        "name": "string", "label": "string", "aliases": "any", "default_rho": "number?",
        "need_inner_model": "boolean?"}]),
    "/sdapi/v1/upscalers": ("get", "UpscalerItem", [{
        "name": "string", "model_name": "string?", "model_path": "string?", "model_url": "string?",
        "scale": "number?"}]),
    "/sdapi/v1/latent-upscale-modes": ("get", "LatentUpscalerModeItem", [{"name": "string"}]),
    "/sdapi/v1/sd-models": ("get", "SDModelItem", [{
        "title": "string", "model_name": "string", "hash": "string?", "sha256": "string?", "filename": "string",
        "config": "string?"}]),
    "/sdapi/v1/sd-vae": ("get", "SDVaeItem", [PART]),
    "/sdapi/v1/sd-modules": ("get", "SDModuleItem", [PART]),
    "/sdapi/v1/hypernetworks": ("get", "HypernetworkItem", [{"name": "string", "path": "string?"}]),
    "/sdapi/v1/loras": ("get", "LoraItem", [{
        "name": "string", "alias": "string", "path": "string", "metadata": "object"}]),
    "/sdapi/v1/embeddings": ("get", "EmbeddingsResponse", {"loaded": "object", "skipped": "object"}),
    "/sdapi/v1/face-restorers": ("get", "FaceRestorerItem", [{"name": "string", "cmd_dir": "string?"}]),
    "/sdapi/v1/realesrgan-models": ("get", "RealesrganItem", [{
        "name": "string", "path": "string?", "scale": "integer?"}]),
    "/sdapi/v1/prompt-styles": ("get", "PromptStyleItem", [{
        "name": "string", "prompt": "string?", "negative_prompt": "string?"}]),
    "/sdapi/v1/memory": ("get", "MemoryResponse", {"ram": "object", "cuda": "object"}),
    "/sdapi/v1/scripts": ("get", "ScriptsList", {"txt2img": ["string"], "img2img": ["string"]}),
    "/sdapi/v1/script-info": ("get", "ScriptInfo", [{
        "name": "string", "is_alwayson": "boolean", "is_img2img": "boolean", "args": [ARGUMENT]}]),
    "/sdapi/v1/extensions": ("get", "ExtensionItem", [{
        "name": "string", "remote": "string", "branch": "string", "commit_hash": "string", "version": "string",
        "commit_date": "string", "enabled": "boolean"}]),
    "/internal/progress": ("post", "TaskProgressResponse", {
        "active": "boolean", "queued": "boolean", "completed": "boolean", "progress": "number?", "eta": "number?",
        "live_preview": "string?", "id_live_preview": "integer", "textinfo": "string?"}),
    "/internal/pending-tasks": ("get", "PendingTasksResponse", {"size": "integer", "tasks": ["string"]}),
}
"""By path: the method, the name of the model, and the type of the answer."""


def answer_schema(kind: Any) -> Schema:
    """JSON schema of a type."""
    if isinstance(kind, list):
        return {"type": "array", "items": answer_schema(kind[0])}
    if isinstance(kind, Mapping):
        return {"type": "object", "properties": {name: answer_schema(inner) for name, inner in kind.items()},
                "required": list(kind)}
    if kind == "any":
        return {}
    plain = {"type": kind.rstrip("?")}
    return {"anyOf": [plain, {"type": "null"}]} if kind.endswith("?") else plain

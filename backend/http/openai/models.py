"""/v1/models: the checkpoints, as OpenAI's API lists models."""

from __future__ import annotations

from fastapi import APIRouter

from backend import NotFound
from backend.http.dependencies import EntireBackend
from backend.http.openai.answers import ModelAnswer, ModelsAnswer, model_answer

router = APIRouter(prefix="/v1/models", tags=["OpenAI"])


@router.get("")
def models(backend: EntireBackend) -> ModelsAnswer:
    """The checkpoints that `model` may name."""
    return ModelsAnswer(data=[model_answer(file) for file in backend.checkpoints() if not file.problem])


@router.get("/{model:path}")
def model(backend: EntireBackend, model: str) -> ModelAnswer:
    """One of them."""
    try:
        return model_answer(backend.checkpoint(model))
    except NotFound as error:
        raise NotFound(str(error), field="model") from None

"""A language as the page asks for it: Easel's own texts and those of the extensions that are on."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from backend import Backend
from ui.page_head import LANGUAGES, languages


def route(backend: Backend) -> APIRouter:
    """`/easel/languages/<code>.json`: {"name": "Deutsch", "texts": {English: translation}}."""
    router = APIRouter()

    @router.get("/easel/languages/{code}.json", include_in_schema=False)
    def language(code: str) -> Any:
        if code not in languages():
            raise HTTPException(404, "There is no such language")
        told = json.loads((LANGUAGES / f"{code}.json").read_text("utf-8"))
        return JSONResponse({**told, "texts": backend.extensions.translations(code) | told["texts"]})

    return router

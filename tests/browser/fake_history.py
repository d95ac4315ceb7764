"""The stand-in's history: as many pictures as a test wants, searched, starred, binned, compared and imported in memory."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse
from PIL import Image as Pixels

from backend import InvalidRequest, Request, UserError
from backend.image import upload_validation as incoming
from tests.browser import fake as stand_in

PROMPTS = ("a lighthouse on a cliff, storm", "a small red fox in the snow", "portrait of an old sailor, oil painting",
           "two green squares", "a city of glass at night, rain, reflections, wide angle, highly detailed", "")
SHAPES = ((512, 512), (512, 768), (768, 512), (640, 384))
MODELS = ("demo", "photo-v2")
SAMPLERS = ("Euler a", "DPM++ 2M", "DDIM")


@dataclass
class Past:
    """What the history knows beside the pictures themselves."""

    fake: Any
    starred: set[str] = field(default_factory=set)
    binned: set[str] = field(default_factory=set)
    refuse: str = ""            # a sentence: the next change fails with it
    known: set[bytes] = field(default_factory=set)

    def fill(self, count: int) -> list[str]:
        """`count` pictures of many kinds, each an hour older than the next; returns their ids, newest first."""
        drawn = [self._drawn(number) for number in range(len(SHAPES) * 6)]
        start = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC).timestamp()
        for number in range(count):
            self._add(number, start - 3600 * (count - number), *drawn[number % len(drawn)])
        return [image.id for image in reversed(self.fake.pictures.values())][:count]

    def _drawn(self, number: int) -> tuple[Request, bytes]:
        width, height = SHAPES[number % len(SHAPES)]
        values = {"prompt": "x", "width": width, "height": height, "seed": 47 * number}
        request = Request.parse(values, self.fake.defaults())
        return request, stand_in.encoded(stand_in.picture(request).resize((width // 4, height // 4)), "PNG")

    def _add(self, number: int, created: float, shape: Request, data: bytes, prompt: str | None = None) -> None:
        values = {**shape.to_json(), "prompt": PROMPTS[number % len(PROMPTS)] if prompt is None else prompt, "seed": number, "steps": 20 + number % 3,
                  "sampler": SAMPLERS[number % len(SAMPLERS)]}
        text = (f"{values['prompt']}\nNegative prompt: blurry\nSteps: {values['steps']}, Sampler: {values['sampler']}, Seed: {number}, "
                f"Size: {shape.width}x{shape.height}, Model: {MODELS[number % 2]}")
        image = stand_in.Image(secrets.token_urlsafe(8), f"job{number}", 0, shape.width, shape.height, number, text, created, "png",
                               values | {"checkpoint": MODELS[number % 2]}, f"{number:05}-{number}.png", data)
        self.fake.pictures[image.id] = image

    def forget(self) -> None:
        self.fake.pictures.clear()
        for names in (self.starred, self.binned, self.fake.missing, self.known):
            names.clear()
        self.refuse = ""

    def row(self, image: Any) -> dict[str, Any]:
        created = datetime.datetime.fromtimestamp(image.created, datetime.UTC).isoformat()
        return stand_in.listed(image) | {
            "created": created, "starred": image.id in self.starred, "missing": image.id in self.fake.missing,
            "binned": image.id in self.binned,
            "model": image.request["checkpoint"], "sampler": image.request["sampler"],
        }

    def rows(self, binned: bool) -> Iterable[dict[str, Any]]:
        for image in reversed(self.fake.pictures.values()):
            if (image.id in self.binned) == binned:
                yield self.row(image)

    def set(self, names: set[str], ids: list[str], on: bool) -> JSONResponse:
        if self.refuse:
            said, self.refuse = self.refuse, ""
            return JSONResponse({"problems": [{"field": "", "message": said}]}, 422)
        names.update(ids) if on else names.difference_update(ids)
        return JSONResponse({"ok": True})


@dataclass(frozen=True)
class Search:
    """The query of `GET /easel/history`."""

    q: str = ""
    checkpoint: str = ""
    sampler: str = ""
    seed: str = ""
    since: str = ""
    until: str = ""
    starred: bool = False

    def finds(self, row: dict[str, Any]) -> bool:
        if self.seed and not self.seed.isdigit():
            raise InvalidRequest("must be a whole number", field="seed")
        day = row["created"][:10]
        return (all(word in row["prompt"].lower() for word in self.q.lower().split())
                and self.checkpoint in ("", row["model"]) and self.sampler in ("", row["sampler"])
                and self.seed in ("", str(row["seed"])) and (not self.since or day >= self.since)
                and (not self.until or day <= self.until) and (row["starred"] or not self.starred))


def router(past: Past) -> APIRouter:
    routes = APIRouter(prefix="/easel")

    @routes.get("/history")
    def history(query: HttpRequest, binned: bool = False, limit: int = 60, before: str = "") -> JSONResponse:
        given = {name: value for name, value in query.query_params.items() if name in Search.__dataclass_fields__}
        search = Search(**given | {"starred": given.get("starred") == "true"})  # type: ignore[arg-type]
        try:
            found = [row for row in past.rows(binned) if search.finds(row)]
        except UserError as error:
            return JSONResponse({"problems": [asdict(problem) for problem in error.problems]}, 422)
        order = list(past.fake.pictures)
        older = [row for row in found if not before or order.index(row["id"]) < order.index(before)]
        return JSONResponse({"images": older[:limit], "total": len(found)})

    @routes.get("/history/choices")
    def choices() -> dict[str, Any]:
        rows = [past.row(image) for image in past.fake.pictures.values()]
        return {"checkpoints": sorted({row["model"] for row in rows}), "samplers": sorted({row["sampler"] for row in rows})}

    changes(routes, past)
    readings(routes, past)
    return routes


def changes(routes: APIRouter, past: Past) -> None:
    @routes.post("/history/star")
    async def star(request: HttpRequest) -> JSONResponse:
        asked = await request.json()
        return past.set(past.starred, asked["ids"], asked["on"])

    @routes.post("/history/bin")
    async def to_bin(request: HttpRequest) -> JSONResponse:
        return past.set(past.binned, (await request.json())["ids"], True)

    @routes.post("/history/restore")
    async def restore(request: HttpRequest) -> JSONResponse:
        return past.set(past.binned, (await request.json())["ids"], False)

    @routes.post("/history/empty")
    def empty() -> dict[str, int]:
        gone = [past.fake.pictures.pop(name) for name in past.binned]
        past.binned.clear()
        return {"deleted": len(gone)}


def readings(routes: APIRouter, past: Past) -> None:
    @routes.get("/history/compare")
    def compare(a: Annotated[str, Query()], b: Annotated[str, Query()]) -> dict[str, Any]:
        left, right = past.fake.pictures[a].request, past.fake.pictures[b].request
        differ = [{"key": key, "a": left[key], "b": right[key]} for key in left if left[key] != right[key]]
        return {"differences": differ, "same": len(left) - len(differ)}

    @routes.post("/history/import")
    async def take(request: HttpRequest, name: str) -> JSONResponse:
        data = await request.body()
        try:
            found: Pixels.Image = incoming.picture(data)
        except UserError as error:
            return JSONResponse({"problems": [asdict(problem) for problem in error.problems]}, 422)
        known = data in past.known
        past.known.add(data)
        shape = Request.parse({"prompt": name, "width": 512, "height": 512, "seed": 5}, past.fake.defaults())
        if not known:
            past._add(len(past.fake.pictures), 1_700_000_000, shape, stand_in.encoded(found, "PNG"), name)
        return JSONResponse({"id": next(reversed(past.fake.pictures)), "known": known})

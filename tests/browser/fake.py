"""A stand-in for the house behind the page: `python -m tests.browser.fake [port]` serves the page without a model."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response, StreamingResponse
from PIL import Image as Pixels
from PIL import ImageDraw, ImageFilter

from backend import FIELDS, LOCAL, ModelFile, NotFound, Problem, Request, Settings, User, UserError
from backend.catalog.model_catalog import ModelCatalog
from backend.http import files
from backend.http.guard import Guard
from backend.prompt_library.library import PromptLibrary
from backend.store.painted_layers import Layer, PaintedLayers
from backend.store.uploads import Upload, Uploads
from tests.guest import user_of
from tests.pure.door import NoneUsed

EXAMPLES = ("a large red circle on a blue background", "two small green squares on white", "a yellow star on a black background")
MODELS = [
    ModelFile("checkpoint", "demo", "", "demo.safetensors [0123456789]", sha256="0123456789", family="sd1",
              defaults={"width": 128, "height": 128, "steps": 20, "cfg_scale": 4.0}, facts={"example_prompts": EXAMPLES}),
    ModelFile("checkpoint", "photo-v2", "", "photo-v2.safetensors [abcdef0123]", sha256="abcdef0123", family="sd1"),
]


@dataclass
class Job:
    id: str
    request: Request
    state: str = "queued"
    position: int | None = None
    created: float = field(default_factory=time.time)
    problems: tuple[Problem, ...] = ()
    images: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Image:
    id: str
    job: str
    index: int
    width: int
    height: int
    seed: int
    infotext: str
    created: float
    format: str
    request: dict[str, Any]
    name: str
    bytes: bytes


def picture(request: Request, blur: float = 0) -> Pixels.Image:
    hue = request.seed % 360
    image = Pixels.new("RGB", (request.width, request.height), f"hsl({hue}, 45%, 60%)")
    size = min(image.size)
    box = [(image.width - size * 0.6) / 2, (image.height - size * 0.6) / 2, (image.width + size * 0.6) / 2, (image.height + size * 0.6) / 2]
    ImageDraw.Draw(image).ellipse(box, fill=f"hsl({(hue + 150) % 360}, 70%, 45%)")
    return image.filter(ImageFilter.GaussianBlur(blur * size / 6)) if blur else image


def encoded(image: Pixels.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@dataclass(frozen=True)
class Worker:
    state: str = "ready"
    device: str = "CPU, 2 threads"
    dtype: str = "bfloat16"
    checkpoint: str = "demo"


@dataclass(frozen=True)
class Status:
    workers: tuple[Worker, ...] = (Worker(),)
    notices: tuple[str, ...] = ()


class Bound:
    """The stand-in as the one user finds it."""

    def __init__(self, backend: Fake) -> None:
        self.backend, self.user = backend, LOCAL
        self.prompt_library = backend.prompt_library.as_(LOCAL)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)


class Fake:
    """What the page uses of the front door, on one drawing thread. Prompts with "fail" fail."""

    def __init__(self, pause: float = 0.12) -> None:
        self.pause = pause
        self.all: dict[str, Job] = {}
        self.pictures: dict[str, Image] = {}
        self.previews: dict[str, bytes] = {}
        self.lives: dict[str, dict[str, Any]] = {}
        self.prompt_library = PromptLibrary(Path(tempfile.mkdtemp(prefix="easel-fake-")), ModelCatalog(()), NoneUsed())
        self.uploads = Uploads(Path(tempfile.mkdtemp(prefix="easel-fake-")), user_of)
        self.skipping = False
        self.missing: set[str] = set()      # pictures whose file is gone
        self.past: Any = None               # the stand-in history, where there is one
        self.notices: tuple[str, ...] = ()
        self.events: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        threading.Thread(target=self._work, daemon=True).start()

    def as_(self, user: User) -> Bound:
        return Bound(self)

    def submit(self, values: Mapping[str, Any]) -> Job:
        request = Request.parse(values, self.defaults(str(values.get("checkpoint") or ""))).with_seeds()
        job = Job(secrets.token_urlsafe(8), request)
        self.all[job.id] = job
        self._queue()
        return job

    def cancel(self, job_id: str) -> None:
        self.all[job_id].state = "cancelled"
        self._ended(self.all[job_id])

    def retry(self, job_id: str) -> Job:
        self.all[job_id].state = "queued"
        self._queue()
        return self.all[job_id]

    def cancel_all(self) -> None:
        for job in self.queue():
            self.cancel(job.id)

    def interrupt(self) -> None:
        for job in self.queue():
            if job.state == "running":
                self.cancel(job.id)

    def skip(self) -> None:
        self.skipping = True

    def jobs(self, limit: int = 50) -> list[Job]:
        return list(reversed(self.all.values()))[:limit]

    def queue(self) -> list[Job]:
        waiting = [job for job in self.all.values() if job.state in ("running", "queued")]
        waiting.sort(key=lambda job: job.state != "running")
        for position, job in enumerate(waiting):
            job.position = position
        return waiting

    def images(self, limit: int = 50, before: str | None = None) -> list[Image]:
        newest = list(reversed(self.pictures.values()))
        start = 1 + [image.id for image in newest].index(before) if before else 0
        return newest[start:start + limit]

    def upload(self, data: bytes, *, mask: bool = False) -> Upload:
        return self.uploads.add(data, LOCAL.id, mask=mask)

    def uploaded(self, upload_id: str) -> Path:
        return self.uploads.file(upload_id, LOCAL.id)

    def paint(self, data: bytes, layer: Layer) -> str:
        return PaintedLayers(self.uploads).keep(data, layer, LOCAL.id)

    def sketch(self, picture: str, painted: str) -> tuple[str, str]:
        return PaintedLayers(self.uploads).sketch(picture, painted, LOCAL.id)

    def checkpoints(self, refresh: bool = False) -> list[ModelFile]:
        return MODELS

    def checkpoint(self, name_or_hash: str = "") -> ModelFile:
        for model in MODELS:
            if name_or_hash in ("", model.key, model.title):
                return model
        raise NotFound(f"there is no checkpoint '{name_or_hash}'", field="checkpoint")

    def upscalers(self, refresh: bool = False) -> list[ModelFile]:
        return [ModelFile("upscaler", "4x-Sharp", "", facts={"scale": 4})]

    def face_restorers(self) -> list[str]:
        return []

    def defaults(self, checkpoint: str = "") -> dict[str, Any]:
        model = self.checkpoint(checkpoint)
        table = {name: f.default for name, f in FIELDS.items()}
        return table | {k: v for k, v in model.defaults.items() if k in FIELDS} | {"checkpoint": model.key}

    def count_tokens(self, text: str, checkpoint: str = "", steps: int = 20) -> tuple[int, int]:
        used = len(text.split())
        return used, 75 * max(1, -(-used // 75))

    def infotext(self, text: str) -> dict[str, Any]:
        prompt, _, rest = text.partition("\nSteps: ")
        return {"prompt": prompt, "steps": int(rest.split(",")[0])} if rest else {}

    def status(self) -> Status:
        return Status(notices=self.notices)

    # ---- the drawing thread ----

    def _tell(self, **event: Any) -> None:
        with self.changed:
            self.events.append(event | {"cursor": len(self.events) + 1})
            self.changed.notify_all()

    def _queue(self) -> None:
        self._tell(type="queue", jobs=[self.row(job) for job in self.queue()])

    def row(self, job: Job) -> dict[str, Any]:
        problems = [asdict(p) for p in job.problems]
        return {"id": job.id, "state": job.state, "position": job.position if job.state in ("queued", "running") else None,
                "prompt": job.request.prompt, "count": job.request.count, "done": len(job.images), "created": job.created,
                "problems": problems, "notes": list(job.notes)}

    def _ended(self, job: Job) -> None:
        self.lives.pop(job.id, None)
        self._tell(type="job", id=job.id, state=job.state, problems=[asdict(p) for p in job.problems], notes=list(job.notes))
        self._queue()

    def _work(self) -> None:
        while True:
            job = next((job for job in list(self.all.values()) if job.state == "queued"), None)
            if job is None:
                time.sleep(0.05)
            else:
                self._run(job)

    def _run(self, job: Job) -> None:
        job.state = "running"
        self._queue()
        for index in range(len(job.images), job.request.count):
            if not self._draw(job, index):
                continue
            if job.state != "running":
                return
        job.state = "failed" if "fail" in job.request.prompt else "done"
        if job.state == "failed":
            job.problems = (Problem("the picture does not fit into memory; try a smaller one", "width"),)
        self._ended(job)

    def _draw(self, job: Job, index: int) -> bool:
        request, steps = job.request.of_image(index), job.request.steps
        for step in range(1, steps + 1):
            time.sleep(self.pause)
            if job.state != "running" or self.skipping:
                skipped, self.skipping = self.skipping, False
                return not skipped
            if step % 3 == 0:
                self.previews[job.id] = encoded(picture(request, 1 - step / steps).resize((64, 64)), "JPEG")
            self._progress(job, index, step)
        self._keep(job, index, request)
        return True

    def _progress(self, job: Job, index: int, step: int) -> None:
        steps, count = job.request.steps, job.request.count
        fraction = (index + step / steps) / count
        live = {"job": job.id, "index": index, "step": step, "steps": steps, "fraction": fraction, "message": "",
                "eta": (1 - fraction) * count * steps * self.pause, "preview": index * 1000 + step // 3}
        self.lives[job.id] = live
        self._tell(type="progress", **live)

    def _keep(self, job: Job, index: int, request: Request) -> None:
        if "fail" in request.prompt:
            return
        text = (f"{request.prompt}\nNegative prompt: {request.negative_prompt}\nSteps: {request.steps}, Sampler: {request.sampler}, "
                f"Schedule type: {request.schedule}, CFG scale: {request.cfg_scale:g}, Seed: {request.seed}, "
                f"Size: {request.width}x{request.height}, Model: demo, Version: Easel")
        image = Image(secrets.token_urlsafe(8), job.id, index, request.width, request.height, request.seed, text, time.time(), "png",
                      request.to_json(), f"{len(self.pictures):05}-{request.seed}.png", encoded(picture(request), "PNG"))
        self.pictures[image.id] = image
        job.images += (image,)
        self._tell(type="image", job=job.id, image=listed(image))
        self._queue()


def listed(image: Image) -> dict[str, Any]:
    kept = ("id", "job", "index", "width", "height", "seed", "created", "format", "name")
    url = f"/easel/image/{image.id}"
    return {k: getattr(image, k) for k in kept} | {"url": url, "thumb": url + "/thumb", "prompt": image.request["prompt"],
                                                       "init_image": image.request["init_image"], "process": image.request["process"]}


def routes(fake: Fake) -> FastAPI:
    app = FastAPI()
    app.add_middleware(Guard, settings=Settings(), users={})

    @app.get("/easel/events")
    async def events(cursor: int = 0) -> StreamingResponse:
        return StreamingResponse(stream(fake, cursor), media_type="text/event-stream")

    @app.get("/easel/preview/{job}")
    def preview(job: str) -> Response:
        return Response(fake.previews[job], media_type="image/jpeg") if job in fake.previews else Response(status_code=404)

    @app.get("/easel/images")
    def images(limit: int = 60, before: str | None = None) -> dict[str, Any]:
        return {"images": [listed(image) for image in fake.images(limit=limit, before=before)]}

    @app.get("/easel/image/{name}")
    @app.get("/easel/image/{name}/thumb")
    def image(name: str) -> Response:
        if name in fake.missing or name not in fake.pictures:
            return JSONResponse({"problems": [{"field": "image", "message": "its file is no longer there"}]}, 404)
        return Response(fake.pictures[name].bytes, media_type="image/png")

    @app.get("/easel/image/{name}/info")
    def info(name: str) -> dict[str, Any]:
        found = fake.pictures[name]
        return listed(found) | {"infotext": found.infotext, "request": found.request}

    @app.post("/easel/upload")
    async def upload(request: HttpRequest, mask: bool = False) -> JSONResponse:
        try:
            return JSONResponse(asdict(fake.upload(await request.body(), mask=mask)))
        except UserError as error:
            return JSONResponse({"problems": [asdict(problem) for problem in error.problems]}, 422)

    @app.post("/easel/upload/{over}/paint")
    async def paint(layer: Annotated[Layer, Depends()], request: HttpRequest) -> dict[str, str]:
        return {"id": fake.paint(await request.body(), layer)}

    @app.get("/easel/upload/{upload}.png")
    def uploaded(upload: str) -> Response:
        return files.uploaded(fake.as_(LOCAL), upload)  # type: ignore[arg-type]

    @app.get("/easel/upload/{upload}/layer.png")
    def layer(upload: str, over: str) -> Response:
        return files.layer(fake.as_(LOCAL), upload, over)  # type: ignore[arg-type]

    @app.post("/easel/settings")
    async def settings(request: HttpRequest) -> dict[str, Any]:
        return {"infotext": "a cat\nSteps: 5, Sampler: Euler, Seed: 3, Size: 64x64", "values": {}, "missing": []}

    @app.post("/easel/jobs")
    async def submit(request: HttpRequest) -> JSONResponse:
        try:
            return JSONResponse({"id": fake.submit(await request.json()).id, "state": "queued"})
        except UserError as error:
            return JSONResponse({"problems": [asdict(problem) for problem in error.problems]}, 422)

    @app.get("/easel/jobs")
    def jobs(limit: int = 30) -> dict[str, Any]:
        return {"jobs": [fake.row(job) for job in fake.jobs(limit=limit)]}

    @app.post("/easel/jobs/cancel")
    def cancel_all() -> dict[str, Any]:
        fake.cancel_all()
        return {"ok": True}

    @app.post("/easel/jobs/{job}/{verb}")
    def act(job: str, verb: str) -> JSONResponse:
        if job not in fake.all:
            return JSONResponse({"problems": [{"field": "", "message": "there is no such job"}]}, 404)
        fake.cancel(job) if verb == "cancel" else fake.retry(job)
        return JSONResponse({"id": job, "state": fake.all[job].state})

    return app


async def stream(fake: Fake, cursor: int) -> AsyncIterator[str]:
    if not 0 < cursor <= len(fake.events):
        cursor = len(fake.events)
        snapshot = [{"type": "queue", "jobs": [fake.row(job) for job in fake.queue()]}, {"type": "status", **asdict(fake.status())}]
        snapshot += [{"type": "progress", **live} for live in fake.lives.values()]
        for event in snapshot:
            yield f"data: {json.dumps(event | {'cursor': cursor})}\n\n"
    while True:
        for event in fake.events[cursor:]:
            yield f"data: {json.dumps(event)}\n\n"
        cursor = len(fake.events)
        await asyncio.sleep(0.1)


def main() -> None:
    import uvicorn

    import ui
    from tests.browser import fake_history

    fake = Fake()
    app = routes(fake)
    app.include_router(fake_history.router(fake_history.Past(fake)))
    ui.mount(app, fake)  # type: ignore[arg-type]
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 7871, log_level="warning")


if __name__ == "__main__":
    main()

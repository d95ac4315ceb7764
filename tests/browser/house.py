"""The real application before a fake worker: what a person meets, without a model. `python -m tests.browser.house [port]` serves it."""

from __future__ import annotations

import io
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import delete, insert, select, update

import ui
from backend import LOCAL, Backend, Request, Settings
from backend.catalog.model_file import ModelFile
from backend.http import create_app
from backend.image.infotext.entries import labels
from backend.store.tables import ImageRow, JobRow
from tests.browser import drawing_worker
from tests.tiny.house import FakeCatalog

EXAMPLES = ("a large red circle on a blue background", "two small green squares on white", "a yellow star on a black background")
STARTS = {"width": 128, "height": 128, "steps": 20, "cfg_scale": 4.0}
PROMPTS = ("a lighthouse on a cliff, storm", "a small red fox in the snow", "portrait of an old sailor, oil painting",
           "two green squares", "a city of glass at night, rain, reflections, wide angle, highly detailed", "")
SHAPES = ((512, 512), (512, 768), (768, 512), (640, 384))
MODELS = ("demo", "photo-v2")
SAMPLERS = ("Euler a", "DPM++ 2M", "DDIM")
START = datetime(2026, 6, 1, tzinfo=UTC)


class TwoCheckpoints(FakeCatalog):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.known = [
            ModelFile("checkpoint", "demo", str(folder / "demo"), "demo.safetensors [0123456789]", sha256="0123456789", family="sd1",
                      defaults=STARTS, facts={"example_prompts": EXAMPLES}),
            ModelFile("checkpoint", "photo-v2", str(folder / "photo-v2"), "photo-v2.safetensors [abcdef0123]", sha256="abcdef0123", family="sd1"),
        ]


class Past:
    """The history of the house: as many pictures as a test wants, in the database and on the disk."""

    def __init__(self, backend: Backend) -> None:
        self._database = backend._components.database
        self._outputs = backend.settings.outputs
        self._given = 0                         # ids so far: a page may still show pictures that were forgotten
        self._paths: dict[str, str] = {}

    def fill(self, count: int) -> list[str]:
        """`count` pictures of many kinds, each an hour older than the next; returns their ids, newest first."""
        files = [self._drawn(number) for number in range(len(SHAPES) * 6)]
        rows = [self._row(number, count, *SHAPES[number % len(SHAPES)]) for number in range(count)]
        self._given += count
        self._paths |= {image["id"]: image["path"] for _, image in rows}
        self._outputs.mkdir(exist_ok=True)
        for number, (_, image) in enumerate(rows):
            (self._outputs / image["path"]).write_bytes(files[number % len(files)])
        with self._database.write() as session:
            session.execute(insert(JobRow), [job for job, _ in rows])
            session.execute(insert(ImageRow), [image for _, image in rows])
        return [image["id"] for _, image in reversed(rows)]

    def _drawn(self, number: int) -> bytes:
        width, height = SHAPES[number % len(SHAPES)]
        out = io.BytesIO()
        drawn = drawing_worker.picture(Request(width=width, height=height, seed=47 * number))
        drawn.resize((width // 4, height // 4)).save(out, "PNG")
        return out.getvalue()

    def _row(self, number: int, count: int, width: int, height: int) -> tuple[dict[str, Any], dict[str, Any]]:
        values = {"prompt": PROMPTS[number % len(PROMPTS)], "seed": number, "steps": 20 + number % 3, "width": width, "height": height,
                  "sampler": SAMPLERS[number % len(SAMPLERS)], "checkpoint": MODELS[number % 2]}
        text = (f"{values['prompt']}\nNegative prompt: blurry\nSteps: {values['steps']}, Sampler: {values['sampler']}, Seed: {number}, "
                f"Size: {width}x{height}, Model: {MODELS[number % 2]}")
        model, sampler = labels(text)
        created, named = START - timedelta(hours=count - number), self._given + number
        job = {"id": f"job{named}", "owner": LOCAL.id, "state": "done", "place": -1 - number, "created": created,
               "request": {**Request().to_json(), **values}, "checkpoint": values["checkpoint"]}
        return job, {"id": f"picture{named}", "job": f"job{named}", "index": 0, "owner": LOCAL.id, "path": f"{number:05}-{number}.png",
                     "width": width, "height": height, "seed": number, "infotext": text, "format": "png", "created": created,
                     "model": model, "sampler": sampler}

    def forget(self) -> None:
        """All pictures and jobs."""
        with self._database.write() as session:
            session.execute(delete(ImageRow))
            session.execute(delete(JobRow))
        for file in self._outputs.rglob("*.*"):
            file.unlink()

    def ids(self, **facts: bool) -> set[str]:
        """Of the pictures that are not deleted for good; `starred`, `binned`: only those."""
        with self._database.write() as session:
            rows = session.scalars(select(ImageRow).where(~ImageRow.deleted)).all()
            return {row.id for row in rows if all(bool(getattr(row, name)) == fact for name, fact in facts.items())}

    def star(self, *ids: str) -> None:
        self._set(ids, starred=True)

    def bin(self, *ids: str) -> None:
        self._set(ids, binned=START)

    def _set(self, ids: tuple[str, ...], **values: Any) -> None:
        with self._database.write() as session:
            session.execute(update(ImageRow).where(ImageRow.id.in_(ids)).values(**values))

    def lose(self, *ids: str) -> None:
        """Their files are gone."""
        for one in ids:
            (self._outputs / self._paths[one]).unlink()


def opened(folder: Path, **settings: Any) -> Backend:
    return Backend(Settings(data=folder / "data", models=(folder / "models",), **settings), catalog=TwoCheckpoints(folder), worker=drawing_worker.__name__)


def application(backend: Backend) -> FastAPI:
    """HTTP and page."""
    return ui.mount(create_app(backend), backend)


@contextmanager
def served(app: FastAPI, port: int) -> Iterator[str]:
    """Its address, from when it listens there until it is left."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", proxy_headers=False,
                                           timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError(f"the server at port {port} did not start")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        if hasattr(app.state, "changes"):
            app.state.changes.close()
        server.should_exit = True
        thread.join(10)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        backend = opened(Path(folder))
        try:
            uvicorn.run(application(backend), host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 7871, log_level="warning")
        finally:
            backend.close()


if __name__ == "__main__":
    main()

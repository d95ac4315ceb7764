"""Easel from Python, in one file to copy: https://www.python-httpx.org is all it needs.

    from easel_client import Easel

    with Easel("http://127.0.0.1:7860") as easel:
        job = easel.draw(prompt="a lighthouse at dawn", steps=20)
        easel.save(job.images[0], "lighthouse.png")

`AsyncEasel` has the same methods, to be awaited. Names of settings are those of `GET /api/fields`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")
MOST_WAIT = 30.0            # seconds that one question may wait for a job
TRIES = 5                   # of a question whose connection broke
Told = TypeVar("Told", bound="_Told")

__all__ = ["AsyncEasel", "Easel", "EaselError", "Event", "FieldProblem", "Image", "Job", "JobFailed", "Model", "Plot",
           "Progress", "Upload"]


class EaselError(Exception):
    """Easel refused a request. `errors` names each wrong field."""

    def __init__(self, status: int, detail: str, errors: Sequence[FieldProblem] = ()) -> None:
        super().__init__(f"{detail} ({status})")
        self.status, self.detail, self.errors = status, detail, tuple(errors)


class JobFailed(EaselError):
    """A job ended without its pictures; `job` says why."""

    def __init__(self, job: Job) -> None:
        detail = "; ".join(str(problem) for problem in job.problems) or f"the job was {job.state}"
        super().__init__(0, detail, job.problems)
        self.job = job


class _Told:
    """What Easel tells; names that this file does not know are left out, so newer Easels can be talked to."""

    @classmethod
    def of(cls: type[Told], values: Mapping[str, Any]) -> Told:
        known = {each.name for each in fields(cls)}     # type: ignore[arg-type]
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True)
class FieldProblem(_Told):
    """What is wrong with one field."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True)
class Image(_Told):
    """A picture that was made."""

    id: str
    job: str
    index: int
    width: int
    height: int
    seed: int
    format: str
    prompt: str = ""
    unfinished: bool = False


@dataclass(frozen=True)
class Progress(_Told):
    """How far a job has come; `fraction` is 0 to 1, `eta` the seconds left."""

    step: int
    steps: int
    fraction: float
    eta: float | None = None
    index: int = 0
    message: str = ""


@dataclass(frozen=True)
class Job(_Told):
    """A job as it stands."""

    id: str
    state: State
    position: int | None
    count: int
    request: dict[str, Any]
    progress: Progress | None = None
    images: tuple[Image, ...] = ()
    problems: tuple[FieldProblem, ...] = ()
    notes: tuple[str, ...] = ()
    webhook: dict[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        return self.state in ENDED

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Job:
        progress = values.get("progress")
        return super().of({**values, "progress": Progress.of(progress) if progress else None,
                           "images": tuple(map(Image.of, values.get("images", ()))),
                           "problems": tuple(map(FieldProblem.of, values.get("problems", ()))),
                           "notes": tuple(values.get("notes", ()))})


@dataclass(frozen=True)
class Event:
    """Something that happened: queued, progress, preview, picture, done, failed, cancelled; of all jobs also plot."""

    name: str
    data: dict[str, Any]
    id: str = ""

    @property
    def progress(self) -> Progress | None:
        return Progress.of(self.data) if self.name == "progress" else None

    @property
    def preview(self) -> bytes | None:
        """A rough picture, JPEG."""
        return base64.b64decode(self.data["image"]) if self.name == "preview" else None

    @property
    def image(self) -> Image | None:
        return Image.of(self.data) if self.name == "picture" else None


@dataclass(frozen=True)
class Upload(_Told):
    """A picture that was sent; its `id` is for init_image, mask and guides."""

    id: str
    width: int
    height: int


@dataclass(frozen=True)
class Model(_Told):
    """A model file."""

    kind: str
    name: str
    title: str = ""
    family: str = ""
    usable: bool = True
    problem: str = ""


@dataclass(frozen=True)
class Plot(_Told):
    """A plot and how far it is; each of `cells` has `cell`, `job`, `state` and `image`, the id of its picture."""

    id: str
    title: str
    state: Literal["drawing", "waiting", "paused", "done", "cancelled"]
    done: int
    failed: int
    total: int
    cells: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "cancelled")


class Easel:
    """A connection to one Easel. Every method raises EaselError for what is refused, httpx's errors for the network.

    `login` is a name and a password, `token` a personal token; neither is needed where nobody logs in.
    """

    def __init__(self, url: str = "http://127.0.0.1:7860", *, login: tuple[str, str] | None = None, token: str = "",
                 timeout: float = 60.0, **options: Any) -> None:
        """`options` are httpx.Client's."""
        self._http = httpx.Client(base_url=url, auth=login, headers=_headers(token), timeout=timeout, **options)

    def __enter__(self) -> Easel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # ---- jobs ----

    def submit(self, values: Mapping[str, Any] | None = None, *, webhook: str = "", webhook_secret: str = "",
               key: str = "", **more: Any) -> Job:
        """Queue a request given by field names; returns at once. Sent again under the same `key` it queues once."""
        body, headers = _job_body(values, more, webhook, webhook_secret), {"Idempotency-Key": key or str(uuid.uuid4())}
        return Job.of(self._ask("POST", "/api/jobs", tries=TRIES, json=body, headers=headers))

    def draw(self, values: Mapping[str, Any] | None = None, *, timeout: float | None = None, **more: Any) -> Job:
        """`submit` and `wait`. JobFailed where it does not end well."""
        return self.wait(self.submit(values, **more), timeout)

    def job(self, job: Job | str) -> Job:
        return Job.of(self._ask("GET", f"/api/jobs/{_id(job)}"))

    def jobs(self, *states: State, limit: int = 50) -> list[dict[str, Any]]:
        """The newest jobs in short, of these states or of all."""
        return self._ask("GET", "/api/jobs", params={"limit": limit, "state": states})["jobs"]

    def wait(self, job: Job | str, timeout: float | None = None) -> Job:
        """The job once it has ended. JobFailed where it did not end well, TimeoutError after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            patience = _patience(end)
            now = Job.of(self._ask("GET", f"/api/jobs/{_id(job)}", tries=TRIES, params={"wait": patience}))
            if now.is_over:
                return _well(now)

    def events(self, job: Job | str | None = None, *, previews: bool = True) -> Iterator[Event]:
        """What happens to a job, to its end; without one to all jobs, without end. Goes on after broken connections."""
        last, failures = "", 0
        while True:
            try:
                for event in self._events(job, last, previews):
                    last, failures = event.id or last, 0
                    yield event
                    if job is not None and event.name in ENDED:
                        return
            except httpx.TransportError:
                failures += 1
                if failures >= TRIES:
                    raise
            time.sleep(1.0)

    def cancel(self, job: Job | str) -> Job:
        return Job.of(self._ask("POST", f"/api/jobs/{_id(job)}/cancel"))

    def delete(self, job: Job | str, *, pictures: bool = False) -> None:
        """Forget a job; with `pictures` they go into the bin."""
        self._ask("DELETE", f"/api/jobs/{_id(job)}", params={"pictures": pictures})

    # ---- pictures ----

    def image(self, image: Image | str, format: Literal["", "png", "jpeg", "webp"] = "") -> bytes:
        """The file as it was saved, or in another format."""
        return self._get(f"/api/images/{_id(image)}", {"format": format} if format else {}).content

    def save(self, image: Image | str, path: str | Path, format: Literal["", "png", "jpeg", "webp"] = "") -> Path:
        path = Path(path)
        path.write_bytes(self.image(image, format))
        return path

    def settings(self, image: Image | str) -> dict[str, Any]:
        """Everything that made a picture; `request` of it makes it again."""
        return self._ask("GET", f"/api/images/{_id(image)}/settings")

    def infotext(self, image: Image | str) -> str:
        return self._get(f"/api/images/{_id(image)}/infotext").text

    def upload(self, picture: bytes | str | Path, *, mask: bool = False) -> Upload:
        """Send a picture to start from; a path is read."""
        return Upload.of(self._ask("POST", "/api/uploads", params={"mask": mask}, content=_bytes(picture)))

    # ---- what there is ----

    def models(self, kind: str = "") -> list[Model]:
        return [Model.of(each) for each in self._ask("GET", f"/api/models/{kind}".rstrip("/"))["models"]]

    def samplers(self) -> list[str]:
        return [each["name"] for each in self._ask("GET", "/api/samplers")]

    def schedules(self) -> list[str]:
        return [each["name"] for each in self._ask("GET", "/api/schedules")]

    def fields(self) -> list[dict[str, Any]]:
        """What a request may say, with types, defaults, bounds and help."""
        return self._ask("GET", "/api/fields")["fields"]

    # ---- plots ----

    def check_plot(self, axes: Mapping[str, Any], **values: Any) -> dict[str, Any]:
        """What would become of a plot, and what it would cost."""
        return self._ask("POST", "/api/plots/dry-run", json=_plot_body(axes, values))

    def plot(self, axes: Mapping[str, Any], **values: Any) -> Plot:
        """Queue a plot: `plot({"CFG Scale": "4, 7", "Steps": [8, 16]}, prompt="a cat")`."""
        return Plot.of(self._ask("POST", "/api/plots", json=_plot_body(axes, values)))

    def plot_state(self, plot: Plot | str) -> Plot:
        return Plot.of(self._ask("GET", f"/api/plots/{_id(plot)}"))

    def wait_plot(self, plot: Plot | str, timeout: float | None = None, every: float = 1.0) -> Plot:
        """The plot once all its cells are over. TimeoutError after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while not (now := self.plot_state(plot)).is_over:
            _patience(end)
            time.sleep(every)
        return now

    def cancel_plot(self, plot: Plot | str) -> Plot:
        return Plot.of(self._ask("POST", f"/api/plots/{_id(plot)}/cancel"))

    def export_plot(self, plot: Plot | str, kind: Literal["png", "jpg", "webp", "html", "zip", "csv"] = "png") -> bytes:
        return self._get(f"/api/plots/{_id(plot)}/export.{kind}").content

    # ---- inside ----

    def _ask(self, method: str, path: str, *, tries: int = 1, **more: Any) -> Any:
        while True:
            try:
                return _told(self._http.request(method, path, **more))
            except httpx.TransportError:
                tries -= 1
                if tries < 1:
                    raise
                time.sleep(1.0)

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> httpx.Response:
        return _checked(self._http.get(path, params=dict(params or {})))

    def _events(self, job: Job | str | None, last: str, previews: bool) -> Iterator[Event]:
        with self._http.stream("GET", _stream_path(job), **_stream_options(last, previews)) as answer:
            if answer.is_error:
                answer.read()
            reader = _Events()
            for line in _checked(answer).iter_lines():
                if event := reader.line(line):
                    yield event


class AsyncEasel:
    """The same without blocking: `async with AsyncEasel() as easel: job = await easel.draw(prompt="a lighthouse")`."""

    def __init__(self, url: str = "http://127.0.0.1:7860", *, login: tuple[str, str] | None = None, token: str = "",
                 timeout: float = 60.0, **options: Any) -> None:
        """`options` are httpx.AsyncClient's."""
        self._http = httpx.AsyncClient(base_url=url, auth=login, headers=_headers(token), timeout=timeout, **options)

    async def __aenter__(self) -> AsyncEasel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # ---- jobs ----

    async def submit(self, values: Mapping[str, Any] | None = None, *, webhook: str = "", webhook_secret: str = "",
                     key: str = "", **more: Any) -> Job:
        """Queue a request given by field names; returns at once. Sent again under the same `key` it queues once."""
        body, headers = _job_body(values, more, webhook, webhook_secret), {"Idempotency-Key": key or str(uuid.uuid4())}
        return Job.of(await self._ask("POST", "/api/jobs", tries=TRIES, json=body, headers=headers))

    async def draw(self, values: Mapping[str, Any] | None = None, *, timeout: float | None = None, **more: Any) -> Job:  # noqa: ASYNC109
        """`submit` and `wait`. JobFailed where it does not end well."""
        return await self.wait(await self.submit(values, **more), timeout)

    async def job(self, job: Job | str) -> Job:
        return Job.of(await self._ask("GET", f"/api/jobs/{_id(job)}"))

    async def jobs(self, *states: State, limit: int = 50) -> list[dict[str, Any]]:
        """The newest jobs in short, of these states or of all."""
        return (await self._ask("GET", "/api/jobs", params={"limit": limit, "state": states}))["jobs"]

    async def wait(self, job: Job | str, timeout: float | None = None) -> Job:  # noqa: ASYNC109
        """The job once it has ended. JobFailed where it did not end well, TimeoutError after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            patience = _patience(end)
            now = Job.of(await self._ask("GET", f"/api/jobs/{_id(job)}", tries=TRIES, params={"wait": patience}))
            if now.is_over:
                return _well(now)

    async def events(self, job: Job | str | None = None, *, previews: bool = True) -> AsyncIterator[Event]:
        """What happens to a job, to its end; without one to all jobs, without end. Goes on after broken connections."""
        last, failures = "", 0
        while True:
            try:
                async for event in self._events(job, last, previews):
                    last, failures = event.id or last, 0
                    yield event
                    if job is not None and event.name in ENDED:
                        return
            except httpx.TransportError:
                failures += 1
                if failures >= TRIES:
                    raise
            await asyncio.sleep(1.0)

    async def cancel(self, job: Job | str) -> Job:
        return Job.of(await self._ask("POST", f"/api/jobs/{_id(job)}/cancel"))

    async def delete(self, job: Job | str, *, pictures: bool = False) -> None:
        """Forget a job; with `pictures` they go into the bin."""
        await self._ask("DELETE", f"/api/jobs/{_id(job)}", params={"pictures": pictures})

    # ---- pictures ----

    async def image(self, image: Image | str, format: Literal["", "png", "jpeg", "webp"] = "") -> bytes:
        """The file as it was saved, or in another format."""
        return (await self._get(f"/api/images/{_id(image)}", {"format": format} if format else {})).content

    async def save(self, image: Image | str, path: str | Path, format: Literal["", "png", "jpeg", "webp"] = "") -> Path:
        path, data = Path(path), await self.image(image, format)
        await asyncio.to_thread(path.write_bytes, data)
        return path

    async def settings(self, image: Image | str) -> dict[str, Any]:
        """Everything that made a picture; `request` of it makes it again."""
        return await self._ask("GET", f"/api/images/{_id(image)}/settings")

    async def infotext(self, image: Image | str) -> str:
        return (await self._get(f"/api/images/{_id(image)}/infotext")).text

    async def upload(self, picture: bytes | str | Path, *, mask: bool = False) -> Upload:
        """Send a picture to start from; a path is read."""
        data = await asyncio.to_thread(_bytes, picture)
        return Upload.of(await self._ask("POST", "/api/uploads", params={"mask": mask}, content=data))

    # ---- what there is ----

    async def models(self, kind: str = "") -> list[Model]:
        return [Model.of(each) for each in (await self._ask("GET", f"/api/models/{kind}".rstrip("/")))["models"]]

    async def samplers(self) -> list[str]:
        return [each["name"] for each in await self._ask("GET", "/api/samplers")]

    async def schedules(self) -> list[str]:
        return [each["name"] for each in await self._ask("GET", "/api/schedules")]

    async def fields(self) -> list[dict[str, Any]]:
        """What a request may say, with types, defaults, bounds and help."""
        return (await self._ask("GET", "/api/fields"))["fields"]

    # ---- plots ----

    async def check_plot(self, axes: Mapping[str, Any], **values: Any) -> dict[str, Any]:
        """What would become of a plot, and what it would cost."""
        return await self._ask("POST", "/api/plots/dry-run", json=_plot_body(axes, values))

    async def plot(self, axes: Mapping[str, Any], **values: Any) -> Plot:
        """Queue a plot: `plot({"CFG Scale": "4, 7", "Steps": [8, 16]}, prompt="a cat")`."""
        return Plot.of(await self._ask("POST", "/api/plots", json=_plot_body(axes, values)))

    async def plot_state(self, plot: Plot | str) -> Plot:
        return Plot.of(await self._ask("GET", f"/api/plots/{_id(plot)}"))

    async def wait_plot(self, plot: Plot | str, timeout: float | None = None, every: float = 1.0) -> Plot:  # noqa: ASYNC109
        """The plot once all its cells are over. TimeoutError after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while not (now := await self.plot_state(plot)).is_over:
            _patience(end)
            await asyncio.sleep(every)
        return now

    async def cancel_plot(self, plot: Plot | str) -> Plot:
        return Plot.of(await self._ask("POST", f"/api/plots/{_id(plot)}/cancel"))

    async def export_plot(self, plot: Plot | str,
                          kind: Literal["png", "jpg", "webp", "html", "zip", "csv"] = "png") -> bytes:
        return (await self._get(f"/api/plots/{_id(plot)}/export.{kind}")).content

    # ---- inside ----

    async def _ask(self, method: str, path: str, *, tries: int = 1, **more: Any) -> Any:
        while True:
            try:
                return _told(await self._http.request(method, path, **more))
            except httpx.TransportError:
                tries -= 1
                if tries < 1:
                    raise
                await asyncio.sleep(1.0)

    async def _get(self, path: str, params: Mapping[str, Any] | None = None) -> httpx.Response:
        return _checked(await self._http.get(path, params=dict(params or {})))

    async def _events(self, job: Job | str | None, last: str, previews: bool) -> AsyncIterator[Event]:
        async with self._http.stream("GET", _stream_path(job), **_stream_options(last, previews)) as answer:
            if answer.is_error:
                await answer.aread()
            reader = _Events()
            async for line in _checked(answer).aiter_lines():
                if event := reader.line(line):
                    yield event


class _Events:
    """Reads a stream of server-sent events line by line."""

    def __init__(self) -> None:
        self._frame: dict[str, str] = {}

    def line(self, line: str) -> Event | None:
        """The event that this line ends."""
        if line:
            name, _, value = line.partition(":")
            self._frame[name] = value.removeprefix(" ")
            return None
        frame, self._frame = self._frame, {}
        return Event(frame["event"], json.loads(frame["data"]), frame.get("id", "")) if "event" in frame else None


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _id(thing: Job | Image | Plot | str) -> str:
    return thing if isinstance(thing, str) else thing.id


def _bytes(picture: bytes | str | Path) -> bytes:
    return picture if isinstance(picture, bytes) else Path(picture).read_bytes()


def _job_body(values: Mapping[str, Any] | None, more: Mapping[str, Any], webhook: str, secret: str) -> dict[str, Any]:
    told = {"webhook": {"url": webhook, **({"secret": secret} if secret else {})}} if webhook else {}
    return {name: _plain(value) for name, value in {**(values or {}), **more}.items()} | told


def _plain(value: Any) -> Any:
    """An upload stands for its id."""
    return value.id if isinstance(value, Upload) else value


def _plot_body(axes: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    request = {name: _plain(value) for name, value in values.items()}
    return {"axes": [{"label": label, "values": typed} for label, typed in axes.items()], "request": request}


def _patience(end: float | None) -> float:
    """How long one question may wait. TimeoutError once `end` is over."""
    left = MOST_WAIT if end is None else end - time.monotonic()
    if left <= 0:
        raise TimeoutError("it has not ended in time")
    return min(left, MOST_WAIT)


def _well(job: Job) -> Job:
    if job.state != "done":
        raise JobFailed(job)
    return job


def _stream_path(job: Job | str | None) -> str:
    return "/api/events" if job is None else f"/api/jobs/{_id(job)}/events"


def _stream_options(last: str, previews: bool) -> dict[str, Any]:
    return {"params": {"previews": previews}, "headers": {"Last-Event-ID": last} if last else {}}


def _checked(answer: httpx.Response) -> httpx.Response:
    """EaselError for what was refused."""
    if not answer.is_error:
        return answer
    try:
        told = answer.json()
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    raise EaselError(answer.status_code, str(told.get("detail") or answer.reason_phrase),
                     [FieldProblem.of(each) for each in told.get("errors") or []])


def _told(answer: httpx.Response) -> Any:
    return _checked(answer).json() if answer.content or answer.is_error else None

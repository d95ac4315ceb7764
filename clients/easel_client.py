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
import functools
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeAlias, TypeVar, overload

import httpx

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")
MOST_WAIT = 30.0            # seconds that one question may wait for a job
TRIES = 5                   # of a question whose connection broke
AGAIN = 1.0                 # seconds until the next try
Format = Literal["", "png", "jpeg", "webp"]
Told = TypeVar("Told", bound="_Told")
Given = ParamSpec("Given")
Result = TypeVar("Result")

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
    """How far a job has come; `fraction` is 0 to 1, `eta` the seconds left, `steps` None before the first."""

    step: int
    steps: int | None
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


@dataclass(frozen=True)
class _Ask:
    """A question to Easel; answered with httpx's response."""

    method: str
    path: str
    options: dict[str, Any]


@dataclass(frozen=True)
class _Pause:
    seconds: float


@dataclass(frozen=True)
class _Aside:
    """Something with files, which takes its time."""

    act: Callable[[], Any]


Steps: TypeAlias = Generator[_Ask | _Pause | _Aside, Any, Result]


class _Method(Generic[Given, Result]):
    """A method of both clients: its steps are written once, and each client takes them in its own way."""

    def __init__(self, steps: Callable[Concatenate[Any, Given], Steps[Result]]) -> None:
        @functools.wraps(steps)
        def called(client: Any, *given: Given.args, **named: Given.kwargs) -> Any:
            return client._take(steps(client, *given, **named))

        self._called: Any = called

    @overload
    def __get__(self, client: Easel, owner: object = None) -> Callable[Given, Result]: ...
    @overload
    def __get__(self, client: AsyncEasel, owner: object = None) -> Callable[Given, Coroutine[Any, Any, Result]]: ...
    @overload
    def __get__(self, client: None, owner: object = None) -> Callable[..., Any]: ...

    def __get__(self, client: Easel | AsyncEasel | None, owner: object = None) -> Any:
        return self._called if client is None else self._called.__get__(client)


class _Methods:
    """What both clients can do: `Steps[Job]` is a Job for who calls it on Easel, and to be awaited on AsyncEasel."""

    # ---- jobs ----

    @_Method
    def submit(self, /, values: Mapping[str, Any] | None = None, *, webhook: str = "", webhook_secret: str = "",
               key: str = "", **more: Any) -> Steps[Job]:
        """Queue a request given by field names; returns at once. Sent again under the same `key` it queues once."""
        return (yield from _submit({**(values or {}), **more}, webhook, webhook_secret, key))

    @_Method
    def draw(self, /, values: Mapping[str, Any] | None = None, *, timeout: float | None = None, webhook: str = "",
             webhook_secret: str = "", key: str = "", **more: Any) -> Steps[Job]:
        """`submit` and `wait`. JobFailed where it does not end well."""
        job = yield from _submit({**(values or {}), **more}, webhook, webhook_secret, key)
        return (yield from _wait(job, timeout))

    @_Method
    def job(self, job: Job | str) -> Steps[Job]:
        """As it stands."""
        return Job.of((yield from _told("GET", f"/api/jobs/{_id(job)}")))

    @_Method
    def jobs(self, *states: State, limit: int = 50) -> Steps[list[dict[str, Any]]]:
        """The newest jobs in short, of these states or of all."""
        return (yield from _told("GET", "/api/jobs", params={"limit": limit, "state": states}))["jobs"]

    @_Method
    def wait(self, job: Job | str, timeout: float | None = None) -> Steps[Job]:
        """The job once it has ended. JobFailed where it did not end well, TimeoutError after `timeout` seconds."""
        return (yield from _wait(job, timeout))

    @_Method
    def cancel(self, job: Job | str) -> Steps[Job]:
        """What was made until then stays."""
        return Job.of((yield from _told("POST", f"/api/jobs/{_id(job)}/cancel")))

    @_Method
    def delete(self, job: Job | str, *, pictures: bool = False) -> Steps[None]:
        """Forget a job; with `pictures` they go into the bin."""
        yield from _told("DELETE", f"/api/jobs/{_id(job)}", params={"pictures": pictures})

    # ---- pictures ----

    @_Method
    def image(self, image: Image | str, format: Format = "") -> Steps[bytes]:
        """The file as it was saved, or in another format."""
        return (yield from _file(image, format))

    @_Method
    def save(self, image: Image | str, path: str | Path, format: Format = "") -> Steps[Path]:
        """The same, written to `path`."""
        path, data = Path(path), (yield from _file(image, format))
        yield _Aside(functools.partial(path.write_bytes, data))
        return path

    @_Method
    def settings(self, image: Image | str) -> Steps[dict[str, Any]]:
        """Everything that made a picture; `request` of it makes it again."""
        return (yield from _told("GET", f"/api/images/{_id(image)}/settings"))

    @_Method
    def infotext(self, image: Image | str) -> Steps[str]:
        """The same as AUTOMATIC1111 writes it."""
        return (yield from _answer("GET", f"/api/images/{_id(image)}/infotext")).text

    @_Method
    def upload(self, picture: bytes | str | Path, *, mask: bool = False) -> Steps[Upload]:
        """Send a picture to start from; a path is read."""
        data = picture if isinstance(picture, bytes) else (yield _Aside(Path(picture).read_bytes))
        return Upload.of((yield from _told("POST", "/api/uploads", params={"mask": mask}, content=data)))

    # ---- what there is ----

    @_Method
    def models(self, kind: str = "") -> Steps[list[Model]]:
        """The files of a kind, or of all."""
        told = yield from _told("GET", f"/api/models/{kind}".rstrip("/"))
        return [Model.of(each) for each in told["models"]]

    @_Method
    def samplers(self) -> Steps[list[str]]:
        """By name."""
        return [each["name"] for each in (yield from _told("GET", "/api/samplers"))]

    @_Method
    def schedules(self) -> Steps[list[str]]:
        """By name."""
        return [each["name"] for each in (yield from _told("GET", "/api/schedules"))]

    @_Method
    def fields(self) -> Steps[list[dict[str, Any]]]:
        """What a request may say, with types, defaults, bounds and help."""
        return (yield from _told("GET", "/api/fields"))["fields"]

    # ---- plots ----

    @_Method
    def check_plot(self, /, axes: Mapping[str, Any], **values: Any) -> Steps[dict[str, Any]]:
        """What would become of a plot, and what it would cost."""
        return (yield from _told("POST", "/api/plots/dry-run", json=_plot_body(axes, values)))

    @_Method
    def plot(self, /, axes: Mapping[str, Any], **values: Any) -> Steps[Plot]:
        """Queue a plot: `plot({"CFG Scale": "4, 7", "Steps": [8, 16]}, prompt="a cat")`."""
        return Plot.of((yield from _told("POST", "/api/plots", json=_plot_body(axes, values))))

    @_Method
    def plot_state(self, plot: Plot | str) -> Steps[Plot]:
        """As it stands, with all its cells."""
        return (yield from _plot_state(plot))

    @_Method
    def wait_plot(self, plot: Plot | str, timeout: float | None = None, every: float = 1.0) -> Steps[Plot]:
        """The plot once all its cells are over. TimeoutError after `timeout` seconds."""
        end = _end(timeout)
        while not (now := (yield from _plot_state(plot))).is_over:
            _patience(end)
            yield _Pause(every)
        return now

    @_Method
    def cancel_plot(self, plot: Plot | str) -> Steps[Plot]:
        """The cells that are drawn stay."""
        return Plot.of((yield from _told("POST", f"/api/plots/{_id(plot)}/cancel")))

    @_Method
    def export_plot(self, plot: Plot | str,
                    kind: Literal["png", "jpg", "webp", "html", "zip", "csv"] = "png") -> Steps[bytes]:
        """As one file."""
        return (yield from _answer("GET", f"/api/plots/{_id(plot)}/export.{kind}")).content


class Easel(_Methods):
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
        """No method may be called after it."""
        self._http.close()

    def events(self, job: Job | str | None = None, *, previews: bool = True) -> Iterator[Event]:
        """What happens to a job, to its end; without one to all jobs, without end. Goes on after broken connections."""
        stream = _Stream(job, previews)
        while True:
            try:
                with self._http.stream(**stream.asked()) as answer:
                    if answer.is_error:
                        answer.read()
                    for line in _checked(answer).iter_lines():
                        if event := stream.read(line):
                            yield event
                            if stream.is_over:
                                return
            except httpx.TransportError:
                if stream.is_lost():
                    raise
            time.sleep(AGAIN)

    def _take(self, steps: Steps[Result]) -> Result:
        resume: Callable[[], Any] = functools.partial(next, steps)
        while True:
            try:
                step = resume()
            except StopIteration as end:
                return end.value
            try:
                resume = functools.partial(steps.send, self._done(step))
            except httpx.TransportError as error:       # some steps ask again
                resume = functools.partial(steps.throw, error)

    def _done(self, step: _Ask | _Pause | _Aside) -> Any:
        if isinstance(step, _Ask):
            return self._http.request(step.method, step.path, **step.options)
        return time.sleep(step.seconds) if isinstance(step, _Pause) else step.act()


class AsyncEasel(_Methods):
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
        """No method may be called after it."""
        await self._http.aclose()

    async def events(self, job: Job | str | None = None, *, previews: bool = True) -> AsyncIterator[Event]:
        """What happens to a job, to its end; without one to all jobs, without end. Goes on after broken connections."""
        stream = _Stream(job, previews)
        while True:
            try:
                async with self._http.stream(**stream.asked()) as answer:
                    if answer.is_error:
                        await answer.aread()
                    async for line in _checked(answer).aiter_lines():
                        if event := stream.read(line):
                            yield event
                            if stream.is_over:
                                return
            except httpx.TransportError:
                if stream.is_lost():
                    raise
            await asyncio.sleep(AGAIN)

    async def _take(self, steps: Steps[Result]) -> Result:
        resume: Callable[[], Any] = functools.partial(next, steps)
        while True:
            try:
                step = resume()
            except StopIteration as end:
                return end.value
            try:
                resume = functools.partial(steps.send, await self._done(step))
            except httpx.TransportError as error:       # some steps ask again
                resume = functools.partial(steps.throw, error)

    async def _done(self, step: _Ask | _Pause | _Aside) -> Any:
        if isinstance(step, _Ask):
            return await self._http.request(step.method, step.path, **step.options)
        return await (asyncio.sleep(step.seconds) if isinstance(step, _Pause) else asyncio.to_thread(step.act))


# ---- steps that methods have in common ----

def _answer(method: str, path: str, tries: int = 1, **options: Any) -> Steps[httpx.Response]:
    """What Easel answers, asked up to so many times where the connection breaks. EaselError."""
    while True:
        try:
            return _checked((yield _Ask(method, path, options)))
        except httpx.TransportError:
            tries -= 1
            if tries < 1:
                raise
        yield _Pause(AGAIN)


def _told(method: str, path: str, tries: int = 1, **options: Any) -> Steps[Any]:
    """The JSON of an answer; None where it is empty."""
    answer = yield from _answer(method, path, tries, **options)
    return answer.json() if answer.content else None


def _submit(values: Mapping[str, Any], webhook: str, secret: str, key: str) -> Steps[Job]:
    hook = {"webhook": {"url": webhook, **({"secret": secret} if secret else {})}} if webhook else {}
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return Job.of((yield from _told("POST", "/api/jobs", TRIES, json=_plain(values) | hook, headers=headers)))


def _wait(job: Job | str, timeout: float | None) -> Steps[Job]:
    end = _end(timeout)
    while True:
        told = yield from _told("GET", f"/api/jobs/{_id(job)}", TRIES, params={"wait": _patience(end)})
        if (now := Job.of(told)).is_over:
            return _well(now)


def _file(image: Image | str, format: Format) -> Steps[bytes]:
    asked = {"format": format} if format else {}
    return (yield from _answer("GET", f"/api/images/{_id(image)}", params=asked)).content


def _plot_state(plot: Plot | str) -> Steps[Plot]:
    return Plot.of((yield from _told("GET", f"/api/plots/{_id(plot)}")))


class _Stream:
    """Server-sent events, read line by line, and where to go on when the connection breaks."""

    def __init__(self, job: Job | str | None, previews: bool) -> None:
        self._path = "/api/events" if job is None else f"/api/jobs/{_id(job)}/events"
        self._ends, self._previews = job is not None, previews
        self._last, self._failures, self._frame = "", 0, dict[str, str]()
        self.is_over = False

    def asked(self) -> dict[str, Any]:
        """The question, after the last event that came."""
        self._frame = {}
        return {"method": "GET", "url": self._path, "params": {"previews": self._previews},
                "headers": {"Last-Event-ID": self._last} if self._last else {}}

    def read(self, line: str) -> Event | None:
        """The event that this line ends."""
        if line:
            name, _, value = line.partition(":")
            self._frame[name] = value.removeprefix(" ")
            return None
        frame, self._frame = self._frame, {}
        if "event" not in frame:
            return None
        event = Event(frame["event"], json.loads(frame["data"]), frame.get("id", ""))
        self._last, self._failures = event.id or self._last, 0
        self.is_over = self._ends and event.name in ENDED
        return event

    def is_lost(self) -> bool:
        """Whether the connection has broken too often since the last event."""
        self._failures += 1
        return self._failures >= TRIES


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _id(thing: Job | Image | Plot | str) -> str:
    return thing if isinstance(thing, str) else thing.id


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """An upload stands for its id."""
    return {name: value.id if isinstance(value, Upload) else value for name, value in values.items()}


def _plot_body(axes: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {"axes": [{"label": label, "values": typed} for label, typed in axes.items()], "request": _plain(values)}


def _end(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


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

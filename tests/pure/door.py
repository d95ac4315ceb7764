"""A front door without queue, database or worker, for tests of what stands in front of it."""

from __future__ import annotations

import dataclasses
import io
import secrets
import threading
import time
from collections.abc import Collection, Container, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image as Pillow

from backend import Image, Job, JobLine, Live, Overview, Status, User
from backend.catalog.captioners import MISSING
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CAPTIONER, TAGGER, ModelFile
from backend.catalog.network_cards import NetworkCards
from backend.dispatch.metrics import Measures
from backend.errors import NotAllowed, NotFound, Problem
from backend.facade.extensions import Extensions
from backend.prompt_library.library import PromptLibrary
from backend.request import preferences
from backend.request.request import FIELDS, Request
from backend.settings import Settings
from backend.store.access_tokens import AccessTokens
from backend.store.accounts import Account, Accounts
from backend.store.audit_log import AuditLog
from backend.store.database import Database
from backend.store.face_folders import pictures_in
from backend.store.invitations import Invitations
from backend.store.painted_layers import PaintedLayer, PaintedLayers
from backend.store.password_links import PasswordLinks
from backend.store.sessions import Sessions
from backend.store.tables import UserRow
from backend.store.uploads import Upload, Uploads
from backend.store.used_prompts import UsedPrompt, UsedPrompts
from backend.store.view_types import QueueLine
from tests.guest import user_of

DEMO = ModelFile("checkpoint", "demo", "/srv/secret/demo.safetensors", "demo.safetensors [0123456789]", sha256="0123456789" + "a" * 54, family="sd1")


def encoded(kind: str) -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", (8, 8), "teal").save(out, kind)
    return out.getvalue()


JPEG = encoded("JPEG")
FILES = (
    ModelFile("upscaler", "4x-Test", "/srv/secret/4x-Test.pth", facts={"scale": 4}),
    ModelFile("upscaler", "RealESRGAN_x4plus", "/srv/secret/RealESRGAN_x4plus.pth", facts={"scale": 4}),
    ModelFile("vae", "fine", "/srv/secret/fine.safetensors"),
    ModelFile("text_encoder", "words", "/srv/secret/words.safetensors"),
    ModelFile("hypernetwork", "hyper", "/srv/secret/hyper.pt"),
    ModelFile("lora", "detail", "/srv/secret/detail.safetensors", family="sd1", facts={"alias": "add_detail", "model_hash": "ab"}),
    ModelFile("embedding", "easy", "/srv/secret/easy.pt", family="sd1", facts={"vectors": 2}),
    ModelFile("embedding", "large", "/srv/secret/large.safetensors", family="sdxl", facts={"vectors": 8}),
)


class NoneUsed(UsedPrompts):
    """Nobody has ever drawn anything."""

    def __init__(self) -> None:
        pass

    def of(self, owner: str, query: str = "", limit: int = 50) -> list[UsedPrompt]:
        return []


class NothingKept(AuditLog):
    """Where there is no database, no login is written down."""

    def add(self, action: str, actor: str = "", subject: str = "", address: str = "", detail: str = "") -> None:
        pass


class NoAccounts(Accounts):
    """Nobody has one, and no database is needed to know it."""

    exist = False

    def __init__(self) -> None:
        pass

    def named(self, name: str) -> None:
        return None

    def all(self) -> list[Account]:
        return []

    def hashed(self, password: str) -> str:
        return ""


class Bound:
    """The stand-in as one user finds it."""

    def __init__(self, backend: Door, user: User) -> None:
        self.backend, self.user = backend, user
        self.prompt_library = backend.prompt_library.as_(user)
        self.gallery = SimpleNamespace(is_missing=lambda image: not self.image_file(image).is_file(), time_taken=lambda image: None,
                                       boards_with=lambda image: [])
        self.guides = SimpleNamespace(preview=self._preview, points=self._points, shown=lambda unit, job: self._preview(unit))
        self.faces = SimpleNamespace(in_folder=lambda named: pictures_in(named, ()))
        self.descriptions = SimpleNamespace(missing=lambda: MISSING[CAPTIONER], caption=partial(self._nothing, CAPTIONER), tags=partial(self._nothing, TAGGER))

    def _nothing(self, kind: str, *_: Any, **__: Any) -> None:
        raise NotFound(MISSING[kind])

    def _preview(self, unit: Mapping[str, Any], size: tuple[int, int] | None = None, **more: object) -> SimpleNamespace:
        """A guide's picture as it is, whatever its preprocessor."""
        return SimpleNamespace(id=Request.parse({"guides": [dict(unit) | {"enabled": True}]}).guides[0].image)

    def _points(self, unit: Mapping[str, Any]) -> str:
        """Nobody is in it."""
        return "[]"

    def __getattr__(self, name: str) -> Any:
        return partial(getattr(self.backend, name), owner=self.user.id)


class Door:
    """Jobs end when the test says so: `finish`. With `at_once` they are finished as they come."""

    def __init__(self, settings: Settings, at_once: bool = True) -> None:
        self.settings, self.at_once = settings, at_once
        self.extensions = Extensions(settings)
        self.all: dict[str, Job] = {}
        self.calls: list[str] = []
        self.chosen: dict[str, dict[str, Any]] = {}
        self.changed = threading.Condition()
        self.cursor = 1
        self.measures = Measures()
        self.login_tries = None
        self.uploads = Uploads(settings.data / "uploads", user_of)
        self.prompt_library = PromptLibrary(settings.data, NetworkCards(ModelCatalog(())), NoneUsed())

    @cached_property
    def accounts(self) -> Accounts:
        if self.database is None:
            return NoAccounts()
        with self.database.write() as session:
            session.add_all(UserRow(id=name, name=name) for name in self.settings.users)
        users = SimpleNamespace(all_named=lambda names: {name: User(name, name) for name in names}, named=self.user)
        return Accounts(self.database, users, self.settings.users, self.settings.admins)

    @cached_property
    def database(self) -> Database | None:
        """Where nobody logs in, none is needed."""
        return Database(self.settings.data / "easel.db") if self.settings.users else None

    @cached_property
    def audit_log(self) -> AuditLog:
        return (AuditLog if self.database else NothingKept)(self.database, 365)

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.database)

    @property
    def access_tokens(self) -> AccessTokens:
        return AccessTokens(self.database)

    @property
    def invitations(self) -> Invitations:
        return Invitations(self.database, self.accounts)

    @property
    def password_links(self) -> PasswordLinks:
        return PasswordLinks(self.database, self.accounts)

    def load(self) -> tuple[int, int]:
        return 2, 1

    def user(self, account: str) -> User:
        return User(account, account)

    def as_(self, user: User) -> Bound:
        return Bound(self, user)

    def submit(self, values: Mapping[str, Any], owner: str = "local") -> Job:
        library = self.prompt_library.as_(user_of(owner))
        request = library.resolved(Request.parse(values, self.defaults()).with_seeds())
        self.checkpoint(request.checkpoint)
        job = Job(id=secrets.token_urlsafe(8), owner=owner, state="running", request=request, position=0,
                  created=datetime.now(UTC), started=datetime.now(UTC), ended=None, attempts=0, problems=(), images=(), notes=())
        self.all[job.id] = job
        return self.finish(job) if self.at_once else job

    def submit_all(self, values: Iterable[Mapping[str, Any]], owner: str = "local") -> list[Job]:
        return [self.submit(each, owner) for each in values]

    def finish(self, job: Job, state: str = "done", problems: tuple[Problem, ...] = ()) -> Job:
        images = tuple(self._draw(job, index) for index in range(job.request.count)) if state == "done" else ()
        return self._keep(dataclasses.replace(job, state=state, images=images, problems=problems, position=None))

    def job(self, job_id: str, owner: str) -> Job:
        job = self.all.get(job_id)
        if job is None or job.owner != owner:
            raise NotFound("there is no such job")
        return job

    def jobs(self, owner: str, limit: int = 50) -> list[Job]:
        return [job for job in reversed(self.all.values()) if job.owner == owner][:limit]

    def job_lines(self, owner: str, limit: int = 50) -> list[JobLine]:
        return [JobLine(id=job.id, state=job.state, position=job.position, prompt=job.request.prompt, count=job.request.count,
                        done=len(job.images), created=job.created, problems=job.problems, notes=job.notes)
                for job in self.jobs(owner, limit)]

    def overview(self, start: int = 0, limit: int | None = None, owner: str = "local") -> Overview:
        jobs = [QueueLine(id=job.id, state=job.state, position=0, prompt=job.request.prompt, count=job.request.count, done=0)
                for job in self.queue(owner)]
        return Overview(jobs=tuple(jobs[start:][:limit]), total=len(jobs))

    def running(self, limit: int, owner: str) -> list[str]:
        return [job.id for job in self.queue(owner) if job.state == "running"][:limit]

    def is_pending(self, job_id: str) -> bool:
        return self.all[job_id].state in ("queued", "running")

    def restart_workers(self) -> None:
        self.calls.append("restart_workers")

    def queue(self, owner: str) -> list[Job]:
        return [job for job in self.all.values() if job.owner == owner and job.state in ("queued", "running")]

    def live(self, job_id: str, owner: str) -> Live:
        return Live(job=job_id, index=0, done=0, count=1, step=3, steps=12, fraction=0.25, eta=6.0, preview=1, message="")

    def preview(self, job_id: str, owner: str) -> bytes | None:
        return JPEG if self.job(job_id, owner).state == "running" else None

    def cancel(self, job_id: str, owner: str) -> None:
        self.calls.append("cancel")
        job = self.job(job_id, owner)
        if job.state not in ("queued", "running"):
            raise NotAllowed("has ended already")
        self.finish(job, "cancelled")

    def cancel_all(self, owner: str) -> None:
        self.interrupt(owner)

    def interrupt(self, owner: str) -> None:
        for job in self.queue(owner):
            self.cancel(job.id, owner)

    def may_pause_all(self, owner: str) -> bool:
        return True

    def pause(self, on: bool = True, everybody: bool = False, owner: str = "local") -> None:
        self.calls.append(f"{'pause' if on else 'resume'} {'everybody' if everybody else owner}")

    def move(self, job_id: str, to: str, owner: str) -> None:
        self.calls.append(f"move {job_id} {to}")

    def dismiss(self, job_id: str | None = None, owner: str = "local") -> None:
        self.calls.append(f"dismiss {job_id}")

    def skip(self, jobs: Collection[str] | None = None, owner: str = "local") -> None:
        self.calls.append("skip")

    def retry(self, job_id: str, owner: str) -> Job:
        return self._keep(dataclasses.replace(self.job(job_id, owner), state="queued"))

    def images(self, owner: str, limit: int = 50, before: str | None = None) -> list[Image]:
        newest = [image for job in self.jobs(owner, 1000) for image in reversed(job.images)]
        return newest[[image.id for image in newest].index(before) + 1 if before else 0:][:limit]

    def results(self, job_id: str, owner: str) -> list[Image]:
        return list(self.job(job_id, owner).images)

    def image(self, image_id: str, owner: str) -> Image:
        for image in self.images(owner, 1000):
            if image.id == image_id:
                return image
        raise NotFound("there is no such picture")

    def image_file(self, image_id: str, owner: str) -> Path:
        return self.settings.data / self.image(image_id, owner).name

    def upload(self, data: bytes, owner: str = "local", *, mask: bool = False, alpha: bool = False) -> Upload:
        return self.uploads.add(data, owner, mask=mask)

    def uploaded(self, upload_id: str, owner: str) -> Path:
        return self.uploads.file(upload_id, owner)

    def preferences(self, owner: str) -> dict[str, Any]:
        return self.chosen.get(owner, {})

    def set_preferences(self, values: Mapping[str, Any], owner: str) -> dict[str, Any]:
        self.chosen[owner] = preferences.changed(self.preferences(owner), values)
        return self.chosen[owner]

    def example_name(self, values: Mapping[str, Any], owner: str) -> str:
        return preferences.example(preferences.changed(self.preferences(owner), values), owner)

    def paint(self, data: bytes, layer: PaintedLayer, owner: str = "local") -> str:
        return PaintedLayers(self.uploads).keep(data, layer, owner)

    def sketch(self, picture: str, painted: str, owner: str) -> tuple[str, str]:
        return PaintedLayers(self.uploads).sketch(picture, painted, owner)

    def checkpoints(self, refresh: bool = False) -> list[ModelFile]:
        return [DEMO]

    def checkpoint(self, name_or_hash: str = "") -> ModelFile:
        if name_or_hash in ("", DEMO.key, DEMO.title, "demo.safetensors", DEMO.short_hash):
            return DEMO
        raise NotFound("there is no such checkpoint", field="checkpoint")

    def model_files(self, kind: str, refresh: bool = False) -> list[ModelFile]:
        self.calls += [f"refresh {kind}"] if refresh else []
        return [DEMO] if kind == "checkpoint" else [file for file in FILES if file.kind == kind]

    def model_file(self, kind: str, name: str) -> ModelFile:
        for file in FILES:
            if file.kind == kind and name in (file.key, file.path.rpartition("/")[2]):
                return file
        raise NotFound("there is no such file")

    def usable_files(self, kind: str, refresh: bool = False) -> list[ModelFile]:
        return [file for file in FILES if file.kind == kind]

    def can_use(self, kind: str) -> bool:
        return True

    def unload_models(self) -> None:
        self.calls.append("unload_models")

    def upscalers(self, refresh: bool = False) -> list[ModelFile]:
        return [file for file in FILES if file.kind == "upscaler"]

    def face_restorers(self) -> list[str]:
        return ["GFPGAN"]

    def suits(self, checkpoint: ModelFile) -> dict[str, Any]:
        return dict(checkpoint.defaults)

    # Here nothing has to be looked for: what is known by now is all.
    known_files = property(lambda self: self)
    is_reading = False
    known_face_restorers, known_suits = face_restorers, suits

    def listed(self, kind: str) -> list[ModelFile]:
        return self.model_files(kind)

    def usable(self, kind: str) -> list[ModelFile]:
        return self.usable_files(kind)

    def find(self, kind: str, name: str = "") -> ModelFile:
        return self.checkpoint(name) if kind == "checkpoint" else self.model_file(kind, name)

    def is_read(self, kind: str) -> bool:
        return True

    def defaults(self, checkpoint: str = "") -> dict[str, Any]:
        return {name: field.default for name, field in FIELDS.items()} | {"width": 64, "height": 64, "steps": 4}

    known_defaults = defaults

    def infotext(self, text: str, owner: str) -> dict[str, Any]:
        return {"prompt": text.splitlines()[0], "steps": 7}

    def usable_infotext(self, text: str, but: Container[str], owner: str) -> dict[str, Any]:
        return self.infotext(text, owner)

    def status(self) -> Status:
        return Status(workers=(), notices=("hello",))

    def start_workers(self) -> None:
        self.calls.append("start_workers")

    def close(self) -> None:
        self.calls.append("close")

    def watch(self, cursor: int = 0, timeout: float = 15.0, owner: str = "local") -> tuple[int, list[dict[str, Any]]]:
        deadline = time.monotonic() + timeout
        with self.changed:
            while cursor >= self.cursor and (left := deadline - time.monotonic()) > 0:
                self.changed.wait(left)
            news = [{"type": "queue", "jobs": [], "cursor": self.cursor}] if cursor < self.cursor else []
            return self.cursor, news

    def _keep(self, job: Job) -> Job:
        with self.changed:
            self.all[job.id] = job
            self.cursor += 1
            self.changed.notify_all()
        return job

    def _draw(self, job: Job, index: int) -> Image:
        request = job.request.of_image(index)
        name = f"{index:05}-{request.seed}.png"
        out = io.BytesIO()
        Pillow.new("RGB", (request.width, request.height), "teal").save(out, "PNG")
        (self.settings.data / name).write_bytes(out.getvalue())
        return Image(id=secrets.token_urlsafe(8), job=job.id, index=index, width=request.width, height=request.height,
                     seed=request.seed, infotext=f"{request.prompt}\nSteps: {request.steps}", created=datetime.now(UTC),
                     format="png", request=request.to_json(), name=name)

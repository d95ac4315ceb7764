"""The extensions of this Easel: which are on, why others are not, and the switch of each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from backend.errors import NotAllowed, NotFound, Problem, StorageError
from backend.extensions.manifest import Extension, found, name_of, translations
from backend.extensions.switches import Switches
from backend.request.request import FIELDS, Request
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES
from backend.settings import Settings
from backend.store.view_types import User

State = Literal["on", "off", "failed", "unusable"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """An extension as the page shows it. `state` is what is so; `wanted` whether the next start should have it.

    `why` it is not on: what it failed with, or what is wrong with its folder.
    """

    name: str
    title: str
    version: str
    about: str
    state: State
    wanted: bool
    why: str = ""


class Extensions:
    """Everybody's. Thread-safe. What is switched acts when Easel is started again, but a failure acts at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found = found(settings.extension_folder)
        self._switches = Switches(settings.extension_switches)
        self._failed: dict[str, str] = {}       # since the start, by name

    def listed(self) -> list[Listed]:
        """Those in the folder, by name."""
        return [self._listed(each) for each in self._found]

    def translations(self, language: str) -> dict[str, str]:
        """What the extensions that are on say in a language, by the English text."""
        on = [each.name for each in self._found if self._state(each) == "on"]
        return {key: text for name in on
                for key, text in translations(self._settings.extension_folder, name, language).items()}

    def left_out(self, package: str, why: str) -> None:
        """One could not register when this Easel was started; the next start tries again."""
        self._failed[name_of(package)] = why

    def working(self) -> tuple[str, ...]:
        """The packages that a worker which starts now shall load: those of this start that have not failed since."""
        return tuple(each for each in self._settings.extensions if name_of(each) not in self._failed)

    def failed(self, package: str, why: str) -> None:
        """One has raised an error at work: it is off from here on, until somebody switches it on again."""
        name = name_of(package)
        self._failed[name] = why
        try:
            self._switches.fail(name, why)
        except StorageError:
            log.exception("that the extension %s has failed could not be kept", name)

    def problems(self, request: Request) -> Iterator[Problem]:
        """What an extension that has failed would have to do for a request, by its fields, samplers and schedules."""
        failed = dict(self._failed)
        for name in FIELDS if failed else ():
            for owner in _owners(name, getattr(request, name)) & failed.keys():
                yield Problem(f"cannot act: the extension {owner} is switched off. {failed[owner]}", name)

    def switch(self, name: str, on: bool, user: User) -> Listed:
        """For the next start. NotFound; NotAllowed unless the user is an admin or nobody logs in; StorageError."""
        if not user.is_admin:
            raise NotAllowed("Only an admin of this Easel may switch extensions.")
        for each in self._found:
            if each.name == name:
                self._switches.switch(name, on)
                return self._listed(each)
        raise NotFound("There is no such extension.")

    def _listed(self, each: Extension) -> Listed:
        why = each.problem or self._failed.get(each.name, "") or self._switches.why_off(each.name)
        return Listed(each.name, each.title, each.version, each.about, self._state(each),
                      self._switches.is_on(each.name), why)

    def _state(self, each: Extension) -> State:
        if each.problem:
            return "unusable"
        if each.name in self._failed:
            return "failed"
        return "on" if each.package in self._settings.extensions else "off"


def _owners(field: str, value: Any) -> set[str]:
    """The extensions that a value of a field needs: whose field it is, whose sampler or schedule it names."""
    owners = {FIELDS.owner_of(field)} if value != FIELDS[field].default else set()
    if field in ("sampler", "hr_sampler"):
        owners.add(SAMPLERS.owner_of(value))
    if field in ("schedule", "hr_schedule"):
        owners.add(SCHEDULES.owner_of(value))
    return {name_of(owner) for owner in owners if owner}

"""AUTOMATIC1111's options: what `GET options` tells, what `POST options` keeps, and `override_settings` of a request.

An option is a field of Easel's table, or one that acts on pictures and is not here, or anything else, which is kept and
given back.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend import Door
from backend.catalog.model_file import VAE, ModelFile
from backend.errors import EaselError, InvalidRequest, NotFound, Problem
from backend.http.a1111 import eta, interrogate_options
from backend.http.a1111.calls import Caller
from backend.http.a1111.option_table import ACTS, ALSO_NEUTRAL, KEPT, OF_FIELDS
from backend.http.a1111.unsupported import NOT_HERE, Lacking, passed_over
from backend.http.a1111.values import as_ours, is_missing
from backend.image import file_names
from backend.request.choices import CODEFORMER, VAES
from backend.request.field import Field
from backend.request.loose_values import is_same, truth
from backend.request.preferences import settings
from backend.request.request import FIELDS, Request

BY_OVERRIDE: Mapping[str, Field] = FIELDS.by(lambda field: field.override)
MAX_KEPT = 1_000_000        # characters of JSON that one caller's kept options may take
REMEMBERED = 1_000          # callers; who set options longest ago is forgotten first
TOLD = ("sd_checkpoint_hash",)      # what GET tells and nobody sets


@dataclass(frozen=True, slots=True)
class Chosen:
    """Options of a caller: field values by field name, and what is only kept, by AUTOMATIC1111's names."""

    values: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)

    def __or__(self, other: Chosen) -> Chosen:
        return Chosen({**self.values, **other.values}, {**self.kept, **other.kept})


    def lacking(self) -> Iterator[str]:
        """Names of what was kept though Easel lacks it and it would change pictures."""
        return (name for name, value in self.kept.items() if name in ACTS and not is_neutral(name, value))


class Options:
    """What clients set with POST /options: defaults of the same caller's later API requests, kept until Easel stops.

    AUTOMATIC1111 keeps such options for everybody; here they reach nobody else, and never a job already queued.
    """

    def __init__(self) -> None:
        self._chosen: OrderedDict[Hashable, Chosen] = OrderedDict()

    def of(self, caller: Caller) -> Chosen:
        return self._chosen.get(_key(caller), Chosen())

    def update(self, caller: Caller, chosen: Chosen) -> None:
        """InvalidRequest when what is only kept becomes too much."""
        after = self.of(caller) | chosen
        if len(json.dumps(after.kept)) > MAX_KEPT:
            raise InvalidRequest(f"Options that Easel only keeps may take {MAX_KEPT:,} characters in all.")
        self._chosen[_key(caller)] = after
        self._chosen.move_to_end(_key(caller))
        while len(self._chosen) > REMEMBERED:
            self._chosen.popitem(last=False)


def _key(caller: Caller) -> Hashable:
    """Whose options these are: an account's, or those of one of the clients without a login."""
    return caller if caller.is_anonymous else caller.user


@dataclass(frozen=True, slots=True)
class CallerOptions:
    """The options as one caller finds them; `ignore`: what Easel lacks is passed over for it."""

    options: Options
    caller: Caller
    ignore: bool = False

    def chosen(self) -> Chosen:
        return self.options.of(self.caller)

    def update(self, chosen: Chosen) -> None:
        """InvalidRequest when what is only kept becomes too much."""
        self.options.update(self.caller, chosen)

    def keep_overrides(self, payload: Mapping[str, Any]) -> None:
        """Keep `override_settings` where a client says that they are not to be restored afterwards."""
        overrides = payload.get("override_settings")
        if overrides and truth(payload.get("override_settings_restore_afterwards", True)) is False:
            self.update(read(overrides)[0])


def read(options: Mapping[str, Any]) -> tuple[Chosen, list[Problem], list[str]]:
    """Options as fields and kept values, a problem for each that acts and is not here, and those unknown to all."""
    values: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    problems: list[Problem] = []
    foreign = []
    for name, value in options.items():
        row = BY_OVERRIDE.get(name) or FIELDS.get(OF_FIELDS.get(name, ""))
        if row is not None:
            if not is_missing(row, value):
                values[row.name] = as_ours(name, row, value)
        elif name in ACTS:
            kept[name] = value
            problems += [] if is_neutral(name, value) else [Lacking(NOT_HERE, name)]
        elif name in eta.DEFAULTS:
            problems += _kept_eta(name, value, kept)
        elif name not in TOLD:
            kept[name] = value
            problems += interrogate_options.problems(name, value)
            foreign += [] if name in KEPT else [name]
    return Chosen(values, kept), problems, foreign


def _kept_eta(name: str, value: Any, kept: dict[str, Any]) -> list[Problem]:
    try:
        kept[name] = eta.read(name, value)
    except ValueError as error:
        return [Problem(str(error), name)]
    return []


def is_neutral(name: str, value: Any) -> bool:
    """Whether an option of `ACTS` has a value at which it changes nothing."""
    same = (None, "", ACTS[name], *ALSO_NEUTRAL.get(name, ()))
    return any(is_same(value, each) for each in same)


def changed(payload: Mapping[str, Any], present: Mapping[str, Any], door: Door, *, ignore: bool) -> Chosen:
    """What a POST /options payload changes in the `present` options, each value checked. Raises InvalidRequest.

    With `ignore` what Easel lacks is kept like all that means nothing.

    What is sent back as it was is no choice: a later change of a default still reaches the caller.
    """
    new = {name: value for name, value in payload.items() if name not in present or present[name] != value}
    chosen, problems, _ = read(new)
    try:
        problems += file_names.problems(Request.parse(chosen.values))
        if "checkpoint" in chosen.values:
            problems += _unusable(door.backend.checkpoint(chosen.values["checkpoint"]), "checkpoint")
    except InvalidRequest as error:
        problems += error.problems
    except NotFound as error:
        problems += error.about("checkpoint")
    passed_over(problems, ignore)
    passed_over(_vae_problems(chosen, door), ignore)
    return chosen


def write(chosen: Chosen, door: Door) -> dict[str, Any]:
    """Every option of AUTOMATIC1111 and every one that was kept, as a request without it would have it."""
    options = {**settings(door.preferences()), **chosen.values}
    try:
        checkpoint = door.backend.checkpoint(str(options.get("checkpoint", "")))
        own, title, sha256 = door.backend.defaults(checkpoint.key), checkpoint.title, checkpoint.sha256
    except EaselError:  # no model yet, or it was taken away: the other options are still true
        own, title, sha256 = {name: field.default for name, field in FIELDS.items()}, None, ""
    values = {**own, **options}
    top = {name: values[ours] for name, ours in OF_FIELDS.items()}
    named = {name: values[field.name] for name, field in BY_OVERRIDE.items()}
    named["show_progress_every_n_steps"] = values["preview_every"] or -1
    faces = {"face_restoration_model": restorer(door)}
    return {**KEPT, **ACTS, **top, **faces, **chosen.kept, **named, "sd_model_checkpoint": title,
            "sd_checkpoint_hash": sha256}


def restorer(door: Door) -> str:
    """The restorer of faces that is taken where none is named: AUTOMATIC1111's own choice, or one that is here."""
    there = door.backend.face_restorers()
    return CODEFORMER if CODEFORMER in there or not there else there[0]


def _vae_problems(chosen: Chosen, door: Door) -> list[Problem]:
    name = chosen.values.get("vae", VAES[0])
    if name in VAES:
        return []
    try:
        return _unusable(door.backend.model_file(VAE, name), "vae")
    except NotFound as error:
        return list(error.about("vae"))


def _unusable(file: ModelFile, field: str) -> list[Problem]:
    return [Problem(file.problem, field)] if file.problem else []

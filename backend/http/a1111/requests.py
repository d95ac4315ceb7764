"""AUTOMATIC1111's JSON in: a txt2img or img2img payload to the values of one or more jobs.

Names come from the field table (`api_name`, `override`); `a1111_fields` says what becomes of all others.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend import Door
from backend.errors import EaselError, InvalidRequest, Problem
from backend.http.a1111 import controlnet_units, detailer, eta, face_swap, options, pictures, scripts
from backend.http.a1111.fields import IMG2IMG, READ, READ_IMG2IMG, READ_TXT2IMG, TXT2IMG, judged
from backend.http.a1111.option_table import OF_FIELDS
from backend.http.a1111.options import CallerOptions, Chosen
from backend.http.a1111.plot_scripts import PLOT_SCRIPTS, plot_asked
from backend.http.a1111.unsupported import passed_over
from backend.http.a1111.values import SIZES, as_ours, is_missing
from backend.image.infotext.unsupported import unmet_sentence
from backend.prompt import grammar
from backend.request.choices import NO_RESTORER, NO_UPSCALER, PIXEL_UPSCALERS, RESTORERS
from backend.request.field import Field
from backend.request.loose_values import is_same, truth
from backend.request.output_size import CELL
from backend.request.request import FIELDS
from backend.sampling.names import split_suffix
from backend.sampling.schedules import SCHEDULES

# What AUTOMATIC1111's API takes where a client says nothing; its page has other defaults, which are the table's.
IMG2IMG_DEFAULTS = {"masked_content": "fill", "inpaint_area": "Only masked", "masked_padding": 0}
# Who waits for an answer looks at how far it is, from the first step; a rough picture costs next to nothing.
WATCHED = {"preview_every": 1}
SWITCHES = ("enable_hr", "refiner_checkpoint")
TEXTS = ("prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt")


@dataclass(frozen=True, slots=True)
class Reading:
    """Values by field name for each job of a payload, in the order of their pictures, and what `info` tells of it.

    `plot`: kind, axes and options of the plot that is drawn with the values of the first in the place of the jobs.
    """

    jobs: Sequence[Mapping[str, Any]]
    passed_over: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    plot: Mapping[str, Any] | None = None


def read_txt2img(payload: Mapping[str, Any], options: CallerOptions, door: Door) -> Reading:
    """`options` are the caller's own defaults. Raises InvalidRequest naming every field at fault."""
    values, left_out, notes = _Payload(payload, options, door, img2img=False).read()
    return Reading([values | _first_pass(payload, values)], left_out, notes, plot_asked(payload, img2img=False))


def read_img2img(payload: Mapping[str, Any], options: CallerOptions, door: Door) -> Reading:
    """The same; the pictures are stored as uploads of the user. Several are a batch, one job for each picture."""
    values, left_out, notes = _Payload(payload, options, door, img2img=True).read()
    values = {**IMG2IMG_DEFAULTS, **values, "enable_hr": False}      # an infotext's belongs to txt2img
    masks = pictures.masks(payload, values, door)
    starts = pictures.starts(payload.get("init_images"), door)
    plot = plot_asked(payload, img2img=True)
    if plot and len(starts) > 1:
        raise InvalidRequest("must be one picture: a plot is drawn of one", field="init_images")
    return Reading(pictures.batch(values | masks, starts), left_out, notes, plot)


class _Payload:
    """One payload being read."""

    def __init__(self, payload: Mapping[str, Any], options: CallerOptions, door: Door, *, img2img: bool) -> None:
        self._payload, self._options, self._door, self._img2img = payload, options.chosen(), door, img2img
        self._ignore = options.ignore
        self._table: Mapping[str, Field] = IMG2IMG if img2img else TXT2IMG
        self._notes: list[str] = []

    def read(self) -> tuple[dict[str, Any], list[str], list[str]]:
        """Field values, the names that were passed over, and sentences about what was made of the payload."""
        overrides = self._payload.get("override_settings") or {}
        if not isinstance(overrides, Mapping):
            raise InvalidRequest("must be an object", field="override_settings")
        overridden, wrong, foreign = options.read(overrides)
        problems, foreign_names = judged(self._payload, self._table, READ_IMG2IMG if self._img2img else READ_TXT2IMG)
        acting, idle = scripts.always_on(self._payload.get("alwayson_scripts"), img2img=self._img2img)
        guided, lacking = controlnet_units.guides(self._payload.get("alwayson_scripts"), self._door,
                                                  only_masked=self._draws_masked_part())
        self._notes += controlnet_units.notes(self._payload.get("alwayson_scripts"))
        swapped, unlike = face_swap.face_swap(self._payload.get("alwayson_scripts"), self._door,
                                                 img2img=self._img2img)
        self._notes += face_swap.notes(self._payload.get("alwayson_scripts"))
        details, foreign_units = detailer.detailers(self._payload.get("alwayson_scripts"), img2img=self._img2img)
        script, unscripted = self._script()
        problems += [*(_below("override_settings", problem) for problem in wrong), *idle, *lacking, *unlike,
                     *foreign_units, *unscripted]
        left_out = [*(f"options.{name}" for name in self._options.lacking()), *passed_over(problems, self._ignore)]
        chosen = self._options | overridden
        known = self._known()
        said = {*known, *overridden.values, *self._sampler()}
        values = {**WATCHED, **_settings(self._door), **self._options.values, **self._infotext(said)}
        behind = {name: value for name, value in overridden.values.items() if name in OF_FIELDS.values()}
        values |= {**behind, **known, **acting, **guided, **self._sampler(), **script}
        values |= {name: value for name, value in overridden.values.items() if name not in behind}
        values |= {**self._grid(), **self._faces(chosen), **swapped, **details}
        values |= self._eta(values, chosen)
        values |= self._styles(values)
        values |= self._without_networks(values)
        return (_without_idle(values),
                [*foreign_names, *(f"override_settings.{name}" for name in foreign), *left_out], self._notes)

    def _draws_masked_part(self) -> bool:
        return self._img2img and bool(self._payload.get("mask")) and scripts.is_on(self._payload, "inpaint_full_res")

    def _known(self) -> dict[str, Any]:
        values = {}
        for name, value in self._payload.items():
            row = self._table.get(name)
            if row is not None and name not in READ and not is_missing(row, value):
                values[row.name] = as_ours(name, row, value)
                if row.name in SIZES and not is_same(value, values[row.name]):
                    self._notes.append(f"{name}: {value} was cut to {values[row.name]}, a multiple of {CELL}")
        return values

    def _sampler(self) -> dict[str, Any]:
        """`sampler_index` is an older name of `sampler_name`, whose end was the schedule before 1.9."""
        name = self._payload.get("sampler_name") or self._payload.get("sampler_index")
        if not isinstance(name, str):
            return {} if name is None else {"sampler": name}
        automatic = SCHEDULES["Automatic"]
        short, schedule = split_suffix(name, automatic)
        return {"sampler": name} if schedule is automatic else {"sampler": short, "schedule": schedule.label}

    def _infotext(self, said: Container[str]) -> dict[str, Any]:
        """The values of a settings text. One that cannot be used is refused, unless the payload `said` another."""
        text = self._payload.get("infotext")
        if not text:
            return {}
        if not isinstance(text, str):
            raise InvalidRequest("must be text", field="infotext")
        if sentence := unmet_sentence(text):
            self._notes.append(f"infotext: {sentence}")
        return self._door.usable_infotext(text, said)

    def _script(self) -> tuple[dict[str, Any], list[Problem]]:
        if plot_asked(self._payload, img2img=self._img2img):
            return {}, []
        known = (*PLOT_SCRIPTS.values(), *(scripts.SELECTABLE if self._img2img else ()))
        return scripts.selected(self._payload, upscaler_names(self._door), known)

    def _grid(self) -> dict[str, Any]:
        return {"save_grid": False} if truth(self._payload.get("do_not_save_grid")) else {}

    def _faces(self, chosen: Chosen) -> dict[str, Any]:
        """`restore_faces` and its options as the name of a restorer: the one that is asked for, or one that is here."""
        wanted, option = self._payload.get("restore_faces"), chosen.kept.get("face_restoration")
        if wanted is None and option is None:
            return {}
        wanted, name = option if wanted is None else wanted, chosen.kept.get("face_restoration_model")
        if isinstance(wanted, str) and truth(wanted) is None:
            wanted, name = True, wanted
        return {"face_restoration": self._restorer(name) if truth(wanted) else NO_RESTORER}

    def _restorer(self, name: Any) -> str:
        if name is None:
            return options.restorer(self._door)
        found = next((known for known in (*RESTORERS, NO_RESTORER) if is_same(name, known)), None)
        if found is None:
            raise InvalidRequest(f"'{str(name)[:60]}' is unknown; one of: {', '.join(RESTORERS)}",
                                 field="face_restoration")
        return found

    def _eta(self, values: Mapping[str, Any], chosen: Chosen) -> dict[str, Any]:
        """A request without a sampler has that of its checkpoint."""
        if not chosen.kept.keys() & eta.DEFAULTS.keys():
            return {}
        try:
            own = self._door.backend.defaults(values.get("checkpoint") or "")["sampler"]
        except EaselError:      # it is refused when the job is submitted
            return {}
        return eta.of_options({"sampler": own, **values}, chosen.kept)

    def _styles(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those that there are. AUTOMATIC1111 has a style called None and passes over unknown ones."""
        named = values.get("styles")
        if not isinstance(named, list | tuple) or not all(isinstance(name, str) for name in named):
            return {}
        there = {style["name"] for style in self._door.prompt_library.as_theirs()}
        missing = [name for name in named if name not in there and name.casefold() not in scripts.NAMES_OFF]
        self._notes.extend(f"styles: there is no style called {name[:80]}; it was left out" for name in missing)
        return {"styles": [name for name in named if name in there]}

    def _without_networks(self, values: Mapping[str, Any]) -> dict[str, Any]:
        if not truth(self._payload.get("disable_extra_networks")):
            return {}
        texts = {name: values[name] for name in TEXTS if isinstance(values.get(name), str)}
        if values.get("styles"):
            named = values["styles"], texts.get("prompt", ""), texts.get("negative_prompt", "")
            texts["prompt"], texts["negative_prompt"] = self._door.prompt_library.apply(*named)
        return {"styles": [], **{name: grammar.networks(text)[0] for name, text in texts.items()}}


def upscaler_names(door: Door) -> list[str]:
    """Names of `GET upscalers`, by whose place a script's argument may name one."""
    return [NO_UPSCALER, *PIXEL_UPSCALERS, *(file.key for file in door.backend.upscalers())]


def _settings(door: Door) -> dict[str, Any]:
    """The caller's own word on previews stands before `WATCHED`; the other preferences join when it is submitted."""
    return {name: value for name, value in door.preferences().items() if name in WATCHED}


def _first_pass(payload: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The older way to ask for hires fix: the first pass's own size, which the factor enlarges."""
    sides = {name: payload.get(f"firstphase_{name}") for name in SIZES}
    if not values.get("enable_hr") or all(not side or is_same(side, 0) for side in sides.values()):
        return {}
    wrong = next((name for name, side in sides.items() if not side or is_same(side, 0)), None)
    if wrong:
        raise InvalidRequest("must be given with the other side of the first pass", field=f"firstphase_{wrong}")
    return {name: as_ours(name, FIELDS[name], side) for name, side in sides.items()}


def _without_idle(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what stands below a switch that is off: clients send placeholders there."""
    off = {name for name in SWITCHES if values.get(name, FIELDS[name].default) in (FIELDS[name].default, None, "")
           or truth(values[name]) is False}
    return {name: value for name, value in values.items()
            if not FIELDS[name].needs or not off.issuperset(FIELDS[name].needs)}


def _below(place: str, problem: Any) -> Any:
    return type(problem)(problem.message, f"{place}.{problem.field}")

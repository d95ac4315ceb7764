"""What a user can do with the scores of plots: switch them on, and look at them. Part of the facade."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from backend.catalog.model_file import CLIP, INCEPTION, ModelFile
from backend.dispatch.scoring import NO_NETWORK, encoder_mark
from backend.errors import EaselError, InvalidRequest, NotFound, Problem
from backend.facade.components import Components
from backend.store.fid_distances import Distance, Distances, dataset, datasets
from backend.store.plot_reading import PlotHead
from backend.store.scores import Scores
from backend.store.view_types import User
from backend.store.wanted_scores import COMPARING, KINDS, SEED_AXES, SEEING, Scoreboard, Wanted

DEMO = "demo"       # the checkpoint and the CLIP that were made for each other
NO_CLIP = ("needs a CLIP that knows such pictures: put a transformers CLIP folder, for example that of "
           "openai/clip-vit-base-patch32, into models/clip; the shipped one knows what the demo model draws, and is "
           "taken for others when it is asked for as encoder")

WHAT_A_SIDE_IS = 'must be {"cells": [coordinates, ...]} or {"folder": name}'


class PlotScores:
    """The scores of one user's plots; someone else's are NotFound."""

    def __init__(self, components: Components, user: User) -> None:
        self._parts, self._owner = components, user.id
        self._scores, self._distances = Scores(components.database), Distances(components.database)

    def choices(self) -> dict[str, Any]:
        """CLIPs that there are, folders that FID can compare with, and why there is no FID, "" where there is."""
        catalog = self._parts.catalog
        return {"encoders": [file.key for file in catalog.usable(CLIP)],
                "folders": datasets(self._parts.settings.outputs),
                "fid": "" if catalog.usable(INCEPTION) else NO_NETWORK}

    def switch(self, plot: str, asked: Mapping[str, Any]) -> None:
        """Measure `kinds` from now on, also in pictures that are there; [] for none.

        `reference` is {"cell": coordinates} or {"image": id}, `encoder` the name of a CLIP. InvalidRequest names what
        is wrong.
        """
        head = self._parts.plots.head(plot, self._owner)
        kinds = _kinds(asked.get("kinds", []))
        problems = [*self._reference_problems(head, asked.get("reference"), kinds), *_spread_problems(head, kinds)]
        if problems:
            raise InvalidRequest(problems=problems)
        encoder = self._encoder(head, asked.get("encoder")) if any(kind in SEEING for kind in kinds) else ""
        self._scores.switch(plot, self._owner, Wanted(kinds, dict(asked.get("reference") or {}), encoder))
        self._parts.dispatcher.plot_changed(self._owner, plot)

    def wanted(self, plot: str) -> Wanted:
        """What is switched on."""
        return self._scores.wanted(plot, self._owner)

    def board(self, plot: str, cells: Collection[str] | None = None) -> Scoreboard | None:
        """What was measured so far, of all cells or of these; None where nothing is switched on."""
        return self._scores.board(plot, self._owner, cells)

    def compare(self, plot: str, asked: Mapping[str, Any]) -> None:
        """Measure FID between `first` and `second`: {"cells": [coordinates]} or {"folder": name} each.

        InvalidRequest names what is wrong, and `network` where the network that this needs is not here.
        """
        head, parts = self._parts.plots.head(plot, self._owner), self._parts
        sides = [asked.get(name) for name in ("first", "second")]
        problems = [Problem(told, name) for name, side in zip(("first", "second"), sides, strict=True)
                    if (told := self._side_problem(head, side))]
        if not parts.catalog.usable(INCEPTION):
            problems.append(Problem(NO_NETWORK, "network"))
        if problems:
            raise InvalidRequest(problems=problems)
        self._distances.add(plot, self._owner, Distance(*map(dict, sides)))
        parts.dispatcher.plot_changed(self._owner, plot)

    def distances(self, plot: str) -> list[Distance]:
        """What was compared, the oldest first."""
        return self._distances.of(plot, self._owner)

    def _side_problem(self, head: PlotHead, side: Any) -> str:
        """What is wrong with one set of pictures, "" for nothing."""
        if not isinstance(side, Mapping) or len(side) != 1:
            return WHAT_A_SIDE_IS
        match dict(side):
            case {"cells": [_, *_] as cells} if all(isinstance(cell, str) for cell in cells):
                known = {cell.cell for cell in self._parts.plots.cells(head.id, self._owner, cells)}
                return "" if known == set(cells) else "There is no such cell in this plot."
            case {"folder": str(name)}:
                try:
                    few = len(dataset(self._parts.settings.outputs, name)) < 2
                except NotFound as error:
                    return str(error)
                return "The folder holds less than two pictures." if few else ""
        return WHAT_A_SIDE_IS

    def _encoder(self, head: PlotHead, name: Any) -> str:
        try:
            return encoder_mark(self._parts.catalog, self._clip(head, name))
        except EaselError as error:
            raise InvalidRequest(problems=error.about("encoder")) from error

    def _clip(self, head: PlotHead, name: Any) -> ModelFile:
        if name:
            file = self._parts.catalog.find(CLIP, str(name))
            if file.problem:
                raise InvalidRequest(file.problem)
            return file
        files = self._parts.catalog.usable(CLIP)
        drawn_by_demo = head.request.get("checkpoint") == DEMO
        fitting = [file for file in files if (file.key == DEMO) == drawn_by_demo]
        if not fitting:
            raise NotFound(NO_CLIP)
        return fitting[0]

    def _reference_problems(self, head: PlotHead, told: Any, kinds: Sequence[str]) -> list[Problem]:
        comparing = [kind for kind in kinds if kind in COMPARING]
        if told is None or told == {}:
            return [Problem(f"is needed for {', '.join(comparing)}", "reference")] if comparing else []
        if not isinstance(told, Mapping) or len(told) != 1 or not isinstance(next(iter(told.values())), str):
            return [Problem('must be {"cell": coordinates} or {"image": id}', "reference")]
        try:
            if "image" in told:
                self._parts.history.path(told["image"], self._owner)
            elif not self._parts.plots.cells(head.id, self._owner, [told.get("cell", "")]):
                raise NotFound("There is no such cell in this plot.")
        except NotFound as error:
            return list(error.about("reference"))
        return []


def _kinds(asked: Any) -> tuple[str, ...]:
    if not isinstance(asked, list) or any(kind not in KINDS for kind in asked):
        raise InvalidRequest(f"must be a list of {', '.join(KINDS)}", field="kinds")
    return tuple(kind for kind in KINDS if kind in asked)


def _spread_problems(head: PlotHead, kinds: Sequence[str]) -> list[Problem]:
    several = head.request.get("batch_count", 1) * head.request.get("batch_size", 1) > 1
    if "spread" not in kinds or several or any(axis.get("label") in SEED_AXES for axis in head.axes):
        return []
    return [Problem(f"spread needs an axis {' or '.join(SEED_AXES)}, or several pictures in each cell", "kinds")]

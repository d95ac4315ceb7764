"""What a user shows to others, and what others see of it: links to pictures and plots. Part of the facade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from backend.errors import InvalidRequest, NotFound
from backend.facade.components import Components
from backend.image.metadata_removal import bare
from backend.store.plot_reading import Cell, PlotHead
from backend.store.share_links import KINDS, ShareLink
from backend.store.tables import now
from backend.store.view_types import Image, User

LONGEST_DAYS = 3650


class UserSharing:
    """The links of one user; someone else's are NotFound."""

    def __init__(self, components: Components, user: User) -> None:
        self._links, self._owner = components.share_links, user.id

    def create(self, kind: str, target: str, *, settings: bool = False, days: float | None = None) -> ShareLink:
        """A link to a picture or a plot, by its id, for so many days or until it is taken back.

        `settings`: whether others see how it was made. NotFound; InvalidRequest names `kind` or `days`.
        """
        if kind not in KINDS:
            raise InvalidRequest(f"must be one of {', '.join(KINDS)}", field="kind")
        if days is not None and not 0 < days <= LONGEST_DAYS:
            raise InvalidRequest(f"must be more than 0 and at most {LONGEST_DAYS:,}, or null for no end", field="days")
        expires = None if days is None else now() + timedelta(days=days)
        return self._links.create(self._owner, kind, target, settings=settings, expires=expires)

    def links(self, target: str = "") -> Sequence[ShareLink]:
        """Those that are good, newest first; with `target` only those to this picture or plot."""
        return self._links.of(self._owner, target)

    def revoke(self, token: str) -> None:
        """The link opens nothing any more."""
        self._links.revoke(token, self._owner)


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A picture's file for others: without its settings where these are not shared."""

    path: Path
    name: str
    settings: bool

    def data(self) -> bytes:
        """What is sent. NotFound when the file is gone, UserError when it is damaged."""
        try:
            data = self.path.read_bytes()
        except OSError:
            raise NotFound("The picture's file is no longer there.") from None
        return data if self.settings else bare(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPage:
    """What a link shows: a picture, or a plot with its cells. `infotext` is "" unless it is shared."""

    kind: str
    created: datetime
    infotext: str = ""
    image: Image | None = None
    plot: PlotHead | None = None
    cells: Sequence[Cell] = ()

    @property
    def axes(self) -> list[tuple[str, list[str]]]:
        """Of a plot: labels and the values as they are shown."""
        return [(str(axis.get("label", "")), list(map(str, _values(axis)))) for axis in self.plot.axes] \
            if self.plot else []


class SharedLinks:
    """What whoever has a link may see, and nothing else of its owner's. NotFound where it opens nothing."""

    def __init__(self, components: Components) -> None:
        self._parts = components

    def page(self, token: str) -> SharedPage:
        link = self._link(token)
        if link.kind == "picture":
            image = self._image(link, link.target)
            return SharedPage(kind=link.kind, created=image.created, image=image,
                              infotext=image.infotext if link.settings else "")
        head = self._parts.plots.head(link.target, link.owner)
        cells = self._parts.plots.cells(link.target, link.owner)
        first = next((cell.image for cell in cells if cell.image and cell.state == "done"), "")
        text = self._image(link, first).infotext if first and link.settings else ""
        return SharedPage(kind=link.kind, created=head.created, plot=head, cells=cells, infotext=text)

    def file(self, token: str, cell: str = "") -> SharedFile:
        """The picture, or that of a plot's cell, by its coordinates like "2,0"."""
        link = self._link(token)
        image = self._image(link, link.target if link.kind == "picture" else self._of_cell(link, cell))
        path = self._parts.pictures.file(self._parts.history.path(image.id, link.owner))
        name = image.name if link.settings else f"{link.kind}{'-' * bool(cell)}{cell.replace(',', '-')}{path.suffix}"
        return SharedFile(path, name, link.settings)

    def _link(self, token: str) -> ShareLink:
        link = self._parts.share_links.find(token)
        if not self._parts.accounts.can_enter(link.owner):
            raise NotFound("This link is closed with the account of who made it.")
        return link

    def _of_cell(self, link: ShareLink, cell: str) -> str:
        found = self._parts.plots.cells(link.target, link.owner, [cell])
        if not found or not found[0].image:
            raise NotFound("This cell has no picture.")
        return found[0].image

    def _image(self, link: ShareLink, image: str) -> Image:
        """One that is in the bin is not shown; of a cell, a half-drawn one is."""
        found = self._parts.history.image(image, link.owner)
        if found.binned and not (link.kind == "plot" and found.unfinished):
            raise NotFound("This picture is not there, or no longer.")
        return found


def _values(axis: dict[str, Any]) -> list[Any]:
    shown = axis.get("shown", [])
    return shown if isinstance(shown, list) else []

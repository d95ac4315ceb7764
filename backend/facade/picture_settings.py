"""What pictures say of how they were made, as values that a request here can have."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from backend.catalog.model_file import CHECKPOINT
from backend.catalog.needed_files import missing_upscalers
from backend.errors import CheckpointError, InvalidRequest, NotFound, Problem
from backend.facade.components import Components
from backend.facade.missing_files import missing
from backend.image import infotext
from backend.image.read import read_metadata
from backend.request.request import FIELDS
from backend.store.view_types import FileSettings

Styles = Sequence[dict[str, str]]       # in AUTOMATIC1111's keys


class PictureSettings:
    """Reads settings texts. `styles` are those that the reader has: they are taken out of the prompts."""

    def __init__(self, components: Components) -> None:
        self._catalog = components.catalog

    def values(self, text: str, styles: Styles) -> dict[str, Any]:
        """The field values in a settings text. A checkpoint that is not here is left out."""
        return self._with_own_checkpoint(infotext.read(text, styles=styles))

    def usable(self, text: str, styles: Styles, but: Container[str]) -> dict[str, Any]:
        """The same; but InvalidRequest names every value that cannot be used and whose field is not among `but`."""
        found = infotext.read(text, styles=styles)
        values = self._with_own_checkpoint(found)
        problems = [Problem(f"{FIELDS[wrong.field].infotext} {wrong.message}", "infotext")
                    for wrong in found.problems if wrong.field not in but]
        if "checkpoint" in found.values and "checkpoint" not in values and "checkpoint" not in but:
            known = found.model or found.values["checkpoint"]
            problems.append(Problem(f"Model {known[:80]} is not in the models folders", "infotext"))
        if problems:
            raise InvalidRequest(problems=problems)
        return values

    def of_file(self, file: bytes, styles: Styles) -> FileSettings:
        """What a picture file by Easel, AUTOMATIC1111, Forge or ComfyUI says. UserError when it is no picture."""
        metadata = read_metadata(file)
        found = infotext.read(metadata.infotext, metadata.request_json, styles)
        values = self._with_own_checkpoint(found) if metadata.infotext else {}
        absent = (*missing(metadata, found, values, self._catalog), *missing_upscalers(values, self._catalog))
        return FileSettings(metadata.infotext, values, absent)

    def _with_own_checkpoint(self, found: infotext.Reading) -> dict[str, Any]:
        values = {name: value for name, value in found.values.items() if name != "checkpoint"}
        for name in filter(None, (found.values.get("checkpoint"), found.model)):
            try:
                return {**values, "checkpoint": self._catalog.find(CHECKPOINT, name).key}
            except (NotFound, CheckpointError):
                continue
        return values

"""What pictures say of how they were made, as values that a request here can have."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import Any

from backend.catalog.model_file import CHECKPOINT, VAE
from backend.catalog.request_files import missing_upscalers
from backend.errors import CheckpointError, InvalidRequest, NotFound, Problem
from backend.facade.components import Components
from backend.facade.missing_files import hashes, missing, with_names_here, with_words_here
from backend.image import infotext
from backend.image.infotext.entries import entries
from backend.image.infotext.reading import key_of
from backend.image.read import Metadata, read_metadata
from backend.plots.infotext import read_plot
from backend.request.choices import VAES
from backend.request.request import FIELDS, RESOLVED
from backend.store.view_types import FileSettings

CHECKPOINTS = ("checkpoint", "second_checkpoint")       # kinds of fields
_SHORT_TITLE = re.compile(r"(.+) \[([0-9a-f]{6,64})\]")
Styles = Sequence[dict[str, str]]       # in AUTOMATIC1111's keys


class PictureSettings:
    """Reads settings texts. `styles` are those that the reader has: they are taken out of the prompts."""

    def __init__(self, components: Components) -> None:
        self._catalog = components.catalog

    def values(self, text: str, styles: Styles) -> dict[str, Any]:
        """The field values in a settings text. Checkpoints that are not here are left out."""
        return self._as_here(infotext.read(text, styles=styles), text)

    def usable(self, text: str, styles: Styles, but: Container[str]) -> dict[str, Any]:
        """The same; but InvalidRequest names every value that cannot be used and whose field is not among `but`."""
        found = infotext.read(text, styles=styles)
        values = self._as_here(found, text)
        problems = [Problem(f"{key_of(wrong.field)} {wrong.message}", "infotext")
                    for wrong in found.problems if wrong.field.partition("[")[0] not in but]
        for name, said in found.values.items():
            if FIELDS[name].kind in CHECKPOINTS and name not in values and name not in but:
                known = found.model or said if name == CHECKPOINT else said
                sentence = f"{FIELDS[name].infotext} {known[:80]} is not in the models folders"
                problems.append(Problem(sentence, "infotext"))
        absent = missing_upscalers(values, self._catalog) | self._absent_vae(values)
        problems += [Problem(f"{FIELDS[name].infotext} {said[:80]} is not in the models folders", "infotext")
                     for name, said in absent.items() if name not in but]
        if problems:
            raise InvalidRequest(problems=list(dict.fromkeys(problems)))
        return values

    def of_file(self, file: bytes, styles: Styles) -> FileSettings:
        """What a picture file by Easel, AUTOMATIC1111, Forge or ComfyUI says. UserError when it is no picture."""
        return self._told(read_metadata(file), styles)

    def of_text(self, text: str, styles: Styles) -> FileSettings:
        """The same of a settings text alone."""
        return self._told(Metadata(infotext=text, request_json=None, format="", width=0, height=0), styles)

    def _told(self, metadata: Metadata, styles: Styles) -> FileSettings:
        found = infotext.read(metadata.infotext, metadata.request_json, styles)
        values = self._as_here(found, metadata.infotext) if metadata.infotext else {}
        upscalers = sorted(set(missing_upscalers(values, self._catalog).values()))
        absent = (*missing(metadata, found, values, self._catalog),
                  *(f"The upscaler {name} is not in the models folders." for name in upscalers))
        return FileSettings(metadata.infotext, values, absent, read_plot(metadata.infotext))

    def _absent_vae(self, values: dict[str, Any]) -> dict[str, str]:
        named = values.get("vae", "")
        return {} if not named or named in VAES or self._key(VAE, named) else {"vae": named}

    def _as_here(self, found: infotext.Reading, text: str) -> dict[str, Any]:
        """With the checkpoints, the VAE, the LoRAs and the embeddings that are meant, by the names that they have here.

        A VAE that is not here keeps its name: whoever draws with it is told.
        """
        said = entries(text)
        values, digests = self._with_own_checkpoints(found), hashes(said.get("Lora hashes", ""))
        if values.get("vae", VAES[0]) not in VAES:
            named = (values["vae"], said.get("VAE hash", ""))
            values["vae"] = next(filter(None, (self._key(VAE, name) for name in named)), values["vae"])
        prompts = {name: values[name] for name in ("prompt", "hr_prompt") if digests and name in values}
        values |= {name: with_names_here(each, digests, self._catalog) for name, each in prompts.items()}
        words = hashes(said.get("TI hashes", ""))
        texts = {name: values[name] for name in RESOLVED if words and name in values}
        return values | {name: with_words_here(each, words, self._catalog) for name, each in texts.items()}

    def _with_own_checkpoints(self, found: infotext.Reading) -> dict[str, Any]:
        said = {name: value for name, value in found.values.items() if FIELDS[name].kind in CHECKPOINTS}
        values = {name: value for name, value in found.values.items() if name not in said}
        for field, name in said.items():
            names = (name, found.model) if field == CHECKPOINT else _names(name)
            if name in FIELDS[field].choices:
                values[field] = name
            elif key := next(filter(None, (self._key(CHECKPOINT, one) for one in names)), ""):
                values[field] = key
        return values

    def _key(self, kind: str, name: str) -> str:
        """Of a file by one of its names; "" for none."""
        try:
            return self._catalog.find(kind, name).key if name else ""
        except (NotFound, CheckpointError):
            return ""


def _names(said: str) -> tuple[str, ...]:
    """By which a checkpoint may be found: AUTOMATIC1111 writes "name [hash]"."""
    titled = _SHORT_TITLE.fullmatch(said)
    return (said, titled[2], titled[1]) if titled else (said,)

"""An extension is imported and registers what it adds.

It is a package with a manifest (see `backend.extensions.manifest`) and two doors, each a module with one function
`register(house)`:

    extension.py    fields, samplers, schedules, model kinds, families, axes of plots, tabs, routes, and the scripts of
                    AUTOMATIC1111 that its fields stand for; imports no torch; read by both processes
    worker.py       what works on the device: guidance hooks, adapters; read by the worker alone
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
from collections.abc import Sequence

log = logging.getLogger(__name__)

DOOR = "extension"
SECONDS = 20.0          # for all doors of an extension to register; what blocks for ever keeps nobody from starting


def registered(package: str, doors: Sequence[str], house: object) -> str:
    """"" once all doors of an extension have registered with the house; else why not."""
    why = [f"it did not register within {SECONDS:g} seconds"]
    registering = threading.Thread(target=_open, args=(package, doors, house, why), daemon=True, name=package)
    registering.start()
    registering.join(SECONDS)
    return why[0]


def _open(package: str, doors: Sequence[str], house: object, why: list[str]) -> None:
    """Why it could not be done, or "", becomes the first of `why`."""
    try:
        for door in doors:
            if door == DOOR or importlib.util.find_spec(f"{package}.{door}"):
                importlib.import_module(f"{package}.{door}").register(house)
        why[0] = ""
    except BaseException as error:  # a border: what an extension does, ending the process too, costs that extension
        log.exception("the extension %s is left out", package)
        why[0] = f"{type(error).__name__}: {error}"

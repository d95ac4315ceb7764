"""The front door. Pages, the HTTP door and scripts talk to `Backend` and to nothing behind it.

    backend = Backend(settings)
    door = backend.as_(backend.user("ann"))     # or LOCAL, where nobody logs in
    job = door.submit({"prompt": "a lighthouse"})

`Backend` is loaded when it is first asked for: a worker process imports other modules of this package, and has no use
for the database and all else that stands behind the door.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backend.catalog.model_file import ModelFile
from backend.errors import EaselError, InvalidRequest, NotFound, Problem, UserError
from backend.extensions.manifest import name_of as extension_name
from backend.image.file_names import WORDS as NAME_WORDS
from backend.request.field import Field
from backend.request.output_size import form_sizes
from backend.request.preferences import PINNABLE, STARTS
from backend.request.record import place as record_place
from backend.request.record import spread
from backend.request.request import FIELDS, Request
from backend.settings import Settings
from backend.store.view_types import LOCAL, Image, Job, JobLine, Live, Overview, State, Status, User, Worker
from backend.table import Table

if TYPE_CHECKING:
    from backend.facade.administration import Administration
    from backend.facade.backend import Backend
    from backend.facade.door import Door
    from backend.facade.sharing import SharedPage

__all__ = ["FIELDS", "LOCAL", "NAME_WORDS", "PINNABLE", "STARTS", "Administration", "Backend", "Door", "EaselError",
           "Field", "Image", "InvalidRequest", "Job", "JobLine", "Live", "ModelFile", "NotFound", "Overview", "Problem",
           "Request", "Settings", "SharedPage", "State", "Status", "Table", "User", "UserError", "Worker",
           "extension_name", "form_sizes", "record_place", "spread"]


LATER = {"Backend": "backend", "Door": "door", "SharedPage": "sharing",
         "Administration": "administration"}      # by the module of `facade` they are in


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module 'backend' has no attribute {name!r}")
    return getattr(import_module(f"backend.facade.{LATER[name]}"), name)

"""What all supervisors share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from backend.catalog.model_catalog import ModelCatalog
from backend.dispatch.metrics import Measures
from backend.dispatch.progress import LiveJobs
from backend.errors import Problem
from backend.messages import Looked, Scored
from backend.request.request import Request
from backend.store.jobs import Jobs
from backend.store.uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`changed()` is called when a worker's state is another, `changed(owner)` when somebody's queue is;
    `notice(source, text)` tells of a trouble, and with an empty text that it is over; `answered(answer)` when pictures
    were measured or preprocessed, and `lost(worker)` when a worker has ended with what it was to look at;
    `extension_failed(package, why)` when it ended in an extension's code; `refused(request)` says why a request that
    was queued cannot be drawn any more."""

    jobs: Jobs
    live: LiveJobs
    catalog: ModelCatalog
    uploads: Uploads
    changed: Callable[..., None]
    notice: Callable[[str, str], None]
    answered: Callable[[Scored | Looked], None]
    lost: Callable[[str], None]
    extension_failed: Callable[[str, str], None]
    refused: Callable[[Request], Iterable[Problem]]
    measures: Measures

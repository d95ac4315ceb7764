"""What programs ask of jobs beyond what the page does: keys, webhooks, lists in pages, deletion. Part of the facade."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from backend.errors import NotAllowed, NotFound
from backend.facade.components import Components
from backend.store.idempotency_keys import IdempotencyKey, KnownKey, idempotency_row
from backend.store.job_arrival import Beside
from backend.store.tables import Base
from backend.store.view_types import Job, JobLine, State, User
from backend.store.webhooks import Webhook, WebhookView, webhook_row
from backend.webhooks.address import checked

Submit = Callable[[Mapping[str, Any], Beside], Job]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a job is queued, beside its request: whom to tell of its end, and the key of the call."""

    webhook: Webhook | None = None
    key: IdempotencyKey | None = None


class ProgramJobs:
    """The jobs of one user; someone else's are NotFound."""

    def __init__(self, components: Components, user: User, submit: Submit, cancel: Callable[[str], None]) -> None:
        self._parts, self._owner, self._submit, self._cancel = components, user.id, submit, cancel

    def submit(self, values: Mapping[str, Any], terms: Terms) -> tuple[Job, bool]:
        """The job, and whether it is a new one: under a key that was used for this request it is the former one.

        InvalidRequest as `Door.submit`, for a webhook that is not allowed, and for a key that another request had.
        """
        if terms.webhook:
            checked(terms.webhook, self._parts.settings.webhook_hosts)
        if terms.key is None:
            return self._queued(values, terms), True
        with self._parts.idempotency.using(terms.key.key, self._owner) as known:
            return (self._former(known, terms.key), False) if known else (self._queued(values, terms), True)

    def page(self, limit: int, before: str | None, states: Collection[State]) -> list[JobLine]:
        """Newest first, those after the job `before`; in these states, or in all. NotFound where that is no job."""
        return self._parts.jobs.lines(self._owner, limit, before, states)

    def forget(self, job: str, *, pictures: bool) -> None:
        """The job is told of no more; one that waits or runs is cancelled first.

        Its pictures stay in the history, or with `pictures` go into the bin.
        """
        with suppress(NotAllowed):          # it has ended
            self._cancel(job)
        made = [image.id for image in self._parts.jobs.get(job, self._owner).images if not image.binned]
        self._parts.jobs.forget(job, self._owner)
        if pictures and made:
            self._parts.gallery.bin.put(made, self._owner)

    def webhook(self, job: str) -> WebhookView | None:
        """Whom a job tells of its end, and whether it has; None where it has no webhook."""
        return self._parts.webhooks.of(job, self._owner)

    def _queued(self, values: Mapping[str, Any], terms: Terms) -> Job:
        def beside(jobs: Sequence[str]) -> Iterator[Base]:
            for job in jobs:
                if terms.webhook:
                    yield webhook_row(job, terms.webhook)
                if terms.key:
                    yield idempotency_row(job, self._owner, terms.key)

        return self._submit(values, beside)

    def _former(self, known: KnownKey, used: IdempotencyKey) -> Job:
        known.check(used)
        try:
            return self._parts.jobs.get(known.job, self._owner)
        except NotFound:
            raise NotAllowed("The job of this Idempotency-Key was deleted.") from None

"""What each user may ask for, and what of it is used: the operator's limits, or those that an admin gave the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from sqlalchemy.orm import Session

from backend.catalog.call_estimate import detailer_passes, largest_pass
from backend.errors import InvalidRequest, Problem
from backend.request.choices import EXTRAS, NO_UPSCALER
from backend.request.cross_field_checks import OUTPAINT
from backend.request.face_swap import swapped_size
from backend.request.limits import LIMITS, changed, shown
from backend.request.output_size import Margins, Size, enlarged, keeps_source, upscaled, upscales
from backend.request.request import FIELDS, Request
from backend.store.disk_use import DiskUse
from backend.store.job_arrival import MayQueue
from backend.store.job_rows import pending_jobs
from backend.store.jobs import Jobs
from backend.store.uploads import QUOTA, Uploads
from backend.store.user_limits import UserLimits

STEPS = ("steps", "hr_second_pass_steps")


@dataclass(frozen=True, slots=True)
class LimitState:
    """A kind of limit as it is for a user: None for no limit; `used` where it is of all requests together."""

    name: str
    label: str
    about: str
    limit: int | None
    used: int | None
    own: bool           # an admin has set it for this user


class Limits:
    """Everybody's. Thread-safe."""

    def __init__(self, defaults: Mapping[str, int], own: UserLimits, disk: DiskUse, jobs: Jobs) -> None:
        self._defaults, self._own, self._disk, self._jobs = defaults, own, disk, jobs

    def of(self, owner: str) -> dict[str, int | None]:
        """Every limit of a user by name; None where there is none."""
        return dict.fromkeys(LIMITS) | dict(self._defaults) | self._own.of(owner)

    def change(self, owner: str, values: Mapping[str, Any]) -> None:
        """Give a user other limits than the operator's: see `request.limits.changed`. InvalidRequest."""
        self._own.keep(owner, changed(self._own.of(owner), values))

    def states(self, owner: str) -> list[LimitState]:
        """All that a user may ask for, and what of it is used."""
        used = {"queued": self._jobs.look.pending(owner), "disk": self._disk.of(owner).total}
        limits, own = self.of(owner), self._own.of(owner)
        return [LimitState(name, kind.label, kind.about, limits[name], used.get(name), name in own)
                for name, kind in LIMITS.items()]

    def check(self, owner: str, requests: Iterable[Request], uploads: Uploads) -> None:
        """InvalidRequest names each field or limit that one of these requests goes beyond, and what is used."""
        limits = self.of(owner)
        problems = dict.fromkeys(self._full(owner, limits["disk"]))
        for request in requests:
            problems |= dict.fromkeys((*_too_many_steps(request, limits["steps"]),
                                       *_too_many_pixels(request, limits["pixels"], _source(request, owner, uploads))))
        if problems:
            raise InvalidRequest(problems=problems)

    def check_disk(self, owner: str) -> None:
        """InvalidRequest when the user's files take all that they may."""
        if problems := self._full(owner, self.of(owner)["disk"]):
            raise InvalidRequest(problems=problems)

    def check_queued(self, owner: str, jobs: int) -> None:
        """InvalidRequest when the user may not have so many more jobs waiting, as it is now."""
        limit = self.of(owner)["queued"]
        if limit is not None:
            _within(limit, self._jobs.look.pending(owner), jobs)

    def admission(self, owner: str) -> MayQueue | None:
        """For whatever queues jobs of the user's; None where no limit is to be kept.

        However many arrive at once, at however many fronts, they stay within the limit.
        """
        limit = self.of(owner)["queued"]
        if limit is None:
            return None

        def admit(session: Session, jobs: int) -> None:
            _within(limit, pending_jobs(session, owner), jobs)

        return admit

    def room_for_uploads(self, owner: str) -> int:
        """How many bytes the user's uploads may take."""
        limit = self.of(owner)["disk"]
        return QUOTA if limit is None else min(QUOTA, max(limit - self._disk.of(owner).pictures, 0))

    def _full(self, owner: str, limit: int | None) -> Sequence[Problem]:
        used = 0 if limit is None else self._disk.of(owner).total
        if limit is None or used < limit:
            return ()
        return (Problem(f"your pictures and uploads take {shown('disk', used)}, and your limit is "
                        f"{shown('disk', limit)}. Delete pictures and empty the bin to make room.", "disk"),)


def _within(limit: int, used: int, jobs: int) -> None:
    if jobs and used + jobs > limit:
        these = "this one" if jobs == 1 else f"these {jobs:,}"
        raise InvalidRequest(f"{used:,} of your jobs wait or are drawn; with {these} it would be {used + jobs:,}, "
                             f"and your limit is {limit:,}. Nothing of it was queued.", field="queued")


def _source(request: Request, owner: str, uploads: Uploads) -> Size:
    """The size of the picture that the result's follows from; (0, 0) where it follows from none."""
    follows = request.process == EXTRAS or upscales(request) or keeps_source(request)
    return uploads.size(request.init_image, owner) if follows else (0, 0)


def _too_many_steps(request: Request, limit: int | None) -> list[Problem]:
    if limit is None or request.process == EXTRAS:
        return []
    wrong = [name for name in STEPS if getattr(request, name) > limit and not request.idle(FIELDS[name])]
    return [Problem(f"are {getattr(request, name):,}, and your limit is {limit:,}", name) for name in wrong]


def _too_many_pixels(request: Request, limit: int | None, source: Size) -> list[Problem]:
    if limit is None:
        return []
    (width, height), field = result_size(request, source)
    pixels = width * height * request.count
    if pixels <= limit:
        return []
    pictures = f"{request.count:,} pictures" if request.count > 1 else "a picture"
    return [Problem(f"makes {pictures} of {width:,} x {height:,} pixels, {pixels:,} in all, and your limit is "
                    f"{limit:,} pixels of a request", field)]


def result_size(request: Request, source: Size) -> tuple[Size, str]:
    """How large a picture of the request gets or is drawn, made from one of size `source`, and the field behind it."""
    if request.process == EXTRAS:
        if request.upscaler_1 != NO_UPSCALER:
            return enlarged(request, source)
        swapped = not request.idle(FIELDS["face_swap_upscale_by"])
        return (swapped_size(request, source), "face_swap_upscale_by") if swapped else (source, "init_image")
    return max([_whole_size(request, source), *detailer_passes(request)], key=lambda each: prod(each[0]))


def _whole_size(request: Request, source: Size) -> tuple[Size, str]:
    """The same without the parts that detailers draw again."""
    if upscales(request):
        return upscaled(request, source), "sd_upscale_factor"
    drawn, field = largest_pass(request)
    margins = Margins.of(request)
    if margins:
        field = max(OUTPAINT, key=lambda name: getattr(request, name))
    whole = (margins.around(source) if margins else source) if keeps_source(request) else (0, 0)
    return (whole, field if margins else "init_image") if prod(whole) > prod(drawn) else (drawn, field)

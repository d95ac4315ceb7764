"""How long a plot takes and how much disk, from what was measured on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from backend.catalog.call_estimate import largest_pass
from backend.plots.estimate import CellCost, PlotCost, plot_cost, work_of
from backend.store.measured_jobs import MeasuredJobs, busy_seconds, middle
from backend.store.picture_files import Pictures

BYTES_PER_PIXEL = {"png": 1.6, "jpg": 0.5, "webp": 0.35}    # until there are pictures to look at


@dataclass(frozen=True, slots=True)
class PlotEstimate:
    """`seconds` is None until anything has been drawn here; `bytes` are those of the files."""

    cost: PlotCost
    seconds: float | None
    bytes: int


class PlotEstimates:
    """Thread-safe."""

    def __init__(self, measured: MeasuredJobs, pictures: Pictures) -> None:
        self._measured, self._pictures = measured, pictures

    def of(self, cells: Sequence[CellCost]) -> PlotEstimate:
        """Of the cells of a plot."""
        cost = plot_cost(cells)
        work: Counter[str] = Counter()
        for cell in cells:
            work[cell.request.checkpoint] += cell.work
        times = [self._seconds(name, own) for name, own in work.items()]
        seconds = None if None in times else sum(time or 0.0 for time in times) * cost.work / (work.total() or 1.0)
        return PlotEstimate(cost, seconds, self._bytes(cells))

    def _seconds(self, checkpoint: str, work: float) -> float | None:
        """For so much work of a checkpoint; where it was never used, as quickly as others."""
        for jobs in (self._measured.newest(checkpoint), self._measured.newest()):
            done = sum(work_of(job.request) for job in jobs)
            if done:
                return work * busy_seconds(jobs) / done
        return None

    def _bytes(self, cells: Sequence[CellCost]) -> int:
        each = {kind: self._per_pixel(kind) for kind in {cell.request.image_format for cell in cells}}
        return round(sum(cell.cells * each[cell.request.image_format] * cell.request.count * _pixels(cell)
                         for cell in cells))

    def _per_pixel(self, kind: str) -> float:
        files = self._measured.files(kind)
        sizes = [(self._pictures.size(file.path) or 0) / file.pixels for file in files if file.pixels]
        return middle([size for size in sizes if size]) or BYTES_PER_PIXEL.get(kind, 1.0)


def _pixels(cell: CellCost) -> int:
    request = cell.request
    width, height = largest_pass(request)[0] if cell.passes else (request.width, request.height)
    return width * height

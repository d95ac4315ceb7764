"""Fair share: rows of a call are dealt over the users, and nobody waits for the whole of somebody else's plot."""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from backend.dispatch.in_flight_limits import CELLS, MAX_JOBS
from backend.settings import Policy
from backend.store.tables import JobRow
from backend.worker.engine.admission import Admission
from tests.guest import Guest
from tests.tiny.house import open_house, until

MOST_CELLS: dict[Policy, float] = {"solo": 3.0, "packed": 8.0}      # begin, in the middle, before a picture of another user


def task(owner: str, pictures: int, job: str = "") -> Any:
    """As much of an engine's task as its admission looks at."""
    return SimpleNamespace(run=SimpleNamespace(owner=owner, plot="", job=job), waiting=deque(range(pictures)), key="demo", postprocesses=False, drawing=set())


def dealt(tasks: list[Any]) -> Counter[str]:
    """How many pictures of each owner start until a call is full."""
    admission, programs = Admission(), []
    while (next_one := admission.next(tasks, programs)) is not None:
        next_one.drawing.add(next_one.waiting.popleft())
        programs.append(SimpleNamespace(task=next_one, rows=[0], work=None))
    return Counter(program.task.run.owner for program in programs)


def test_rows_of_a_call_are_dealt_round_robin_over_the_users() -> None:
    many_jobs = [task("ann", 1, f"cell {number}") for number in range(40)]
    assert dealt([*many_jobs, task("bob", 20), task("eve", 20)]) == {"ann": 6, "bob": 5, "eve": 5}
    assert dealt([*many_jobs, task("bob", 2)]) == {"ann": 14, "bob": 2}
    assert dealt([task("ann", 20), task("ann", 20), task("bob", 20)]) == {"ann": 8, "bob": 8}


@pytest.mark.usefixtures("light_start")
@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_three_people_one_of_them_with_a_plot_of_400_cells(tmp_path: Path, policy: Policy) -> None:
    """How many cells begin between the moment when somebody else's picture is queued and that when it begins."""
    house = open_house(tmp_path, policy=policy)
    ann, others = Guest(house, "ann"), [Guest(house, "bob"), Guest(house, "eve")]
    plot = ann.plots.create({"request": {"prompt": "slow=0.05", "width": 64, "height": 64, "steps": 4},
                             "axes": [{"label": "Seed", "values": "1-20"}, {"label": "CFG Scale", "values": "1-20"}]})
    assert ann.plots.get(plot).line.counts.total == 400
    until(lambda: ann.plots.get(plot).state["done"] >= 2)
    singles = []
    for _ in range(4):
        jobs = [(other, other.submit("slow=0.05", steps=4).id) for other in others]
        singles += [other.wait(job) for other, job in jobs]
    ann.plots.cancel(plot)
    with house.backend._components.database.read() as session:
        cells = [moment for moment in session.scalars(select(JobRow.started).where(JobRow.plot == plot)) if moment]
    waits = [sum(job.created < moment < job.started for moment in cells) for job in singles]
    assert {job.state for job in singles} == {"done"} and len(cells) < 400, "they did not wait for the plot"
    assert max(waits) <= MAX_JOBS[policy] * CELLS[policy] and sum(waits) / len(waits) <= MOST_CELLS[policy], waits
    assert len(cells) > len(singles) / 2, "nor does the plot stand still for them"
    house.close()

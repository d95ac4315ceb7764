"""Several devices of one machine: a worker each, one queue, and each goes on with the checkpoint that it holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from backend.dispatch.supervisor import Supervisor
from backend.messages import Loading
from tests.tiny.house import open_house, submit, until

pytestmark = pytest.mark.usefixtures("light_start")


def test_workers_of_several_devices_share_the_queue_and_keep_their_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: Counter[str] = Counter()
    drawn: Counter[str] = Counter()
    loading, over = Supervisor._loading, Supervisor._over

    def counted(self: Supervisor, event: Loading) -> None:
        loads[self.name] += event.done
        loading(self, event)

    def ended(self: Supervisor, event: object) -> None:
        drawn[self.name] += 1
        over(self, event)

    monkeypatch.setattr(Supervisor, "_loading", counted)
    monkeypatch.setattr(Supervisor, "_over", ended)
    house = open_house(tmp_path, device="cpu:0,cpu:1")
    until(lambda: [worker.state for worker in house.status().workers] == ["ready", "ready"])
    house.pause(True)
    jobs = [submit(house, "slow=0.02", checkpoint=("demo", "other")[number % 2]) for number in range(40)]
    house.pause(False)
    assert {house.wait(job.id).state for job in jobs} == {"done"}
    assert sum(drawn.values()) == 40 and min(drawn.values()) >= 12
    assert sum(loads.values()) <= 8, loads
    house.close()

"""A cluster's workers come with its machines, rest when nothing waits for them, and come again with the jobs."""

from __future__ import annotations

from collections.abc import Callable

from backend.cluster.growth import JOBS_PER_WORKER, Growth


class Dispatcher:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def add(self, name: str, new_worker: Callable[[], object]) -> None:
        self.told.append(("add", name))

    def rest(self, seconds: float) -> None:
        self.told.append(("rest", seconds))

    def resume(self, count: int) -> None:
        if count:
            self.told.append(("resume", count))


class Cluster:
    """What a growth sees of one."""

    def __init__(self, idle_seconds: float = 60) -> None:
        self.room: list[str] = []
        self.waiting, self.asked = 0, []
        self.dispatcher = Dispatcher()
        self.growth = Growth(lambda: dict.fromkeys(self.room, lambda: None), self.dispatcher, self.asked.append,
                             lambda: self.waiting, idle_seconds)

    def look(self, waiting: int) -> list[tuple[str, object]]:
        self.waiting, self.dispatcher.told = waiting, []
        self.growth.look()
        return self.dispatcher.told


def test_machines_that_join_are_added_once() -> None:
    cluster = Cluster()
    assert cluster.look(1) == [("resume", 1)]
    cluster.room = ["card 1"]
    assert ("add", "card 1") in cluster.look(1)
    cluster.room = ["card 1", "card 2"]
    assert ("add", "card 2") in cluster.look(1) and ("add", "card 1") not in cluster.dispatcher.told
    cluster.room = []
    assert cluster.look(1) == [("resume", 1)], "one whose machine has left waits for it"


def test_as_many_come_again_as_the_queue_keeps_busy_and_none_rests_while_jobs_wait() -> None:
    cluster = Cluster()
    assert cluster.look(0) == [("rest", 60)]
    assert cluster.look(1) == [("resume", 1)]
    assert cluster.look(JOBS_PER_WORKER * 3 + 1) == [("resume", 4)]
    assert cluster.asked == [0, 1, JOBS_PER_WORKER * 3 + 1]


def test_without_a_time_nobody_rests() -> None:
    assert Cluster(idle_seconds=0).look(0) == []

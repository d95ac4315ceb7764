"""Several workers, several checkpoints: who gets which job."""

from __future__ import annotations

from dataclasses import replace

from backend.store.checkpoint_affinity import MOST_OVERTAKEN, CheckpointAffinity
from backend.store.fair_queue import FairQueue, WaitingJob
from backend.store.job_choice import chosen

MIXED = [WaitingJob(str(number), "anna", number, checkpoint="a" if number % 2 else "b") for number in range(12)]


def ids(jobs: object) -> list[str]:
    return [job.id for job in jobs]


def with_two_workers() -> CheckpointAffinity:
    affinity = CheckpointAffinity()
    affinity.order(MIXED, "two", "")
    affinity.order(MIXED, "one", "")
    return affinity


def test_a_worker_alone_keeps_to_the_order() -> None:
    assert ids(CheckpointAffinity().order(MIXED, "one", "a")) == ids(MIXED)


def test_one_of_several_goes_on_with_what_it_holds() -> None:
    found = with_two_workers().order(MIXED, "one", "a")
    assert ids(found)[:3] == ["1", "0", "2"] and sorted(ids(found)) == sorted(ids(MIXED))


def test_nothing_loaded_or_nothing_of_it_waiting_changes_nothing() -> None:
    affinity = with_two_workers()
    assert ids(affinity.order(MIXED, "one", "")) == ids(affinity.order(MIXED, "one", "c")) == ids(MIXED)


def test_a_job_is_overtaken_a_few_times_and_then_no_more() -> None:
    affinity, waiting = with_two_workers(), [MIXED[0], *(replace(job, checkpoint="a") for job in MIXED[1:])]
    for _ in range(2 * MOST_OVERTAKEN):
        first = affinity.order(waiting, "one", "a")[0]
        assert first.checkpoint == "a"
        waiting.remove(first)
        affinity.taken([first.id])
    assert affinity.order(waiting, "one", "a")[0].id == "0"


def test_two_workers_share_two_checkpoints_without_changing_them() -> None:
    queue, affinity = FairQueue(), with_two_workers()
    for job in MIXED:
        queue.wait(job)
    loaded, changes = {"one": "a", "two": "b"}, 0
    for turn in range(len(MIXED)):
        worker = "one" if turn % 2 else "two"
        job = chosen(queue, 1, (), 1, lambda jobs, worker=worker: affinity.order(jobs, worker, loaded[worker]))[0]
        affinity.taken([job])
        queue.drop(job)
        changes += MIXED[int(job)].checkpoint != loaded[worker]
        loaded[worker] = MIXED[int(job)].checkpoint
    assert changes == 0


def test_what_a_person_has_put_in_front_is_not_overtaken() -> None:
    queue, affinity = FairQueue(), with_two_workers()
    queue.wait(WaitingJob("cell", "anna", 5, plot="plot", checkpoint="b"))
    queue.wait(WaitingJob("single", "anna", 6, checkpoint="a"))
    queue.rank("anna", {"plot": -1})
    assert chosen(queue, 2, (), 1, lambda jobs: affinity.order(jobs, "one", "a"))[0] == "cell"

"""The front with a fake worker process: every job ends once, with the same picture, whatever happens to whom and when."""

import io
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from backend.dispatch import watchdog
from backend.dispatch.event_feed import OWN_SECONDS
from backend.errors import InvalidRequest, NotAllowed, NotFound, StorageError, WorkerLost
from backend.facade.submission import Submission
from backend.messages import Command, Event, Preprocess, Ready, Skip, Stop, Unload, Waiting
from backend.request.request import FIELDS
from backend.sampling.samplers import SAMPLERS
from backend.store.picture_files import Pictures
from backend.store.view_types import ENDED
from tests.guest import Guest
from tests.tiny import fake_worker
from tests.tiny.house import let_go, open_house, submit, until

# Where a worker is killed, and the seed of that test's job, which tells its files apart.
PLACES = {"load": 100, "start": 200, "step:1": 300, "step:3": 400, "picture:0": 500, "step:5": 600, "picture:1": 700, "done": 800}


pytestmark = pytest.mark.usefixtures("light_start")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """One house for most tests, because each start of a process takes its time."""
    backend = open_house(tmp_path_factory.mktemp("house"))
    yield backend
    backend.close()


@pytest.fixture
def house(backend: Guest) -> Guest:
    return Guest(backend, secrets.token_hex(4))


@pytest.fixture
def other(backend: Guest) -> Guest:
    return Guest(backend, secrets.token_hex(4))


def files(folder: Path) -> dict[str, bytes]:
    """Content by index and seed; time and job, which differ from run to run, are taken off the name."""
    return {path.name.split("-", 2)[2]: path.read_bytes() for path in folder.rglob("*.png")}


def worker_pid(house: Guest) -> int:
    return until(lambda: house._components.dispatcher._supervisors[0]._handle).pid


def running(house: Guest, job: str) -> bool:
    return house.job(job).state == "running"


# ---- the ordinary way ----


def test_a_job_from_submit_to_picture(house):
    job = house.submit("hello", batch_count=2)
    assert job.state in ("queued", "running") and job.request.checkpoint == "demo"
    done = house.wait(job.id)
    assert (done.state, done.attempts, [image.index for image in done.images]) == ("done", 0, [0, 1])
    for image in done.images:
        path = house.image_file(image.id)
        assert path.name == image.name and "hello" in image.infotext and "abababab" in image.infotext
        assert house.read_text(image.infotext).values["seed"] == image.seed == 7 + image.index
    assert house.images()[0].index == 1
    assert house._components.catalog.hashes == {"demo": "ab" * 32}
    assert house.backend.status().workers[0].device == "fake"


def test_the_memory_that_a_worker_uses_is_measured_while_it_lives(house):
    told = house.backend.measures.memory
    assert until(lambda: told.get("auto")) == fake_worker.MEMORY
    os.kill(worker_pid(house), signal.SIGKILL)
    until(lambda: not told)
    assert until(lambda: told.get("auto")) == fake_worker.MEMORY


def test_submit_names_every_wrong_field(house):
    with pytest.raises(InvalidRequest) as error:
        house.submit(checkpoint="nowhere", steps=-1, mood="good")
    assert sorted(problem.field for problem in error.value.problems) == ["checkpoint", "mood", "steps"]
    assert house.jobs() == []


def test_submit_draws_seeds_and_gives_back_the_frozen_request(house):
    job = house.submit(seed=-1)
    assert job.request.seed >= 0 and job.request.variation_seed >= 0
    assert house.job(job.id).request == job.request


def test_two_submits_at_once_both_land(house):
    threads = [threading.Thread(target=house.submit, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job in house.jobs():
        assert house.wait(job.id).state == "done"
    assert sorted(job.request.prompt for job in house.jobs()) == list("012345")


def test_the_pages_hear_of_everything_in_order(house):
    cursor, _ = house.watch(cursor=0)
    job = house.submit("hold=step:2", batch_count=2)
    heard = []
    while not any(event["type"] == "job" and event["state"] == "done" for event in heard):
        cursor, events = house.watch(cursor=cursor, timeout=10)
        heard += events
        if {"queue", "progress"} <= {event["type"] for event in heard}:
            let_go(house, job.id)
    kinds = [event["type"] for event in heard]
    assert {"queue", "progress", "image", "job"} <= set(kinds)
    assert [event["image"]["index"] for event in heard if event["type"] == "image"] == [0, 1]
    progress = [event for event in heard if event["type"] == "progress"]
    assert [event["fraction"] for event in progress] == sorted(event["fraction"] for event in progress)
    assert {event["job"] for event in progress} == {job.id} and progress[-1]["preview"] > 0
    assert [event["cursor"] for event in heard] == sorted(event["cursor"] for event in heard)
    assert house.watch(cursor=0)[1][0]["type"] in ("queue", "status")


def test_jobs_that_run_do_not_hurry_the_pages_of_other_people(house, other):
    house.wait(house.submit().id)
    time.sleep(0.2)         # the worker's own change of state is over
    other.watch(cursor=0)
    house.wait(house.submit().id)
    channel = house.backend._components.dispatcher.feed._channels[other.user.id]
    assert channel.due - channel.asked > 2 * OWN_SECONDS


def test_preview_and_progress_while_it_runs_and_nothing_after(house):
    job = house.submit("hold=step:2", batch_count=2)
    until(lambda: house.preview(job.id))
    live = house.live(job.id)
    assert live.count == 2 and 0 <= live.fraction < 1 and live.steps == fake_worker.STEPS
    let_go(house, job.id)
    house.wait(job.id)
    assert house.live(job.id) is None and house.preview(job.id) is None


def test_a_page_hears_what_a_job_said_last_also_while_nothing_follows_it(house):
    job = house.submit("hold=step:2")
    until(lambda: any(event.get("preview") for event in house.watch(cursor=0)[1]))
    let_go(house, job.id)
    house.wait(job.id)


def test_a_failed_job_tells_the_field_and_can_be_tried_again(house):
    job = house.submit("fail=1", batch_count=2)
    failed = house.wait(job.id)
    assert (failed.state, failed.problems[0].field, len(failed.images)) == ("failed", "prompt", 1)
    house.retry(job.id)
    done = house.wait(job.id)
    assert (done.state, [image.index for image in done.images]) == ("done", [0, 1])
    assert done.images[0] == failed.images[0]


def test_the_next_job_is_with_the_worker_before_the_first_has_ended(house):
    first, second = house.submit("hold=step:1"), house.submit()
    until(lambda: house.live(second.id) and running(house, first.id))
    assert (house.job(second.id).state, house.job(second.id).position) == ("queued", 1)
    let_go(house, first.id)
    assert house.wait(second.id).state == "done"


def test_packed_hands_out_several_jobs(tmp_path):
    backend = open_house(tmp_path, policy="packed", start_workers=False)
    house = Guest(backend, "ann")
    jobs = [house.submit("hold=step:1") for _ in range(5)]
    assert house.queue()[4].position == 5
    backend.start_workers()
    until(lambda: all(house.live(job.id) for job in jobs))
    for job in jobs:
        let_go(house, job.id)
    for job in jobs:
        assert house.wait(job.id).state == "done"
    backend.close()


# ---- stopping ----


def test_cancel_a_waiting_job(tmp_path):
    backend = open_house(tmp_path, start_workers=False)
    house = Guest(backend, "ann")
    job = house.submit()
    house.cancel(job.id)
    assert house.wait(job.id).state == "cancelled"
    with pytest.raises(NotAllowed):
        house.cancel(job.id)
    backend.close()


def test_cancel_a_running_job_keeps_its_pictures_and_retry_makes_the_rest(house):
    job = house.submit("hold=step:5", batch_count=3)
    until(lambda: house.job(job.id).images)
    house.cancel(job.id)
    cancelled = house.wait(job.id)
    assert cancelled.state == "cancelled" and 1 <= len(cancelled.images) < 3
    let_go(house, job.id)
    house.retry(job.id)
    assert [image.index for image in house.wait(job.id).images] == [0, 1, 2]


def test_cancel_and_retry_of_a_job_leased_ahead_while_the_worker_still_has_it(house):
    first, ahead = house.submit("hold=step:1"), house.submit()
    until(lambda: house.live(ahead.id))
    house.cancel(ahead.id)
    assert house.job(ahead.id).state == "cancelled"
    house.retry(ahead.id)
    let_go(house, first.id)
    assert house.wait(first.id).state == house.wait(ahead.id).state == "done"
    assert len(house.images(job=ahead.id)) == 1


def test_interrupt_stops_what_runs_and_leaves_what_waits(house, other):
    jobs = [house.submit("hold=step:1"), house.submit()]
    theirs = other.submit()
    until(lambda: running(house, jobs[0].id))
    house.interrupt()
    assert [house.wait(job.id).state for job in jobs] == ["cancelled", "done"]
    assert other.wait(theirs.id).state == "done"


def test_cancel_all_clears_only_the_owners_queue(house, other):
    jobs = [house.submit("hold=step:1") for _ in range(3)]
    theirs = other.submit()
    until(lambda: running(house, jobs[0].id))
    house.cancel_all()
    assert [house.wait(job.id).state for job in jobs] == ["cancelled"] * 3
    assert other.wait(theirs.id).state == "done"


def test_skip_leaves_out_one_picture_for_good(house):
    job = house.submit("hold=step:2", batch_count=3)
    until(lambda: (live := house.live(job.id)) and live.step)
    house.skip()
    done = house.wait(job.id)
    assert done.state == "done" and [image.index for image in done.images] == [1, 2]


@pytest.mark.parametrize("kept", [True, False])
def test_a_half_drawn_picture_is_shown_and_kept_if_that_is_wanted(house, kept):
    seen = house.watch(cursor=0)[0]
    job = house.submit("hold=step:2", batch_count=3, save_incomplete_images=kept)
    until(lambda: (live := house.live(job.id)) and live.step)
    house.interrupt()
    over = house.wait(job.id)
    (half,) = house.results(job.id)
    shown = [event["image"] for event in house.watch(cursor=seen)[1] if event["type"] == "image"]
    assert over.state == "cancelled" and [(one["id"], one["unfinished"]) for one in shown] == [(half.id, True)]
    assert half.unfinished and ", Unfinished: step " in half.infotext and house.image_file(half.id).is_file()
    values = house.read_text(half.infotext).values
    assert (values["seed"], values["width"], values["steps"]) == (7, 64, job.request.steps)
    assert half.binned is not kept and [image.id for image in house.images(job=job.id)] == [half.id] * kept
    let_go(house, job.id)
    house.retry(job.id)
    whole = house.wait(job.id)
    assert whole.state == "done" and [image.index for image in whole.images] == [0, 1, 2]
    assert whole.images[0].id == half.id and not any(image.unfinished or image.binned for image in whole.images)


def test_an_interrupt_counts_from_the_moment_the_job_is_queued(house):
    """Before its worker has begun it, and only if nobody else's is drawn."""
    job = house.submit("hold=step:1")
    house.interrupt()
    assert house.wait(job.id).state == "cancelled"


def test_an_interrupt_leaves_a_job_that_waits_for_others(house, other):
    theirs = other.submit("hold=step:1")
    until(lambda: running(other, theirs.id))
    mine = house.submit()
    house.interrupt()
    let_go(other, theirs.id)
    assert house.wait(mine.id).state == other.wait(theirs.id).state == "done"


def test_owners_do_not_see_each_other(house, other):
    job = house.submit()
    image = house.wait(job.id).images[0]
    for call in (other.job, other.cancel, other.retry, other.preview, other.wait):
        with pytest.raises(NotFound):
            call(job.id)
    for call in (other.image, other.image_file):
        with pytest.raises(NotFound):
            call(image.id)
    assert other.jobs() == other.images() == other.queue() == []
    assert not any(house.user.id in str(event) or job.id in str(event) for event in other.watch(cursor=0)[1])


# ---- crashes ----


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the same jobs when nothing happens to them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    backend = open_house(folder, start_workers=False)
    jobs = [submit(backend, f"die_at={place} once", batch_count=2, seed=seed) for place, seed in PLACES.items()]
    for job in jobs:
        (folder / f"{job.id}.once").touch()         # as if it had died before
    backend.start_workers()
    assert [backend.wait(job.id, timeout=30).attempts for job in jobs] == [0] * len(jobs)
    backend.close()
    return files(folder)


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_any_moment_the_job_ends_done_once_with_the_same_pictures(house, undisturbed, place):
    job, later = house.submit(f"die_at={place} once", batch_count=2, seed=PLACES[place]), house.submit()
    done = house.wait(job.id)
    assert (done.state, done.attempts, [image.index for image in done.images]) == ("done", 1, [0, 1])
    after = house.wait(later.id)
    assert (after.state, after.attempts) == ("done", 0) and after.started >= done.started
    outputs = house.backend.settings.outputs
    mine = {name: data for name, data in files(outputs / "users" / house.user.name).items() if name in undisturbed}
    assert len(mine) == 2 and all(data == undisturbed[name] for name, data in mine.items())
    assert not list(outputs.rglob("*.easel-tmp"))


def test_the_second_crash_fails_the_job_and_the_next_runs(house):
    poison, later = house.submit("die_at=start always"), house.submit()
    failed = house.wait(poison.id)
    assert (failed.state, failed.attempts) == ("failed", 2) and "killed" in failed.problems[0].message
    assert house.wait(later.id).state == "done"


def test_kills_from_outside_while_many_jobs_wait(house):
    jobs = [house.submit("slow=0.03", batch_count=2, seed=number) for number in range(4)]
    for number in (0, 2):
        until(lambda number=number: running(house, jobs[number].id) or house.job(jobs[number].id).state in ENDED)
        os.kill(worker_pid(house), signal.SIGKILL)
    for job in jobs:
        done = house.wait(job.id)
        assert done.state == "done" and len(done.images) == 2
    assert len(house.images()) == 8


def test_a_worker_lost_while_jobs_are_leased_for_it_leaves_none_in_its_hands(house, monkeypatch):
    supervisor = house._components.dispatcher._supervisors[0]
    lease, struck = supervisor._services.jobs.lease, []

    def struck_meanwhile(*arguments: object) -> object:
        handle, leases = supervisor._handle, lease(*arguments)
        if leases and not struck:
            struck.append(handle.pid)
            os.kill(handle.pid, signal.SIGKILL)
            # The loss waits for the leases that are being taken: nothing tells when it has come that far.
            deadline = time.monotonic() + 1
            while supervisor._handle is handle and time.monotonic() < deadline:
                time.sleep(0.01)
        return leases

    monkeypatch.setattr(supervisor._services.jobs, "lease", struck_meanwhile)
    assert house.wait(house.submit().id).state == "done" and struck


def test_a_cancelled_job_stays_cancelled_when_its_worker_dies(house):
    job = house.submit("slow=5")
    until(lambda: running(house, job.id))
    house.cancel(job.id)
    os.kill(worker_pid(house), signal.SIGKILL)
    assert house.wait(job.id).state == "cancelled"


def test_a_worker_that_never_starts_is_given_up_with_a_notice_and_jobs_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.dispatch.supervisor.BACK_OFF", (0.0,))
    monkeypatch.setattr("backend.dispatch.supervisor.MAX_FALSE_STARTS", 2)
    monkeypatch.setenv("EASEL_FAKE", "refuse")
    backend = open_house(tmp_path)
    house = Guest(backend, "ann")
    job = house.submit()
    until(lambda: backend.status().workers[0].state == "failed")
    (notice,) = until(lambda: backend.status().notices)
    assert "does not start" in notice and "code 3" in notice
    assert house.job(job.id).state == "queued"
    monkeypatch.delenv("EASEL_FAKE")
    backend.restart_workers()
    assert house.wait(job.id).state == "done"
    assert backend.status().notices == ()
    backend.close()


def test_a_job_goes_on_through_deaths_at_different_pictures(house):
    """Deaths are counted per picture without progress: a long job outlives two of them."""
    job = house.submit("die_at=picture:3,step:30,picture:12", batch_count=16)
    done = house.wait(job.id)
    assert (done.state, done.attempts, len(done.images)) == ("done", 3, 16)


def test_two_deaths_at_the_same_picture_put_the_job_aside_and_keep_its_pictures(house):
    job = house.submit("die_at=step:7 always", batch_count=4)
    failed = house.wait(job.id)
    assert (failed.state, failed.attempts, [image.index for image in failed.images]) == ("failed", 2, [0, 1])
    assert "same picture" in failed.problems[0].message


def test_a_stopped_worker_is_noticed_and_replaced(house, monkeypatch):
    monkeypatch.setattr("backend.dispatch.watchdog.SILENT_SECONDS", 4.0)     # a worker that lives may be kept from saying so for a while
    job, later = house.submit("stop_at=step:5", batch_count=3), house.submit()
    pid = until(lambda: running(house, job.id) and worker_pid(house))
    done = house.wait(job.id)
    assert (done.state, done.attempts, len(done.images)) == ("done", 1, 3)
    assert house.wait(later.id).state == "done"
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_worker_without_work_is_let_go_and_comes_again_with_the_next_job(house):
    dispatcher = house._components.dispatcher
    assert house.wait(house.submit().id).state == "done"
    pid = worker_pid(house)
    dispatcher.rest(3600)
    assert house.status().workers[0].state == "ready", "it has worked a moment ago"
    until(lambda: dispatcher.rest(0) or house.status().workers[0].state == "resting")
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert not house.backend.measures.memory
    job = house.submit()
    dispatcher.rest(0)
    assert house.job(job.id).state == "queued" and house.status().workers[0].state == "resting"
    dispatcher.resume(1)
    assert house.wait(job.id).state == "done" and worker_pid(house) != pid
    running_one = house.submit("slow=0.1", batch_count=3)
    until(lambda: running(house, running_one.id))
    dispatcher.rest(0)
    assert house.wait(running_one.id).attempts == 0, "one that draws stays"


class Placed:
    """A worker of a cluster without a process. The first two find a machine, those that come later wait for one."""

    def __init__(self, lives: list["Placed"]) -> None:
        lives.append(self)
        self.finds, self.over, self.told = len(lives) <= 2, False, False

    def send(self, command: Command) -> None:
        self.over = self.over or isinstance(command, Stop)

    def receive(self, timeout: float) -> Event | None:
        if self.over:
            raise WorkerLost("it was ended")
        time.sleep(0.01)
        if self.finds and self.told:
            return None
        self.told = True
        return Ready("fake", "float32") if self.finds else Waiting()

    def kill(self) -> None:
        self.over = True


def test_those_on_their_way_are_counted_and_one_that_waits_for_a_machine_says_so_and_may_be_let_go(tmp_path):
    backend = open_house(tmp_path, device="none")
    dispatcher, lives = backend._components.dispatcher, []

    def states() -> list[str]:
        return sorted(worker.state for worker in backend.status().workers)

    for name in ("machine 1", "machine 2"):
        dispatcher.add(name, lambda: Placed(lives))
    until(lambda: dispatcher.rest(0) or states() == ["resting"] * 2)
    dispatcher.resume(1)
    dispatcher.resume(1)
    assert [each.is_coming for each in dispatcher._supervisors] == [True, False]
    until(lambda: states() == ["resting", "waiting"])
    dispatcher.resume(2)
    until(lambda: states() == ["waiting"] * 2)
    until(lambda: dispatcher.rest(0) or states() == ["resting"] * 2)
    backend.close()
    assert len(lives) == 4, "none of them was a false start"


def test_a_house_closes_while_its_worker_is_at_rest(tmp_path):
    backend = open_house(tmp_path)
    until(lambda: backend._components.dispatcher.rest(0) or backend.status().workers[0].state == "resting")
    backend.close()
    assert backend.status().workers[0].state == "stopped"


def test_a_cancel_that_is_not_obeyed_ends_the_worker_and_harms_nobody_else(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.dispatch.watchdog.CANCEL_SECONDS", 0.5)
    backend = open_house(tmp_path, policy="packed", start_workers=False)
    ann, bob = Guest(backend, "ann"), Guest(backend, "bob")
    stubborn, other = ann.submit("deaf slow=0.2", batch_count=100), bob.submit("slow=0.01", batch_count=2)
    backend.start_workers()
    until(lambda: len(ann.job(stubborn.id).images) == 1)
    ann.cancel(stubborn.id)
    cancelled = ann.wait(stubborn.id)
    assert cancelled.state == "cancelled" and 1 <= len(cancelled.images) < 100
    done = bob.wait(other.id)
    assert (done.state, done.attempts) == ("done", 0)
    backend.close()


def test_a_preview_of_a_guide_that_does_not_end_is_given_up_and_costs_only_its_worker(house, monkeypatch):
    monkeypatch.setattr("backend.dispatch.watchdog.CANCEL_SECONDS", 0.3)
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    unit = {"module": "canny", "image": house.upload(out.getvalue()).id, "threshold_b": fake_worker.ENDLESS}
    assert house.wait(house.submit().id).state == "done", "the worker is up"
    pid = worker_pid(house)
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(house.guides.preview, unit, (64, 64), "mine")
        until(lambda: made.running() and house._components.dispatcher.preprocessing._asked)
        time.sleep(0.3)
        assert not made.done()
        house.guides.cancel_preview("mine")
        with pytest.raises(NotAllowed, match="cancelled"):
            made.result(30)
    assert house.wait(house.submit().id).state == "done" and worker_pid(house) != pid


def test_a_cancel_of_a_job_that_waits_in_the_workers_hands_ends_nobody(house, monkeypatch):
    monkeypatch.setattr("backend.dispatch.watchdog.CANCEL_SECONDS", 0.2)
    busy, ahead = house.submit("deaf hold=step:2", batch_count=2), house.submit()
    until(lambda: house.live(ahead.id))
    pid = worker_pid(house)
    house.cancel(ahead.id)
    time.sleep(0.8)         # longer than a cancel may take
    let_go(house, busy.id)
    assert house.wait(busy.id).state == "done" and house.wait(ahead.id).state == "cancelled"
    assert worker_pid(house) == pid


def test_a_stopped_worker_does_not_hold_up_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.dispatch.supervisor.STOP_SECONDS", 1.0)
    backend = open_house(tmp_path)
    house = Guest(backend, "ann")
    job = house.submit("stop_at=step:1", prompt_expansion="Off")
    until(lambda: running(house, job.id))
    until(lambda: "T" in Path(f"/proc/{worker_pid(house)}/stat").read_text().split()[2])
    began = time.monotonic()
    backend.close()
    assert time.monotonic() - began < 30, "it never answers"


@pytest.mark.parametrize("part", ["catalog", "uploads", "live"])
def test_a_job_that_cannot_be_sent_fails_and_the_device_goes_on(house, monkeypatch, part):
    services = house._components.dispatcher._supervisors[0]._services
    whole, method = getattr(services, part), {"catalog": "find", "live": "begin"}.get(part, "of")
    call = getattr(whole, method)

    odd_once = [ZeroDivisionError("something odd")]

    def odd(*arguments: object) -> object:
        if threading.current_thread().name.endswith("-feed") and odd_once:
            raise odd_once.pop()
        return call(*arguments)

    monkeypatch.setattr(whole, method, odd)
    first, second, third = (house.submit() for _ in range(3))
    assert house.wait(first.id).state == "failed" and "something odd" in house.job(first.id).problems[0].message
    assert [house.wait(job.id).state for job in (second, third)] == ["done"] * 2


def test_what_a_worker_is_told_outlasts_a_round_in_which_no_job_could_be_leased(house, monkeypatch):
    supervisor, jobs = house._components.dispatcher._supervisors[0], house._components.jobs
    lease, away = jobs.lease, [StorageError("The database is away.")]
    job = house.submit("hold=step:2", batch_count=3)
    until(lambda: (live := house.live(job.id)) and live.step)

    def refused(*arguments: object) -> object:
        if away:
            raise away.pop()
        return lease(*arguments)

    monkeypatch.setattr(jobs, "lease", refused)
    with supervisor._changed:       # in one round
        supervisor.wake()
        supervisor.measure(Skip(job.id))
    done = house.wait(job.id)
    assert not away and done.state == "done" and [image.index for image in done.images] == [1, 2]


def test_a_command_that_cannot_be_sent_costs_no_job_of_its_round(house, monkeypatch):
    """Whoever waits for its answer hears that none will come."""
    supervisor = house._components.dispatcher._supervisors[0]
    assert house.wait(house.submit().id).state == "done", "the worker is up"
    send, go, odd_once = supervisor._handle.send, threading.Event(), [MemoryError()]

    def odd(command: Command) -> None:
        if isinstance(command, Unload):
            go.wait(30)         # so that all that follows is sent in one round
        if odd_once and isinstance(command, Preprocess):
            raise odd_once.pop()
        send(command)

    monkeypatch.setattr(supervisor._handle, "send", odd)
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    unit = {"module": "canny", "image": house.upload(out.getvalue()).id}
    supervisor.unload()
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(house.guides.preview, unit, (64, 64), "mine")
        until(lambda: any(isinstance(command, Preprocess) for command in supervisor._outbox))
        jobs = [house.submit() for _ in range(2)]
        go.set()
        with pytest.raises(WorkerLost):
            made.result(30)
    assert [house.wait(job.id).state for job in jobs] == ["done"] * 2 and not odd_once


@pytest.mark.parametrize("place", ["finish", "tell"])
def test_what_cannot_be_recorded_fails_its_job_and_the_device_goes_on(house, monkeypatch, place):
    dispatcher, odd_once = house._components.dispatcher, [ZeroDivisionError("something odd")]
    whole, method = (house._components.jobs, "finish") if place == "finish" else (dispatcher, "picture_saved")
    call = getattr(whole, method)

    def odd(*arguments: object) -> object:
        if odd_once:
            raise odd_once.pop()
        return call(*arguments)

    monkeypatch.setattr(whole, method, odd)
    first = house.submit()
    failed = house.wait(first.id)
    assert failed.state == "failed" and "something odd" in failed.problems[0].message
    later = [house.submit() for _ in range(12)]        # more than may wait to be recorded
    assert [house.wait(job.id).state for job in later] == ["done"] * 12


def test_whatever_the_end_of_a_worker_meets_another_one_follows(house, monkeypatch):
    scoring, odd_once = house._components.dispatcher.scoring, [ZeroDivisionError("something odd")]
    lost = scoring.lost

    def odd(worker: str) -> None:
        if odd_once:
            raise odd_once.pop()
        lost(worker)

    monkeypatch.setattr(scoring, "lost", odd)
    job = house.submit("die_at=start once", seed=900)
    assert house.wait(job.id).state == "done" and not odd_once


def test_a_failed_worker_is_tried_again_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.dispatch.supervisor.BACK_OFF", (0.0,))
    monkeypatch.setattr("backend.dispatch.supervisor.MAX_FALSE_STARTS", 1)
    monkeypatch.setattr("backend.dispatch.supervisor.RETRY_FAILED_SECONDS", 0.5)
    monkeypatch.setenv("EASEL_FAKE", "refuse")
    backend = open_house(tmp_path)
    house = Guest(backend, "ann")
    job = house.submit()
    until(lambda: backend.status().workers[0].state == "failed")
    monkeypatch.delenv("EASEL_FAKE")
    assert house.wait(job.id).state == "done" and backend.status().notices == ()
    backend.close()


# ---- the disk ----


def test_a_full_disk_fails_the_job_and_retry_makes_what_is_missing(house, monkeypatch):
    write = Pictures.write

    def full(self: Pictures, lease: object, picture: object, *rest: object) -> object:
        if picture.index == 1:
            raise StorageError("The picture could not be saved: the disk is full.")
        return write(self, lease, picture, *rest)

    monkeypatch.setattr(Pictures, "write", full)
    job, later = house.submit("slow=0.02", batch_count=4), house.submit()
    failed = house.wait(job.id)
    assert failed.state == "failed" and "disk is full" in failed.problems[0].message
    assert [image.index for image in failed.images] == [0]
    assert house.wait(later.id).state == "done"
    monkeypatch.setattr(Pictures, "write", write)
    house.retry(job.id)
    assert [image.index for image in house.wait(job.id).images] == [0, 1, 2, 3]


def test_the_next_picture_is_drawn_while_one_is_being_saved(house, monkeypatch):
    write, saving, saved = Pictures.write, threading.Event(), threading.Event()

    def slow(self: Pictures, lease: object, picture: object, *rest: object) -> object:
        saving.set()
        assert saved.wait(120)
        return write(self, lease, picture, *rest)

    monkeypatch.setattr(Pictures, "write", slow)
    job = house.submit(batch_count=3)
    assert saving.wait(120)
    until(lambda: not (live := house.live(job.id)) or live.index == 2)      # the last is drawn, or the worker is through
    assert not house.images(job=job.id), "the first is still being saved"
    saved.set()
    assert [image.index for image in house.wait(job.id).images] == [0, 1, 2]


def test_a_database_that_refuses_for_a_while_forgets_nothing(house, monkeypatch):
    monkeypatch.setattr("backend.dispatch.recorder.RETRY_SECONDS", 0.05)
    finish, refusals = house._components.jobs.finish, []

    def refuse(*arguments: object) -> object:
        if len(refusals) < 3:
            refusals.append(house.backend.status().notices)
            raise StorageError("The database could not be written: disk full.")
        return finish(*arguments)

    monkeypatch.setattr(house._components.jobs, "finish", refuse)
    job = house.submit()
    assert house.wait(job.id).state == "done"
    assert "disk full" in refusals[-1][0]
    until(lambda: house.backend.status().notices == ())


def test_a_picture_whose_file_is_gone_is_not_found(house):
    job = house.submit()
    image = house.wait(job.id).images[0]
    house.image_file(image.id).unlink()
    with pytest.raises(NotFound):
        house.image_file(image.id)


# ---- the house itself ----


def test_after_a_close_running_jobs_wait_and_the_next_house_finishes_them(tmp_path):
    house = open_house(tmp_path)
    jobs = [submit(house, "hold=step:2", batch_count=2), submit(house)]
    until(lambda: (live := house.live(jobs[0].id)) and live.step)
    house.close()
    house.close()
    let_go(house, jobs[0].id)
    house = open_house(tmp_path)
    for job in jobs:
        done = house.wait(job.id, timeout=30)
        assert (done.state, done.attempts) == ("done", 0)
    house.close()


def test_a_service_manager_that_ends_all_processes_costs_no_attempt(tmp_path):
    house = open_house(tmp_path)
    job = submit(house, "hold=step:2", batch_count=2)
    until(lambda: (live := house.live(job.id)) and live.step)
    os.kill(worker_pid(house), signal.SIGTERM)
    time.sleep(0.5)
    assert house.job(job.id).attempts == 0
    house.close()
    let_go(house, job.id)
    house = open_house(tmp_path)
    done = house.wait(job.id, timeout=30)
    assert (done.state, done.attempts) == ("done", 0)
    house.close()


def test_a_second_house_in_the_same_folder_is_refused(backend):
    with pytest.raises(StorageError, match="Another Easel"):
        open_house(backend.settings.data.parent)


def test_a_killed_front_loses_nothing_and_its_worker_goes(tmp_path):
    code = ("import sys, time; from pathlib import Path; from tests.tiny.house import open_house, submit, until\n"
            "if __name__ == '__main__':\n"
            "    house = open_house(Path(sys.argv[1]))\n"
            "    job = submit(house, 'hold=step:2', batch_count=2); submit(house)\n"
            "    until(lambda: house.live(job.id) and house.live(job.id).step)\n"
            "    print(house._components.dispatcher._supervisors[0]._handle.pid, flush=True); time.sleep(60)\n")
    script = tmp_path / "front.py"
    script.write_text(code)
    root = str(Path(fake_worker.__file__).parents[2])
    front = subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "PYTHONPATH": root})
    worker = int(front.stdout.readline())
    front.kill()
    front.communicate()
    until(lambda: not Path(f"/proc/{worker}").exists() or "Z" in Path(f"/proc/{worker}/stat").read_text().split()[2])
    house = open_house(tmp_path)
    for job in house.queue():
        let_go(house, job.id)
        done = house.wait(job.id, timeout=30)
        assert (done.state, done.attempts) == ("done", 0)
    assert len(house.images()) == 3
    house.close()


def test_pictures_come_back_after_the_database_is_lost(tmp_path):
    house = open_house(tmp_path)
    ann = Guest(house, "ann")
    before = ann.wait(submit(ann, "a red circle", batch_count=2).id).images
    house.close()
    (tmp_path / "data" / "easel.db").write_bytes(b"\0" * 5000)
    house = open_house(tmp_path)
    ann = Guest(house, "ann")
    until(lambda: len(ann.images()) == 2)
    until(lambda: len(house.status().notices) == 2)
    assert "easel.db.broken-" in house.status().notices[0] and "2 pictures" in house.status().notices[1]
    assert {image.infotext for image in ann.images()} == {image.infotext for image in before}
    house.close()


# ---- paused and moved while a worker holds them ----


def ahead(house: Guest, job: str) -> bool:
    """The worker has the job in its hands and has not begun it."""
    supervisor = house._components.dispatcher._supervisors[0]
    return job in supervisor._flights and job not in supervisor.drawn()


def test_a_job_that_was_handed_over_ahead_waits_when_its_queue_is_paused(house):
    first, second = (submit(house, "hold=step:1") for _ in range(2))
    until(lambda: ahead(house, second.id))
    house.pause()
    let_go(house, first.id)
    assert house.wait(first.id).state == "done"
    until(lambda: not house._components.dispatcher._supervisors[0]._flights)
    assert house.job(second.id).state == "queued" and house.overview().paused
    house.pause(on=False)
    let_go(house, second.id)
    assert house.wait(second.id).state == "done"


def test_a_job_that_is_moved_to_the_front_overtakes_the_one_handed_over_ahead(house):
    first, second, third = (submit(house, "hold=step:1") for _ in range(3))
    until(lambda: ahead(house, second.id))
    house.move(third.id, "front")
    for job in (first, second, third):
        let_go(house, job.id)
    ended = [house.wait(job.id) for job in (first, second, third)]
    assert {job.state for job in ended} == {"done"} and ended[0].ended < ended[2].ended < ended[1].ended


def test_a_job_that_is_cancelled_while_it_is_recalled_stays_cancelled(house):
    first, second = (submit(house, "hold=step:1") for _ in range(2))
    until(lambda: ahead(house, second.id))
    house.pause()
    house.cancel(second.id)
    house.pause(on=False)
    let_go(house, first.id)
    assert house.wait(first.id).state == "done" and house.wait(second.id).state == "cancelled"


def test_everybody_is_paused_only_by_an_admin(tmp_path):
    house = open_house(tmp_path, start_workers=False, users={"ann": "a password", "bob": "another one"}, admins=("ann",))
    ann, bob = Guest(house, "ann"), Guest(house, "bob")
    with pytest.raises(NotAllowed, match="admin"):
        bob.pause(everybody=True)
    ann.pause(everybody=True)
    assert bob.overview().all_paused and ann.may_pause_all() and not bob.may_pause_all()
    house.close()


def test_an_interrupt_counts_while_a_request_is_still_being_prepared(house, other, monkeypatch):
    arrived, prepared, order, jobs = threading.Event(), threading.Event(), Submission.order, []

    def slow(submission: Submission, values: object) -> object:
        arrived.set()
        prepared.wait(20)
        return order(submission, values)

    monkeypatch.setattr(Submission, "order", slow)
    thread = threading.Thread(target=lambda: jobs.append(submit(house, "slow=0.5")))
    thread.start()
    assert arrived.wait(20)
    other.interrupt()
    house.interrupt()
    prepared.set()
    thread.join()
    assert house.wait(jobs[0].id).state == "cancelled"
    assert house.wait(submit(house).id).state == "done"


@pytest.mark.parametrize("trouble, why", [
    ("in=extensions.bad slow=0.5 die_at=step:3", "it was killed, perhaps because memory ran out"),
    ("in=extensions.bad slow=600 deaf", "the extension bad kept it for"),
    ("in=extensions.bad slow=600 deaf cancelled", "it did not obey a cancel"),
])
def test_a_worker_lost_in_an_extensions_code_switches_that_off_and_fails_its_job_alone(tmp_path, monkeypatch, trouble, why):
    monkeypatch.setattr(watchdog, "EXTENSION_SECONDS", 0.8 if "kept it" in why else 600)
    monkeypatch.setattr(watchdog, "CANCEL_SECONDS", 1.0)
    house = open_house(tmp_path, extensions=("extensions.bad", "extensions.good"))
    try:
        first, second = submit(house, trouble), submit(house)
        if "cancelled" in trouble:
            until(lambda: house.status().workers[0].checkpoint)     # it has begun and hears no more
            house.cancel(first.id)
            until(lambda: house.extensions.working() == ("extensions.good",))
        job = house.wait(first.id)
        if "cancelled" in trouble:
            assert job.state == "cancelled"
        else:
            assert job.state == "failed" and "The extension bad failed." in job.problems[0].message and why in job.problems[0].message
        assert house.wait(second.id).state == "done" and house.job(second.id).attempts <= 1
        assert house.extensions.working() == ("extensions.good",)
        assert any("The extension bad is switched off" in notice and why in notice for notice in house.status().notices)
    finally:
        house.close()


def test_a_queued_job_of_an_extension_that_has_failed_is_not_drawn_without_it(tmp_path, monkeypatch):
    house = open_house(tmp_path, start_workers=False, extensions=("extensions.bad",))
    monkeypatch.setattr(FIELDS, "_owners", {**FIELDS._owners, "tiling": "extensions.bad"})
    monkeypatch.setattr(SAMPLERS, "_owners", {**SAMPLERS._owners, "Heun": "extensions.bad"})
    try:
        waiting = [submit(house, tiling=True), submit(house, sampler="Heun"), submit(house)]
        house.extensions.failed("extensions.bad", "It broke.")
        house.backend.start_workers()
        ended = [house.wait(job.id) for job in waiting]
        assert [job.state for job in ended] == ["failed", "failed", "done"]
        assert [job.problems[0].field for job in ended[:2]] == ["tiling", "sampler"] and "It broke." in ended[0].problems[0].message
    finally:
        house.close()

"""The queue's rows: states, leases, ownership."""

import os
import threading

import pytest
from PIL import Image
from sqlalchemy import text

from backend.errors import NotAllowed, NotFound, Problem
from backend.request.request import Request
from backend.store.database import Database
from backend.store.fair_queue import EVERYBODY
from backend.store.history import History, PictureFile
from backend.store.jobs import Jobs
from backend.store.uploads import Uploads
from tests.guest import user_of

LOST = Problem("the worker ended")


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


def add(jobs: Jobs, owner: str = "local", **values: object) -> str:
    return jobs.add_all([Request(checkpoint="demo", seed=7, variation_seed=1, **values)], owner)[0].id


def picture(index: int, job: str = "") -> PictureFile:
    return PictureFile(index=index, path=f"day/{job}-{index}.png", width=64, height=48, seed=7 + index, infotext="text",
                       format="png", notes=("decoded in tiles",))


def test_a_job_runs_from_queued_to_done(jobs, history):
    job = add(jobs, prompt="a cat", batch_count=2)
    assert jobs.get(job, "local").position == 1
    (lease,) = jobs.lease("gpu", 1)
    assert lease.indices == (0, 1) and lease.request.prompt == "a cat"
    running = jobs.get(job, "local")
    assert (running.state, running.position) == ("running", 0) and running.started
    for index in range(2):
        assert history.add(job, lease.token, picture(index)).seed == 7 + index
    assert jobs.finish(job, lease.token, "done").state == "done"
    done = jobs.get(job, "local")
    assert (done.state, done.position, len(done.images), done.notes) == ("done", None, 2, ("decoded in tiles",))
    assert done.images[1].request == done.request.of_image(1).to_json()
    assert done.created <= done.started <= done.ended


def test_how_long_a_job_took_is_told_of_its_pictures(jobs, history):
    job = add(jobs, batch_count=2)
    (lease,) = jobs.lease("gpu", 1)
    first = history.add(job, lease.token, picture(0))
    so_far = history.time_taken(first.id, "local")
    assert so_far.pictures == 1 and so_far.seconds > 0
    history.add(job, lease.token, picture(1))
    jobs.finish(job, lease.token, "done")
    whole, done = history.time_taken(first.id, "local"), jobs.get(job, "local")
    assert whole.pictures == 2 and whole.seconds == (done.ended - done.started).total_seconds() >= so_far.seconds
    found = history.adopt("local", done.created, Request(checkpoint="demo"), picture(0, "found"))
    assert history.time_taken(found, "local") is None
    with pytest.raises(NotFound):
        history.time_taken(first.id, "someone else")


def test_a_job_leased_ahead_is_queued_until_it_starts(jobs):
    first, second = add(jobs), add(jobs)
    _, ahead = jobs.lease("gpu", 2)
    assert [jobs.state(job, "local") for job in (first, second)] == ["running", "queued"]
    assert jobs.get(second, "local").position == 1
    assert jobs.start(second, ahead.token).state == "running"
    assert jobs.start(second, ahead.token) is None


def test_a_leased_job_is_not_leased_twice(jobs):
    add(jobs)
    assert len(jobs.lease("one", 2)) == 1
    assert jobs.lease("two", 2) == []


def test_two_submits_in_the_same_instant_get_two_places(jobs):
    together = threading.Barrier(8)

    def submit() -> None:
        together.wait()
        add(jobs)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.position for job in jobs.queue("local")] == list(range(1, 9))


def test_two_leases_in_the_same_instant_share_nothing(jobs):
    for _ in range(8):
        add(jobs)
    together, leased = threading.Barrier(4), []

    def lease(name: str) -> None:
        together.wait()
        leased.extend(jobs.lease(name, 2))

    threads = [threading.Thread(target=lease, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({lease.job for lease in leased}) == 8


def test_owners_take_turns_and_positions_say_so(jobs):
    mine = [add(jobs, "ann") for _ in range(3)]
    theirs = add(jobs, "bob")
    assert jobs.get(theirs, "bob").position == 2
    assert [job.position for job in jobs.queue("ann")] == [1, 3, 4]
    order = []
    for _ in range(4):
        (lease,) = jobs.lease("gpu", 1)
        order.append(lease.job)
        jobs.finish(lease.job, lease.token, "done")
    assert order == [mine[0], theirs, mine[1], mine[2]]


def test_someone_elses_job_is_not_found(jobs, history):
    job = add(jobs, "ann")
    (lease,) = jobs.lease("gpu", 1)
    image = history.add(job, lease.token, picture(0))
    for call in (jobs.get, jobs.cancel, jobs.retry, jobs.state):
        with pytest.raises(NotFound):
            call(job, "bob")
    for call in (history.image, history.path):
        with pytest.raises(NotFound):
            call(image.id, "bob")
    with pytest.raises(NotFound):
        history.images("bob", before=image.id)
    assert jobs.recent("bob") == jobs.queue("bob") == history.images("bob", job=job) == []


def test_cancel_a_waiting_job(jobs):
    job = add(jobs)
    assert jobs.cancel(job, "local").state == "cancelled"
    assert jobs.lease("gpu", 1) == []
    with pytest.raises(NotAllowed):
        jobs.cancel(job, "local")


def test_cancel_a_job_leased_ahead_makes_its_worker_a_ghost(jobs, history):
    add(jobs)
    ahead = add(jobs)
    lease = jobs.lease("gpu", 2)[1]
    assert jobs.cancel(ahead, "local").state == "cancelled"
    assert history.add(ahead, lease.token, picture(0)) is None
    assert jobs.finish(ahead, lease.token, "done") is None
    assert jobs.state(ahead, "local") == "cancelled"


def test_a_cancelled_running_job_whose_worker_dies_is_not_queued_again(jobs):
    job = add(jobs)
    (lease,) = jobs.lease("gpu", 1)
    assert jobs.cancel(job, "local") is None
    assert [change.state for change in jobs.lose([lease.token], LOST)] == ["cancelled"]


def test_a_lost_job_keeps_its_place_and_makes_only_what_is_missing(jobs, history):
    job, later = add(jobs, batch_count=3), add(jobs)
    (lease,) = jobs.lease("gpu", 1)
    history.add(job, lease.token, picture(1))
    jobs.skip(job, lease.token, 2)
    jobs.lose([lease.token], LOST)
    back = jobs.get(job, "local")
    assert (back.state, back.position, back.attempts) == ("queued", 1, 1)
    assert jobs.get(later, "local").position == 2
    (again,) = jobs.lease("gpu", 1)
    assert again.job == job and again.indices == (0,) and again.token != lease.token


def test_the_second_loss_fails_the_job(jobs):
    job = add(jobs)
    for _ in range(2):
        (lease,) = jobs.lease("gpu", 1)
        jobs.lose([lease.token], LOST)
    failed = jobs.get(job, "local")
    assert (failed.state, failed.attempts, failed.problems) == ("failed", 2, (LOST,))


def test_a_job_leased_ahead_is_not_blamed(jobs):
    add(jobs)
    ahead = add(jobs)
    leases = jobs.lease("gpu", 2)
    jobs.lose([lease.token for lease in leases], LOST)
    assert jobs.get(ahead, "local").attempts == 0


def test_a_job_over_which_a_worker_died_runs_alone(jobs):
    suspect = add(jobs)
    (lease,) = jobs.lease("gpu", 1)
    jobs.lose([lease.token], LOST)
    others = [add(jobs), add(jobs)]
    (alone,) = jobs.lease("gpu", 8)
    assert alone.job == suspect
    assert jobs.lease("gpu", 7, held=[suspect]) == []
    jobs.finish(suspect, alone.token, "done")
    assert [lease.job for lease in jobs.lease("gpu", 8)] == others


def test_a_suspect_waits_until_the_worker_has_nothing_else(jobs):
    suspect, other = add(jobs), add(jobs)
    (lease,) = jobs.lease("one", 1)
    (busy,) = jobs.lease("two", 1)
    jobs.lose([lease.token], LOST)
    assert jobs.lease("two", 7, held=[other]) == []
    jobs.finish(other, busy.token, "done")
    assert [lease.job for lease in jobs.lease("two", 8)] == [suspect]


def test_ghosts_of_a_former_lease_change_nothing(jobs, history):
    job = add(jobs)
    (old,) = jobs.lease("gpu", 1)
    jobs.lose([old.token], LOST)
    (new,) = jobs.lease("gpu", 1)
    assert history.add(job, old.token, picture(0)) is None
    assert jobs.finish(job, old.token, "done") is None
    jobs.skip(job, old.token, 0)
    assert jobs.lose([old.token], LOST) == []
    assert jobs.get(job, "local").state == "running" and jobs.is_held(job, new.token)


def test_after_a_restart_running_jobs_wait_without_blame(jobs, database):
    job, ahead, cancelling = add(jobs), add(jobs), add(jobs)
    leases = jobs.lease("gpu", 3)
    jobs.start(cancelling, leases[2].token)
    jobs.cancel(cancelling, "local")
    jobs = Jobs(database)
    states = {change.job: change.state for change in jobs.release()}
    assert states == {job: "queued", ahead: "queued", cancelling: "cancelled"}
    assert jobs.get(job, "local").attempts == 0
    assert [lease.job for lease in jobs.lease("gpu", 3)] == [job, ahead]


def test_retry_is_the_same_job_with_the_same_request_and_pictures(jobs, history):
    job = add(jobs, batch_count=2)
    (lease,) = jobs.lease("gpu", 1)
    kept = history.add(job, lease.token, picture(0))
    jobs.finish(job, lease.token, "failed", [Problem("no room", "width")])
    failed = jobs.get(job, "local")
    assert failed.problems == (Problem("no room", "width"),)
    jobs.retry(job, "local")
    again = jobs.get(job, "local")
    assert (again.state, again.problems, again.ended) == ("queued", (), None)
    assert again.request == failed.request and again.images == (kept,)
    assert jobs.lease("gpu", 1)[0].indices == (1,)


@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_only_failed_and_cancelled_jobs_are_retried(jobs, state):
    job = add(jobs)
    if state != "queued":
        (lease,) = jobs.lease("gpu", 1)
    if state == "done":
        jobs.finish(job, lease.token, "done")
    with pytest.raises(NotAllowed):
        jobs.retry(job, "local")


def test_a_picture_made_again_keeps_its_row(jobs, history):
    job = add(jobs)
    (lease,) = jobs.lease("gpu", 1)
    first = history.add(job, lease.token, picture(0))
    second = history.add(job, lease.token, picture(0))
    assert first.id == second.id and len(history.images("local")) == 1


def test_images_page_by_page_newest_first(jobs, history):
    job = add(jobs, batch_count=5)
    (lease,) = jobs.lease("gpu", 1)
    for index in range(5):
        history.add(job, lease.token, picture(index))
    first = history.images("local", limit=2)
    second = history.images("local", limit=2, before=first[-1].id)
    assert [image.index for image in first + second] == [4, 3, 2, 1]
    assert history.images("local", job=job)[0].name == "-4.png"
    with pytest.raises(NotFound):
        history.images("local", before="nonsense")


def test_a_glance_at_the_queue(jobs, history):
    job, later = add(jobs, prompt="x" * 500, batch_count=3), add(jobs)
    (lease,) = jobs.lease("gpu", 1)
    history.add(job, lease.token, picture(0))
    assert jobs.overview("local").total == 2
    first, second = jobs.overview("local").jobs
    assert (first.id, first.state, first.position, first.count, first.done) == (job, "running", 0, 3, 1)
    assert (second.id, second.state, second.position) == (later, "queued", 1)
    assert len(first.prompt) == 120


def test_recent_is_newest_first_in_all_states(jobs):
    ids = [add(jobs) for _ in range(3)]
    jobs.cancel(ids[0], "local")
    assert [job.id for job in jobs.recent("local")] == ids[::-1]
    assert len(jobs.recent("local", limit=2)) == 2


def test_uploads_that_no_job_names_are_deleted_when_they_are_old(jobs, tmp_path):
    uploads = Uploads(tmp_path / "inputs", user_of)
    named, old, new, again = (uploads.keep(Image.new("RGB", (8, 8), (shade, 0, 0)), "local").id for shade in range(4))
    add(jobs, init_image=named)
    for name in (named, old, again):
        os.utime(uploads.file(name, "local"), (0, 0))
    uploads.keep(Image.new("RGB", (8, 8), (3, 0, 0)), "local")
    assert jobs.pictures() == {named} and uploads.sweep(jobs.pictures()) == 1
    assert all(uploads.file(name, "local") for name in (named, new, again))
    with pytest.raises(NotFound):
        uploads.file(old, "local")


@pytest.mark.parametrize("damage", ["no json", "[1, 2]", '{"steps": 20', "7"])
def test_a_damaged_row_does_not_hold_up_the_others(jobs, database, damage):
    if database.url and damage in ("no json", '{"steps": 20'):
        pytest.skip("PostgreSQL keeps no such row")
    first, broken, last = add(jobs), add(jobs), add(jobs)
    with database.write() as session:
        session.execute(text("UPDATE jobs SET request = :damage WHERE id = :id"), {"damage": damage, "id": broken})
    assert [job.id for job in Jobs(database).overview("local").jobs] == [first, broken, last]
    leased = [lease.job for _ in range(3) for lease in jobs.lease("gpu", 3)]
    assert leased == [first, last]
    assert jobs.state(broken, "local") == "failed"


def test_a_row_that_somebody_else_has_ended_does_not_hold_up_the_others(jobs, database):
    gone, next_one = add(jobs), add(jobs)
    Jobs(database).cancel(gone, "local")
    assert [lease.job for lease in jobs.lease("gpu", 1)] == [next_one]


# ---- paused, moved, dismissed ----


def line(jobs: Jobs, owner: str = "local") -> list[str]:
    return [job.id for job in jobs.queue(owner)]


def test_a_paused_queue_starts_nothing_until_it_is_resumed_also_after_a_restart(jobs, database):
    ann, bob = add(jobs, "ann"), add(jobs, "bob")
    assert jobs.pause("ann", on=True) == []
    again = Jobs(database)
    assert again.overview("ann").paused and not again.overview("ann").all_paused and not again.overview("bob").paused
    assert [lease.job for lease in again.lease("gpu", 5)] == [bob]
    assert again.pause(EVERYBODY, on=True) == [] and again.overview("bob").all_paused
    again.pause("ann", on=False)
    assert again.lease("gpu", 5) == []
    again.pause(EVERYBODY, on=False)
    assert [lease.job for lease in again.lease("gpu", 5)] == [ann]
    assert not Jobs(database).overview("ann").paused


def test_pausing_tells_what_a_worker_has_not_begun(jobs):
    add(jobs, "ann"), add(jobs, "bob")
    running, ahead = jobs.lease("gpu", 2)
    assert jobs.pause("ann", on=True) == [] and running.owner == "ann"
    assert jobs.pause("bob", on=True) == jobs.pause(EVERYBODY, on=True) == [ahead.job]


@pytest.mark.parametrize(("job", "to", "expected"), [
    (2, "front", "2013"), (0, "end", "1230"), (1, "up", "1023"), (1, "down", "0213"), (0, "up", "0123"), (3, "down", "0123"),
    (3, 1, "0312"), (0, 3, "1203"), (1, 1, "0123")])
def test_a_waiting_job_is_moved(jobs, database, job, to, expected):
    ids = [add(jobs) for _ in range(4)]
    assert jobs.move(ids[job], "local", ids[to] if isinstance(to, int) else to) == []
    wanted = [ids[int(number)] for number in expected]
    assert line(jobs) == line(Jobs(database)) == wanted
    assert [lease.job for lease in jobs.lease("gpu", 4)] == wanted


def test_who_moves_jobs_gains_nothing_over_others(jobs):
    ids = [add(jobs, owner) for owner in ("ann", "bob", "ann", "bob")]
    jobs.move(ids[2], "ann", "front")
    assert [lease.job for lease in jobs.lease("gpu", 4)] == [ids[2], ids[1], ids[0], ids[3]]


def test_what_a_worker_holds_ahead_and_others_overtake_is_recalled(jobs):
    first, ahead, last = (add(jobs) for _ in range(3))
    jobs.lease("gpu", 2)
    with pytest.raises(NotAllowed, match="running"):
        jobs.move(first, "local", "end")
    assert jobs.move(last, "local", "up") == [ahead]
    assert jobs.move(last, "local", "down") == []
    with pytest.raises(NotAllowed, match="nothing can stand before it"):
        jobs.move(last, "local", first)
    with pytest.raises(NotFound):
        jobs.move(last, "bob", "front")


def test_what_is_dismissed_stays_so_until_it_is_tried_again(jobs):
    ids = [add(jobs) for _ in range(3)]
    jobs.cancel_all("local", "queued")
    jobs.dismiss("local", ids[0])
    assert [one.dismissed for one in jobs.lines("local")] == [False, False, True]
    with pytest.raises(NotFound):
        jobs.dismiss("bob", ids[1])
    jobs.dismiss("bob")
    assert [one.dismissed for one in jobs.lines("local")] == [False, False, True]
    jobs.dismiss("local")
    assert all(one.dismissed for one in jobs.lines("local"))
    jobs.retry(ids[1], "local")
    assert not jobs.lines("local")[1].dismissed

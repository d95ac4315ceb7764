"""Workers on a Ray cluster of this machine: three nodes without cards, fake workers."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")

from ray.cluster_utils import Cluster  # noqa: E402

from backend import Backend, Settings  # noqa: E402
from backend.errors import UserError  # noqa: E402
from tests.guest import Guest  # noqa: E402
from tests.tiny.house import FakeCatalog, submit, until, waits_again  # noqa: E402

MACHINES, JOBS = 3, 150

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The front's machine draws nothing; each of the others has room for one worker."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(MACHINES):
        machines.add_node(num_cpus=1)
    yield machines
    machines.shutdown()


@pytest.fixture
def house(cluster: Cluster, tmp_path: Path) -> Iterator[Guest]:
    for name in ("demo", "other"):
        (tmp_path / name).write_bytes(name.encode())
    settings = Settings(data=tmp_path / "data", models=(tmp_path,), cluster=cluster.address)
    backend = Backend(settings, catalog=FakeCatalog(tmp_path), worker="tests.tiny.fake_worker")
    yield Guest(backend)
    backend.close()


def workers_up(house: Guest) -> int:
    return sum(worker.state in ("ready", "loading") for worker in house.status().workers)


def machines_alive() -> int:
    """Those that draw. Ray counts one that was killed until its heartbeats are missed, after its worker is known lost."""
    return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())


def worker_processes() -> list[psutil.Process]:
    """Those of `ProcessHandle`, children of Ray's actors."""
    return [worker for worker, _ in workers_and_actors()]


def actors() -> list[psutil.Process]:
    return [actor for _, actor in workers_and_actors()]


def workers_and_actors() -> list[tuple[psutil.Process, psutil.Process]]:
    """A process may end while it is looked at."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "spawn_main" in " ".join(process.info["cmdline"] or ()):
            with suppress(psutil.Error):
                actor = process.parent()
                found += [(process, actor)] if actor and "RemoteWorker" in " ".join(actor.cmdline()) else []
    return found


def test_every_job_is_drawn_once_while_workers_and_actors_are_killed(house: Guest, caplog: pytest.LogCaptureFixture) -> None:
    until(lambda: workers_up(house) == MACHINES, 120)
    jobs = [submit(house, f"slow=0.02 {number}", batch_count=2) for number in range(JOBS)]
    dice, killed = random.Random(7), 0
    while any(house.is_pending(job.id) for job in jobs):
        time.sleep(0.7)
        if killed == 6 or sum(" lost: " in line for line in caplog.messages) < killed:
            continue
        living = worker_processes() if killed % 2 else actors()
        if living and not waits_again(house.backend._components.database):
            with suppress(psutil.NoSuchProcess):
                dice.choice(living).send_signal(signal.SIGKILL)
                killed += 1
    done = [house.job(job.id) for job in jobs]
    assert killed >= 3
    assert {job.state for job in done} == {"done"}
    assert all(sorted(image.index for image in job.images) == [0, 1] for job in done)


def test_a_machine_that_leaves_is_a_lost_worker_and_one_that_joins_is_used(house: Guest, cluster: Cluster) -> None:
    until(lambda: workers_up(house) == MACHINES, 120)
    jobs = [submit(house, "slow=0.2") for _ in range(12)]
    until(lambda: any(house.job(job.id).state == "done" for job in jobs))
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    for job in jobs:
        assert house.wait(job.id, 120).state == "done"
    assert workers_up(house) == MACHINES - 1
    until(lambda: "waiting" in [worker.state for worker in house.status().workers], 120)
    until(lambda: machines_alive() == MACHINES - 1, 120)
    cluster.add_node(num_cpus=1)
    until(lambda: workers_up(house) == MACHINES, 120)


def test_a_worker_without_work_gives_its_machine_back_and_comes_again(house: Guest) -> None:
    until(lambda: workers_up(house) == MACHINES, 120)
    dispatcher = house._components.dispatcher
    until(lambda: dispatcher.rest(0) or all(worker.state == "resting" for worker in house.status().workers), 60)
    until(lambda: ray.available_resources().get("CPU") == MACHINES, 60)
    job = submit(house)
    assert house.wait(job.id, 120).state == "done", "the queue brings one back"
    assert sum(worker.state == "resting" for worker in house.status().workers) == MACHINES - 1


def test_a_machine_in_no_cluster_is_said_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_found(**_: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "init", none_found)
    with pytest.raises(UserError, match="in no Ray cluster: start one"):
        Backend(Settings(data=tmp_path, cluster="auto"), start_workers=False)


@pytest.mark.parametrize(("address", "said"), [("127.0.0.1:9", "no Ray cluster answers at 127.0.0.1:9"),
                                               ("ray://127.0.0.1:10001", "host:port")])
def test_no_cluster_at_an_address_is_said_at_the_start(tmp_path: Path, address: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Backend(Settings(data=tmp_path, cluster=address), start_workers=False)

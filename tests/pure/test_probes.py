"""/health, /ready and /metrics: what is told to whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from backend import Worker
from backend.dispatch.metrics import Measures
from backend.flags import Refusal, parser, settings_from
from backend.http import create_app
from backend.messages import Calls, MemoryUse
from backend.settings import Settings
from backend.store.view_types import Status
from tests.pure.door import Door
from tests.pure.test_guard import USERS, basic


def house(folder: Path, **settings: object) -> Door:
    return Door(Settings(data=folder, host="0.0.0.0", users=USERS, admins=("ann",), **settings))


def client(door: Door, address: str = "198.51.100.7") -> TestClient:
    return TestClient(create_app(door), base_url="http://easel.example", client=(address, 1))


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    yield house(tmp_path)


def test_health_says_a_word_to_everybody(door: Door) -> None:
    answer = client(door).get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_when_a_worker_can_draw(door: Door) -> None:
    stranger = client(door)
    for states, status in (((), 503), (("starting",), 503), (("failed", "restarting"), 503), (("ready",), 200), (("failed", "loading"), 200)):
        door.status = lambda states=states: Status(workers=tuple(Worker(name=str(number), state=state) for number, state in enumerate(states)))
        answer = stranger.get("/ready")
        assert (answer.status_code, list(answer.json())) == (status, ["status"]), states


def test_measures_are_for_admins_and_named_addresses(door: Door, tmp_path: Path) -> None:
    stranger = client(door)
    assert stranger.get("/metrics").status_code == 401
    assert stranger.get("/metrics", headers=basic("bob", "plain: text")).status_code == 403
    assert stranger.get("/metrics", headers=basic("ann", "secret")).status_code == 200
    (tmp_path / "named").mkdir()
    named = house(tmp_path / "named", metrics_from=("198.51.100.0/24",))
    assert client(named).get("/metrics").status_code == 200
    assert client(named, "203.0.113.1").get("/metrics").status_code == 401
    assert client(named, "public link").get("/metrics").status_code == 401
    forged = client(named, "203.0.113.1").get("/metrics", headers={"X-Forwarded-For": "198.51.100.7"})
    assert forged.status_code == 401


def test_the_memory_of_devices_is_told_where_it_is_known(door: Door) -> None:
    door.status = lambda: Status(workers=(Worker(name="cuda:0", state="ready", device="A card", memory=8 * 2**30), Worker(name="cuda:1", state="starting")))
    told = [line for line in client(door).get("/metrics", headers=basic("ann", "secret")).text.splitlines() if line.startswith("easel_device_memory_bytes{")]
    assert told == ['easel_device_memory_bytes{device="A card",worker="cuda:0"} 8.589934592e+09']


def test_the_memory_in_use_is_told_by_whom(door: Door) -> None:
    door.measures.memory.update({"cuda:0": MemoryUse(tensors=2**30, worker=2**31, device=2**32), "auto": MemoryUse(worker=2**20)})
    told = [line for line in client(door).get("/metrics", headers=basic("ann", "secret")).text.splitlines() if "memory_used_bytes" in line]
    assert told[0].startswith("# HELP easel_device_memory_used_bytes Of a device's memory, in use") and told[1:] == [
        "# TYPE easel_device_memory_used_bytes gauge",
        'easel_device_memory_used_bytes{by="tensors",worker="cuda:0"} 1.073741824e+09',
        'easel_device_memory_used_bytes{by="worker",worker="cuda:0"} 2.147483648e+09',
        'easel_device_memory_used_bytes{by="device",worker="cuda:0"} 4.294967296e+09',
        'easel_device_memory_used_bytes{by="worker",worker="auto"} 1.048576e+06']


def test_what_is_measured(door: Door) -> None:
    measures = door.measures
    measures.started(datetime.now(UTC) - timedelta(seconds=3))
    for state in ("done", "failed", "done"):
        measures.ended(state)
    measures.saved()
    measures.error("worker")
    measures.called("auto", Calls(), Calls(4, 2.0, 10, 16))
    measures.called("auto", Calls(4, 2.0, 10, 16), Calls(6, 3.0, 14, 24))
    admin = client(door)
    admin.headers.update(basic("ann", "secret"))
    assert admin.get("/easel/jobs").status_code == 200
    assert admin.get("/easel/image/made-up-by-somebody").status_code == 404
    assert admin.get("/made/up/too").status_code == 404
    text = admin.get("/metrics").text
    for line in ('easel_job_wait_seconds_bucket{le="5.0"} 1.0', 'easel_jobs_ended_total{state="done"} 2.0',
                 'easel_pictures_total 1.0', 'easel_errors_total{kind="worker"} 1.0', 'easel_errors_total{kind="job"} 1.0',
                 'easel_network_calls_total{worker="auto"} 6.0', 'easel_network_rows_total{worker="auto"} 14.0',
                 'easel_network_places_total{worker="auto"} 24.0', 'easel_queue_jobs{state="waiting"} 2.0',
                 'easel_http_seconds_count{method="GET",route="/easel/jobs",status="200"} 1.0'):
        assert line in text.splitlines(), line
    assert "made" not in text, "what a client writes is no label"
    front, = (line for line in text.splitlines() if line.startswith('easel_memory_bytes{process="front"}'))
    assert float(front.split()[-1]) > 2**20


def test_a_flag_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="--metrics-from"):
        settings_from(parser().parse_args(["--data", str(tmp_path), "--metrics-from", "everywhere"]), {})


def test_measures_of_two_houses_are_their_own() -> None:
    first, second = Measures(), Measures()
    first.saved()
    assert first.registry.get_sample_value("easel_pictures_total") == 1
    assert second.registry.get_sample_value("easel_pictures_total") == 0

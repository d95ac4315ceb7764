"""clients/easel_client.py, the Python client of one file, against a whole house with a fake worker."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from PIL import Image

from backend.settings import HOME
from tests.tiny.served import served

CLIENTS = HOME / "clients"
SMALL: dict[str, Any] = {"prompt": "a lighthouse", "width": 64, "height": 64, "seed": 5}


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("easel_client", CLIENTS / "easel_client.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["easel_client"] = module
    spec.loader.exec_module(module)
    return module


client = loaded()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("house"), webhook_hosts=("127.0.0.1",)) as (address, _):
        yield address


@pytest.fixture
def easel(address: str) -> Iterator[Any]:
    with client.Easel(address) as easel:
        yield easel


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(out, "PNG")
    return out.getvalue()


def test_it_is_one_file_on_httpx_alone() -> None:
    tree = ast.parse((CLIENTS / "easel_client.py").read_text("utf-8"))
    named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in named} - sys.stdlib_module_names == {"httpx"}


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        return {name: list(inspect.signature(method).parameters) for name, method in inspect.getmembers(kind, inspect.isfunction)
                if not name.startswith("_")}
    assert methods(client.Easel) == methods(client.AsyncEasel)


def test_a_picture_is_drawn_saved_and_told(easel: Any, tmp_path: Path) -> None:
    job = easel.draw(SMALL, batch_size=2)
    assert job.is_over and [image.seed for image in job.images] == [5, 6] and job.request["prompt"] == "a lighthouse"
    assert Image.open(easel.save(job.images[0], tmp_path / "a.png")).size == (64, 64)
    assert Image.open(io.BytesIO(easel.image(job.images[0].id, "webp"))).format == "WEBP"
    assert easel.settings(job.images[0])["request"]["seed"] == 5 and easel.infotext(job.images[0]).startswith("a lighthouse")
    assert easel.job(job) == easel.job(job.id) == job and easel.jobs("done", limit=1)[0]["id"] == job.id
    easel.delete(job, pictures=True)
    with pytest.raises(client.EaselError) as gone:
        easel.job(job)
    assert gone.value.status == 404


def test_events_tell_progress_previews_and_pictures(easel: Any) -> None:
    job = easel.submit(SMALL, prompt="slow=0.6")
    events = list(easel.events(job))
    assert events[-1].name == "done" and events[-1].image is None
    steps = [event.progress for event in events if event.progress]
    assert steps[-1].steps == 3 and 0 < max(step.fraction for step in steps) <= 1
    assert [event.image.seed for event in events if event.image] == [5]
    assert any(event.preview and event.preview.startswith(b"\xff\xd8") for event in events)
    assert all(event.preview is None for event in easel.events(job, previews=False))


def test_what_is_wrong_is_named_by_field(easel: Any) -> None:
    with pytest.raises(client.EaselError) as wrong:
        easel.submit(steps=0, sampler="nothing")
    assert wrong.value.status == 422 and {problem.field for problem in wrong.value.errors} == {"steps", "sampler"}
    with pytest.raises(client.JobFailed, match="prompt: too wild") as failed:
        easel.draw(SMALL, prompt="fail=0 always")
    assert failed.value.job.state == "failed"


def test_a_job_is_cancelled_and_waited_for_only_so_long(easel: Any) -> None:
    job = easel.submit(SMALL, prompt="slow=1")
    with pytest.raises(TimeoutError):
        easel.wait(job, timeout=0.2)
    easel.cancel(job)
    with pytest.raises(client.JobFailed, match="cancelled"):
        easel.wait(job)


def test_a_request_under_a_key_is_queued_once_and_a_webhook_is_told_of(easel: Any) -> None:
    assert easel.submit(SMALL, key="mine").id == easel.submit(SMALL, key="mine").id
    assert easel.submit(SMALL).id != easel.submit(SMALL).id
    assert easel.submit(SMALL, webhook="http://127.0.0.1:9").webhook["url"] == "http://127.0.0.1:9"


def test_from_a_picture(easel: Any, tmp_path: Path) -> None:
    (tmp_path / "start.png").write_bytes(png())
    start, mask = easel.upload(tmp_path / "start.png"), easel.upload(png(), mask=True)
    assert easel.draw(SMALL, init_image=start, mask=mask).request["init_image"] == start.id


def test_what_there_is(easel: Any) -> None:
    assert [model.name for model in easel.models("checkpoint")] == ["demo", "other"]
    assert {"demo"} <= {model.name for model in easel.models()} and "Euler" in easel.samplers() and "Karras" in easel.schedules()
    assert "steps" in [field["name"] for field in easel.fields()]


def test_plots(easel: Any) -> None:
    axes = {"CFG Scale": "4, 7", "Steps": [2, 3]}
    assert easel.check_plot(axes, **SMALL)["pictures"] == 4
    plot = easel.wait_plot(easel.plot(axes, **SMALL), timeout=30, every=0.05)
    assert (plot.done, plot.total) == (4, 4) and all(easel.image(cell["image"]) for cell in plot.cells)
    assert Image.open(io.BytesIO(easel.export_plot(plot, "webp"))).format == "WEBP"
    slow = easel.plot(axes, **{**SMALL, "prompt": "slow=1"})
    easel.cancel_plot(slow)
    assert easel.wait_plot(slow, timeout=30, every=0.05).is_over


def test_the_same_without_blocking(address: str, tmp_path: Path) -> None:
    async def whole() -> None:
        async with client.AsyncEasel(address) as easel:
            first, second = await asyncio.gather(easel.draw(SMALL), easel.draw(SMALL, seed=6))
            assert (first.images[0].seed, second.images[0].seed) == (5, 6)
            assert (await easel.save(first.images[0], tmp_path / "a.png")).is_file() and await easel.infotext(first.images[0])
            assert (await easel.settings(first.images[0]))["seed"] == 5 and (await easel.jobs())[0]["id"]
            events = [event async for event in easel.events(await easel.submit(SMALL, prompt="slow=0.6"))]
            assert events[-1].name == "done" and any(event.progress for event in events)
            start = await easel.upload(png())
            assert (await easel.draw(SMALL, init_image=start)).is_over
            assert await easel.models("checkpoint") and await easel.samplers() and await easel.schedules() and await easel.fields()
            axes = {"Steps": "2, 3"}
            assert (await easel.check_plot(axes, **SMALL))["cells"] == 2
            plot = await easel.wait_plot(await easel.plot(axes, **SMALL), timeout=30, every=0.05)
            assert plot.done == 2 and await easel.export_plot(plot) and (await easel.cancel_plot(plot)).is_over
            slow = await easel.submit(SMALL, prompt="slow=1")
            assert (await easel.cancel(slow)).id == slow.id == (await easel.job(slow)).id
            with pytest.raises(client.JobFailed):
                await easel.wait(slow)
            await easel.delete(slow)
            with pytest.raises(client.EaselError):
                await easel.submit(steps=0)

    asyncio.run(whole())


def test_a_login_and_a_wrong_one(tmp_path: Path) -> None:
    with served(tmp_path, users={"ann": "one"}) as (address, _):
        with client.Easel(address, login=("ann", "one")) as easel:
            assert easel.draw(SMALL).state == "done"
        with client.Easel(address) as easel, pytest.raises(client.EaselError) as refused:
            easel.models()
        assert refused.value.status == 401 and refused.value.detail


def stumbling(broken: int) -> httpx.MockTransport:
    """Every question's connection breaks so often before it is answered; events are cut off behind each one."""
    state = {"left": broken, "streams": 0}

    def answer(request: httpx.Request) -> httpx.Response:
        if state["left"]:
            state["left"] -= 1
            raise httpx.ConnectError("broken")
        if request.url.path.endswith("/events"):
            state["streams"] += 1
            last = int(request.headers.get("Last-Event-ID", "0"))
            frame = f"id: {last + 1}\nevent: {'done' if last == 2 else 'picture'}\ndata: {json.dumps({'number': last})}\n\n"
            return httpx.Response(200, text=f": here\n\n{frame}")
        return httpx.Response(201, json={"id": request.headers["Idempotency-Key"], "state": "queued", "position": 1, "count": 1, "request": {}})

    return httpx.MockTransport(answer)


def test_broken_connections_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
    with client.Easel(transport=stumbling(3)) as easel:
        assert easel.submit(key="same").id == "same"
        assert [event.data["number"] for event in easel.events("job")] == [0, 1, 2]
    with client.Easel(transport=stumbling(9)) as easel, pytest.raises(httpx.ConnectError):
        easel.submit()


def blocks(file: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", file.read_text("utf-8"), re.DOTALL)


def test_the_examples_run(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks(CLIENTS / "README.md"):
        exec(compile(block.replace("http://127.0.0.1:7860", address), "README.md", "exec"), names)
    assert (tmp_path / "lighthouse.png").is_file() and (tmp_path / "plot.png").is_file()
    assert "['sampler', 'steps']" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["example.py", "a", "cat"])
    example = (CLIENTS / "example.py").read_text("utf-8").replace("Easel()", f"Easel({address!r})")
    exec(compile(example, "example.py", "exec"), {})
    assert "saved" in capsys.readouterr().out

"""Extensions that eat memory, die, or block in a job and while they load: each costs itself, and the house draws on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
MANIFEST = 'title = "{name}"\nversion = "1"\nabout = "What tests need."\ninterface = 1\n'
FIELD = '''
from backend.request.field import Field

def register(house):
    house.fields.add(Field(name="{name}", label="{name}", kind="float", default=0.0, group="extensions", section="{name}", minimum=0, maximum=1))
'''
HOOK = '''
import os, resource, signal, time
from dataclasses import dataclass
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Hook

@dataclass
class Act(Hook):
    def denoised(self, noisy, denoised):
        {act}

def register(house):
    house.hooks.add(HookRow("{name}", lambda request: Act() if request.{name} else None))
'''
EATS = '''before = resource.getrlimit(resource.RLIMIT_AS)
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, before[1]))
        try:
            eaten = []
            while True:
                eaten.append(bytearray(2**24))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)'''
IN_A_JOB = {"hungry": EATS, "deadly": "time.sleep(3); os.kill(os.getpid(), signal.SIGKILL)      # as a system without memory does",
            "endless": "time.sleep(10**6)"}
AT_LOAD = {"twisted": "def register(house:\n", "blocking": "import time\n\ndef register(house):\n    time.sleep(10**6)\n"}

SCRIPT = '''
import json, sys, time
from pathlib import Path
import backend.dispatch.watchdog as watchdog
import backend.extensions.registration as registration
import backend.house as houses

registration.SECONDS = 4.0              # in the worker too, which imports this file again
watchdog.EXTENSION_SECONDS = 4.0


def main():
    from backend import LOCAL, Backend, InvalidRequest
    from backend.settings import Settings

    names = ("hungry", "deadly", "endless", "twisted", "blocking")
    packages = tuple("hostile." + name for name in names)
    house = houses.House()
    started = time.monotonic()
    told = {"troubles": house.open(packages), "seconds": time.monotonic() - started, "failed": {}, "plain": [], "refused": {}}
    settings = Settings(data=Path(sys.argv[1]), device="cpu", extensions=packages, extension_folder=Path(sys.argv[2]))
    backend = Backend(settings)
    for package, why in told["troubles"].items():
        backend.extensions.left_out(package, why)
    door = backend.as_(LOCAL)

    def draw(**more):
        job = door.submit({"prompt": "a red circle", "steps": 2, "seed": 5, "width": 64, "height": 64, **more})
        return door.wait(job.id, 120)

    def plain():
        job = draw()
        told["plain"].append([job.state, len(job.images)])

    try:
        plain()
        Path(sys.argv[2], "blocking", "extension.py").write_text("raise ImportError")     # each worker after it would wait again
        for name in names[:3]:
            job = draw(**{name: 1.0})
            told["failed"][name] = [job.state, str(job.problems[0]) if job.problems else ""]
            plain()
            try:
                door.submit({"prompt": "x", name: 1.0})
            except InvalidRequest as error:
                told["refused"][name] = [error.problems[0].field, error.problems[0].message]
        told["listed"] = {each.name: [each.state, each.why] for each in backend.extensions.listed()}
        told["notices"] = list(backend.status().notices)
        told["switches"] = json.loads(settings.extension_switches.read_text())
    finally:
        backend.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
'''


@pytest.mark.slow
def test_each_costs_itself_and_the_next_job_is_drawn(tmp_path: Path) -> None:
    for name, code in {**IN_A_JOB, **AT_LOAD}.items():
        folder = tmp_path / "hostile" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "extension.toml").write_text(MANIFEST.format(name=name))
        (folder / "extension.py").write_text(AT_LOAD.get(name) or FIELD.format(name=name))
        if name in IN_A_JOB:
            (folder / "worker.py").write_text(HOOK.format(name=name, act=code))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, script, tmp_path / "data", tmp_path / "hostile"], cwd=HOME, capture_output=True, text=True, timeout=300,
                         env={**os.environ, "PYTHONPATH": f"{HOME}:{tmp_path}"})
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    assert {name.rpartition(".")[2]: why.partition(":")[0] for name, why in told["troubles"].items()} == {
        "twisted": "SyntaxError", "blocking": "it did not register within 4 seconds"}
    assert told["seconds"] < 120
    assert told["plain"] == [["done", 1]] * 4, "the house draws on after each"
    for name, words in {"hungry": "MemoryError", "deadly": "was lost in its code", "endless": "kept it for"}.items():
        state, why = told["failed"][name]
        assert state == "failed" and f"The extension {name} failed" in why and words in why, (name, why)
        assert told["refused"][name][0] == name
        assert told["listed"][name][0] == "failed" and words in told["listed"][name][1]
        assert any(f"{name} is switched off" in notice for notice in told["notices"])
    assert set(told["switches"]["failed"]) == set(IN_A_JOB), "what only failed to load is tried at the next start"
    assert [told["listed"][name][0] for name in AT_LOAD] == ["failed", "failed"] and "SyntaxError" in told["listed"]["twisted"][1]

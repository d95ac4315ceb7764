"""Extensions: read without being run, switched, blamed; one that is broken costs at most itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.extensions import registration
from backend.extensions.blame import at_fault, standing_in
from backend.extensions.manifest import INTERFACE, found, translations, usable
from backend.extensions.switches import Switches
from backend.house import House
from backend.request.field import Field
from backend.table import Table
from extensions.fp8_layers import extension as fp8_layers
from extensions.step_cache import extension as step_cache
from tests.tiny.house import until

HOME = Path(__file__).parents[2]
FIELD = "from backend.request.field import Field\n"
ADD = 'house.fields.add(Field(name="{0}", label="{0}", kind="int", default=0, group="extensions"))'
BROKEN = {
    "syntax": "def register(house:",
    "raising": f"{FIELD}def register(house):\n    {ADD.format('left')}\n    raise ArithmeticError('seven')",
    "ending": "raise SystemExit(3)",
    "blocking": f"import time\n{FIELD}def register(house):\n    {ADD.format('late')}\n    time.sleep(120)",
    "empty": "",
    "taken": f"{FIELD}def register(house):\n    {ADD.format('prompt')}",
}


def extension(folder: Path, name: str, code: str = "def register(house): pass", manifest: str | None = "") -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    (folder / name / "extension.py").write_text(code)
    if manifest is not None:
        (folder / name / "extension.toml").write_text(manifest or f'title = "{name.title()}"\ninterface = {INTERFACE}\n')


def opened(*packages: str) -> tuple[House, dict[str, str]]:
    """A house of its own, so that nothing of it stays in this process."""
    own = House(**{name: Table(name) for name in ("samplers", "schedules", "families", "kinds", "axes", "scripts")},
                fields=Table("fields", (Field(name="prompt", label="Prompt", kind="text", default="", group="prompt"),)))
    return own, own.open(packages)


def test_what_easel_brings_says_what_it_is() -> None:
    brought = found(HOME / "extensions")
    assert len(brought) >= 7 and usable(brought) == tuple(each.package for each in brought)
    assert all(each.title and each.version and each.about.endswith(".") for each in brought)


def test_a_manifest_is_read_with_distrust(tmp_path: Path) -> None:
    extension(tmp_path, "fine", "raise RuntimeError('this must not run')", 'title = "Fine"\ninterface = 1\nversion = 3\n')
    extension(tmp_path, "absent", manifest=None)
    extension(tmp_path, "garbage", manifest="\0[[")
    extension(tmp_path, "older", manifest="interface = 0")
    extension(tmp_path, "wordy", manifest='interface = "1"')
    extension(tmp_path, "yes", manifest="interface = true")
    extension(tmp_path, "huge", manifest="# " + "x" * 100_000)
    extension(tmp_path, "not-a-name")
    (tmp_path / "folder").mkdir()
    told = {each.name: each for each in found(tmp_path)}
    assert set(told) == {"fine", "absent", "garbage", "older", "wordy", "yes", "huge"}
    assert (told["fine"].title, told["fine"].version, told["fine"].problem) == ("Fine", "", "")
    assert all(each.problem for each in told.values() if each.name != "fine")
    assert usable(told.values()) == (f"{tmp_path.name}.fine",)
    assert found(tmp_path / "nowhere") == ()


def test_switches_are_kept_and_a_failure_is_off_until_somebody_switches_it_on(tmp_path: Path) -> None:
    switches = Switches(tmp_path / "extensions.json")
    assert switches.is_on("one")
    switches.switch("one", False)
    switches.fail("two", "ValueError: no")
    again = Switches(tmp_path / "extensions.json")
    assert (again.is_on("one"), again.is_on("two"), again.why_off("two")) == (False, False, "ValueError: no")
    again.switch("two", True)
    again.switch("one", True)
    assert Switches(tmp_path / "extensions.json").is_on("one") and Switches(tmp_path / "extensions.json").is_on("two")


@pytest.mark.parametrize("text", ["", "[]", '{"off": 3, "failed": []}', '{"off": [1, {}], "failed": {"a": 1}}', "[" * 5000, "\0"])
def test_a_damaged_file_of_switches_switches_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "extensions.json").write_text(text)
    assert Switches(tmp_path / "extensions.json").is_on("a")


def test_a_broken_extension_costs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "SECONDS", 0.3)
    package = f"{tmp_path.name.replace('-', '_')}_extensions"
    for name, code in BROKEN.items():
        extension(tmp_path / package, name, code)
    extension(tmp_path / package, "fine", f"{FIELD}def register(house):\n    {ADD.format('gentle')}")
    monkeypatch.syspath_prepend(tmp_path)
    started = time.monotonic()
    own, troubles = opened(*(f"{package}.{name}" for name in (*BROKEN, "fine", "missing")))
    assert time.monotonic() - started < 60
    assert {name.rpartition(".")[2] for name in troubles} == {*BROKEN, "missing"}
    assert "seven" in troubles[f"{package}.raising"] and "0.3 seconds" in troubles[f"{package}.blocking"]
    assert list(own.fields) == ["prompt", "gentle"], "nothing of those that failed has stayed"
    assert own.fields.owner_of("gentle") == f"{package}.fine" and not own.fields.owner_of("prompt")


def _caused_by(act: Callable[[], object]) -> None:
    try:
        act()
    except ValueError as error:
        failed = error
    raise ValueError("told in other words") from failed


def test_an_error_is_blamed_on_the_extension_whose_code_is_innermost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = f"{tmp_path.name.replace('-', '_')}_blamed"
    (tmp_path / package).mkdir()
    (tmp_path / package / "outer.py").write_text("def call(inner): inner()")
    (tmp_path / package / "inner.py").write_text("def act(): return int('x')")
    monkeypatch.syspath_prepend(tmp_path)
    modules = [__import__(f"{package}.{name}", fromlist=[name]) for name in ("outer", "inner")]

    def raised(act: object) -> BaseException:
        try:
            act()
        except ValueError as error:
            return error
        raise AssertionError

    names = [module.__name__ for module in modules]
    assert at_fault(raised(lambda: modules[0].call(modules[1].act)), names) == f"{package}.inner"
    assert at_fault(raised(lambda: modules[0].call(lambda: int("x"))), names) == f"{package}.outer"
    assert at_fault(raised(lambda: int("x")), names) == ""
    assert at_fault(raised(lambda: _caused_by(modules[1].act)), names) == f"{package}.inner", "the core says it again"
    assert at_fault(raised(modules[1].act), [f"{package}.inne"]) == "", "a name that only begins alike is another's"
    assert all(sys.modules.pop(name) for name in names)


def test_a_thread_is_in_the_extension_whose_own_code_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = f"{tmp_path.name.replace('-', '_')}_standing"
    (tmp_path / package).mkdir()
    (tmp_path / package / "slow.py").write_text("import threading\ndef wait(event): event.wait()\ndef call(act): act()")
    monkeypatch.syspath_prepend(tmp_path)
    slow = __import__(f"{package}.slow", fromlist=["slow"])
    network = {"__name__": "torch.nn.modules.linear"}
    exec("def forward(event): event.wait()", network)
    for act, expected in ((slow.wait, package), (lambda event: slow.call(event.wait), package), (lambda event: event.wait(), ""),
                          (lambda event: slow.call(lambda: network["forward"](event)), "")):
        event = threading.Event()
        thread = threading.Thread(target=act, args=(event,))
        thread.start()
        until(lambda frames=sys._current_frames, thread=thread: "wait" in frames()[thread.ident].f_code.co_name)
        assert standing_in(sys._current_frames()[thread.ident], ("other", package)) == expected
        event.set()
        thread.join()
    assert standing_in(None, (package,)) == "" and sys.modules.pop(f"{package}.slow")


def test_one_that_ended_the_start_is_off_at_the_next(tmp_path: Path) -> None:
    file = tmp_path / "extensions.json"
    Switches(file).opening("extensions.deadly")         # and here the process ends
    again = Switches(file)
    again.blame_the_last_start()
    assert not again.is_on("deadly") and "ended while it was being loaded" in again.why_off("deadly")
    again.opening("extensions.fine")
    again.opening("")
    third = Switches(file)
    third.blame_the_last_start()
    assert third.is_on("fine") and not third.is_on("deadly")


def test_rows_of_one_that_is_switched_off_keep_their_names() -> None:
    table = Table("rows", (Field(name="own", label="Own", kind="int", default=0, group="hidden"),))
    table.owner = "extensions.one"
    table.add(Field(name="theirs", label="Theirs", kind="int", default=0, group="hidden"))
    table.switch_off("extensions.one")
    assert [field.name for field in table.working()] == ["own"] and list(table) == ["own", "theirs"]


@pytest.mark.slow
def test_the_example_of_the_docs_is_a_whole_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (HOME / "docs" / "extensions.md").read_text("utf-8")
    blocks = re.findall(r"```(?:toml|python)\n# extensions/gentle/(\S+)\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in blocks] == ["extension.toml", "extension.py", "worker.py"]
    assert sum(len(code.splitlines()) for _, code in blocks) < 60
    package = f"{tmp_path.name.replace('-', '_')}_docs"
    for name, code in (*blocks, ("__init__.py", "")):
        (tmp_path / package / "gentle").mkdir(parents=True, exist_ok=True)
        (tmp_path / package / "gentle" / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    (one,) = found(tmp_path / package)
    assert (one.title, one.problem) == ("Gentle", "")
    own, troubles = opened(one.package)
    assert not troubles and own.fields["gentle_pull"].section == "Gentle"
    ran = subprocess.run([sys.executable, "-c", EXAMPLE.format(package=one.package)], capture_output=True, text=True,
                         cwd=HOME, env={**os.environ, "PYTHONPATH": str(tmp_path)}, timeout=120)
    assert ran.stdout.split() == ["0.75", "[]"], ran.stderr


EXAMPLE = """
import gc
gc.disable()
import torch
from backend.request.request import Request
from backend.worker.guidance.hook_table import hooks_for
from backend.worker.house import WorkerHouse
assert not WorkerHouse().open(("{package}",))
hook, = hooks_for(Request.parse({{"gentle_pull": 0.25}}))
print(float(hook.denoised(None, torch.ones(4, 2, 2)).mean()), hooks_for(Request.parse({{}})))
"""


@pytest.mark.parametrize("one", found(HOME / "extensions"), ids=lambda one: one.name)
def test_what_easel_brings_speaks_german(one: object) -> None:
    own, troubles = opened(one.package)
    assert not troubles
    texts = [one.about, *(text for field in own.fields.values() if own.fields.owner_of(field.name)
                          for text in (field.section, field.label, field.help))]
    chosen = [choice for field in own.fields.values() if own.fields.owner_of(field.name) for choice in field.choices]
    german = translations(HOME / "extensions", one.name, "de")
    bare = {"CFG-Zero*", "FreeU", "Dynamic thresholding"}      # names, or said by another text already
    assert [text for text in texts if text and text not in german and text not in bare] == []
    assert set(german) <= {*texts, *chosen}, "nothing is translated that is not said"


def test_the_page_is_told_which_fold_to_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    from ui import fields

    own, _ = opened("extensions.cfg_zero_star")
    monkeypatch.setattr(fields, "FIELDS", own.fields)
    told = fields.described()
    assert told["cfg_zero_star"]["fold"] == "extensions_cfg_zero_"
    assert "fold" not in told["cfg_zero_steps"], "it acts only where the other one does"
    assert "fold" not in told["prompt"]


def test_presets_that_change_pictures_say_what_they_were_measured_to_cost():
    measured = json.loads((HOME / "benchmarks/results/cpu.json").read_text())["lossy presets"]["demo"]
    told = {f"Step cache, {choice.lower()}": cost for choice, cost in step_cache.COSTS.items()}
    told[f"8-bit layers, {fp8_layers.ON}"] = fp8_layers.COST
    assert told == {name: f"{found['PSNR mean']:.0f} dB and SSIM {found['SSIM mean']:.3f} to the exact picture on the demo, in the mean of 12"
                    for name, found in measured.items() if name not in ("pictures", "steps")}
    fields: list[Field] = []
    step_cache.register(SimpleNamespace(fields=SimpleNamespace(add=fields.append)))     # the real table is everybody's
    costs = [measured[name] for name in told if name.startswith("Step cache")]
    faster, decibels, likeness = ([format(found[name], how) for found in costs]
                                  for name, how in (("times as fast", ".1f"), ("PSNR mean", ".0f"), ("SSIM mean", ".3f")))
    for first, second, third in (faster, decibels, likeness):
        assert f"{first}, {second} or {third}" in fields[0].help

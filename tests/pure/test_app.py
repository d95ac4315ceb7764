"""The start: flags, refusals, and that the top level of app.py stays light."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from backend.flags import HELP, Refusal, parser, settings_from
from backend.http.server import address
from backend.settings import HOME, Settings
from backend.store.accounts import Accounts
from backend.store.database import Database
from backend.store.sqlite_file import Lock
from backend.store.users import Users


@pytest.fixture(autouse=True)
def _environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("EASEL_AUTH", raising=False)
    monkeypatch.setattr(app.signal, "signal", lambda *_: None)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def settings(*arguments: str, data: Path, **environment: str) -> Settings:
    return settings_from(parser().parse_args([*arguments, "--data", str(data)]), environment)


def test_without_flags_it_listens_to_this_machine_only(tmp_path: Path) -> None:
    made = settings(data=tmp_path)
    assert (made.host, made.port, made.device, made.policy, made.users) == ("127.0.0.1", 7860, "auto", "solo", {})
    assert made.models == (HOME / "models",)
    usual = Settings(data=made.data, models=made.models, database_url=made.database_url)
    assert made == usual, "what a flag leaves out is what a setting leaves out"


def test_flags_reach_the_settings(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    made = settings("--models", str(tmp_path / "a"), "--models", str(tmp_path / "b"), "--device", "cuda:1", "--policy", "packed",
                    "--port", "81", data=tmp_path / "new" / "data")
    assert made.models == (tmp_path / "a", tmp_path / "b", HOME / "models")
    assert (made.device, made.policy, made.port) == ("cuda:1", "packed", 81)
    assert made.data.is_dir()


def test_hosts_and_origins_are_let_in_by_name(tmp_path: Path) -> None:
    made = settings("--allow-host", "Host.docker.internal", "--allow-host", "192.168.1.5", "--allow-origin", "http://Localhost:3000/", data=tmp_path)
    assert (made.hosts, made.origins) == (("host.docker.internal", "192.168.1.5"), ("http://localhost:3000",))


@pytest.mark.parametrize("flags", [["--allow-host", "http://x"], ["--allow-host", "x:80"], ["--allow-host", "cafe:80"], ["--allow-host", "*"], ["--allow-origin", "localhost:3000"],
                                   ["--allow-origin", "*"], ["--allow-origin", "https://x/page"], ["--allow-origin", "null"]])
def test_what_is_no_host_or_origin_is_refused(tmp_path: Path, flags: list[str]) -> None:
    with pytest.raises(Refusal, match=flags[0]):
        settings(*flags, data=tmp_path)


def test_a_models_folder_given_twice_is_searched_once(tmp_path: Path) -> None:
    own = str(HOME / "models")
    made = settings("--models", own, "--models", str(tmp_path), "--models", str(tmp_path / "x" / ".."), data=tmp_path)
    assert made.models == (HOME / "models", tmp_path)


def test_a_models_folder_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.flags.os.access", lambda *_: False)
    with pytest.raises(Refusal, match="may not be read"):
        settings("--models", str(tmp_path), data=tmp_path)


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        app.main(["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and all(f"--{name}" in text for name in HELP)


@pytest.mark.parametrize("flags", [["--listen"], ["--host", "0.0.0.0"], ["--host", "::"], ["--host", "192.168.1.5"]])
def test_it_does_not_listen_to_others_without_logins(tmp_path: Path, flags: list[str]) -> None:
    strangers, known = settings(*flags, data=tmp_path), settings(*flags, data=tmp_path, EASEL_AUTH="ann:secret")
    assert known.users == {"ann": "secret"}
    database = Database(tmp_path / "easel.db")
    accounts = Accounts(database, Users(database), {}, ())
    assert re.search("user add NAME --admin.*--auth FILE or EASEL_AUTH", accounts.missing_for(strangers)) and not accounts.missing_for(settings(data=tmp_path))
    assert not Accounts(database, Users(database), known.users, ()).missing_for(known)
    accounts.add("ann", "admin", "a password")
    assert not accounts.missing_for(strangers)
    database.close()


def test_logins_come_from_a_file_too_and_the_file_wins(tmp_path: Path) -> None:
    (tmp_path / "logins").write_text("# people\nann:$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA\n", "utf-8")
    made = settings("--auth", str(tmp_path / "logins"), data=tmp_path, EASEL_AUTH="ann:x,bob:y")
    assert made.users == {"ann": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "bob": "y"}


@pytest.mark.parametrize("content", [None, b"ann", b"\xff\xfe", b"ann:x\nann:y"])
def test_unreadable_logins_are_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "logins").write_bytes(content)
    with pytest.raises(Refusal, match="cannot be read"):
        settings("--auth", str(tmp_path / "logins"), data=tmp_path)


def test_a_port_in_use_is_refused_with_a_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code = app.main(["--port", str(taken.getsockname()[1]), "--data", str(tmp_path)])
    assert code == 2 and "give --port another" in capsys.readouterr().err


@pytest.mark.slow
def test_it_does_not_start_where_strangers_could_come_in(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "app.py", "--listen", "--port", "0", "--data", str(tmp_path)], cwd=HOME, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 2 and ran.stdout == "" and "there are no accounts" in ran.stderr


@pytest.mark.slow
def test_a_second_easel_in_one_data_folder_is_refused(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "easel.lock")
    command = [sys.executable, "app.py", "--port", "0", "--data", str(tmp_path)]
    ran = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=240)
    lock.release()
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr == f"Easel does not start: Another Easel already works in {tmp_path}; give --data another.\n"


@pytest.mark.parametrize("port", ["-1", "70000"])
def test_a_port_that_does_not_exist_is_refused(tmp_path: Path, port: str) -> None:
    assert app.main(["--port", port, "--data", str(tmp_path)]) == 2


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_refused_in_a_sentence(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")
    ended = subprocess.run([sys.executable, str(HOME / "app.py"), "--port", "0", "--cluster", "127.0.0.1:9", "--data", str(tmp_path)],
                           capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 2 and "no Ray cluster answers at 127.0.0.1:9" in ended.stderr and "Traceback" not in ended.stderr


def test_a_data_folder_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("not a folder", "utf-8")
    assert app.main(["--data", str(tmp_path / "file" / "data")]) == 2
    assert "give --data another" in capsys.readouterr().err


def test_a_models_folder_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--models", str(tmp_path / "absent"), "--data", str(tmp_path)]) == 2
    assert "--models" in capsys.readouterr().err


@pytest.mark.parametrize("host, expected", [
    ("127.0.0.1", "http://127.0.0.1:7860"), ("0.0.0.0", "http://127.0.0.1:7860"), ("::1", "http://[::1]:7860"), ("::", "http://[::1]:7860"),
    ("studio", "http://studio:7860"),
])
def test_the_address_can_be_typed_into_a_browser(host: str, expected: str) -> None:
    assert address(host, 7860) == expected


def test_a_worker_that_imports_app_imports_no_page_and_no_server() -> None:
    script = "import sys, app; print([name for name in ('gradio', 'uvicorn', 'fastapi', 'torch', 'ui') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], cwd=HOME, capture_output=True, text=True, timeout=240)
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


@pytest.mark.parametrize(("given", "device"), [(("--device", "cpu, cuda:1"), "cpu,cuda:1"), (("--device-id", "0,1"), "cuda:0,cuda:1"),
                                               (("--device", "none"), "none")])
def test_several_devices(tmp_path, given, device):
    assert settings(*given, data=tmp_path).device == device


@pytest.mark.parametrize("device", ["cuda:0,cuda:0", "auto,cpu", "gpu", "", "cuda:x", "none,cpu"])
def test_devices_that_are_none_are_refused(tmp_path, device):
    with pytest.raises(Refusal, match="--device takes"):
        settings("--device", device, data=tmp_path)

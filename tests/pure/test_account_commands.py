"""`python app.py user`, beside an Easel that runs."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend import Backend, Settings
from backend.facade import account_commands
from backend.facade.account_commands import PASSWORD
from backend.settings import HOME


@pytest.fixture(autouse=True)
def _no_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)


def run(data: Path, *words: str) -> int:
    return account_commands.run([*words, "--data", str(data)])


def test_accounts_are_managed_beside_an_easel_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models").mkdir()
    house = Backend(Settings(data=tmp_path / "data", models=(tmp_path / "models",)), start_workers=False)
    assert not house.accounts.exist
    monkeypatch.setenv(PASSWORD, "from the environment")
    assert run(house.settings.data, "add", "ada", "--admin") == 0
    monkeypatch.delenv(PASSWORD)
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe\n"))
    assert run(house.settings.data, "add", "ann") == 0 and run(house.settings.data, "role", "ann", "viewer") == 0
    house.accounts._read_at = float("-inf")
    assert [(each.user.name, each.user.role) for each in house.accounts.all()] == [("ada", "admin"), ("ann", "viewer")]
    assert house._components.users.of(house.accounts.named("ann").user.id).name == "ann", "a running Easel knows whose folder it is"
    before = house.accounts.named("ann").password
    monkeypatch.setattr("sys.stdin", io.StringIO("another password\n"))
    assert run(house.settings.data, "password", "ann", "--ask") == 0 and run(house.settings.data, "disable", "ann") == 0
    house.accounts._read_at = float("-inf")
    assert house.accounts.named("ann").disabled and house.accounts.named("ann").password != before
    capsys.readouterr()
    assert run(house.settings.data, "list") == 0
    told = capsys.readouterr().out
    assert "ann" in told and "disabled" in told and "argon2" not in told
    assert run(house.settings.data, "enable", "ann") == 0 and run(house.settings.data, "remove", "ann") == 0
    house.accounts._read_at = float("-inf")
    assert house.accounts.named("ann") is None
    house.close()


def test_a_password_is_chosen_by_its_owner_at_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models").mkdir()
    house = Backend(Settings(data=tmp_path / "data", models=(tmp_path / "models",)), start_workers=False)
    house.accounts.add("ada", "admin", "the first of them")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for words in (("add", "ann", "--link"), ("password", "ada")):
        assert run(house.settings.data, *words, "--address", "https://easel.example/") == 0
        secret = re.search(r"https://easel\.example/password/([\w-]+)", capsys.readouterr().out)[1]
        house.accounts._read_at = float("-inf")
        assert not house.accounts.named(words[1]).password, "nobody knows one until it is chosen"
        assert house.password_links.use(secret, "chosen by its owner").user.name == words[1]
    house.close()


@pytest.mark.parametrize(("words", "why"), [
    (["add", "x"], "8 to 256 characters"), (["add", "a:b"], "colon"), (["remove", "nobody"], "no account nobody"), (["role", "nobody", "admin"], "no account nobody"),
])
def test_what_cannot_be_done_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], why: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n" if words[1] == "x" else "a good password\n"))
    assert run(tmp_path, *words) == 2
    assert why in capsys.readouterr().err


def test_a_password_is_asked_for_twice_at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = iter(["a good password", "a good passwort"])
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr(account_commands.getpass, "getpass", lambda _: next(asked))
    assert run(tmp_path, "add", "ada") == 2 and "differ" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_is_app_pys(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "app.py", "user", "add", "ada", "--admin", "--data", str(tmp_path)], cwd=HOME, input="a good password\n",
                         capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0 and ran.stdout == "ada may log in (admin).\n", ran.stderr

"""Gradio's own Python package, as people install it, against a whole house with its page, where people log in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gradio_client
import pytest

from tests.tiny.served import served

PASSWORD = "a good password"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("house"), page=True, users={"ann": PASSWORD}) as (address, _):
        yield address


def client(address: str, folder: Path, password: str | None) -> gradio_client.Client:
    auth = None if password is None else ("ann", password)
    return gradio_client.Client(address, auth=auth, verbose=False, analytics_enabled=False, download_files=folder)


def test_a_name_and_a_password_log_in(address: str, tmp_path: Path) -> None:
    there = client(address, tmp_path, PASSWORD)
    assert list(there.cookies) and there.config["title"] == "Easel"
    assert there.view_api(return_format="dict", print_info=False)["named_endpoints"] == {}, "programs have /api for that"
    there.close()


@pytest.mark.parametrize("password", ["wrong", None])
def test_nobody_else_comes_in(address: str, tmp_path: Path, password: str | None) -> None:
    with pytest.raises(gradio_client.exceptions.AuthenticationError):
        client(address, tmp_path, password)

"""No secret of a person, a program or the operator is in a saved picture, an answer about a job, or the log."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from backend import Backend
from backend.flags import parser, settings_from
from backend.http import create_app
from backend.image.read import read_metadata
from tests.tiny.house import FakeCatalog, until

PASSWORD, CLIENT_SECRET = "a-password-zebrafinch", "oidc-secret-nightjar"
SIGNING = "whsec_" + base64.b64encode(b"webhook-secret-kingfisher-1234").decode()
ENVIRONMENT = {"EASEL_ADMIN": f"ann:{PASSWORD}", "EASEL_OIDC_CLIENT_ID": "easel", "EASEL_OIDC_CLIENT_SECRET": CLIENT_SECRET}
FLAGS = ["--allow-webhook", "127.0.0.1", "--oidc-issuer", "https://login.invalid"]


pytestmark = pytest.mark.usefixtures("light_start")


def test_no_secret_is_in_a_picture_a_jobs_answer_or_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = replace(settings_from(parser().parse_args(FLAGS), ENVIRONMENT), data=tmp_path / "data", device="cpu")
    backend = Backend(settings, catalog=FakeCatalog(tmp_path), worker="tests.tiny.fake_worker")
    try:
        backend.accounts.add_first_admin(*settings.first_admin)
        token = backend.access_tokens.make(backend.accounts.named("ann").user.id, "program", ["draw"])
        client = TestClient(create_app(backend), base_url="http://127.0.0.1:7860", headers={"Authorization": f"Bearer {token}"})
        answers = [client.get("/api/jobs", auth=("ann", PASSWORD)).text]
        for prompt, state in (("a lighthouse", "done"), ("fail=0 always", "failed"), ("die_at=start", "done")):
            job = {"prompt": prompt, "width": 64, "height": 64, "steps": 2, "webhook": {"url": "http://127.0.0.1:9/told?key=crake-key", "secret": SIGNING}}
            made = client.post("/api/jobs", json=job)
            assert made.status_code == 201, made.text
            until(lambda made=made, state=state: client.get(f"/api/jobs/{made.json()['id']}").json()["state"] == state, 60)
            answers.append(client.get(f"/api/jobs/{made.json()['id']}").text)
        answers.append(client.get("/internal/sysinfo").text + client.get("/sdapi/v1/options").text + client.get("/sdapi/v1/cmd-flags").text)
    finally:
        backend.close()
    pictures = list((tmp_path / "data").rglob("*.png"))
    texts = [repr(read_metadata(file.read_bytes())) for file in pictures] + [file.read_bytes().decode("latin-1") for file in pictures]
    assert pictures and any("lighthouse" in text for text in texts)
    logged = "\n".join(f"{record.getMessage()} {record.exc_text} {record.__dict__}" for record in caplog.records if not record.name.startswith("httpx"))
    logged += "".join(capfd.readouterr())
    assert "lost" in logged, "the job that killed its worker is told of"
    secrets = [PASSWORD, CLIENT_SECRET, SIGNING, SIGNING.removeprefix("whsec_"), token]
    assert [word for word in secrets for text in (*answers, *texts, logged) if word in text] == []

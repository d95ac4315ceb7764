"""An extension's sampler, field, records and hook, from the page's form to the picture and back, in real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[2]

SCRIPT = '''
import json, sys
from dataclasses import replace
from pathlib import Path
from fastapi.testclient import TestClient
import ui
from backend import LOCAL, Backend, http
from backend.facade import backend as door
from backend.house import House, sentences
from backend.settings import Settings
import numpy as np
from PIL import Image


def main():
    house = House()
    ui.fill(house.tabs)
    http.fill(house.routers)
    troubles = house.open(("tests.sample_extension", "tests.no_such_extension"))
    assert list(troubles) == ["tests.no_such_extension"], troubles
    settings = Settings(data=Path(sys.argv[1]), device="cpu", extensions=("tests.sample_extension",),
                        extension_folder=Path("tests").absolute())
    backend = Backend(settings)
    told = {"sentence": sentences(troubles)[0]}
    try:
        page = ui.build(backend, house.tabs)
        labels = [getattr(block, "label", None) for block in page.blocks.values()]
        told["page"] = [labels.count("Sample push"), labels.count("Weight")]
        client = TestClient(http.create_app(backend, house.routers), base_url="http://127.0.0.1:7860")
        told["samplers"] = [row["name"] for row in client.get("/sdapi/v1/samplers").json()]
        values = {"prompt": "a red circle", "steps": 4, "seed": 5, "width": 128, "height": 128, "schedule": "Uniform"}

        def draw(**more):
            job = client.post("/easel/jobs", json=values | more)
            assert job.status_code == 200, job.text
            for _ in range(600):
                found = client.get("/easel/jobs").json()["jobs"]
                mine = next(one for one in found if one["id"] == job.json()["id"])
                if mine["state"] in ("done", "failed"):
                    break
                import time; time.sleep(0.1)
            assert mine["state"] == "done", mine
            image = client.get("/easel/images?job=" + job.json()["id"]).json()["images"][0]
            file = client.get("/easel/image/" + image["id"]).content
            import io
            return image, np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int), file

        _, plain, _ = draw(sampler="Euler")
        _, same, _ = draw(sampler="Straight")
        units = [{"word": "one, two", "weight": 0.5}, {"on": False}]
        image, pushed, file = draw(sampler="k_straight", sample_push=0.25, sample_units=units)
        _, flat, _ = draw(**{"sampler": "Straight", "sample_push": 0.25, "sample_units[0].weight": 0.5,
                             "sample_units[1].on": False})
        tinted = [draw(sampler="Euler", prompt="a red circle" + words)[1] for words in
                  (" <tint:0.03>", " [<tint:0.03>:<tint:0>:0.5]", " <tint:0>", "")]
        told["tinted"] = [float(abs(plain - pixels).mean()) for pixels in tinted]
        told["same"] = int(abs(plain - same).max())
        told["pushed"] = int(abs(plain - pushed).max())
        told["flat"] = int(abs(flat - pushed).max())
        read = client.post("/sdapi/v1/png-info", json={"image": __import__("base64").b64encode(file).decode()}).json()
        told["text"] = read["info"]
        stored = backend.as_(LOCAL).read_text(read["info"]).values
        told["push"] = stored["sample_push"]
        told["units"] = [dict(unit) for unit in stored["sample_units"]]
        bad = client.post("/easel/jobs", json=values | {"sample_units": [{}, {"weight": 9}]})
        told["bad"] = [bad.status_code, bad.json()["problems"][0]["field"]]
        theirs = {name: value for name, value in values.items() if name != "schedule"}
        a1111 = client.post("/sdapi/v1/txt2img", json={**theirs, "sampler_name": "Straight", "sample_push": 0.25, "scheduler": "Uniform"})
        told["a1111"] = [a1111.status_code, json.loads(a1111.json()["info"])["infotexts"][0]]
        told["listed"] = client.get("/easel/extensions").json()["extensions"]
        broken = client.post("/easel/jobs", json=values | {"sample_push": 1}).json()["id"]
        failed = backend.as_(LOCAL).wait(broken, 60)
        told["failed"] = [failed.state, str(failed.problems[0])]
        refused = client.post("/easel/jobs", json=values | {"sample_push": 0.25})
        told["refused"] = [refused.status_code, refused.json()["problems"][0]]
        told["rest"] = int(abs(plain - draw(sampler="Euler")[1]).max())
        told["notices"] = list(backend.status().notices)
        told["off"] = client.get("/easel/extensions").json()["extensions"][0]
        told["kept"] = json.loads((settings.data / "extensions.json").read_text())
        again = client.put("/easel/extensions/sample_extension", json={"on": True})
        told["again"] = [again.status_code, json.loads((settings.data / "extensions.json").read_text())]
        told["wrong"] = [client.put("/easel/extensions/" + name, json=body).status_code
                         for name, body in (("nothing", {"on": True}), ("sample_extension", {"on": "yes"}), ("sample_extension", {}))]
    finally:
        backend.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
'''


def test_an_extension_from_the_form_to_the_picture_and_back(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, str(script), str(tmp_path / "data")], cwd=HOME, capture_output=True, text=True,
                         timeout=200, env={**__import__("os").environ, "PYTHONPATH": str(HOME)})
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    assert "no_such_extension was left out" in told["sentence"]
    assert told["page"] == [2, 4]                   # in txt2img and img2img; two units each
    assert "Straight" in told["samplers"]
    assert told["same"] <= 1                        # Euler's method is Euler's method
    assert told["pushed"] > 8
    whole, half, none, after = told["tinted"]
    assert min(whole, half) > 1 and abs(whole - half) > 0.01, told["tinted"]      # an adapter's strength along the timeline
    assert none < 0.1 and after == 0      # and nothing of it stays
    assert told["flat"] == 0                        # the form's way of naming the values of records
    assert 'Sample push: 0.25' in told["text"] and 'Sample unit 0: "Word: ' in told["text"]
    assert told["push"] == 0.25
    assert told["units"] == [{"word": "one, two", "weight": 0.5, "on": True}, {"word": "", "weight": 1.0, "on": False}]
    assert told["bad"] == [422, "sample_units[1].weight"]
    assert [(one["name"], one["title"], one["version"], one["state"]) for one in told["listed"]] == [
        ("sample_extension", "Sample", "1.2", "on")]
    assert told["failed"] == ["failed", "The extension sample_extension failed. ArithmeticError: pushed too far"]
    assert told["refused"][0] == 422 and told["refused"][1]["field"] == "sample_push" and "pushed too far" in told["refused"][1]["message"]
    assert told["rest"] == 0                        # the others go on
    assert any("The extension sample_extension is switched off. ArithmeticError" in notice for notice in told["notices"])
    assert (told["off"]["state"], told["off"]["wanted"]) == ("failed", False) and "pushed too far" in told["off"]["why"]
    assert list(told["kept"]["failed"]) == ["sample_extension"]
    assert told["again"] == [200, {"off": [], "failed": {}}]
    assert told["wrong"] == [404, 422, 422]
    assert told["a1111"][0] == 200 and "Sample push: 0.25" in told["a1111"][1]

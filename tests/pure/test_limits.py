"""What one user may ask for: read from flags, kept per user, checked at every door, and told with what is used."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from backend import InvalidRequest, UserError
from backend.facade.limits import result_size
from backend.flags import Refusal, parser, settings_from
from backend.http import create_app
from backend.http.a1111.plot_scripts import BOTH_TABS, LABELS, ONLY_TXT2IMG
from backend.request.limits import LIMITS, changed, read_limit, shown
from backend.request.output_size import Size
from backend.request.request import Request
from tests.guest import SIZE, Guest
from tests.tiny.house import open_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    house = open_house(tmp_path, start_workers=False, limits={"queued": 5, "pixels": 64 * 64 * 4, "steps": 30})
    yield house
    house.close()


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Draws: a call that is let through, against its limit, does not wait for ever."""
    house = open_house(tmp_path_factory.mktemp("house"), limits={"pixels": 64 * 64 * 4})
    yield house
    house.close()


def png(side: int = 64) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 90).convert("RGB").save(out, "PNG")
    return out.getvalue()


def refused(act: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as wrong:
        act()
    return {problem.field: problem.message for problem in wrong.value.problems}


def plot(*values: str, **request: Any) -> dict[str, Any]:
    labels = ("Seed", "CFG Scale", "Steps")
    return {"request": {"prompt": "a cat", **SIZE, **request}, "axes": [{"label": label, "values": text} for label, text in zip(labels, values, strict=False)]}


@pytest.mark.parametrize(("name", "written", "number"), [
    ("queued", "200", 200), ("pixels", "16M", 16_000_000), ("disk", "10GB", 10 * 2**30), ("disk", " 512 mib ", 2**29), ("steps", 0, 0),
])
def test_a_limit_is_read_as_people_write_it(name: str, written: str, number: int) -> None:
    assert read_limit(name, written) == number


@pytest.mark.parametrize(("name", "written"), [("queued", "-1"), ("queued", ""), ("queued", "1GB"), ("disk", "x"), ("rows", "3"), ("disk", "9" * 16 + "T"), ("steps", "1.5")])
def test_what_is_no_limit_is_refused(name: str, written: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must|too large"):
        read_limit(name, written)
    with pytest.raises(Refusal, match=f"--limit {name}"):
        settings_from(parser().parse_args([f"--limit={name}={written}", f"--data={tmp_path}"]), {})


def test_flags_and_admins_give_limits_and_take_them_back(tmp_path: Path) -> None:
    flags = parser().parse_args(["--limit", "queued=200", "--limit", "disk=1GB", f"--data={tmp_path}"])
    assert settings_from(flags, {}).limits == {"queued": 200, "disk": 2**30}
    own = changed({"steps": 9}, {"queued": 7, "disk": None, "steps": ""})
    assert own == {"queued": 7, "disk": None}
    wrong = refused(lambda: changed({}, {"queued": True, "nothing": None, "disk": [], "steps": 4}))
    assert set(wrong) == {"limits.queued", "limits.nothing", "limits.disk"}
    assert shown("disk", 3 * 2**29) == "1.5 GB" and shown("queued", 1200) == "1,200"


def test_a_request_beyond_a_limit_names_field_limit_and_use(house: Guest) -> None:
    assert "31" in refused(lambda: house.submit(steps=31))["steps"]
    told = refused(lambda: house.submit(batch_count=5, steps=40))
    assert set(told) == {"steps", "width"} and "5 pictures of 64 x 64" in told["width"] and "16,384" in told["width"]
    assert "hr_scale" in refused(lambda: house.submit(enable_hr=True, hr_scale=2.5))
    assert "hr_second_pass_steps" in refused(lambda: house.submit(enable_hr=True, hr_scale=1.5, hr_second_pass_steps=31))
    assert not house.queue()
    house.submit(batch_count=4, steps=30, hr_second_pass_steps=90)


def test_waiting_jobs_are_counted_with_the_cells_of_plots(house: Guest) -> None:
    house.plots.create(plot("1, 2, 3"))
    assert refused(lambda: house.plots.create(plot("4, 5, 6")))["queued"].startswith("3 of your jobs wait")
    told = house.plots.check(plot("4, 5, 6"))
    assert [problem.field for problem in told.problems] == ["queued"] and not told.estimate
    first = house.submit().id
    assert "queued" in refused(lambda: house.door.submit_all([{**SIZE}, {**SIZE}]))
    house.submit()
    house.cancel(first)
    house.submit()
    assert "queued" in refused(lambda: house.retry(first))
    made = house.plots.list()[0].head.id
    assert "queued" in refused(lambda: house.plots.extend(made, 0, "9"))
    assert len(house.plots.list()) == 1 and house.plots.get(made).line.counts.total == 3
    assert {state.name: state.used for state in house.limits()} == {"queued": 5, "disk": 0, "pixels": None, "steps": None}


def test_a_plots_cells_are_within_the_limits_of_a_request(house: Guest) -> None:
    told = refused(lambda: house.plots.create(plot("1", "7", "20, 31")))
    assert "31" in told["steps"] and not house.plots.list()


def test_many_requests_at_once_stay_within_the_limit(house: Guest) -> None:
    refusals: list[InvalidRequest] = []
    together = threading.Barrier(16)

    def one() -> None:
        together.wait()
        try:
            house.submit()
        except InvalidRequest as error:
            refusals.append(error)

    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(house.queue()) == 5 and len(refusals) == 11


def test_a_limit_of_ones_own_goes_before_the_operators_and_outlives_a_restart(house: Guest) -> None:
    limits = house.backend._components.limits
    ann = Guest(house, "ann")
    limits.change(ann.user.id, {"queued": 1, "steps": None})
    ann.submit(steps=90)
    assert "limit is 1." in refused(lambda: ann.submit())["queued"]
    house.submit()
    assert {state.name: state.own for state in ann.limits()} == {"queued": True, "pixels": False, "steps": True, "disk": False}
    house.close()
    again = open_house(house.settings.data.parent, start_workers=False)
    assert again.backend._components.limits.of(ann.user.id) == {"queued": 1, "steps": None, "pixels": None, "disk": None}
    again.close()


def test_the_disk_limit_counts_pictures_and_uploads_and_nothing_is_lost(tmp_path: Path) -> None:
    house = open_house(tmp_path, start_workers=False)
    ann, disk, limits = Guest(house, "ann"), house.backend._components.disk, house.backend._components.limits
    sent = ann.upload(png()).id
    taken = ann.gallery.take_in(png(), "a.png").id
    disk.forget(ann.user.id)
    used = disk.of(ann.user.id)
    assert disk.of(house.user.id).total == 0 and used.uploads and used.pictures
    limits.change(ann.user.id, {"disk": used.total})
    for act in (lambda: ann.submit(), lambda: ann.gallery.take_in(png(80), "c.png"), lambda: ann.plots.create(plot("1"))):
        assert "your limit is" in refused(act)["disk"]
    assert ann.image_file(taken).is_file() and ann.uploaded(sent).is_file() and not ann.queue()
    house.submit()
    ann.gallery.put_in_bin([taken])
    ann.gallery.empty_bin()
    disk.forget(ann.user.id)
    ann.submit()
    limits.change(ann.user.id, {"disk": 0})
    with pytest.raises(UserError, match="leaves 0 MiB"):
        ann.upload(png(32))
    house.close()


@pytest.mark.parametrize(("request_", "source", "size", "field"), [
    (Request(width=512, height=256), (0, 0), (512, 256), "width"),
    (Request(enable_hr=True, width=512, height=512, hr_resize_x=768), (0, 0), (768, 768), "hr_resize_x"),
    (Request(process="Extras", init_image="a", upscaler_1="Lanczos", upscale_by=4.0), (100, 50), (400, 200), "upscale_by"),
    (Request(process="Extras", init_image="a", upscaler_1="Lanczos", upscale_to_height=200), (100, 50), (400, 200), "upscale_to_height"),
    (Request(process="Extras", init_image="a", upscaler_1="Lanczos", upscale_to_width=60, upscale_to_height=60), (100, 50), (120, 60), "upscale_to_width"),
    (Request(process="Extras", init_image="a", upscale_by=4.0), (100, 50), (100, 50), "init_image"),
    (Request(init_image="a", mask="b", width=64, height=64, inpaint_area="Only masked"), (900, 300), (900, 300), "init_image"),
    (Request(init_image="a", mask="b", width=64, height=64), (900, 300), (64, 64), "width"),
    (Request(init_image="a", mask="b", width=512, height=512, inpaint_area="Only masked"), (300, 300), (512, 512), "width"),
    (Request(init_image="a", width=64, height=64, outpaint_up=100, outpaint_left=8, inpaint_area="Only masked"), (900, 300), (908, 400), "outpaint_up"),
    (Request(init_image="a", width=912, height=400, outpaint_up=100, outpaint_left=8), (0, 0), (912, 400), "outpaint_up"),
    (Request(init_image="a", sd_upscale="Lanczos", sd_upscale_factor=2.0), (600, 300), (1200, 600), "sd_upscale_factor"),
    (Request.parse({"width": 512, "height": 256, "detailers": [{}, {"enabled": True, "width": 512, "height": 1024}]}), (0, 0), (512, 1024), "detailers[1].height"),
    (Request.parse({"width": 512, "height": 256, "detailers": [{"enabled": True, "width": 1024}]}), (0, 0), (1024, 256), "detailers[0].width"),
    (Request.parse({"width": 512, "height": 256, "detailers": [{"enabled": True}]}), (0, 0), (512, 256), "width"),
    (Request.parse({"width": 512, "height": 256, "detailers": [{"width": 1024, "height": 1024}]}), (0, 0), (512, 256), "width"),
    (Request.parse({"width": 512, "height": 256, "detailers": [{"enabled": True, "width": 1024, "denoising_strength": 0}]}), (0, 0), (512, 256), "width"),
    (Request.parse({"init_image": "a" * 64, "outpaint_up": 8, "width": 64, "height": 72, "detailers": [{"enabled": True, "width": 128}]}), (0, 0), (128, 72),
     "detailers[0].width"),
    (Request.parse({"init_image": "a" * 64, "sd_upscale": "Lanczos", "detailers": [{"enabled": True, "width": 2048, "height": 2048}]}), (600, 300), (2048, 2048),
     "detailers[0].width"),
])
def test_how_large_the_pictures_of_a_request_get(request_: Request, source: Size, size: Size, field: str) -> None:
    assert result_size(request_, source) == (size, field)


SIZE_AXIS = [label for label, tab in LABELS if tab in (BOTH_TABS, ONLY_TXT2IMG)].index("Size")
SOURCE = base64.b64encode(png(64)).decode()
DOORS: dict[str, tuple[str, dict[str, Any], str]] = {
    "hires fix": ("/sdapi/v1/txt2img", {**SIZE, "enable_hr": True, "hr_scale": 2.5, "hr_upscaler": "Latent"}, "hr_scale"),
    "batches": ("/sdapi/v1/txt2img", {**SIZE, "batch_size": 2, "n_iter": 3}, "width"),
    "loopback": ("/sdapi/v1/img2img", {**SIZE, "init_images": [SOURCE], "script_name": "Loopback", "script_args": [5, 0.5, "Linear", "None"]}, "width"),
    "SD upscale": ("/sdapi/v1/img2img", {**SIZE, "init_images": [SOURCE], "script_name": "SD upscale", "script_args": ["", 8, "Lanczos", 3]}, "sd_upscale_factor"),
    "outpainting": ("/sdapi/v1/img2img", {**SIZE, "init_images": [SOURCE], "script_name": "Outpainting mk2", "script_args": ["", 128, 8, ["left", "right", "up"], 1, 0.05]},
                    "outpaint_left"),
    "a part of a large picture": ("/sdapi/v1/img2img", {**SIZE, "init_images": [base64.b64encode(png(136)).decode()], "mask": SOURCE, "inpaint_full_res": True}, "init_image"),
    "extras": ("/sdapi/v1/extra-single-image", {"image": SOURCE, "upscaling_resize": 3, "upscaler_1": "Lanczos"}, "upscale_by"),
    "a batch of extras": ("/sdapi/v1/extra-batch-images", {"imageList": [{"data": SOURCE, "name": "a"}], "resize_mode": 1, "upscaling_resize_w": 256,
                                                           "upscaling_resize_h": 256, "upscaler_1": "Lanczos"}, "upscale_to_width"),
    "a plot of AUTOMATIC1111": ("/sdapi/v1/txt2img", {**SIZE, "script_name": "X/Y/Z plot",
                                                      "script_args": [SIZE_AXIS, "64x64, 256x128", [], *[0, "", []] * 2, *[False] * 7, 0, False]}, "width"),
    "a job": ("/api/jobs", {"prompt": "a", **SIZE, "enable_hr": True, "hr_scale": 2.5}, "hr_scale"),
    "a plot": ("/api/plots", {"request": {**SIZE, "enable_hr": True}, "axes": [{"label": "Hires upscale", "values": "1.5, 2.5"}]}, "hr_scale"),
    "OpenAI's door": ("/v1/images/generations", {"prompt": "a", "size": "256x256"}, "size"),
    "the page": ("/easel/jobs", {"prompt": "a", **SIZE, "batch_count": 5}, "width"),
}


@pytest.mark.parametrize("name", DOORS)
def test_every_door_counts_the_pixels_of_the_finished_pictures(drawing: Guest, name: str) -> None:
    route, payload, field = DOORS[name]
    with TestClient(create_app(drawing.backend), base_url="http://localhost") as client:
        answer = client.post(route, json=payload)
    assert answer.status_code in (400, 422) and field in answer.text and "your limit is 16,384 pixels" in answer.text, answer.text
    assert not drawing.jobs(limit=1)


def test_every_kind_of_limit_is_explained() -> None:
    assert all(limit.label and limit.about for limit in LIMITS.values())

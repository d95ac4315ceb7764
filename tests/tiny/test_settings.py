"""Settings on their way: chosen, copied into a job when it is submitted, seen in its files; and the grid of a job."""

import io

import pytest
from PIL import Image

from backend.errors import InvalidRequest
from backend.image.grid import MAX_PIXELS, MAX_SIDE, cell, grid, layout
from backend.image.read import read_metadata, read_pixels
from tests.guest import Guest
from tests.tiny.house import open_house, submit, until


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    house = open_house(tmp_path_factory.mktemp("settings"))
    yield house
    house.close()


@pytest.fixture
def guest(shared, request):
    return Guest(shared, request.node.name[:60])


def files(guest, job):
    folder = guest.backend.settings.outputs
    return [guest.image_file(image.id).relative_to(folder).as_posix() for image in guest.images(job=job)]


def finished(guest, **values):
    return guest.wait(guest.submit(**values).id)


def test_given_values_come_before_preferences_and_those_before_the_checkpoints(tmp_path):
    house = open_house(tmp_path, start_workers=False)
    checkpoint = house.checkpoint("demo")
    checkpoint.defaults.update(image_quality=33, steps=7, preview_every=9)
    house.set_preferences({"image_quality": 44, "image_format": "jpg"})
    try:
        request = submit(house, image_format="webp").request
        assert (request.image_format, request.image_quality, request.preview_every, request.steps) == ("webp", 44, 9, 7)
        assert submit(Guest(house, "bob")).request.image_quality == 33
        house.set_preferences({"image_quality": None})
        assert house.jobs()[0].request.image_quality == 44 and submit(house).request.image_quality == 33
    finally:
        house.close()


def test_a_wrong_pattern_is_refused_at_submit(guest):
    with pytest.raises(InvalidRequest) as error:
        guest.submit(name_pattern="[sed]")
    assert [problem.field for problem in error.value.problems] == ["name_pattern"]


def test_files_have_the_names_and_the_format_that_were_chosen(guest):
    guest.set_preferences({"folder_pattern": "[model_name]/[user]", "name_pattern": "[seed]-[prompt_words]", "image_format": "webp"})
    job = finished(guest, prompt="a red cat", batch_count=2)
    names = files(guest, job.id)
    assert all(name.startswith("users/") and "/demo/" in name and name.endswith(".webp") for name in names)
    assert sorted(name.split("/")[-1].rsplit("-", 2)[0] for name in names) == ["7-a red cat", "8-a red cat"]
    assert {image.format for image in job.images} == {"webp"}


def test_the_same_request_twice_makes_two_pictures(guest):
    names = [files(guest, finished(guest, folder_pattern="", name_pattern="same").id) for _ in range(2)]
    assert names[0] != names[1]


def test_a_crash_repeats_over_its_own_file(guest):
    job = finished(guest, prompt="die_at=picture:1", name_pattern="x", folder_pattern="f", batch_count=3)
    folder = guest.backend.settings.outputs
    here = sorted((folder / files(guest, job.id)[0]).parent.iterdir())
    assert job.state == "done" and len(here) == 3 == len(job.images)


# ---- the grid ----


@pytest.mark.parametrize("count, expected", [(1, (1, 1)), (2, (1, 2)), (3, (2, 2)), (4, (2, 2)), (5, (2, 3)), (6, (2, 3)), (7, (3, 3)), (9, (3, 3)),
                                             (10, (3, 4)), (12, (3, 4)), (16, (4, 4))])
def test_rows_and_columns_as_automatic1111_has_them(count, expected):
    assert layout(count) == expected


@pytest.mark.parametrize("count, size", [(1000, (512, 512)), (4, (8192, 8192)), (2, (16_384, 64)), (3, (64, 30_000))])
def test_a_grid_has_its_bounds_and_its_shape(count, size):
    rows, columns = layout(count)
    width, height = cell(count, size)
    assert columns * width <= MAX_SIDE and rows * height <= MAX_SIDE and rows * height * columns * width <= MAX_PIXELS
    assert abs(width / height / (size[0] / size[1]) - 1) < 0.05


def test_pictures_lie_row_by_row():
    colours = ["red", "lime", "blue"]
    whole = grid((Image.new("RGB", (8, 4), colour) for colour in colours), 3, (8, 4))
    assert whole.size == (16, 8)
    places = [(4, 2), (12, 2), (4, 6), (12, 6)]
    assert [whole.getpixel(place) for place in places] == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]


def test_a_grid_lies_beside_the_pictures_with_the_firsts_settings(guest):
    job = finished(guest, save_grid=True, batch_count=3)
    every = guest.images(job=job.id)
    (whole,) = [image for image in every if image.index == -1]
    assert len(job.images) == 3 and len(every) == 4
    assert (whole.width, whole.height) == (128, 128) and whole.infotext == job.images[0].infotext and whole.seed == 7
    path = guest.image_file(whole.id)
    assert "-grid-" in path.name and path.parent == guest.image_file(job.images[0].id).parent
    assert read_metadata(path).infotext == job.images[0].infotext
    pixels = Image.open(io.BytesIO(path.read_bytes()))
    first = read_pixels(guest.image_file(job.images[0].id))
    assert pixels.crop((0, 0, 64, 64)).tobytes() == first.tobytes() and pixels.getpixel((100, 100)) == (0, 0, 0)


@pytest.mark.parametrize("values", [{"batch_count": 1, "save_grid": True}, {"batch_count": 2}])
def test_no_grid_where_none_is_wanted(guest, values):
    job = finished(guest, **values)
    assert len(guest.images(job=job.id)) == len(job.images) == values["batch_count"]


def test_a_crash_before_the_end_still_makes_one_grid(guest):
    job = finished(guest, prompt="die_at=done", save_grid=True, batch_count=2)
    assert job.state == "done" and [image.index for image in guest.images(job=job.id)].count(-1) == 1


def test_a_cancelled_job_has_no_grid(guest):
    job = guest.submit("hold=step:8", save_grid=True, batch_count=4)
    until(lambda: len(guest.job(job.id).images) >= 2)
    guest.cancel(job.id)
    job = guest.wait(job.id)
    assert job.state == "cancelled" and len(guest.images(job=job.id)) == len(job.images)


def test_a_grid_that_cannot_be_made_is_a_note_and_no_failure(guest, monkeypatch):
    def failing(*_, **__):
        raise OSError("no room")

    monkeypatch.setattr("backend.store.picture_files.grid", failing)
    job = finished(guest, save_grid=True, batch_count=2)
    assert job.state == "done" and any("grid could not be saved" in note for note in job.notes)

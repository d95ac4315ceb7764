"""Names of pictures: whatever patterns and prompts say, a name is safe, the same each time, and nobody else's."""

from datetime import UTC, datetime
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.image import file_names
from backend.image.file_names import GRID, Subject
from backend.request.request import Request
from tests.examples import examples

WHEN = datetime(2026, 11, 22, 21, 30, 5, tzinfo=UTC)
JOB = "0a1b2c"
MARK = Subject(request=Request(), job=JOB, created=WHEN, index=0).job_hash[:8]


def subject(index: int = 0, job: str = JOB, **values) -> Subject:
    request = Request(**{"seed": 42, "variation_seed": 1, "checkpoint": "demo", **values})
    return Subject(request=request, job=job, created=WHEN, index=index, user="ann", model_hash="abcdef0123")


def name(index: int = 0, **values) -> str:
    return str(file_names.path(subject(index, **values)))


def said(word: str, index: int = 0, **values) -> str:
    return file_names.filled(word, subject(index, **values))


# ---- the names that Easel gives by itself ----


def test_the_usual_name():
    assert name(2, batch_count=4) == f"2026-11-22/213005-{MARK}-002-44.png"
    assert name(job="other") != name()
    assert name(GRID, batch_count=4) == f"2026-11-22/213005-{MARK}-grid-42.png"
    assert name(name_pattern=" ") == name()


def test_usual_names_sort_by_time_then_index():
    request = Request(seed=9, batch_count=1000, batch_size=2)
    names = [file_names.path(Subject(request=request, job="j", created=WHEN.replace(hour=hour), index=index)).name
             for hour in (1, 12, 23) for index in (0, 9, 10, 999, 1999)]
    assert names == sorted(names)


# ---- words ----


@pytest.mark.parametrize("word, value", [
    ("[seed]", "43"), ("[seed_first]", "42"), ("[seed_last]", "45"), ("[steps]", "20"), ("[cfg]", "7"), ("[sampler]", "DPM++ 2M"),
    ("[scheduler]", "Karras"), ("[sampler_scheduler]", "DPM++ 2M Karras"), ("[width]", "512"), ("[height]", "768"),
    ("[model_name]", "demo"), ("[model_hash]", "abcdef0123"), ("[styles]", "ink, old"), ("[date]", "2026-11-22"), ("[time]", "213005"),
    ("[datetime]", "20261122213005"), ("[datetime<%Y_%m>]", "2026_11"), ("[datetime<%H%M><Asia/Tokyo>]", "0630"),
    ("[datetime<%d/%m>]", "22_11"), ("[job]", MARK), ("[job_timestamp]", "20261122213005"), ("[number]", "001"),
    ("[prompt]", "a_cat,_(big_1.5)"), ("[prompt_spaces]", "a cat, (big_1.5)"), ("[prompt_words]", "a cat big 1 5"),
    ("[prompt_hash]", "be24de92"), ("[prompt_hash<4>]", "be24"), ("[hasprompt<cat|no cat><dog|no dog>]", "catno_dog"),
    ("[batch_number]", "2"), ("[batch_size]", "2"), ("[generation_number]", "2"), ("[clip_skip]", "1"), ("[user]", "ann"),
    ("[SEED]", "43"), ("[none]", ""), ("[[seed]]", "[43]"),
])
def test_words(word, value):
    several = {"batch_count": 2, "batch_size": 2, "schedule": "Karras", "height": 768, "styles": ("ink", "old"), "prompt": "a cat, (big:1.5)"}
    assert said(word, 1, **several) == value


def test_words_that_have_nothing_to_say_take_the_text_before_them_along():
    pattern = "[seed]-[batch_number]_[generation_number]~[denoising]+[seed_last]"
    assert said(pattern) == "42"
    assert said("a/b-[denoising]/c") == "a//c"
    assert said("x[denoising]", enable_hr=True, denoising_strength=0.5) == "x0.5"


def test_prompts_are_those_of_the_picture():
    both = {"prompts": ("a red cat", "a blue cat"), "negative_prompts": ("", ""), "prompt": "a {red|blue} cat"}
    assert (said("[prompt_words]", 1, **both), said("[prompt_no_styles]", 1, **both)) == ("a blue cat", "a {red_blue} cat")


# ---- what is refused ----


@pytest.mark.parametrize("pattern, words", [
    ("[sed]", "unknown word .sed.*\\[seed\\]"), ("/etc/x", "cannot begin"), ("\\\\host\\x", "cannot begin"), ("c:x", "cannot begin"),
    ("a/../b", "'\\.\\.'"), ("..", "'\\.\\.'"), ("a\\ .. \\b", "'\\.\\.'"), ("[datetime<%H><Mars/Base>]", "time zone"), ("x" * 501, "characters"),
    ("[seed<3>]", "<...>"), ("[datetime<%H><../../etc/passwd>]", "time zone"), ("[my pictures]", "unknown word"),
])
@pytest.mark.parametrize("field", ["folder_pattern", "name_pattern"])
def test_patterns_that_are_refused_name_their_field(field, pattern, words):
    with_it = Request(**{field: pattern})
    (problem,) = file_names.problems(with_it)
    assert problem.field == field
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(problem.message)


def test_folders_are_counted_over_both_patterns():
    assert file_names.problems(Request(folder_pattern="a/b/c/d/e", name_pattern="f/g/h/[seed]")) == []
    (problem,) = file_names.problems(Request(folder_pattern="a/b/c/d/e/f", name_pattern="g/h/i/[seed]"))
    assert problem.field == "folder_pattern" and "9 folders" in problem.message


# ---- tricks ----


@pytest.mark.parametrize("prompt, expected", [
    ("../../etc/passwd", "_._.._etc_passwd"), ("CON", "_CON"), ("nul.txt", "_nul.txt"), ("com1 ", "_com1"), ("a\0b\x1b", "ab"), (".hidden", "_hidden"),
    ("ends. . .", "ends"), ("\u202egnp.exe", "gnp.exe"), ("猫 🐈", "猫 🐈"), ("e\u0301", "é"), ("a\nb", "a b"), ("consul", "consul"),
])
def test_values_stay_in_their_place(prompt, expected):
    made = name(prompt=prompt, name_pattern="[prompt_spaces]", folder_pattern="")
    assert made == f"{expected}-{MARK}-000.png"


def test_nobody_reaches_the_folder_of_those_who_log_in():
    assert name(folder_pattern="users/bob").startswith("_users/bob/")
    assert name(folder_pattern="[prompt]/bob", prompt="USERS").startswith("_USERS/bob/")


def test_a_pattern_that_tells_pictures_apart_needs_nothing_more():
    assert name(name_pattern="[job]_[number]", folder_pattern="") == f"{MARK}_000.png"
    assert name(name_pattern="[prompt_spaces][job][number]", folder_pattern="", prompt="x" * 200).endswith(f"-{MARK}-000.png")
    assert name(name_pattern="[prompt_spaces][job][number]", folder_pattern="", prompt="猫" * 200).endswith(f"-{MARK}-000.png")


WORDS = st.sampled_from([f"[{word}]" for word in file_names.WORDS] + ["/", "-", ".", " ", "users", "[datetime<%H/%M>]", "\\", "con", "猫"])
PATTERNS = st.lists(WORDS | st.text(max_size=3), max_size=12).map("".join)
PROMPTS = st.text(max_size=300)


@examples(300)
@given(folder=PATTERNS, pattern=PATTERNS, prompt=PROMPTS, checkpoint=st.text(max_size=200), ending=st.sampled_from(["png", "jpg", "webp"]))
def test_no_name_leaves_its_folder_or_breaks_a_file_system(folder, pattern, prompt, checkpoint, ending):
    values = {"folder_pattern": folder, "name_pattern": pattern, "prompt": prompt, "checkpoint": checkpoint, "image_format": ending}
    path = file_names.path(subject(**values))
    assert path == file_names.path(subject(**values))
    assert not path.is_absolute() and path.suffix == f".{ending}" and len(str(path)) <= file_names.MAX_PATH
    assert len(path.parts) <= file_names.MAX_FOLDERS + 1 and path.parts[0].casefold() != "users"
    for part in path.parts:
        assert 0 < len(part) <= file_names.MAX_PART + 5 and len(part.encode()) <= 255
        assert not part.startswith((".", " ")) and not part.endswith((".", " ")) and not set(part) & set('<>:"/\\|?*#\0\n\r\t')
        assert part.split(".")[0].strip().casefold() not in {"con", "nul", "aux", "prn", "com1", "lpt9"}
    assert PurePosixPath(str(path)) == path


@examples(200)
@given(folder=PATTERNS, pattern=PATTERNS, prompts=st.tuples(PROMPTS, PROMPTS),
       places=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([GRID, 0, 1, 2, 3])), min_size=2, max_size=2, unique=True))
def test_no_two_pictures_share_a_name(folder, pattern, prompts, places):
    names = [str(file_names.path(subject(index, job=job, folder_pattern=folder, name_pattern=pattern, prompt=prompt, batch_count=4)))
             for (job, index), prompt in zip(places, prompts, strict=True)]
    assert names[0].casefold() != names[1].casefold()


def test_the_long_mark_is_another_name():
    path, longer = file_names.path(subject()), file_names.path(subject(), whole_job=True)
    assert path != longer and longer.name.endswith(f"{subject().job_hash[:24]}-000.png")


def test_a_picture_that_webp_cannot_hold_is_saved_as_png():
    wide = Subject(request=Request(image_format="webp"), job=JOB, created=WHEN, index=0, size=(20_000, 8))
    assert file_names.path(wide).suffix == ".png"

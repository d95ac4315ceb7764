"""Pictures as files: whole or not at all, and their settings come back from every format and from other programs."""

import contextlib
import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from backend.errors import NotFound, StorageError, UserError
from backend.files.atomic_write import write_atomically
from backend.image import infotext, save
from backend.image.read import read_metadata
from backend.image.thumbnail import thumbnail
from backend.messages import Picture
from backend.request.request import Request
from tests.examples import examples
from tests.pure.test_large_pictures import png

ROOT = Path(__file__).parents[2]
ENDINGS = ["png", "jpg", "webp"]
TEXT = "猫, \"cat\" 🐈\nNegative prompt: ä\nSteps: 20, Sampler: Euler a, Seed: 1, Version: Easel 0.1.0"


def picture(width: int = 24, height: int = 16) -> Picture:
    pixels = bytes(x * 7 % 256 for x in range(width * height * 3))
    return Picture(job="j", index=0, width=width, height=height, pixels=pixels)


def image_bytes(kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind, **options)
    return buffer.getvalue()


def with_comment(kind: str, comment: bytes) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return image_bytes(kind, exif=exif.tobytes())


# ---- there and back ----


@pytest.mark.parametrize("ending", ENDINGS)
def test_text_and_request_come_back(tmp_path, ending):
    request = Request(prompt="猫\n\ud800 x ", seed=5, variation_seed=6)
    path = tmp_path / "2026-11-22" / f"a.{ending}"
    save.save(picture(), path, TEXT, json.dumps(request.to_json()))
    saved = read_metadata(path)
    assert (saved.infotext, saved.format, saved.width, saved.height) == (TEXT, ending, 24, 16)
    assert json.loads(saved.request_json) == request.to_json()
    assert read_metadata(path.read_bytes()) == saved
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
@examples(30)
@given(text=st.text(max_size=80))
def test_any_text_comes_back(ending, text):
    request_json = json.dumps({"prompt": text})
    data = save.encode(save.to_image(picture()), save.FORMATS[f".{ending}"], text, request_json)
    saved = read_metadata(data)
    assert saved.request_json == request_json
    assert saved.infotext == (text if ending == "png" else text.rstrip("\0"))


def test_png_keeps_every_pixel(tmp_path):
    save.save(picture(), tmp_path / "a.png", TEXT)
    with Image.open(tmp_path / "a.png") as image:
        assert image.tobytes() == picture().pixels
        assert image.text["parameters"] == TEXT


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_law_through_a_file(tmp_path, ending):
    request = Request(prompt="a\nNegative prompt: b", negative_prompt=" c ", seed=3, eta=0.1, image_format=ending)
    path = tmp_path / f"a.{ending}"
    save.save(picture(), path, infotext.write(request), json.dumps(request.to_json()))
    saved = read_metadata(path)
    assert Request.parse(json.loads(saved.request_json)) == request
    values = infotext.read(saved.infotext).values
    assert (values["prompt"], values["negative_prompt"], values["eta"]) == (request.prompt, " c ", 0.1)


def test_without_texts(tmp_path):
    for ending in ENDINGS:
        save.save(picture(), tmp_path / f"a.{ending}", "")
        assert (read_metadata(tmp_path / f"a.{ending}").infotext, read_metadata(tmp_path / f"a.{ending}").request_json) == ("", None)


def test_a_jpeg_leaves_out_what_it_cannot_hold(tmp_path):
    path = tmp_path / "a.jpg"
    save.save(picture(), path, "x" * 30_000, "y" * 30_000)
    assert (len(read_metadata(path).infotext), read_metadata(path).request_json) == (30_000, None)
    save.save(picture(), path, "x" * 100_000, "y" * 30_000)
    assert read_metadata(path).infotext == ""
    save.save(picture(), tmp_path / "a.webp", "x" * 200_000, "y" * 200_000)
    assert len(read_metadata(tmp_path / "a.webp").infotext) == 200_000


# ---- pictures by other programs ----


def test_png_by_automatic1111():
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a")
    assert read_metadata(image_bytes("PNG", pnginfo=info)).infotext == "a cat\nSteps: 20, Sampler: Euler a"


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("prefix", "encoding"),
    [(b"UNICODE\0", "utf-16-be"), (b"UNICODE\0", "utf-16-le"), (b"UNICODE\0", "utf-16"), (b"ASCII\0\0\0", "utf-8"),
     (b"\0" * 8, "utf-8"), (b"", "utf-8")],
)  # fmt: skip
def test_exif_user_comments(kind, prefix, encoding):
    assert read_metadata(with_comment(kind, prefix + TEXT.encode(encoding))).infotext == TEXT


def test_exif_is_byte_for_byte_as_automatic1111_writes_it():
    exif = Image.open(io.BytesIO(save.encode(save.to_image(picture()), "JPEG", TEXT))).getexif()
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] == b"UNICODE\0" + TEXT.encode("utf-16-be")


# ---- hostile files ----


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", os.urandom(999)])
def test_not_a_picture(data):
    with pytest.raises(UserError, match="PNG, JPEG and WebP"):
        read_metadata(data)


def test_a_picture_of_30000_pixels_a_side_is_called_too_large():
    """By what its head says: nothing is decoded, of which there would be too little."""
    with pytest.raises(UserError, match="too large"):
        read_metadata(png(30_000, 30_000, rows=0))


def test_a_png_with_its_text_in_front_is_read_without_its_pixels(monkeypatch):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("parameters", TEXT)
    data = image_bytes("PNG", pnginfo=notes)
    late = PngImagePlugin.PngInfo()
    late.add(b"tEXt", b"parameters\0a cat", after_idat=True)
    assert read_metadata(image_bytes("PNG", pnginfo=late)).infotext == "a cat"
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", lambda self: pytest.fail("decoded"))
    assert read_metadata(data).infotext == TEXT


def test_no_file(tmp_path):
    with pytest.raises(NotFound):
        read_metadata(tmp_path / "none.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow tells of what it skips
@pytest.mark.parametrize("ending", ENDINGS)
@examples(60)
@given(data=st.data())
def test_damaged_files_read_or_are_refused(ending, data):
    whole = bytearray(save.encode(save.to_image(picture()), save.FORMATS[f".{ending}"], TEXT, "{}"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(UserError):
        read_metadata(cut)


@pytest.mark.parametrize("comment", [b"", b"UNICODE\0\xd8", b"UNICODE\0\xd8\x00\xd8", b"ASCII\0\0\0\xff\xfe", b"\xff" * 30])
def test_broken_comments_are_text_at_worst(comment):
    assert isinstance(read_metadata(with_comment("JPEG", comment)).infotext, str)


# ---- all or nothing ----


def failing(code: int):
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.ENOSPC, "Free some space"), (errno.EACCES, "Give it the right"), (errno.EROFS, "read-only"), (errno.EIO, "Check")],
)  # fmt: skip
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, step, code, advice):
    path = tmp_path / "a.png"
    save.save(picture(), path, "old")
    monkeypatch.setattr(os, step, failing(code))
    with pytest.raises(StorageError, match=advice):
        save.save(picture(), path, "new")
    monkeypatch.undo()
    assert read_metadata(path).infotext == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        save.save(picture(), tmp_path / "file" / "a.png", "")


LIMITED = """
import resource, sys
from pathlib import Path
from backend.errors import StorageError
from backend.files.atomic_write import write_atomically
from backend.files.write_errors import Purpose
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_atomically(Path(sys.argv[1]), bytes(100_000), Purpose("It could not be saved"))
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX matter")
def test_the_system_stops_a_real_write_half_way(tmp_path):
    path = tmp_path / "a.png"
    save.save(picture(), path, "old")
    command = [sys.executable, "-c", LIMITED, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "no file of this size" in done.stdout
    assert read_metadata(path).infotext == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.fixture
def small_disk(tmp_path):
    mounted = hasattr(os, "geteuid") and os.geteuid() == 0
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if not mounted or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a full disk needs the right to mount one")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk(small_disk):
    write_atomically(small_disk / "a.png", b"old", save.SAVING)
    with pytest.raises(StorageError, match=r"The picture could not be saved: the disk is full\. Free some space, then retry the job\.$"):
        write_atomically(small_disk / "a.png", bytes(200_000), save.SAVING)
    assert (small_disk / "a.png").read_bytes() == b"old"
    assert [p.name for p in small_disk.iterdir()] == ["a.png"]


# ---- compression ----


def size_of(**values) -> int:
    request = Request(**values)
    noise = Image.frombytes("RGB", (64, 64), bytes(i * i * 31 % 251 for i in range(64 * 64 * 3)))
    return len(save.encode(noise, save.FORMATS[f".{request.image_format}"], "", "", save.compression(request)))


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_quality_is_honoured(ending):
    low, usual, high = (size_of(image_format=ending, image_quality=quality) for quality in (10, 80, 100))
    assert low < usual < high
    assert size_of(image_format="png", image_quality=1) == size_of(image_format="png", image_quality=100)


def test_lossless_webp_keeps_every_pixel(tmp_path):
    request = Request(image_format="webp", webp_lossless=True, image_quality=1)
    save.save(picture(), tmp_path / "a.webp", TEXT, "", save.compression(request))
    with Image.open(tmp_path / "a.webp") as image:
        assert image.convert("RGB").tobytes() == picture().pixels


# ---- thumbnails ----


@pytest.mark.parametrize("ending", ENDINGS)
def test_thumbnail(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    save.save(picture(640, 320), path, TEXT)
    with Image.open(io.BytesIO(thumbnail(path, 128))) as small:
        assert small.format == "WEBP"
        assert small.size == (128, 64)
    with Image.open(io.BytesIO(thumbnail(path, 10**9))) as whole:
        assert whole.size == (640, 320)


def test_thumbnail_of_a_damaged_file(tmp_path):
    whole = save.encode(save.to_image(picture(200, 200)), "PNG", "")
    (tmp_path / "a.png").write_bytes(whole[:200])
    with pytest.raises(UserError, match="damaged"):
        thumbnail(tmp_path / "a.png")

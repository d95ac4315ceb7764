"""Whatever people send: a picture comes out upright in RGB, or a clear refusal; never anything else."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.errors import NotFound, UserError
from backend.image import upload_decoding
from backend.store.uploads import Uploads
from tests.guest import user_of

CASES = Path(__file__).parent.parent / "data" / "metadata"
RNG = np.random.default_rng(1)
COLOURS = Image.fromarray(RNG.integers(0, 255, (40, 30, 3), dtype=np.uint8))


def file(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    return file(COLOURS, "JPEG", exif=exif)


def animated() -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    return file(frames[0], "GIF", save_all=True, append_images=frames[1:])


def test_pixels_survive() -> None:
    assert np.array_equal(upload_decoding.picture(file(COLOURS)), COLOURS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_other_formats(kind: str) -> None:
    image = upload_decoding.picture(file(COLOURS, kind))
    assert (image.mode, image.size) == ("RGB", (30, 40))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "I", "F") else "PNG"
    levels = np.linspace(0, 65535, 256).reshape(16, 16)
    plain = {"I;16": levels.astype(np.uint16), "I": levels.astype(np.int32), "F": (levels / 257).astype(np.float32)}
    image = Image.fromarray(plain[mode]) if mode in plain else COLOURS.convert("RGB").convert(mode)
    found = np.asarray(upload_decoding.picture(file(image, kind)))
    assert found.shape == (*image.size[::-1], 3)
    if mode in plain:
        assert found[0, 0, 0] == 0 and found[-1, -1, 0] == 255 and abs(int(found[8, 0, 0]) - 128) <= 1


def test_a_mask_with_transparency_goes_by_its_alpha() -> None:
    found = np.asarray(upload_decoding.mask((CASES / "mask-black-on-transparent.png").read_bytes()))
    assert found.shape == (64, 64) and (found == 255).sum() == 16 * 16 and (found == 0).sum() == 64 * 64 - 16 * 16
    painted = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    painted.paste((255, 0, 0, 100), (0, 0, 4, 8))
    assert set(np.asarray(upload_decoding.mask(file(painted))).ravel().tolist()) == {0, 100}
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([255, 255, 255, 0, 0, 0])
    palette.paste(0, (0, 0, 4, 8))
    out = io.BytesIO()
    palette.save(out, "PNG", transparency=0)
    assert upload_decoding.mask(out.getvalue()).getpixel((0, 0)) == 0 and upload_decoding.mask(out.getvalue()).getpixel((7, 7)) == 255


def test_extras_keep_what_is_transparent() -> None:
    data = (CASES / "transparent.png").read_bytes()
    assert upload_decoding.with_alpha(data).mode == "RGBA" and upload_decoding.picture(data).mode == "RGB"
    assert upload_decoding.with_alpha(file(Image.new("RGBA", (8, 8), "red"))).mode == "RGB"
    with pytest.raises(UserError):
        upload_decoding.with_alpha(data[:60])


def test_transparent_parts_are_white_in_a_picture_and_black_in_a_mask() -> None:
    clear = file(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    assert upload_decoding.picture(clear).getpixel((0, 0)) == (255, 255, 255)
    assert upload_decoding.mask(clear).getpixel((0, 0)) == 0
    assert upload_decoding.mask(file(Image.new("RGBA", (8, 8), "white"))).getpixel((0, 0)) == 255


def test_a_turned_photograph_is_upright() -> None:
    assert upload_decoding.picture(rotated()).size == (40, 30)


def test_the_first_frame_of_an_animation() -> None:
    assert upload_decoding.picture(animated()).getpixel((0, 0)) == (255, 0, 0)


def bomb() -> bytes:
    """A PNG whose head promises 30,000 x 30,000 pixels."""
    data = bytearray(file(Image.new("L", (1, 1))))
    data[16:24] = (30_000).to_bytes(4) * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4)
    return bytes(data)


@pytest.mark.parametrize("data, words", [
    (b"", "empty"),
    (b"just text", "not a picture"),
    (file(COLOURS)[:200], "damaged"),
    (file(COLOURS, "JPEG")[:-300], "damaged"),
    (bomb(), "too large"),
])
def test_what_is_no_picture_is_refused_in_words(data: bytes, words: str) -> None:
    for read in (upload_decoding.picture, upload_decoding.mask):
        with pytest.raises(UserError, match=words):
            read(data)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_odd_sizes_are_pictures(size: tuple[int, int]) -> None:
    assert upload_decoding.picture(file(Image.new("RGB", size))).size == size


def test_base64_with_and_without_a_head() -> None:
    text = base64.b64encode(b"abc").decode()
    assert upload_decoding.from_base64(text) == upload_decoding.from_base64(f"data:image/png;base64,{text}") == b"abc"
    for wrong in (None, 5, "not base64!", "\u00e9"):
        with pytest.raises(UserError):
            upload_decoding.from_base64(wrong)


def test_an_upload_is_stored_once_and_belongs_to_its_owner(tmp_path) -> None:
    uploads = Uploads(tmp_path, user_of)
    first, again = uploads.add(file(COLOURS), "ann"), uploads.add(file(COLOURS, "BMP"), "ann")
    assert first == again and (first.width, first.height) == (30, 40)
    assert np.array_equal(Image.open(uploads.file(first.id, "ann")), COLOURS)
    for owner in ("bob", "../ann", ".."):
        with pytest.raises(NotFound):
            uploads.file(first.id, owner)
    assert len(list(tmp_path.rglob("*.png"))) == 1


def test_nothing_that_was_hidden_in_the_file_is_kept(tmp_path) -> None:
    uploads = Uploads(tmp_path, user_of)
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    stored = uploads.file(uploads.add(file(COLOURS, "PNG", exif=exif) + b"<script>", "ann").id, "ann").read_bytes()
    assert b"where I live" not in stored and b"<script>" not in stored

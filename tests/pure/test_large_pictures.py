"""Pictures that are larger than they look: decoded within a budget; and those that are less than they promise, refused."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from backend import Backend, Settings
from backend.errors import UserError
from backend.image import upload_decoding
from backend.image.decode_budget import BYTES_PER_PIXEL, DecodeBudget
from backend.image.png_completeness import is_whole
from backend.image.read import read_metadata
from backend.store.picture_rebuild import rebuild_history
from tests.guest import Guest
from tests.processor_speed import slowness

DEEP = "[" * 100_000 + "]" * 100_000


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, rows: int | None = None, level: int = 7) -> bytes:
    """A PNG that promises `height` rows and has `rows` of them."""
    row = b"\0" + bytes([level]) * (width * depth // 8 * {0: 1, 2: 3, 6: 4}[colour])
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)),
              (b"IDAT", zlib.compress(row * (height if rows is None else rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)


def saved(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


@pytest.mark.parametrize("read", [upload_decoding.picture, upload_decoding.mask, upload_decoding.paint, upload_decoding.check])
@pytest.mark.parametrize("rows", [0, 1, 99])
def test_a_picture_with_missing_rows_is_refused(read, rows: int) -> None:
    assert read(png(100, 100)) is None or read is not upload_decoding.check
    with pytest.raises(UserError):
        read(png(100, 100, rows=rows))


@pytest.mark.parametrize("image", [Image.new("RGB", (33, 17)), Image.new("L", (33, 17)), Image.new("1", (33, 17)), Image.new("P", (5, 9)),
                                   Image.new("RGBA", (8, 8)), Image.new("LA", (3, 3)), Image.new("I;16", (7, 5))])
def test_a_black_picture_is_whole(image: Image.Image) -> None:
    assert is_whole(saved(image)) and upload_decoding.picture(saved(image)).size == image.size


def test_sixteen_bits_and_transparency_look_the_same_strip_by_strip() -> None:
    dice = np.random.default_rng(1)
    grey = Image.fromarray(dice.integers(0, 65536, (700, 40)).astype(np.uint16))
    expected = (np.asarray(grey) / 65535 * 255).round().astype(np.uint8)
    assert np.array_equal(np.asarray(upload_decoding.picture(saved(grey)))[..., 0], expected)
    clear = Image.fromarray(dice.integers(0, 256, (700, 40, 4), np.uint8))
    whole = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    assert np.array_equal(np.asarray(upload_decoding.picture(saved(clear))), np.asarray(whole))


def test_pictures_are_decoded_together_only_as_far_as_they_fit() -> None:
    budget, inside, most = DecodeBudget(2 * 100 * 100 * BYTES_PER_PIXEL), [], []

    def decode(side: int, all_are_here: threading.Barrier) -> None:
        with budget.share((side, side)), budget.share((side, side)):        # the second is part of the first
            inside.append(1)
            most.append(len(inside))
            all_are_here.wait(60)
            time.sleep(0.02)
            inside.pop()

    for side, together in ((100, 2), (1000, 1)):
        most.clear()
        here = threading.Barrier(together)
        threads = [threading.Thread(target=decode, args=(side, here)) for _ in range(6)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(most) == 6 and max(most) == together


def test_an_upload_waits_for_its_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is made of the picture counts as well: the share is held until the upload lies on the disk."""
    shares = []

    class Spy(DecodeBudget):
        def share(self, size):
            shares.append(size)
            return super().share(size)

    monkeypatch.setattr("backend.store.uploads.DECODING", Spy(2**20))
    house = Guest(Backend(Settings(data=tmp_path / "data", models=(tmp_path,)), start_workers=False))
    house.upload(png(100, 50))
    house.close()
    assert shares == [(100, 50)]


def test_deep_json_in_one_picture_loses_no_other(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("easel", DEEP)
    deep = saved(Image.new("RGB", (8, 8), "red"), pnginfo=info)
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "1.png").write_bytes(deep)
    (folder / "2.png").write_bytes(saved(Image.new("RGB", (8, 8), "blue")))
    settings = Settings(data=tmp_path / "data", models=(tmp_path,))
    house = Guest(Backend(settings, start_workers=False))
    assert house.read_settings(deep).values == {}
    assert list(house.gallery.take_in_folder(folder))[-1].taken == 2
    house.close()
    settings.database.unlink()
    again = Guest(Backend(settings, start_workers=False))
    rebuild_history(again._components.pictures.outputs, again._components.history, again.backend.user)
    assert len(again.images()) == 2 and read_metadata(deep).request_json == DEEP
    again.close()


# ---- small files that a decoder goes through again and again ----

def jpeg(width: int, height: int, scans: int) -> bytes:
    """A grey progressive JPEG; each scan behind the second says of every block that nothing of it changes."""
    def segment(kind: int, data: bytes) -> bytes:
        return b"\xff" + bytes([kind]) + struct.pack(">H", len(data) + 2) + data

    blocks = (width + 7) // 8 * ((height + 7) // 8)
    runs = "0" + "1" * 14                       # one code for a run of 32,767 blocks
    bits = runs * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    nothing = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    tables = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    codes = segment(0xC4, b"\0" + bytes([1] + [0] * 15) + b"\0") + segment(0xC4, b"\x10" + bytes([1, 1] + [0] * 14) + b"\xe0\0")
    first = segment(0xDA, b"\1\1\0\0\0\0") + b"\0" * -(-blocks // 8) + segment(0xDA, b"\1\1\0\1\x3f\1") + nothing
    return b"\xff\xd8" + tables + codes + first + (segment(0xDA, b"\1\1\0\1\x3f\x10") + nothing) * (scans - 2) + b"\xff\xd9"


def tiff(tile: int) -> bytes:
    """A black grey TIFF of one pixel, in a tile of `tile` x `tile`."""
    data = zlib.compress(b"\0" * tile * tile)
    tags = ((256, 1), (257, 1), (258, 8), (259, 8), (262, 1), (277, 1), (322, tile), (323, tile), (324, 10 + 12 * 10 + 4), (325, len(data)))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags) + b"\0" * 4 + data


def bmp(width: int, height: int) -> bytes:
    """A BMP of runs: one pixel and the end of the line, for each."""
    runs = b"\1\0\0\0" * height + b"\0\1"
    return (b"BM" + struct.pack("<IHHI", 1078 + len(runs), 0, 0, 1078) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
            + bytes(1024) + runs)


@pytest.mark.parametrize("data", [jpeg(64, 64, 101), tiff(4100), bmp(2048, 2049), b"P3 1 1 255\n0 0 0" + b" " * (16 << 20)], ids=["jpeg", "tiff", "bmp", "ppm"])
@pytest.mark.parametrize("read", [upload_decoding.picture, upload_decoding.mask, upload_decoding.with_alpha, upload_decoding.paint, upload_decoding.size])
def test_a_file_that_takes_far_more_than_its_size_tells_is_refused(read, data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(UserError, match="would take too long to read"):
        read(data)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("data", [jpeg(64, 64, 100), tiff(512), bmp(64, 64), b"P3 1 1 255\n0 0 0"], ids=["jpeg", "tiff", "bmp", "ppm"])
def test_files_of_these_kinds_are_read(data: bytes) -> None:
    assert upload_decoding.picture(data).size in ((64, 64), (1, 1))


def test_what_only_looks_like_scans_is_none() -> None:
    """Notes of cameras hold small pictures, and some cameras put a film behind the picture."""
    plain = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(plain, "JPEG", quality=100, comment=b"\xff\xda" * 500)
    assert upload_decoding.picture(plain.getvalue() + b"\xff\xda" * 500).size == (64, 64)


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\0", b"\xff\xd0", b"\xff\xfe\0\2", b"\xff\xd8", b"\xff\1"])
def test_scans_are_counted_in_no_time(filling: bytes) -> None:
    """Also in what is no picture: counting is there to save time."""
    started = time.process_time()
    with contextlib.suppress(UserError):
        upload_decoding.size(jpeg(64, 64, 3)[:-2] + filling * (1_000_000 // len(filling)))
    assert time.process_time() - started < 1 * slowness()


def test_pixels_are_looked_into_for_settings_only_up_to_the_largest_size_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    load = PngImagePlugin.PngImageFile.load
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda image: decoded.append(image.size) or load(image))
    assert read_metadata(png(8200, 8200, rows=1)).infotext == "" and decoded == []
    assert read_metadata(png(30, 30)).infotext == "" and (30, 30) in decoded

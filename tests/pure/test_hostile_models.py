"""A models folder that somebody filled to hurt: nothing in it is waited for, run, or allowed to grow without bound."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import socket
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.catalog import pickle_interpreter
from backend.catalog.families import detect_folder
from backend.catalog.headers import read_header, read_shapes
from backend.catalog.pickle_interpreter import BrokenPickle, MoreThanTensors, read_pickle
from backend.errors import CheckpointError
from backend.files import regular_files
from backend.files.regular_files import NotRegular, open_regular, read_config, read_regular
from tests.examples import examples

SECONDS = 2.0           # for what the unguarded reader took 20 seconds, or for ever


def zipped(content: bytes, packing: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        archive.writestr("archive/data.pkl", content)
    return buffer.getvalue()


def header(text: str) -> bytes:
    return len(text.encode()).to_bytes(8, "little") + text.encode()


def read(folder: Path, name: str, content: bytes) -> None:
    """Read the shapes, in time; refused or not."""
    (folder / name).write_bytes(content)
    started = time.process_time()
    try:
        read_shapes(folder / name)
    except CheckpointError:
        pass
    assert time.process_time() - started < SECONDS


NESTED = b"\x80\x02})" + b"2\x86" * 60 + b"K\x01s."
MEMO = b"\x80\x02}r\xff\xff\xff\x07."
MANY_SIDES = b"\x80\x02}(" + b"".join(b"X\x01\0\0\0%cctorch._utils\n_rebuild_tensor_v2\n(NK\0(%stq\x01tR" % (65, b"K\1" * 50_000) for _ in range(1)) + \
    b"".join(b"X\x02\0\0\0%02xctorch._utils\n_rebuild_tensor_v2\n(NK\0h\x01tR" % (n % 256) for n in range(20_000)) + b"u."
SHARED_TABLES = b"\x80\x02}(" + b"X\1\0\0\0a}q\1(" + b"".join(b"X\4\0\0\0%04dN" % n for n in range(9_999)) + b"u" + \
    b"".join(b"X\4\0\0\0%04dh\1" % n for n in range(9_999)) + b"u."
LONG_NAMES = b"\x80\x02}(" + b"X\0\0\x10\0" + b"n" * (1 << 20) + b"}(" + \
    b"".join(b"X\4\0\0\0%04dctorch._utils\n_rebuild_tensor_v2\n(NK\0)tR" % n for n in range(9_999)) + b"uu."


@pytest.mark.parametrize("content", [NESTED, MEMO, MANY_SIDES, SHARED_TABLES, LONG_NAMES, b"\x80\x02" + b"}" * 3_000_000 + b".",
                                     b"\x80\x02" + b"(" * 3_000_000 + b"t" * 3_000_000 + b"."],
                         ids=["nested", "memo", "sides", "shared", "names", "opcodes", "marks"])
@pytest.mark.slow
def test_pickles_that_grow_stay_small_and_quick(tmp_path: Path, content: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read(tmp_path, "x.ckpt", zipped(content))
    read(tmp_path, "y.pt", pickle.dumps(1) * 3 + content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10      # kilobytes


def test_a_key_of_nested_tuples_is_refused_before_a_real_unpickler_hashes_it(tmp_path: Path) -> None:
    """Whoever unpickles later trusts that the header was read before."""
    for content in (NESTED, b"\x80\x02})" + b"q\1h\1\x86" * 60 + b"K\x01s."):
        (tmp_path / "x.ckpt").write_bytes(zipped(content))
        with pytest.raises(CheckpointError):
            read_shapes(tmp_path / "x.ckpt")


@pytest.mark.slow
def test_zips_that_grow_stay_small_and_quick(tmp_path: Path) -> None:
    read(tmp_path, "bomb.ckpt", zipped(b"\0" * (300 << 20), zipfile.ZIP_DEFLATED))
    read(tmp_path, "lzma.ckpt", zipped(pickle.dumps({}), zipfile.ZIP_LZMA))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(3):
            archive.writestr(f"a/{number}", b"")
    entry = buffer.getvalue()[archive.start_dir:-22]
    many = entry * 200_000      # 600,000 entries
    read(tmp_path, "many.ckpt", many + b"PK\5\6" + b"\0" * 4 + b"\xff" * 4 + len(many).to_bytes(4, "little") + b"\0" * 6)


@pytest.mark.parametrize("text", [
    '{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,0]}}',
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1e999]}}',
    '{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,0]}}',
    '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}',
    '{"a":{"dtype":"F32","shape":[99999999999999999999999],"data_offsets":[0,0]}}',
    '{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,0]}}' % ("9" * 5000),
    '{"a":{"dtype":"F32","shape":{"1":2},"data_offsets":[0,0]}}',
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,%s]}}' % ("9" * 400),
    '{"a":' + "[" * 2_000_000, "[" + "{}," * 2_000_000 + "{}]",
], ids=lambda text: text[:60])
def test_safetensors_headers_with_no_sense_are_broken(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(header(text))
    started = time.process_time()
    with pytest.raises(CheckpointError):
        read_shapes(tmp_path / "x.safetensors")
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("value", [[4], {"4": 4}, None, "4", 1e999, [[[]]]])
@pytest.mark.parametrize("name", ["in_channels", "cross_attention_dim"])
def test_a_config_with_something_else_where_a_number_belongs(tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (tmp_path / "unet" / "config.json").write_text(json.dumps({name: value}))
    assert detect_folder(tmp_path) == "sd1"
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": value}))
    assert detect_folder(tmp_path) == "unknown"


# ---- what is no regular file ----

def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(path.parent)       # the address of a socket is short
    try:
        server.bind(path.name)
    finally:
        os.chdir(here)
        server.close()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


@pytest.fixture(params=[pipe, listening, device, terminal, Path.mkdir], ids=["pipe", "socket", "device", "terminal", "folder"])
def strange(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "strange.safetensors"
    request.param(path)
    return path


@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_refused_at_once(strange: Path) -> None:
    with pytest.raises(OSError):
        open_regular(strange)
    for attempt in (read_shapes, read_config):
        with pytest.raises(CheckpointError, match="regular file|No such device"):
            attempt(strange)


@pytest.mark.timeout(20)
def test_a_file_that_becomes_a_pipe_before_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"x")
    pipe(tmp_path / "pipe")
    before = os.stat(tmp_path / "file")
    monkeypatch.setattr(os, "stat", lambda path, **_: before)
    with pytest.raises(OSError, match="regular"):
        open_regular(tmp_path / "pipe")


def test_large_files_are_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="more than 1,000 bytes"):
        read_regular(tmp_path / "large.json", 1000)
    with pytest.raises(CheckpointError, match="more than"):
        read_config(tmp_path / "large.json")


# ---- the walk over a pickle ----

def built(value: object, protocol: int) -> object:
    return read_pickle(pickle.dumps(value, protocol))


TABLES = st.dictionaries(st.text(max_size=8), st.deferred(lambda: VALUES), max_size=5)
VALUES = st.text(max_size=8) | st.integers(-2**70, 2**70) | TABLES
ANYTHING = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
                        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner) | st.frozensets(st.integers()))


@given(TABLES, st.integers(0, 5))
@examples(200)
def test_tables_of_texts_and_numbers_are_what_a_real_unpickler_makes_of_them(value: dict, protocol: int) -> None:
    assert built(value, protocol) == value


@given(ANYTHING, st.integers(0, 5))
@examples(200)
def test_whatever_python_pickles_can_be_walked(value: object, protocol: int) -> None:
    built(value, protocol)


OPCODES = [code.encode("latin-1") for code in "(0125aNbcdehjlopqrstu)}]\x81\x85\x86\x87\x88\x94\x93\x8f\x90\x91"]
PIECES = st.sampled_from(OPCODES) | st.binary(max_size=6) | st.builds(lambda n: b"K" + bytes([n]), st.integers(0, 255)) | st.sampled_from(
    [b"X\1\0\0\0a", b"q\1", b"h\1", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"(NK\0K\1\x85tR", b"2\x86" * 70, b"2\x87" * 70, b"(2t" * 50])


@given(st.lists(PIECES, max_size=300))
@examples(400)
def test_any_opcodes_end_in_time_and_in_one_kind_of_error(pieces: list[bytes]) -> None:
    started = time.process_time()
    try:
        read_pickle(b"\x80\x02" + b"".join(pieces) + b".")
    except BrokenPickle:
        pass
    assert time.process_time() - started < SECONDS


def test_too_many_opcodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_interpreter, "MAX_OPCODES", 10)
    with pytest.raises(BrokenPickle, match="opcodes"):
        read_pickle(b"\x80\x02" + b"}0" * 5 + b"N.")


class Calls:
    """A pickle that would call something when opened by an ordinary unpickler."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.answer = function, arguments

    def __reduce__(self) -> object:
        return self.answer


@pytest.mark.parametrize("protocol", range(6))
def test_a_function_is_refused_by_its_name_and_never_called(tmp_path: Path, protocol: int) -> None:
    for call in (Calls(os.mkdir, str(tmp_path / "ran")), Calls(zlib.crc32, b""), Calls(eval, "1")):
        with pytest.raises(MoreThanTensors, match=call.answer[0].__name__):
            built({"a": 1, "b": [call]}, protocol)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", [b"ctorch\nload\n", b"ctorch.hub\nload\n", b"cpytorch_lightning.callbacks\nModelCheckpoint\n", b"ctorch.nn.modules.container\nSequential\n",
                                  b"(icollections\nnamedtuple\n", b"\x8c\x02os\x8c\x06system\x93"])
def test_whatever_names_more_than_tensors_is_refused_in_words(tmp_path: Path, name: bytes) -> None:
    content = b"\x80\x04}X\x01\0\0\0a" + name + b"s."
    for file in (zipped(content), pickle.dumps(1) * 3 + content):
        (tmp_path / "x.pt").write_bytes(file)
        with pytest.raises(CheckpointError, match=r"more than tensors \(.*\) and could run code"):
            read_header(tmp_path / "x.pt")


def test_what_only_looks_regular_is_not_waited_for(tmp_path: Path) -> None:
    """/proc/kmsg and its like say that they are regular, and have nothing to read until something happens."""
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    for read in (lambda file: file.read(8), lambda file: file.readinto(bytearray(8))):
        with pytest.raises(NotRegular), io.BufferedReader(regular_files._Ready(tmp_path / "pipe", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))) as file:
            read(file)
    os.close(writer)

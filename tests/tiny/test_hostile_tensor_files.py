"""Files of torch's that somebody made to hurt: nothing in them takes more time or memory than their size explains."""

from __future__ import annotations

import codecs
import resource
import time
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from backend.catalog.headers import read_shapes
from backend.catalog.model_file import EMBEDDING, ModelFile
from backend.errors import CheckpointError
from backend.worker.adapters.embedding_file import read_embedding
from backend.worker.models.tensor_files import Format, read_table, read_tensors

CPU = torch.device("cpu")
SECONDS, KILOBYTES = 2.0, 300 << 10
HUGE = 10**6


class Call:
    """What a real unpickler makes this call of."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.answer = function, arguments

    def __reduce__(self) -> object:
        return self.answer


def nested() -> object:
    made: tuple[Any, ...] = ()
    for _ in range(60):
        made = made, made
    return made


def digits_of_digits() -> object:
    made: object = Call(codecs.encode, "A", "latin1")
    for _ in range(40):
        made = Call(codecs.encode, made, "hex")
    return made


def shared(again: Callable[[Tensor], Tensor]) -> dict[str, object]:
    one = torch.zeros(1000, 1000)
    return {f"{number}": again(one) for number in range(300)}


def not_loaded() -> Tensor:
    return torch.empty(1000, 768, device="meta")


HOSTILE: dict[str, Callable[[], object]] = {
    "repeated": lambda: torch.zeros(1).expand(HUGE, HUGE),
    "repeated less": lambda: torch.zeros(1).expand(50_000, 50_000),
    "shared": lambda: shared(lambda one: one),
    "shared storage": lambda: shared(lambda one: one.view(1000, 1000)),
    "beside the rest": lambda: shared(lambda one: one) | {"params": {"w": torch.ones(1)}},
    "overlapping": lambda: torch.zeros(10**6).as_strided((10**3, 10**6 - 10**3), (1, 1)),
    "sparse": lambda: torch.sparse_coo_tensor(torch.zeros(2, 1), torch.ones(1), (10**9, 10**9)),
    "meta": not_loaded,
    "zeros": lambda: Call(bytearray, 10**10),
    "format": lambda: Call(np.dtype, "S2000000000"),
    "digits": digits_of_digits,
    "set": lambda: Call(set, [nested()]),
    "counter": lambda: Call(Counter, [nested()]),
    "pairs": lambda: Call(OrderedDict, [(nested(), 1)]),
    "tensor": lambda: Call(Tensor, 60_000, 60_000),
    "parameter": lambda: Call(nn.Parameter, Call(Tensor, 60_000, 60_000)),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_claims_more_than_the_file_holds_is_refused_at_once(tmp_path: Path, name: str) -> None:
    path, made = tmp_path / "x.pt", HOSTILE[name]()
    torch.save({"w": torch.ones(2, 2), **made} if isinstance(made, dict) else {"w": torch.ones(2, 2), "x": made}, path)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for read in (read_shapes, lambda path: read_tensors(path, lambda _: Format(CPU, torch.float16)), read_table):
        with pytest.raises(CheckpointError):
            read(path)
    assert time.process_time() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KILOBYTES


def test_a_zip_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(50 << 20)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(CheckpointError):
        read_shapes(tmp_path / "x.pt")


def test_a_zip_that_somebody_packed_is_read_all_the_same(tmp_path: Path) -> None:
    torch.save({"w": torch.arange(20_000.0)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    assert torch.equal(read_tensors(tmp_path / "x.pt", lambda _: Format(CPU, None))["w"], torch.arange(20_000.0))


def test_what_trainers_write_is_read(tmp_path: Path) -> None:
    flat, tied = torch.randn(64), torch.randn(8, 4)
    tensors = {"a": flat[:32].view(4, 8), "b": flat[32:].view(2, 4, 4), "tied": tied, "as well": tied, "turned": tied.T,
               "one": torch.tensor(0.5), "none": torch.empty(0, 768), "repeated": torch.ones(1).expand(300, 4),
               "half": torch.randn(3, 3).half(), "learnt": nn.Parameter(torch.randn(2, 2))}
    network = OrderedDict(tensors)
    network._metadata = OrderedDict({"": {"version": 1}})     # type: ignore[attr-defined]
    beside = {"epoch": 3, "lr": np.float64(0.1), "names": {"a", "b"}, "counted": Counter("aab"), "bytes": b"abc",
              "shape": torch.Size((2, 3)), "dtype": torch.float16, "betas": (0.9, (0.99, 1)), "device": torch.device("cpu")}
    for name, new in (("old.ckpt", False), ("zip.ckpt", True)):
        if new:
            network["eight"] = tensors["eight"] = torch.randn(3, 3).to(torch.float8_e4m3fn)
        torch.save({"state_dict": network, **beside}, tmp_path / name, _use_new_zipfile_serialization=new)
        read = read_tensors(tmp_path / name, lambda _: Format(CPU, None))
        assert read.keys() == tensors.keys() and all(torch.equal(read[each], tensors[each]) for each in tensors)
        assert read_shapes(tmp_path / name) == {each: tuple(tensor.shape) for each, tensor in tensors.items()}


def test_attributes_that_a_file_gives_are_not_taken_for_methods(tmp_path: Path) -> None:
    learnt = nn.Parameter(torch.randn(2, 4))
    for name in ("to", "dim", "isfinite", "float"):
        setattr(learnt, name, 5)
    torch.save({"w": learnt}, tmp_path / "x.pt")
    assert read_tensors(tmp_path / "x.pt", lambda _: Format(CPU, None))["w"].shape == (2, 4)
    with pytest.raises(CheckpointError, match=r"^x cannot be loaded: its content is not what such a file holds"):
        read_embedding(ModelFile(EMBEDDING, "x", str(tmp_path / "x.pt")))


def test_a_table_whose_methods_are_numbers_is_broken(tmp_path: Path) -> None:
    table = OrderedDict(w=torch.ones(1))
    table.get = 5     # type: ignore[assignment]
    torch.save(table, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="broken"):
        read_tensors(tmp_path / "x.pt", lambda _: Format(CPU, None))

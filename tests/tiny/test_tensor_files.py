"""Tensors out of files: each number as it is stored or as torch converts it, and a sentence where the file ends early."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from backend.errors import CheckpointError
from backend.worker.models import tensor_files
from backend.worker.models.tensor_files import AHEAD, Format, read_tensors

CPU = torch.device("cpu")
KINDS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
         torch.complex64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16,
         torch.uint8, torch.bool)


def bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("mapped", [False, True])
def test_every_half_precision_number_becomes_what_torch_makes_of_it(mapped: bool) -> None:
    numbers = torch.arange(2**16).to(torch.int16).view(torch.float16)
    wanted, given = numbers.to(torch.bfloat16), numbers.clone()
    made = Format(CPU, torch.bfloat16).brought(given, mapped)
    assert made.dtype == torch.bfloat16 and torch.equal(made.isnan(), numbers.isnan())
    assert torch.equal(made[~made.isnan()].view(torch.int16), wanted[~made.isnan()].view(torch.int16))
    assert (bits(given) == bits(numbers)) is mapped, "what is mapped stays as it is in the file"


def test_every_kind_of_number_is_read_as_it_is_stored(tmp_path: Path) -> None:
    stored = {f"{kind}": torch.arange(6).view(1, 2, 3).to(kind) for kind in KINDS}
    stored |= {"none": torch.empty(0, 4), "one": torch.tensor(0.5), "kernel": torch.randn(4, 3, 2, 2)}
    save_file(stored, tmp_path / "all.safetensors")
    read = read_tensors(tmp_path / "all.safetensors", lambda name: None if name == "one" else Format(CPU, None))
    assert read.keys() == stored.keys() - {"one"}
    for name, tensor in read.items():
        assert (tensor.dtype, tensor.shape, bits(tensor)) == (stored[name].dtype, stored[name].shape, bits(stored[name]))
    assert read["kernel"].is_contiguous(memory_format=torch.channels_last)


def test_many_portions_come_in_order_and_with_their_own_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_files, "_READ_AT_ONCE", 64)
    stored = {f"{number:03}": torch.randn(5 + number % 7, 3).half() for number in range(20 * AHEAD)}
    save_file(stored, tmp_path / "many.safetensors")
    seen: list[Tensor] = []
    threads = torch.get_num_threads()
    read = read_tensors(tmp_path / "many.safetensors", lambda _: Format(CPU, torch.float32), seen.append)
    assert [id(tensor) for tensor in read.values()] == [id(tensor) for tensor in seen]
    assert read.keys() == stored.keys() and all(torch.equal(read[name], stored[name].float()) for name in stored)
    assert torch.get_num_threads() == threads


def test_a_file_that_becomes_shorter_while_it_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_files, "_READ_AT_ONCE", 64)
    path, threads = tmp_path / "large.safetensors", torch.get_num_threads()
    save_file({f"{number:03}": torch.randn(64, 64) for number in range(20 * AHEAD)}, path)

    def cut(_: Tensor) -> None:
        with path.open("r+b") as file:
            file.truncate(100_000)

    with pytest.raises(CheckpointError, match="broken or cut off"):
        read_tensors(path, lambda _: Format(CPU, None), cut)
    assert torch.get_num_threads() == threads

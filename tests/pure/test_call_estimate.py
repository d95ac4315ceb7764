"""What a denoiser's call costs, from shapes alone; the expected numbers are torch's own counts and measured peaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.catalog.call_estimate import CallEstimate, DeviceLimits, largest_pass, obstacle, read_estimate
from backend.catalog.headers import Shapes, read_shapes
from backend.request.request import Request
from backend.settings import HOME

DEMO = HOME / "models" / "demo"
GIB = 2**30


def square(side: int) -> tuple[int, int]:
    return side, side


def sd1(prefix: str = "model.diffusion_model.") -> Shapes:
    """Stable Diffusion 1's UNet in LDM names: the convolutions and attention of each block, nothing else."""
    shapes: Shapes = {"input_blocks.0.0.weight": (320, 4, 3, 3), "out.2.weight": (4, 320, 3, 3)}
    widths, inputs, number = (320, 640, 1280, 1280), [320], 1
    for level, width in enumerate(widths):
        for _ in range(2):
            _block(shapes, f"input_blocks.{number}", inputs[-1], width, attends=level < 3)
            inputs.append(width)
            number += 1
        if level < 3:
            shapes[f"input_blocks.{number}.0.op.weight"] = (width, width, 3, 3)
            inputs.append(width)
            number += 1
    _resnet(shapes, "middle_block.0", 1280, 1280)
    _attention(shapes, "middle_block.1", 1280)
    _resnet(shapes, "middle_block.2", 1280, 1280)
    now, number = 1280, 0
    for level in reversed(range(4)):
        for position in range(3):
            _block(shapes, f"output_blocks.{number}", now + inputs.pop(), widths[level], attends=level < 3)
            now = widths[level]
            if position == 2 and level:
                shapes[f"output_blocks.{number}.{1 + (level < 3)}.conv.weight"] = (now, now, 3, 3)
            number += 1
    return {prefix + name: shape for name, shape in shapes.items()}


def _block(shapes: Shapes, name: str, entry: int, width: int, *, attends: bool) -> None:
    _resnet(shapes, f"{name}.0", entry, width)
    if attends:
        _attention(shapes, f"{name}.1", width)


def _resnet(shapes: Shapes, name: str, entry: int, width: int) -> None:
    shapes |= {f"{name}.in_layers.2.weight": (width, entry, 3, 3), f"{name}.out_layers.3.weight": (width, width, 3, 3),
               f"{name}.emb_layers.1.weight": (width, 1280)}
    if entry != width:
        shapes[f"{name}.skip_connection.weight"] = (width, entry, 1, 1)


def _attention(shapes: Shapes, name: str, width: int) -> None:
    inside = f"{name}.transformer_blocks.0"
    shapes |= {f"{name}.{end}.weight": (width, width, 1, 1) for end in ("proj_in", "proj_out")}
    shapes |= {f"{inside}.attn1.to_{part}.weight": (width, width) for part in ("q", "k", "v", "out.0")}
    shapes |= {f"{inside}.attn2.to_{part}.weight": (width, width) for part in ("q", "out.0")}
    shapes |= {f"{inside}.attn2.to_{part}.weight": (width, 768) for part in ("k", "v")}
    shapes |= {f"{inside}.ff.net.0.proj.weight": (8 * width, width), f"{inside}.ff.net.2.weight": (width, 4 * width)}


@pytest.mark.parametrize(("side", "counted"), [(512, 8.033e11), (1024, 4.674e12), (2048, 4.221e13), (8192, 8.201e15)])
def test_operations_of_a_file_in_its_authors_names(side: int, counted: float) -> None:
    assert CallEstimate.of(sd1()).operations(square(side)) == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize(("side", "counted"), [(512, 2.208e10), (2048, 8.84e11), (8192, 1.502e14)])
def test_operations_of_a_folder_in_diffusers_names(side: int, counted: float) -> None:
    assert read_estimate(DEMO).operations(square(side)) == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize(("shapes", "side", "mebibytes"), [
    (sd1(), 1024, 1018.7), ({}, 1024, 106.6), ({}, 2048, 366.8),
])
def test_memory_is_what_was_measured(shapes: Shapes, side: int, mebibytes: float) -> None:
    estimate = CallEstimate.of(shapes) if shapes else read_estimate(DEMO)
    assert 0.8 < estimate.bytes(square(side), 4) / (mebibytes * 2**20) < 1.33


def test_what_cannot_fit_or_finish_is_said_with_its_field() -> None:
    estimate, small = CallEstimate.of(sd1()), DeviceLimits(24 * GIB, 2e11)
    large = Request(width=8192, height=8192)
    short = obstacle(large, estimate, small)
    assert short and short.field == "width" and "8,192 x 8,192" in short.message and "24" in short.message
    slow = obstacle(large, estimate, DeviceLimits(512 * GIB, 2e11))
    assert slow and slow.field == "width" and "11 hours" in slow.message
    assert obstacle(large, estimate, DeviceLimits(140 * GIB, 4e14, "float16")) is None
    assert obstacle(Request(width=2048, height=2048), estimate, small) is None
    assert obstacle(large, estimate, DeviceLimits()) is None, "what is not known refuses nothing"
    assert obstacle(large, CallEstimate.of({"anything.weight": (10**6, 10**6)}), small) is None


def test_hires_fix_is_judged_by_its_second_pass() -> None:
    assert largest_pass(Request(width=512, height=768, enable_hr=True, hr_scale=8)) == ((4096, 6144), "hr_scale")
    assert largest_pass(Request(width=512, height=1024, enable_hr=True, hr_resize_x=2048)) == ((2048, 4096), "hr_resize_x")
    assert largest_pass(Request(width=512, height=1024, enable_hr=True, hr_resize_y=4096)) == ((2048, 4096), "hr_resize_y")
    assert largest_pass(Request(width=512, height=768)) == ((512, 768), "height")


def test_the_demo_is_not_mistaken_for_a_larger_network() -> None:
    file = next((DEMO / "unet").glob("*.safetensors"))
    assert CallEstimate.of(read_shapes(Path(file))) == read_estimate(DEMO)
    assert obstacle(Request(width=2048, height=2048), read_estimate(DEMO), DeviceLimits(4 * GIB, 5e10)) is None

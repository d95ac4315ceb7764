"""Guides in whole pictures: what they are shown, when they act, and what they cost."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import backend.worker.adapters.controlnet as controlnet
import backend.worker.engine.engine as engines
from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Failed, Picture, Preprocess, Run
from backend.request.guide_modules import KEY_POINTS, MODULES
from backend.request.guide_unit import GUIDE_UNIT
from backend.request.output_size import settled
from backend.request.record import Record
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.draw import preprocessors
from backend.worker.draw.guide_hint import MOST_PIXELS, Annotate, Part
from backend.worker.draw.init_image import Source
from backend.worker.engine.guide_loading import preprocessed
from backend.worker.models.clip_vision import ClipVision
from backend.worker.models.memory import Memory
from backend.worker.pixels import Pixels
from tests.tiny import controlnets, ip_adapters
from tests.tiny import networks as networks_of
from tests.tiny.ldm import save_folder, tiny, tiny_sdxl
from tests.tiny.test_engine import Studio

PICTURE, OTHER = "ab" * 32, "cd" * 32
UNIT = {"enabled": True, "model": "x", "image": PICTURE}


def drawn_square(width: int = 96, height: int = 64) -> Pixels:
    pixels = np.full((height, width, 3), 230, np.uint8)
    pixels[16:40, 24:60] = (200, 30, 30)
    return pixels


def png(pixels: Pixels, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, "PNG")
    return out.getvalue()


FILES = {PICTURE: png(drawn_square()), OTHER: png(drawn_square(64, 64)[:, ::-1])}


def unit(**more: object) -> Record:
    return Record({name: field.default for name, field in GUIDE_UNIT.items()} | UNIT | more)


def shown(size: tuple[int, int] = (64, 96), part: Part | None = None, files: dict[str, bytes] = FILES, **more: object) -> Pixels:
    return Annotate(unit(**more), PICTURE, size, part).made(files)


@pytest.mark.parametrize("module", [name for name, module in MODULES.items() if module.kind == "hint" and not module.files and name != KEY_POINTS])
@pytest.mark.parametrize("mode", ["L", "RGBA", "RGB"])
def test_every_preprocessor_gives_a_hint_of_the_size_that_is_drawn(module: str, mode: str) -> None:
    for size in ((64, 64), (128, 40)):
        hint = shown(size, files={PICTURE: png(drawn_square(), mode)}, module=module)
        assert hint.shape == (*size, 3) and hint.dtype == np.uint8


@pytest.mark.parametrize("size, pixel_perfect", [((2, 4000), False), ((20000, 1), False), ((1, 20000), True)])
def test_a_narrow_stripe_does_not_fill_the_memory(size: tuple[int, int], pixel_perfect: bool) -> None:
    asked = unit(module="canny", pixel_perfect=pixel_perfect)
    _, resolution = Annotate(asked, np.zeros((*size, 3), np.uint8), (512, 512)).seen({})
    assert resolution >= 1 and resolution**2 * max(size) // min(size) <= MOST_PIXELS
    assert Annotate(asked, np.zeros((512, 2048, 3), np.uint8), (512, 512)).seen({})[1] == 512, "others keep what was asked"


@pytest.mark.parametrize("module", [name for name, module in MODULES.items() if module.kind == "hint" and not module.files and name != KEY_POINTS])
def test_every_preprocessor_bears_a_narrow_stripe(module: str) -> None:
    stripe = np.repeat(np.linspace(0, 255, 20_000).astype(np.uint8)[:, None, None], 3, axis=2)
    assert shown((2048, 1), files={PICTURE: png(stripe)}, module=module).shape == (2048, 1, 3)


def test_what_preprocessors_make() -> None:
    assert (shown() == drawn_square()).all()
    edges = shown(module="canny", pixel_perfect=True)
    assert set(np.unique(edges)) == {0, 255}
    rows, columns = np.nonzero(edges[..., 0])
    assert abs(rows.min() - 16) <= 1 and abs(rows.max() - 40) <= 1 and abs(columns.min() - 24) <= 1 and abs(columns.max() - 60) <= 1
    assert set(np.unique(shown(module="canny"))) == {0, 255}, "lines stay lines at another size"
    assert np.abs(shown(module="invert", pixel_perfect=True).astype(int) + drawn_square() - 255).max() == 0
    assert len(np.unique(shown(module="blur_gaussian", pixel_perfect=True))) > 20
    bright = shown(module="threshold", pixel_perfect=True)
    assert (bright[0, 0] == 255).all() and (bright[20, 30] == 0).all()
    assert (shown(module="threshold", threshold_a=250, pixel_perfect=True) == 0).all()
    small = shown(module="tile_resample", threshold_a=8)
    assert small.shape == (64, 96, 3) and np.abs(small.astype(int) - drawn_square()).max() > 30


def test_resize_modes_place_the_picture_as_they_say() -> None:
    inside = {mode: np.nonzero(shown((64, 64), resize_mode=mode)[..., 1] < 100) for mode in ("Just Resize", "Crop and Resize", "Resize and Fill")}
    spans = {mode: (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) for mode, (rows, columns) in inside.items()}
    for mode, span in {"Just Resize": (16, 40, 16, 40), "Crop and Resize": (8, 44, 16, 40), "Resize and Fill": (16, 40, 21, 37)}.items():
        assert np.abs(np.subtract(spans[mode], span)).max() <= 1, mode
    assert (shown((64, 64), resize_mode="Resize and Fill")[0, 0] == 230).all()


def test_where_only_a_part_is_drawn_its_hint_is_cut_alike() -> None:
    part = Part((96, 64), (24, 16, 60, 40))
    assert (shown((48, 72), part)[4:-4, 4:-4] == (200, 30, 30)).all()
    mask = np.zeros((64, 96), np.uint8)
    mask[16:40, 24:60] = 255
    request = Request(init_image=PICTURE, mask=OTHER, inpaint_area="Only masked", masked_padding=0, mask_blur=0, width=72, height=48, steps=2)
    source = Source.prepare(request, {PICTURE: FILES[PICTURE], OTHER: png(mask, "L")}, 8)
    assert source.part == part


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Memory, dict, dict]:
    torch.set_num_threads(1)
    folder, networks = tmp_path_factory.mktemp("models"), tiny()
    save_folder(networks, folder / "checkpoints" / "first")
    save_folder(tiny(seed=1), folder / "checkpoints" / "second")
    save_folder(tiny_sdxl(), folder / "checkpoints" / "large")
    controlnets.controlnet(networks.unet).save_pretrained(folder / "controlnet" / "x")
    ip_adapters.tower().save_pretrained(folder / "clip_vision" / "h")
    (folder / "ip_adapter").mkdir()
    save_file(ip_adapters.flat(ip_adapters.ip_adapter(networks.unet, "plus")), folder / "ip_adapter" / "ip.safetensors")
    networks_of.save(folder / "loras" / "style.safetensors", networks_of.tensors(networks.unet, "lora_unet_", networks_of.attention(networks.unet), networks_of.lora()))
    catalog = ModelCatalog((folder,))
    return Memory(place("cpu", exact=True)), {name: catalog.find("checkpoint", name) for name in ("first", "second", "large")}, {
        ("guide", "x"): catalog.find("controlnet", "x"), ("guide", "ip"): catalog.find("ip_adapter", "ip"),
        ("clip_vision", "ip"): catalog.find("clip_vision", "h"), ("lora", "style"): catalog.find("lora", "style")}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """(rows, mean of the left of the hint) of each call of a ControlNet."""
    calls: list[tuple[int, float]] = []
    original = controlnet.ControlNet._hook

    def counted(self, members, *given):
        calls.append((len(members.uses), round(float(members.uses[0].data[0][..., :20].mean()), 3)))
        return original(self, members, *given)

    monkeypatch.setattr(controlnet.ControlNet, "_hook", counted)
    return calls


def picture(house: tuple, *units: dict[str, object], **more: object) -> bytes:
    memory, checkpoints, files = house
    request, studio = request_of(*units, **more), Studio((memory, checkpoints), "solo")
    run = Run("mine", "local", request, (0,), {("checkpoint", ""): checkpoints["first"], **files}, FILES)
    studio.engine.add(run)
    studio.run()
    assert not studio.of(Failed), studio.of(Failed)
    return studio.pixels("mine")


def request_of(*units: dict[str, object], **more: object) -> Request:
    values = {"prompt": "a cat", "steps": 4, "width": 64, "height": 64, "seed": 1, "variation_seed": 1, "cfg_scale": 5, "sampler": "Euler",
              "schedule": "Uniform", "guides": [UNIT | each for each in units], **more}
    return Request.parse(values)


def test_a_unit_changes_the_picture_while_it_acts_and_weight_0_is_none(house: tuple, asked: list) -> None:
    plain = picture(house)
    assert not asked
    whole = picture(house, {})
    assert len(asked) == 4 and {rows for rows, _ in asked} == {2}
    assert picture(house, {"weight": 0}) == plain and picture(house, {"enabled": False}) == plain and len(asked) == 4
    asked.clear()
    half = picture(house, {"end": 0.5})
    assert len(asked) == 3, "steps 0, 1 and 2 of 4"
    asked.clear()
    late = picture(house, {"start": 0.6})
    assert len(asked) == 1
    assert len({plain, whole, half, late}) == 4


def test_modes_and_several_units(house: tuple, asked: list) -> None:
    balanced, prompt = picture(house, {}), picture(house, {"control_mode": "My prompt is more important"})
    asked.clear()
    control = picture(house, {"control_mode": "ControlNet is more important"})
    assert {rows for rows, _ in asked} == {1}, "only the rows with the words"
    asked.clear()
    two = picture(house, {}, {"image": OTHER, "weight": 0.5})
    assert len(asked) == 8 and len({hint for _, hint in asked}) == 2
    assert len({balanced, prompt, control, two}) == 4


def test_hires_fix_has_it_in_both_passes_or_one(house: tuple, asked: list) -> None:
    more = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "hr_upscaler": "Latent"}
    counts = {}
    for hires in ("Both", "Low res only", "High res only"):
        asked.clear()
        picture(house, {"hires": hires}, **more)
        counts[hires] = len(asked)
    assert counts == {"Both": 4 + 4, "Low res only": 4, "High res only": 4}


def test_img2img_inpainting_and_tiles_take_what_is_drawn_from(house: tuple, asked: list, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Annotate] = []
    original = Annotate.made
    monkeypatch.setattr(Annotate, "made", lambda self, files: made.append(self) or original(self, files))
    picture(house, {"image": ""}, init_image=OTHER, denoising_strength=0.5)
    assert isinstance(made[0].picture, np.ndarray) and (made[0].picture == drawn_square(64, 64)[:, ::-1]).all()
    made.clear()
    picture(house, {"threshold_b": 7}, init_image=OTHER, denoising_strength=0.5, sd_upscale="Lanczos", sd_upscale_factor=2, sd_upscale_overlap=16)
    tiles = [each.part for each in made]
    assert len(tiles) > 1 and len(set(tiles)) == len(tiles) and {part.size for part in tiles} == {(128, 128)}


def test_a_hint_is_made_once_for_equal_pictures_and_options(house: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Annotate] = []
    original = Annotate.made
    monkeypatch.setattr(Annotate, "made", lambda self, files: made.append(self) or original(self, files))
    for seed in (1, 2):
        picture(house, {"threshold_b": 9}, {"threshold_b": 9, "weight": 0.3}, {"threshold_b": 10}, seed=seed)
    assert len(made) == 2


def test_a_picture_as_prompt_is_projected_once_and_acts_in_its_steps(house: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Pixels] = []
    original = ClipVision.seen
    monkeypatch.setattr(ClipVision, "seen", lambda self, pixels: seen.append(pixels) or original(self, pixels))
    prompt, plain = {"model": "ip", "weight": 0.6}, picture(house)
    pictures = [picture(house, prompt, seed=seed) for seed in (1, 1, 2)]
    assert pictures[0] == pictures[1] != plain and len(seen) == 1 and (seen[0] == drawn_square()).all()
    assert picture(house, prompt | {"weight": 0}) == plain
    others = [picture(house, prompt | more) for more in ({"end": 0.5}, {"image": OTHER}, {"weight": 0.9})]
    assert len({plain, pictures[0], *others}) == 5 and len(seen) == 2
    both = picture(house, prompt, {})
    assert both not in (pictures[0], picture(house, {}))
    picture(house, prompt | {"image": ""}, init_image=OTHER, denoising_strength=0.5)
    assert (seen[-1] == drawn_square(64, 64)[:, ::-1]).all()


def test_jobs_with_different_guides_share_calls_and_are_what_they_are_alone(house: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, checkpoints, files = house
    stacks = {"none": (), "control": ({},), "weaker": ({"weight": 0.4},), "prompt": ({"model": "ip"},), "words lead": ({"control_mode": "ControlNet is more important"},),
              "region": ({"mask": OTHER},), "both": ({"model": "ip"}, {})}
    prompts = {"lora": "a cat <lora:style:0.8>", "lora and control": "a cat <lora:style:-0.5>"}
    stacks |= {"lora": (), "lora and control": ({},), "reference": ({"module": "reference_only"},)}
    requests = {name: request_of(*units, prompt=prompts.get(name, "a cat"), steps=2) for name, units in stacks.items()}
    calls: list[int] = []
    original = engines.denoise
    monkeypatch.setattr(engines, "denoise", lambda rows: calls.append(len(rows)) or original(rows))

    def drawn(policy: str, *names: str) -> dict[str, np.ndarray]:
        studio = Studio((memory, checkpoints), policy)
        for name in names:
            studio.engine.add(Run(name, "local", requests[name], (0,), {("checkpoint", ""): checkpoints["first"], **files}, FILES))
        studio.run()
        assert not studio.of(Failed), studio.of(Failed)
        return {name: np.frombuffer(studio.pixels(name), np.uint8).astype(int) for name in names}

    together, shared = drawn("packed", *stacks), sorted(set(calls))
    assert sum(calls) >= 2 * 2 * len(stacks) and len(calls) <= 2 * 3 and shared[-1] == 16, "one call a step for all but the reference, padded to 16 and 2 rows"
    alone = {name: drawn("solo", name)[name] for name in stacks}
    assert {name: np.abs(together[name] - alone[name]).max() <= 1 for name in stacks} == dict.fromkeys(stacks, True)
    assert len({each.tobytes() for each in alone.values()}) == len(stacks)


def test_cells_of_a_plot_are_to_the_bit_what_they_are_alone(house: tuple) -> None:
    memory, checkpoints, files = house
    cells = {"none": (), "weak": ({"weight": 0.5},), "whole": ({},), "words": ({"control_mode": "ControlNet is more important"},), "late": ({"start": 0.5},)}

    def drawn(*names: str) -> dict[str, bytes]:
        studio = Studio((memory, checkpoints), "solo")
        for name in names:
            studio.engine.add(Run(name, "local", request_of(*cells[name], cfg_scale=3), (0,), {("checkpoint", ""): checkpoints["first"], **files}, FILES, plot="p"))
        studio.run()
        assert not studio.of(Failed), studio.of(Failed)
        return {name: studio.pixels(name) for name in names}

    together = drawn(*cells)
    assert {name: drawn(name)[name] == together[name] for name in ("none", "whole", "words")} == {"none": True, "whole": True, "words": True}
    assert len(set(together.values())) == len(cells)


def test_guides_go_on_where_a_refiner_draws_and_are_told_of_where_they_cannot(house: tuple, asked: list) -> None:
    memory, checkpoints, files = house

    def drawn(refiner: str, *units: dict[str, object], **more: object) -> tuple[bytes, tuple[str, ...]]:
        studio = Studio((memory, checkpoints), "solo")
        request = request_of(*units, refiner_checkpoint=refiner, refiner_switch_at=0.5, **more)
        studio.engine.add(Run("mine", "local", request, (0,), {("checkpoint", name): file for name, file in checkpoints.items()} |
                              {("checkpoint", ""): checkpoints["first"], **files}, FILES))
        studio.run()
        assert not studio.of(Failed), studio.of(Failed)
        return studio.pixels("mine"), studio.of(Picture)[0].notes

    whole, notes = drawn("second", {})
    assert len(asked) == 4 and not notes, "two steps of each checkpoint"
    asked.clear()
    stopped, _ = drawn("second", {"end": 0.4})
    assert len(asked) == 2 and whole != stopped
    prompted, reference = drawn("second", {"model": "ip"})[0], drawn("second", {"module": "reference_only"})[0]
    assert len({whole, stopped, prompted, reference, drawn("second", {"model": "ip", "end": 0.4})[0], drawn("second")[0]}) == 6
    same, own = drawn("first", {})[0], picture(house, {})
    assert same == own, "a refiner that is the checkpoint itself is not guided twice"
    asked.clear()
    _, notes = drawn("large", {}, {"model": "ip"})
    assert len(asked) == 2 and [note.partition(":")[0] for note in notes] == ["Guide 1 stops where large draws", "Guide 2 stops where large draws"]


def test_inpainting_hides_what_is_marked_and_a_reference_is_encoded_once(house: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    hints: list[torch.Tensor] = []
    original = controlnet.ControlNet._hook
    monkeypatch.setattr(controlnet.ControlNet, "_hook", lambda self, members, *given: hints.append(members.uses[0].data[0]) or original(self, members, *given))
    picture(house, {"module": "inpaint_only", "mask": OTHER})
    hidden = hints[0].min(dim=0).values < 0
    assert 0 < hidden.float().mean() < 1 and set(hints[0][:, hidden].unique().tolist()) == {-1.0}
    hints.clear()
    picture(house, {"module": "inpaint_only", "image": ""}, init_image=PICTURE, mask=OTHER, denoising_strength=0.5)
    assert (hints[0] < 0).any()


@pytest.mark.parametrize("image", ["", PICTURE])
@pytest.mark.parametrize("sides", [{"outpaint_left": 24, "outpaint_up": 10}, {"outpaint_right": 40, "outpaint_down": 16}])
def test_where_a_picture_grows_its_hint_lies_on_the_canvas_as_it_does(house: tuple, monkeypatch: pytest.MonkeyPatch, image: str, sides: dict[str, int]) -> None:
    hints: list[torch.Tensor] = []
    original = controlnet.ControlNet._hook
    monkeypatch.setattr(controlnet.ControlNet, "_hook", lambda self, members, *given: hints.append(members.uses[0].data[0]) or original(self, members, *given))
    guided = {"image": image, "module": "canny", "pixel_perfect": True}
    request = settled(request_of(guided, init_image=PICTURE, denoising_strength=1.0, mask_blur=0, steps=2, **sides), (96, 64))
    memory, checkpoints, files = house
    studio = Studio((memory, checkpoints), "solo")
    studio.engine.add(Run("mine", "local", request, (0,), {("checkpoint", ""): checkpoints["first"], **files}, FILES))
    studio.run()
    assert not studio.of(Failed), studio.of(Failed)
    assert hints[0].shape == (3, request.height, request.width)
    rows, columns = (hints[0].amax(0) > 0.5).nonzero(as_tuple=True)
    left, up = sides.get("outpaint_left", 0), sides.get("outpaint_up", 0)
    found = columns.min() - left, columns.max() - left, rows.min() - up, rows.max() - up
    assert np.abs(np.subtract(found, (24, 60, 16, 40))).max() <= 1, "the square's edges, and none where the picture ends"
    assert np.array_equal(told(memory, request), seen(hints))


def told(memory: Memory, request: Request) -> Pixels:
    """What the page and the API say of the first unit's hint."""
    asked = Preprocess("mine", request.guides[0], FILES[PICTURE], (request.height, request.width), job=request, pictures=FILES)
    made = preprocessed(memory, asked)
    assert not made.problem, made.problem
    return np.frombuffer(made.pixels, np.uint8).reshape(made.height, made.width, 3)


def seen(hints: list[torch.Tensor]) -> Pixels:
    """What the model was shown."""
    return hints[0].permute(1, 2, 0).mul(255).round().byte().numpy()


@pytest.mark.parametrize("image", ["", PICTURE])
@pytest.mark.parametrize("more", [
    {"resize_mode": "Just resize"}, {"resize_mode": "Resize and fill"}, {"mask": OTHER, "inpaint_area": "Only masked", "masked_padding": 8, "mask_blur": 0},
    {"mask": OTHER, "inpaint_area": "Whole picture", "masked_content": "fill"},
], ids=["squeezed", "filled", "part", "whole"])
def test_what_is_told_of_a_hint_is_what_the_model_was_shown(house: tuple, monkeypatch: pytest.MonkeyPatch, image: str, more: dict[str, object]) -> None:
    hints: list[torch.Tensor] = []
    original = controlnet.ControlNet._hook
    monkeypatch.setattr(controlnet.ControlNet, "_hook", lambda self, members, *given: hints.append(members.uses[0].data[0]) or original(self, members, *given))
    guided = {"image": image, "module": "canny"}
    picture(house, guided, init_image=PICTURE, denoising_strength=1.0, height=64, width=64, **more)
    assert np.array_equal(told(house[0], request_of(guided, init_image=PICTURE, height=64, width=64, **more)), seen(hints))


def _huge() -> None:
    import cv2

    cv2.resize(np.zeros((9, 9, 3)), (2_000_000, 2_000_000))


def _full(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("level, runs_out", [(11, partial(_full, torch.OutOfMemoryError("CUDA out of memory"))), (12, partial(_full, MemoryError())), (13, _huge)],
                         ids=["torch", "Python", "OpenCV"])
def test_a_preprocessor_that_runs_out_of_memory_is_told_at_its_unit_and_the_next_picture_is_fine(
    house: tuple, level: int, runs_out: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, checkpoints, files = house
    plain, told = picture(house), "canny needs more memory than there is: choose a smaller preprocessor resolution or picture"
    traced = {"module": "canny", "threshold_a": level}      # a hint that is not kept yet
    request, studio = request_of({}, traced), Studio((memory, checkpoints), "solo")
    run = Run("mine", "local", request, (0,), {("checkpoint", ""): checkpoints["first"], **files}, FILES)
    with monkeypatch.context() as short:
        short.setitem(preprocessors.PREPROCESSORS, "canny", lambda *asked: runs_out())
        studio.engine.add(run)
        studio.run()
        shown = preprocessed(memory, Preprocess("1", unit(**traced), FILES[PICTURE], (64, 64)))
    (failed,) = studio.of(Failed)
    assert [(problem.field, problem.message) for problem in failed.problems] == [("guides[1].module", told)]
    assert shown.problem is not None and (shown.problem.field, shown.problem.message) == ("guides[0].module", told)
    assert picture(house) == plain and picture(house, {}, traced), "nothing stays half attached"


def test_low_memory_has_a_model_leave_when_its_steps_are_over(house: tuple) -> None:
    memory = house[0]
    pictures = {low: (picture(house, {"low_vram": low}, {"model": "ip", "low_vram": low}), {"x", "ip"} & set(memory.loaded)) for low in (False, True)}
    assert pictures[True][0] == pictures[False][0] and pictures[False][1] == {"x", "ip"} and pictures[True][1] == set()
    assert picture(house, {"low_vram": True}) == picture(house, {}), "it comes back"

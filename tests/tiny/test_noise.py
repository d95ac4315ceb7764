"""The noise of an image: its laws, then the peers' recorded numbers."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.request.request import MAX_SEED, Request
from backend.sampling.noise import ImageNoise, slerp
from backend.sampling.philox import Philox
from backend.sampling.seeds import NoiseSpec

torch.set_num_threads(1)
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "noise.json").read_text())
SHAPE = (4, 8, 8)


def same(tensor, recorded):
    """Bit for bit by hash; on a CPU without vector units the first and last values to 2e-6."""
    values = np.ascontiguousarray(tensor.numpy() if isinstance(tensor, torch.Tensor) else tensor)
    assert list(values.shape) == recorded["shape"]
    assert str(values.dtype) == recorded["dtype"]
    if hashlib.sha256(values.astype("<f4").tobytes()).hexdigest() == recorded["sha256_float32_le"]:
        return
    np.testing.assert_allclose(values.flatten()[:16], recorded["first16"], atol=2e-6)
    np.testing.assert_allclose(values.flatten()[-4:], recorded["last4"], atol=2e-6)


# Laws.


@pytest.mark.parametrize("source", ["CPU", "NV", "GPU"])
def test_a_spec_gives_the_same_noise_again(source):
    spec = NoiseSpec(seed=7, subseed=8, subseed_strength=0.3, resize_from=(48, 96), ensd=5, source=source)
    one, other = ImageNoise(spec, SHAPE), ImageNoise(spec, SHAPE)
    assert torch.equal(one.initial(), other.initial())
    for _ in range(3):
        assert torch.equal(one(2.0, 1.0), other(9.0, 8.0))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    noise = ImageNoise(NoiseSpec(seed=7, subseed=1, subseed_strength=0.5, resize_from=(128, 128)), SHAPE)
    noise.initial(), noise(2.0, 1.0), noise.brownian(0.03, 14.6)(2.0, 1.0)
    assert torch.equal(before, torch.get_rng_state())


def test_numbers_do_not_depend_on_the_dtype_wanted():
    spec = NoiseSpec(seed=3)
    half, full = ImageNoise(spec, SHAPE, dtype=torch.float16), ImageNoise(spec, SHAPE, dtype=torch.float64)
    noise = ImageNoise(spec, SHAPE).initial()
    assert torch.equal(half.initial(), noise.half()) and torch.equal(full.initial(), noise.double())


def test_the_first_draw_is_the_initial_noise():
    spec = NoiseSpec(seed=3, ensd=31337)
    assert torch.equal(ImageNoise(spec, SHAPE)(1.0, 0.5), ImageNoise(spec, SHAPE).initial())
    noise = ImageNoise(spec, SHAPE)
    noise.initial()
    with pytest.raises(ValueError, match="^noise:"):
        noise.initial()


def test_ensd_changes_all_but_the_first_draw():
    plain, shifted = ImageNoise(NoiseSpec(seed=100), SHAPE), ImageNoise(NoiseSpec(seed=100, ensd=9), SHAPE)
    assert torch.equal(plain.initial(), shifted.initial())
    assert torch.equal(shifted(2.0, 1.0), ImageNoise(NoiseSpec(seed=109), SHAPE).initial())
    assert not torch.equal(plain(2.0, 1.0), shifted(1.0, 0.5))


def test_unknown_source_is_named():
    with pytest.raises(ValueError, match="^randn_source:"):
        NoiseSpec(seed=1, source="TPU")


@pytest.mark.parametrize("source", ["CPU", "NV"])
def test_brownian_increments_add_up(source):
    """W(a) - W(c) is the same whether the path is walked in one step or two, in whatever order it is asked."""
    one, other = (ImageNoise(NoiseSpec(seed=4, source=source), SHAPE).brownian(0.1, 10.0) for _ in range(2))
    whole = one(10.0, 1.0) * 9**0.5
    second, first = other(4.0, 1.0) * 3**0.5, other(10.0, 4.0) * 6**0.5
    assert torch.allclose(first + second, whole, atol=1e-4)
    assert torch.allclose(one(1.0, 10.0) * -(9**0.5), whole, atol=1e-4)


def test_brownian_paths_of_both_sources_differ_and_do_not_leak():
    before = ImageNoise(NoiseSpec(seed=4), SHAPE).brownian(0.1, 10.0)(10.0, 1.0)
    philox = ImageNoise(NoiseSpec(seed=4, source="NV"), SHAPE).brownian(0.1, 10.0)(10.0, 1.0)
    after = ImageNoise(NoiseSpec(seed=4), SHAPE).brownian(0.1, 10.0)(10.0, 1.0)
    assert torch.equal(before, after) and not torch.allclose(before, philox)


# The peers' recorded numbers.


def image_id(record):
    varied = [key for key in ("subseed_strength", "eta_noise_seed_delta") if record[key]]
    size = f"{record['seed_resize_from_h']}x{record['seed_resize_from_w']}"
    return f"{record['randn_source']}-{record['seeds']}-{record['shape']}-{size}-{varied}"


@pytest.mark.parametrize("record", GOLDEN["images"], ids=image_id)
def test_parity_of_image_noise(record):
    subseeds = record["subseeds"] or []
    for i, seed in enumerate(record["seeds"]):
        spec = NoiseSpec(
            seed=seed,
            subseed=subseeds[i] if i < len(subseeds) else 0,
            subseed_strength=record["subseed_strength"],
            resize_from=(record["seed_resize_from_h"], record["seed_resize_from_w"]),
            ensd=record["eta_noise_seed_delta"],
            source=record["randn_source"],
        )
        noise = ImageNoise(spec, tuple(record["shape"]))
        for draw in record["draws"]:
            same(noise(1.0, 0.5), draw["images"][i])


@pytest.mark.parametrize("record", GOLDEN["slerp"])
def test_parity_of_slerp(record):
    low, high = (
        torch.randn(record["shape"], generator=torch.Generator().manual_seed(record[seed]))
        for seed in ("low_seed", "high_seed")
    )
    same(slerp(record["val"], low, high), record["result"])


@pytest.mark.parametrize("record", GOLDEN["philox"], ids=lambda record: str(record["seed"]))
def test_parity_of_philox(record):
    generator = Philox(record["seed"])
    for draw in record["draws"]:
        same(generator.randn(tuple(draw["shape"])), draw)


@pytest.mark.parametrize("record", GOLDEN["brownian"], ids=lambda r: f"{r['randn_source']}-{r['seeds']}")
def test_parity_of_brownian_noise(record):
    for i, seed in enumerate(record["seeds"]):
        image = ImageNoise(NoiseSpec(seed=seed, source=record["randn_source"]), tuple(record["shape"]))
        noise = image.brownian(record["sigma_min"], record["sigma_max"])
        for call in record["calls"]:
            same(noise(call["sigma"], call["sigma_next"]), call["images"][i])


@pytest.mark.parametrize("record", GOLDEN["seed_lists"])
def test_parity_of_seed_lists(record):
    request = Request(seed=record["seed"], variation_seed=record["subseed"], variation_strength=record["subseed_strength"], batch_count=record["n_images"])
    images = [request.of_image(index) for index in range(record["n_images"])]
    seeds, variations = ([seed % (MAX_SEED + 1) for seed in record[name]] for name in ("all_seeds", "all_subseeds"))
    assert [image.seed for image in images] == seeds, "the largest is followed by 0, where AUTOMATIC1111 counts on"
    if record["subseed_strength"]:
        assert [image.variation_seed for image in images] == variations


@pytest.mark.parametrize("record", GOLDEN["torch_cpu_randn_small"], ids=lambda record: str(record["n"]))
def test_small_cpu_draws(record):
    """torch draws fewer than 16 numbers in another way; the record shows whether this torch still does."""
    if record["dtype"] == "float32":
        noise = ImageNoise(NoiseSpec(seed=record["seed"]), (record["n"],)).initial()
        np.testing.assert_allclose(noise.numpy(), record["values"], atol=2e-6)


@pytest.mark.parametrize("source", ["CPU", "NV"])
@pytest.mark.parametrize("seed", [2**63, MAX_SEED])
def test_seeds_of_64_bits(source, seed):
    image = ImageNoise(NoiseSpec(seed, subseed=MAX_SEED, subseed_strength=0.3, ensd=31337, source=source), SHAPE)
    drawn = [image.initial(), image(2.0, 1.0), image.brownian(0.03, 14.6)(5.0, 4.0)]
    other = ImageNoise(NoiseSpec(seed - 1, subseed=MAX_SEED, subseed_strength=0.3, ensd=31337, source=source), SHAPE)
    assert all(torch.isfinite(each).all() for each in drawn) and not torch.equal(drawn[0], other.initial())

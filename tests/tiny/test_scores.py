"""Scores of pictures: the formulas against other libraries, and the worker's answers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import laplace
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch_fidelity import feature_extractor_inceptionv3 as theirs
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from backend.catalog import inception_files
from backend.catalog.model_catalog import ModelCatalog
from backend.messages import MeasureDistance, Score, Scored
from backend.worker.device import place
from backend.worker.engine.current_work import CurrentWork
from backend.worker.models import clip_dual_encoder
from backend.worker.models.memory import Memory
from backend.worker.scores.frechet_distance import distance
from backend.worker.scores.scorer import Scorer
from backend.worker.scores.sharpness import sharpness
from backend.worker.scores.similarity import MOST_DECIBELS, psnr, ssim
from backend.worker.scores.spread import spread
from tests.tiny.clips import clip_file, random_clip
from training.drawing import draw
from training.scenes import Scene, Thing

MODELS = Path(__file__).parents[2] / "models"
KINDS = ("clip_t", "clip_i", "ssim", "psnr", "sharpness")


def noise(seed: int, width: int = 48, height: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def near(pixels: np.ndarray, seed: int = 9) -> np.ndarray:
    return (pixels + np.random.default_rng(seed).normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8)


# ---- formulas ----

def test_ssim_and_psnr_are_skimages() -> None:
    smooth = np.array(draw(Scene("blue", (Thing("red", "star"),)), 96))
    other = near(smooth)
    _, skimages = structural_similarity(smooth, other, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                      data_range=255, full=True)
    assert ssim(smooth, other) == pytest.approx(skimages.mean(), abs=0.002)       # the edges are mirrored in another way
    assert psnr(smooth, other) == pytest.approx(peak_signal_noise_ratio(smooth, other), abs=1e-6)
    assert ssim(smooth, smooth) == pytest.approx(1)
    assert psnr(smooth, smooth) == MOST_DECIBELS


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    pixels = noise(1)
    inner = laplace(pixels @ np.array([0.299, 0.587, 0.114]))[1:-1, 1:-1]
    assert sharpness(pixels) == pytest.approx(inner.var())
    assert sharpness(np.full((20, 20, 3), 77, np.uint8)) == pytest.approx(0)
    blurred = np.asarray(Image.fromarray(pixels).resize((12, 10)).resize((48, 40)))
    assert sharpness(blurred) < sharpness(pixels) / 10


def test_spread_is_the_mean_over_pairs() -> None:
    a, b, c = torch.eye(3)
    assert spread([a, a]) == pytest.approx(0)
    assert spread([a, b, c]) == pytest.approx(1)
    assert spread([a, a, b]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("first", "second"), [(3, 4), (2, 40), (24, 24), (40, 60)])
def test_distance_is_torch_fidelitys_however_many_pictures_there_are(first: int, second: int) -> None:
    torch.manual_seed(first)
    left, right = torch.randn(first, 24), torch.randn(second, 24) * 2 + 1
    wanted = fid_statistics_to_metric(*map(fid_features_to_statistics, (left, right)), verbose=False)[KEY_METRIC_FID]
    assert distance([left[:1], left[1:]], [right]) == pytest.approx(wanted, rel=1e-4)


def test_distance_is_zero_for_equal_sets_and_grows() -> None:
    features = [torch.randn(1, 16, generator=torch.Generator().manual_seed(n)) for n in range(40)]
    assert distance(features, features) == pytest.approx(0, abs=1e-3)
    assert distance(features, [each + 1 for each in features]) == pytest.approx(16, rel=0.01)


# ---- CLIP ----

@pytest.mark.parametrize("words", ["a small red circle on a blue background", "word " * 100, ""])
def test_both_towers_are_those_of_transformers(tmp_path: Path, words: str) -> None:
    folder = random_clip(tmp_path)
    own = clip_dual_encoder.load(clip_file(tmp_path), place("cpu", exact=True))
    theirs, tokens = CLIPModel.from_pretrained(folder).eval(), CLIPTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    with torch.no_grad():
        answer = theirs(**tokens(words, truncation=True, max_length=77, return_tensors="pt"), **processor(Image.fromarray(noise(3)), return_tensors="pt"))
        assert own.of_picture(noise(3)) == pytest.approx(answer.image_embeds[0].numpy(), abs=1e-5)
        assert own.of_text(words) == pytest.approx(answer.text_embeds[0].numpy(), abs=1e-5)


# ---- the worker's answers ----

class Told(list[Scored]):
    """A scorer, and what it says."""

    def __init__(self) -> None:
        self.scorer = Scorer(Memory(place("cpu", exact=True)), CurrentWork(), self.append)

    @torch.inference_mode()
    def of(self, *commands: Score | MeasureDistance, idle: bool = True) -> list[Scored]:
        for command in commands:
            self.scorer.add(command)
        while self.scorer.step(idle):
            continue
        return self


def test_all_kinds_at_once(tmp_path: Path) -> None:
    random_clip(tmp_path)
    first, second = noise(1), noise(2)
    command = Score("a", (png(first),), KINDS, "a red circle", png(second), clip_file(tmp_path))
    [told] = Told().of(command)
    encoder = clip_dual_encoder.load(clip_file(tmp_path), place("cpu", exact=True))
    with torch.no_grad():
        seen = encoder.of_picture(first)
        wanted = {"clip_t": float(seen @ encoder.of_text("a red circle")), "clip_i": float(seen @ encoder.of_picture(second)),
                  "ssim": ssim(first, second), "psnr": psnr(first, second), "sharpness": sharpness(first)}
    assert told.task == "a" and told.values == pytest.approx(wanted, abs=1e-5) and not told.problems


def test_what_cannot_be_measured_says_why_and_costs_nothing_else(tmp_path: Path) -> None:
    random_clip(tmp_path)
    small = png(noise(2, 20, 30))
    told = Told().of(
        Score("sizes", (png(noise(1)),), ("ssim", "sharpness"), reference=small),
        Score("no reference", (png(noise(1)),), ("psnr", "clip_i"), encoder=clip_file(tmp_path)),
        Score("no words", (png(noise(1)),), ("clip_t",), encoder=clip_file(tmp_path)),
        Score("no picture", (b"GIF89a nothing",), ("sharpness",)),
        Score("alone", (png(noise(1)),), ("spread",), encoder=clip_file(tmp_path)),
        Score("fine", (png(noise(1)),), ("sharpness",)),
    )
    problems = {each.task: each.problems for each in told}
    assert problems["sizes"] == {"ssim": "the reference has 20 x 30 pixels and this picture 48 x 40"}
    assert told[0].values["sharpness"] > 0
    assert set(problems["no reference"]) == {"psnr", "clip_i"} and problems["no words"] == {"clip_t": "the prompt says nothing"}
    assert problems["no picture"] == {"sharpness": "the picture's file cannot be read"}
    assert "two pictures" in problems["alone"]["spread"]
    assert told[-1].values and not told[-1].problems


def test_a_broken_clip_is_a_sentence(tmp_path: Path) -> None:
    folder = random_clip(tmp_path)
    (folder / "vocab.json").write_text("[]")
    [told] = Told().of(Score("a", (png(noise(1)),), ("clip_t",), "words", encoder=clip_file(tmp_path)))
    assert "tokenizer of tiny cannot be read" in told.problems["clip_t"]


def test_a_row_of_seeds(tmp_path: Path) -> None:
    random_clip(tmp_path)
    same, row = png(noise(1)), tuple(png(noise(n)) for n in (1, 2, 3))
    told = Told().of(*(Score(name, files, ("spread",), encoder=clip_file(tmp_path)) for name, files in (("same", (same, same)), ("row", row))))
    assert told[0].values["spread"] == pytest.approx(0, abs=1e-5)
    assert told[1].values["spread"] > 1e-4


def inception_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as torch-fidelity's, with random weights: the network has no smaller shape."""
    with monkeypatch.context() as patch, torch.device("meta"):
        patch.setattr(theirs, "load_state_dict_from_url", lambda *rest, **more: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda self, tensors: None)
        shapes = {name: tensor.shape for name, tensor in theirs.FeatureExtractorInceptionV3("shapes", ["2048"]).state_dict().items()}
    torch.manual_seed(0)
    weights = {name: torch.randn(shape) * (2 / shape[1:].numel()) ** 0.5 if len(shape) > 1 else torch.ones(shape) * (not name.endswith(("bias", "mean", "tracked")))
               for name, shape in shapes.items()}
    file = folder / inception_files.FOLDER / inception_files.FILE
    file.parent.mkdir()
    torch.save({name: tensor.long() if name.endswith("tracked") else tensor for name, tensor in weights.items()}, file)
    return file


@pytest.mark.slow
def test_fid_through_the_network_of_torch_fidelity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = inception_file(tmp_path, monkeypatch)
    (file,) = ModelCatalog((tmp_path,)).listed("inception")
    assert not file.problem
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(png(noise(number)))
    first, second, third = map(str, paths)
    (told,) = Told().of(MeasureDistance("one", (first, second), (first, third), file))
    with torch.no_grad():
        network = theirs.FeatureExtractorInceptionV3("theirs", ["2048"], feature_extractor_weights_path=str(written))
        features = [network(torch.from_numpy(noise(number)).permute(2, 0, 1)[None])[0] for number in range(3)]
    assert not told.problems and told.values["fid"] == pytest.approx(distance(features[:2], [features[0], features[2]]), rel=1e-3)
    assert told.values["fid"] > 0


def test_while_pictures_are_drawn_only_single_ones_are_measured(tmp_path: Path) -> None:
    random_clip(tmp_path)
    told = Told()
    distance_file = ModelCatalog((tmp_path,)).find("clip", "tiny")       # whatever it is: it is not opened yet
    told.of(MeasureDistance("long", (), (), distance_file), Score("short", (png(noise(1)),), ("sharpness",)), idle=False)
    assert [each.task for each in told] == ["short"]
    told.of()
    assert [each.task for each in told] == ["short", "long"] and "fid" in told[1].problems

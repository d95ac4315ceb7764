"""Drawn faces are what their descriptions say, and the networks that learn from them are read as insightface's are."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from backend.catalog.model_file import FACE_NETWORK, ModelFile
from backend.worker.faces import analysis
from training.face_networks import KNOWS, Finder, Knower, publish
from training.face_pictures import told, upright
from training.faces import Portrait, draw_face, key_points, people, portrait
from training.scenes import COLOURS
from training.train_faces import CELLS, SEEN, crowds, missed, moved, neighbours


def some(count: int) -> list[Portrait]:
    rng = random.Random(3)
    return [portrait(person, rng) for person in rng.sample(people(held_out=False), count)]


def near(colour: np.ndarray, name: str) -> bool:
    return min(COLOURS, key=lambda one: float(np.linalg.norm(colour - np.array(COLOURS[one])))) == name


def test_nobody_who_is_held_back_is_learnt_from() -> None:
    learnt, held_back = set(people(held_out=False)), set(people(held_out=True))
    assert not learnt & held_back and 0.05 < len(held_back) / len(learnt | held_back) < 0.15
    look = ("pink", "red", "blue", "long")
    assert all(sum(a != b for a, b in zip(look, other, strict=True)) == 1 for other in neighbours(look))


def test_eyes_are_where_the_points_say_and_upright_faces_have_them_in_one_place() -> None:
    for one in some(8):
        pixels = np.asarray(draw_face(one))
        for x, y in key_points(one.pose)[:2] * 128:
            assert near(pixels[round(float(y)), round(float(x))], one.person.eyes)
        face = upright(pixels, one)
        assert near(face[52, 38], one.person.eyes) and near(face[52, 73], one.person.eyes)


def test_a_picture_and_its_points_are_moved_alike() -> None:
    for one in some(4):
        pixels = torch.from_numpy(np.asarray(draw_face(one)).copy()).permute(2, 0, 1)[None].float()
        zoom, shift = torch.tensor([0.6]), torch.tensor([[0.1, -0.05]])
        there, points = moved(pixels, torch.from_numpy(told(one))[None], zoom, shift)
        for x, y in points[0, 2:4] * 128:
            assert near(there[0, :, int(y), int(x)].numpy(), one.person.eyes)


def test_each_of_a_crowd_has_the_points_that_are_its_own() -> None:
    who = torch.arange(5) / 10
    pictures, points = crowds(who.view(5, 1, 1, 1).expand(5, 3, SEEN, SEEN), who.view(5, 1, 1).expand(5, 7, 2))
    for picture, people_there in zip(pictures[:5], points[:5, :, 0], strict=True):
        assert len({(x >= 0.5, y >= 0.5) for x, y in people_there.tolist()}) == 4
        for x, y in people_there.tolist():
            assert np.allclose([2 * x % 1, 2 * y % 1], float(picture[0, int(y * SEEN), int(x * SEEN)]), atol=1e-5)


def test_nothing_is_missed_where_every_face_of_a_crowd_is_found() -> None:
    _, points = crowds(torch.zeros(4, 3, SEEN, SEEN), torch.from_numpy(np.stack([told(one) for one in some(4)])))
    cells, right = points[:1] * CELLS, torch.full((1, 15, CELLS, CELLS), -20.0)
    for who in cells[0]:
        for y in range(CELLS):
            for x in range(CELLS):
                if float((torch.tensor([x + 0.5, y + 0.5]) - who[:2].mean(0)).norm() / (who[1, 1] - who[0, 1])) < 0.3:
                    there = who - torch.tensor([x, y])
                    right[0, :, y, x] = torch.cat([torch.tensor([20.0]), -there[0], there[1], there[2:].flatten()])
    assert missed(right, cells) < 1e-3 < 1 < missed(right, cells.flip(-1))


def test_the_networks_are_read_as_insightface_has_them(tmp_path: Path) -> None:
    finder, where = Finder(), torch.arange(14).float()
    torch.nn.init.zeros_(finder.head.weight)
    finder.head.bias.data = torch.cat([torch.tensor([4.0]), where])
    publish(finder, Knower(), tmp_path)
    file = ModelFile(FACE_NETWORK, "drawn", str(tmp_path / KNOWS), family="", single_file=True, sha256="0" * 64)
    networks = analysis.load(file)
    boxes, points = networks.networks[analysis.DETECTION].detect(np.zeros((64, 96, 3), np.uint8), input_size=(96, 64))
    corner = boxes[np.argmax(boxes[:, 2] - boxes[:, 0])]
    assert np.allclose(boxes[:, 4], 1 / (1 + np.exp(-4.0)), atol=1e-4) and len(points) == len(boxes)
    assert np.allclose(corner[2] - corner[0], (0 + 2) * 32, atol=0.5)
    assert networks.faces(np.zeros((64, 64, 3), np.uint8))[0].identity.shape == (512,)

"""What the demo's InstantID learns from: faces anywhere, their points as Easel draws them, and files in the authors' names."""

from __future__ import annotations

import random

import numpy as np
import torch

from training.data import PICTURE
from training.faces import key_points, people, posed
from training.train_instant_id import authors_names, hint, new_resampler
from training.train_networks import frozen_unet


def test_faces_stand_anywhere_inside_their_pictures() -> None:
    rng = random.Random(1)
    poses = [posed(person, rng).pose for person in people(held_out=True)]
    assert all(pose.radius <= pose.x <= 1 - pose.radius and pose.radius <= pose.y <= 1 - pose.radius for pose in poses)
    assert np.ptp([pose.x for pose in poses]) > 0.25 and np.ptp([pose.tilt for pose in poses]) > 0.4


def test_points_are_drawn_where_the_face_is_whatever_the_size_of_its_picture() -> None:
    rng = random.Random(2)
    for person in people(held_out=True)[:8]:
        one = posed(person, rng)
        pixels, nose = hint(one, rng), key_points(one.pose)[2] * PICTURE
        assert pixels.shape == (PICTURE, PICTURE, 3)
        rows, columns = np.nonzero(pixels[..., 2] > 200)        # nose, and a corner of the mouth
        assert np.hypot(columns - nose[0], rows - nose[1]).min() < 6


def test_the_file_has_the_authors_names_and_is_read_as_what_was_learnt() -> None:
    torch.manual_seed(3)
    resampler = new_resampler().eval()
    named = authors_names(resampler)
    assert named["proj_in.weight"].shape[1] == 512 and "layers.3.0.to_kv.weight" in named and "layers.0.1.3.weight" in named
    again = frozen_unet()._convert_ip_adapter_image_proj_to_diffusers(dict(named), low_cpu_mem_usage=False).eval()
    shown = torch.randn(2, 1, 512)
    with torch.no_grad():
        assert torch.equal(again(shown), resampler(shown))

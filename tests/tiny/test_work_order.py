"""What the engine does next, of all that pictures ask for."""

from collections import deque

import numpy as np
import torch

from backend.worker.draw.work_items import EncodeText, UseModel
from backend.worker.engine.program import Due, Program
from backend.worker.engine.work_order import asking_next
from backend.worker.guidance.lazy_latents import Calculate
from backend.worker.models.codec import DecodeLatent
from backend.worker.pixels.upscaling import Enlarge

ROWS = []                       # of a network's call
TILE = Enlarge("any", np.zeros((1, 1, 3), np.uint8))
LATENT = DecodeLatent(torch.zeros(4, 1, 1))
SUMS = Calculate(())
TEXT, MODEL = EncodeText(None, ()), UseModel("other")


def asked_next(*works: object) -> list[object]:
    programs = [Program(None, None, deque([Due(0, 0)]), None, work) for work in works]
    return [program.work for program in asking_next(programs)]


def test_preparations_come_before_sums_these_before_pictures_to_be_seen_and_all_before_calls():
    waiting = [ROWS, TILE, LATENT, SUMS, TEXT]
    for expected in (TEXT, SUMS, LATENT):
        assert asked_next(*waiting) == [expected]
        waiting.remove(expected)


def test_calls_and_tiles_take_turns_the_longest_waiting_first():
    assert asked_next(ROWS, TILE) == [ROWS]
    assert asked_next(TILE, ROWS) == [TILE]


def test_what_is_alike_comes_together_in_the_order_of_waiting():
    other = DecodeLatent(torch.ones(4, 1, 1))
    assert asked_next(ROWS, LATENT, ROWS, other) == [LATENT, other]
    assert asked_next(MODEL, TEXT, TEXT) == [MODEL]
    assert asked_next() == []

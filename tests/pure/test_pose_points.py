"""Points of people as programs send them."""

from __future__ import annotations

import json

import pytest

from backend.request.pose_points import read_people, written

FACE = [[0.1, 0.2]] * 5


def test_what_is_written_is_read() -> None:
    people = [{"body": [(0.5, 0.25), None] * 9, "face": [(1.5, -0.5)]}, {"key_points": [(0.0, 1.0)] * 5}]
    assert read_people(written(people)) == people and read_people('[{"body": null}]') == [{}]


@pytest.mark.parametrize("text, told", [
    ("{", "no JSON"), ("null", "list of at most"), ("[1]", "list of at most"), (json.dumps([{}] * 51), "list of at most"),
    ('[{"tail": [[0, 0]]}]', "part 'tail'"), (json.dumps([{"key_points": FACE[:4]}]), "5 points for key_points"),
    (json.dumps([{"body": FACE}]), "18 points for body"), (json.dumps([{"key_points": [*FACE[:4], [0.1]]}]), "no pair"),
    (json.dumps([{"key_points": [*FACE[:4], [9, 0]]}]), "no pair"), (json.dumps([{"face": [["a", "b"]]}]), "no pair"), ("[" * 100000, "no JSON"),
    ('[{"key_points": [[NaN, 0], [0, 0], [0, 0], [0, 0], [0, 0]]}]', "no pair"),
])
def test_what_is_no_pose_says_why(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_people(text)

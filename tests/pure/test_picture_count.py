"""One job makes a bounded number of pictures, and who asks for more is told by which field."""

import pytest

from backend.errors import InvalidRequest
from backend.request.cross_field_checks import MAX_PICTURES
from backend.request.request import Request

PICTURE = {"init_image": "0" * 64}


@pytest.mark.parametrize("values", [
    {"batch_count": 1000}, {"batch_count": 125, "batch_size": 8}, {**PICTURE, "loopback_loops": 10, "batch_count": 100},
    {"loopback_loops": 32, "batch_count": 1000},        # without a picture there are no rounds
    {**PICTURE, "loopback_loops": 32, "loopback_round": 2, "batch_count": 1000},
])  # fmt: skip
def test_as_many_as_one_job_may_make(values):
    assert Request.parse(values).count <= MAX_PICTURES


@pytest.mark.parametrize(("values", "field", "number"), [
    ({"batch_count": 1000, "batch_size": 64}, "batch_count", "64,000"),
    ({"batch_count": 126, "batch_size": 8}, "batch_count", "1,008"),
    ({**PICTURE, "loopback_loops": 32, "batch_count": 1000, "batch_size": 64}, "batch_count", "2,048,000"),
    ({**PICTURE, "loopback_loops": 32, "batch_count": 100}, "loopback_loops", "3,200"),
    ({"prompts": ["a"] * 1001, "negative_prompts": [""] * 1001}, "batch_count", "1,001"),
])  # fmt: skip
def test_more_are_refused_by_the_field_that_makes_them(values, field, number):
    with pytest.raises(InvalidRequest) as error:
        Request.parse(values)
    (problem,) = error.value.problems
    assert problem.field == field and number in problem.message and "at most 1,000" in problem.message

"""Whose job is next."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from backend.store.fair_scheduler import Waiting, running_order


def line(owners: str) -> list[Waiting]:
    return [Waiting(f"{owner}{place}", owner, place) for place, owner in enumerate(owners)]


def order(owners: str, in_flight: dict[str, int] | None = None, last: dict[str, int] | None = None) -> str:
    return "".join(job.owner for job in running_order(line(owners), in_flight or {}, last or {}))


def test_one_owner_is_served_in_order():
    assert [job.place for job in running_order(line("aaaa"), {}, {})] == [0, 1, 2, 3]


def test_owners_take_turns():
    assert order("aaaabbc") == "abcabaa"


def test_who_has_fewer_jobs_in_flight_comes_first():
    assert order("aab", {"a": 1}) == "baa"
    assert order("aabb", {"a": 2, "b": 1}) == "baba"


def test_among_equals_the_longest_wait_since_the_last_turn_decides():
    assert order("abc", {}, {"a": 7, "b": 3, "c": 5}) == "bca"
    assert order("abc", {}, {"a": 7, "b": 3}) == "cba"


def test_with_three_owners_on_one_device_nobody_starves():
    """Each round takes the head only, as a device with one job at a time does."""
    waiting, last, served = line("a" * 30 + "b" * 30 + "c" * 30), {}, Counter()
    for now in range(30):
        head = running_order(waiting, {}, last)[0]
        waiting.remove(head)
        last[head.owner] = now
        served[head.owner] += 1
    assert served == {"a": 10, "b": 10, "c": 10}


@given(st.text("abcd", max_size=30), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3)))
def test_everyone_is_served_once_and_each_owner_in_order(owners, in_flight):
    served = running_order(line(owners), in_flight, {})
    assert sorted(job.place for job in served) == list(range(len(owners)))
    for owner in "abcd":
        places = [job.place for job in served if job.owner == owner]
        assert places == sorted(places)

"""Whose job is next."""

from collections import Counter, defaultdict, deque

from hypothesis import given
from hypothesis import strategies as st

from backend.store.fair_scheduler import EVERYBODY, FairQueue, Waiting


def line(owners: str) -> list[Waiting]:
    return [Waiting(f"{owner}{place}", owner, place) for place, owner in enumerate(owners)]


def queue_of(owners: str, in_flight: dict[str, int] | None = None, last: dict[str, int] | None = None) -> FairQueue:
    queue = FairQueue()
    for job in line(owners):
        queue.wait(job)
    for owner, number in (in_flight or {}).items():
        for place in range(number):
            queue.fly(Waiting(f"{owner} in flight {place}", owner, place - 100), running=True)
    for owner in sorted(last or {}, key=(last or {}).get):
        queue.turn(owner)
    return queue


def order(owners: str, in_flight: dict[str, int] | None = None, last: dict[str, int] | None = None) -> str:
    return "".join(job.owner for job in queue_of(owners, in_flight, last).upcoming())


def served_one_by_one(jobs: list[Waiting], in_flight: dict[str, int], last: dict[str, int]) -> list[str]:
    """The rule, spelt out: ids in the order in which they start when nothing ends meanwhile."""
    own: dict[str, deque[Waiting]] = defaultdict(deque)
    for job in sorted(jobs, key=lambda job: job.place):
        own[job.owner].append(job)
    taken, turns, now, served = Counter(in_flight), dict(last), 1000, []
    while own:
        owner = min(own, key=lambda owner: (taken[owner], turns.get(owner, -1), own[owner][0].place))
        served.append(own[owner].popleft().id)
        now += 1
        taken[owner], turns[owner] = taken[owner] + 1, now
        if not own[owner]:
            del own[owner]
    return served


def test_one_owner_is_served_in_order():
    assert [job.place for job in queue_of("aaaa").upcoming()] == [0, 1, 2, 3]


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
    queue, served = queue_of("a" * 30 + "b" * 30 + "c" * 30), Counter()
    for _ in range(30):
        head = next(queue.upcoming())
        queue.drop(head.id)
        queue.turn(head.owner)
        served[head.owner] += 1
    assert served == {"a": 10, "b": 10, "c": 10}


OWNERS = st.sampled_from("abcd")


@given(st.text("abcd", max_size=30), st.dictionaries(OWNERS, st.integers(0, 3)), st.dictionaries(OWNERS, st.integers(0, 9), max_size=3))
def test_the_order_and_every_position_are_those_of_the_rule(owners, in_flight, last):
    last = {owner: 10 * number + ord(owner) % 10 for owner, number in last.items()}     # no two turns at once
    queue = queue_of(owners, in_flight, last)
    wanted = served_one_by_one(line(owners), in_flight, last)
    assert [job.id for job in queue.upcoming()] == wanted
    positions = {job: position for position, job in enumerate(wanted, 1)}
    assert {job.id: queue.position(job.id) for job in line(owners)} == positions
    for owner in "abcd":
        own = [entry for entry in queue.of(owner) if entry[1]]
        assert own == [(job, at) for job, at in positions.items() if job[0] == owner]


@given(st.text("abcd", max_size=30), st.dictionaries(OWNERS, st.integers(0, 3)), st.sets(OWNERS))
def test_who_is_paused_starts_nothing_and_holds_up_nobody(owners, in_flight, paused):
    queue = queue_of(owners, in_flight)
    for owner in paused:
        queue.pause(owner, on=True)
    wanted = served_one_by_one([job for job in line(owners) if job.owner not in paused], in_flight, {})
    assert [job.id for job in queue.upcoming()] == wanted
    assert {job: queue.position(job) for job in wanted} == {job: position for position, job in enumerate(wanted, 1)}
    for owner in paused:
        resumed = queue_of(owners, in_flight)
        for other in paused - {owner}:
            resumed.pause(other, on=True)
        assert queue.of(owner) == resumed.of(owner)
    queue.pause(EVERYBODY, on=True)
    assert not list(queue.upcoming())
    for owner in {EVERYBODY, *paused}:
        queue.pause(owner, on=False)
    assert [job.id for job in queue.upcoming()] == served_one_by_one(line(owners), in_flight, {})


@given(st.lists(st.tuples(st.sampled_from(["wait", "ahead", "run", "drop"]), st.integers(0, 8)), max_size=40))
def test_after_any_changes_the_queue_is_as_if_it_were_made_anew(changes):
    queue, state = FairQueue(), {}
    for what, place in changes:
        job = Waiting(f"job {place}", "abc"[place % 3], place)
        if what == "drop":
            queue.drop(job.id)
            state.pop(job, None)
        else:
            queue.wait(job) if what == "wait" else queue.fly(job, running=what == "run")
            state[job] = what
    again = FairQueue()
    for job, what in state.items():
        again.wait(job) if what == "wait" else again.fly(job, running=what == "run")
    assert list(queue.upcoming()) == list(again.upcoming())
    for owner in "abc":
        assert queue.counts(owner) == again.counts(owner)
        assert sorted(queue.of(owner)) == sorted(again.of(owner))
        everything = queue.of(owner)
        assert [entry for start in range(0, 9, 2) for entry in queue.of(owner, start + 2)[start:]] == everything
        assert [(job, queue.position(job)) for job, _ in everything] == everything


def test_what_is_paused_is_not_about_to_start():
    queue = queue_of("ab")
    assert [queue.about_to_start(owner) for owner in "ab"] == ["a0", None]
    queue.pause("a", on=True)
    assert [queue.about_to_start(owner) for owner in "ab"] == [None, "b1"]
    queue.pause(EVERYBODY, on=True)
    assert queue.about_to_start("b") is None

"""Whose job is next."""

from collections import Counter, defaultdict, deque

from hypothesis import given
from hypothesis import strategies as st

from backend.store.fair_queue import EVERYBODY, FairQueue, WaitingJob
from backend.store.job_choice import chosen


def line(owners: str) -> list[WaitingJob]:
    return [WaitingJob(f"{owner}{place}", owner, place) for place, owner in enumerate(owners)]


def queue_of(owners: str, in_flight: dict[str, int] | None = None, last: dict[str, int] | None = None) -> FairQueue:
    queue = FairQueue()
    for job in line(owners):
        queue.wait(job)
    for owner, number in (in_flight or {}).items():
        for place in range(number):
            queue.fly(WaitingJob(f"{owner} in flight {place}", owner, place - 100), running=True)
    for owner in sorted(last or {}, key=(last or {}).get):
        queue.turn(owner)
    return queue


def order(owners: str, in_flight: dict[str, int] | None = None, last: dict[str, int] | None = None) -> str:
    return "".join(job.owner for job in queue_of(owners, in_flight, last).upcoming())


def served_one_by_one(jobs: list[WaitingJob], in_flight: dict[str, int], last: dict[str, int]) -> list[str]:
    """The rule, spelt out: ids in the order in which they start when nothing ends meanwhile."""
    own: dict[str, deque[WaitingJob]] = defaultdict(deque)
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
        job = WaitingJob(f"job {place}", "abc"[place % 3], place)
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


def served_with_plots(jobs: list[WaitingJob]) -> list[str]:
    """The rule twice, spelt out: among the owners, and within each among single jobs and plots."""
    taken, turns, now, served = Counter(), {}, 0, []

    def head(name, lines):
        return min(lines, key=lambda line: (taken[name, line], turns.get((name, line), -1), lines[line][0].place))

    own: dict[str, dict[str, deque[WaitingJob]]] = defaultdict(lambda: defaultdict(deque))
    for job in sorted(jobs, key=lambda job: job.place):
        own[job.owner][job.plot].append(job)
    while own:
        owner = min(own, key=lambda name: (taken[name], turns.get(name, -1), own[name][head(name, own[name])][0].place))
        plot = head(owner, own[owner])
        served.append(own[owner][plot].popleft().id)
        now += 1
        for name in (owner, (owner, plot)):
            taken[name], turns[name] = taken[name] + 1, now
        own[owner] = {plot: line for plot, line in own[owner].items() if line}
        if not own[owner]:
            del own[owner]
    return served


CELLS = st.lists(st.tuples(OWNERS, st.sampled_from(["", "p", "q"])), max_size=30)


@given(CELLS, st.sets(st.sampled_from(["p", "q"])))
def test_an_owners_single_jobs_and_plots_take_turns_and_a_paused_plot_waits(cells, paused):
    queue, jobs = FairQueue(), [WaitingJob(f"{owner}{plot}{place}", owner, place, plot=plot and owner + plot) for place, (owner, plot) in enumerate(cells)]
    for job in jobs:
        queue.wait(job)
    stopped = {owner + plot for owner in "abcd" for plot in paused}
    for plot in stopped:
        queue.pause_plot(plot, on=True)
    wanted = served_with_plots([job for job in jobs if job.plot not in stopped])
    assert [job.id for job in queue.upcoming()] == wanted
    assert {job: queue.position(job) for job in wanted} == {job: position for position, job in enumerate(wanted, 1)}
    for owner in "abcd":
        lines = queue.lines(owner)
        assert [at for _, at in lines] == sorted(at for _, at in lines) and len(lines) == queue.total(owner)
        assert [entry for start in range(0, 12, 2) for entry in queue.lines(owner, start, 2)] == lines[:12]
        assert {line for line, _ in lines} == {job.plot or job.id for job in jobs if job.owner == owner}
        assert sorted(queue.of(owner)) == sorted((job.id, queue.position(job.id)) for job in jobs if job.owner == owner)


@given(CELLS, st.dictionaries(st.sampled_from(["ap", "aq", "bp", "bq"]), st.integers(-2, 2)))
def test_plots_of_a_lower_rank_come_first_and_every_position_says_so(cells, ranks):
    queue, jobs = FairQueue(), [WaitingJob(f"{owner}{plot}{place}", owner, place, plot=plot and owner + plot) for place, (owner, plot) in enumerate(cells)]
    for job in jobs:
        queue.wait(job)
    for plot, rank in ranks.items():
        queue.rank(plot[0], {plot: rank})
    order = list(queue.upcoming())
    assert sorted(order, key=lambda job: job.place) == jobs
    assert {job.id: queue.position(job.id) for job in order} == {job.id: position for position, job in enumerate(order, 1)}
    for owner in "abcd":
        own = [queue.rank_of(job) for job in order if job.owner == owner]
        assert own == sorted(own) and [job for job, _ in queue.of(owner)] == [job.id for job in order if job.owner == owner]


def test_what_stands_behind_a_plot_waits_for_all_of_it():
    queue = FairQueue()
    for place in range(40):
        queue.wait(WaitingJob(f"{'pq'[place % 2]}{place // 2}", "ann", place, plot="pq"[place % 2]))
    queue.rank("ann", {"q": -1})
    held = chosen(queue, 2, (), 16)
    assert held == [f"q{number}" for number in range(16)]
    for place, job in enumerate(held):
        queue.fly(WaitingJob(job, "ann", place, plot="q"), running=True)
    queue.wait(WaitingJob("single", "bob", 100))
    assert chosen(queue, 1, held, 16) == ["single"], "another person's turn comes all the same"


def test_a_later_single_job_does_not_wait_for_the_whole_plot():
    queue = FairQueue()
    for place in range(100):
        queue.wait(WaitingJob(f"cell {place}", "ann", place, plot="plot"))
    for place in range(3):
        queue.fly(WaitingJob(f"cell {place}", "ann", place, plot="plot"), running=True)
    queue.wait(WaitingJob("single", "ann", 200))
    assert queue.position("single") == 1 and queue.lines("ann") == [("plot", 0), ("single", 1)]


def test_cells_of_one_plot_are_chosen_as_one_job_and_leave_room_for_others():
    queue = FairQueue()
    for place in range(40):
        queue.wait(WaitingJob(f"cell {place}", "ann", place, plot="plot"))
    first = chosen(queue, 2, (), 16)
    assert first == [f"cell {place}" for place in range(16)]
    for place, job in enumerate(first):
        queue.fly(WaitingJob(job, "ann", place, plot="plot"), running=True)
    assert chosen(queue, 1, first, 16) == []
    for place in range(3):
        queue.wait(WaitingJob(f"single {place}", "bob", 100 + place))
    assert chosen(queue, 1, first, 16) == ["single 0"]
    queue.drop("cell 0")
    held = [*first[1:], "single 0"]
    queue.fly(WaitingJob("single 0", "bob", 100), running=False)
    assert chosen(queue, 0, held, 16) == [], "others wait for room"
    assert chosen(queue, 8, (), 1)[:4] == ["single 1", "single 2", "cell 16", "cell 17"]
    for place in (1, 2):
        queue.drop(f"single {place}")
    assert chosen(queue, 0, held, 16) == ["cell 16"] and chosen(queue, 0, held, 1) == []


def test_two_plots_in_a_workers_hands_do_not_keep_a_single_job_waiting():
    queue = FairQueue()
    for place in range(60):
        queue.wait(WaitingJob(f"{'pq'[place % 2]}{place // 2}", "ann", place, plot="pq"[place % 2]))
    held = chosen(queue, 2, (), 16)
    assert {job[0] for job in held} == {"p", "q"} and len(held) == 32
    for place, job in enumerate(held):
        queue.fly(WaitingJob(job, "ann", place, plot=job[0]), running=True)
        queue.turn("ann", job[0])
    queue.wait(WaitingJob("single", "ann", 100))
    queue.drop("p0")
    assert chosen(queue, 0, held[1:], 16) == []
    left = [job for job in held if job[0] == "q"]
    for job in held:
        queue.drop(job) if job[0] == "p" else None
    assert chosen(queue, 1, left, 16) == ["single"]

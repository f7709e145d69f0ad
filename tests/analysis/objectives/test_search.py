"""The search, against a queue whose exact answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.objectives.queue import (
    LIMIT_S,
    SERVICE_S,
    SHARE,
    exact_rate,
    latencies_s,
    measured,
    searched,
    waits_at_most,
)
from tracebench.analysis.objectives.levels import Seen, levels
from tracebench.analysis.objectives.search import Ask, Bounds, next_step
from tracebench.model.objectives import Met, ObjectiveResult

BOUNDS = Bounds(least=0.1, most=100_000, first=10, budget_s=600)


def test_the_exact_answer() -> None:
    assert exact_rate() == pytest.approx(56.1, abs=0.05)
    rng = np.random.default_rng(1)
    slow = [np.mean(latencies_s(exact_rate(), 1_000, rng) >= LIMIT_S) for _ in range(20)]
    assert np.mean(slow) == pytest.approx(1 - SHARE, rel=0.1), "the simulation is of that queue"
    assert waits_at_most(50, 0) == pytest.approx(1 - 50 * SERVICE_S)


@pytest.mark.slow
def test_twenty_searches() -> None:
    found = [(searched(seed, BOUNDS)[0] or 0.0) / exact_rate() for seed in range(20)]
    assert sum(0.85 <= one <= 1.0 for one in found) >= 17, sorted(found)
    assert max(found) <= 1.05, sorted(found)


def test_it_misses_at_a_fifth_above() -> None:
    rng = np.random.default_rng(2)
    (level,) = levels([measured(1.2 * exact_rate(), 120, rng)])
    assert level.decision == "missed"


def test_it_stays_within_its_budget_and_says_why_it_ended() -> None:
    bounds = replace(BOUNDS, budget_s=60)
    highest, seen, ended = searched(3, bounds)
    assert sum(one.seconds for one in seen) <= 60 + 0.3 * len(seen)
    assert highest is None or highest < exact_rate()
    assert ended in ("the budget is spent", "more time would hardly find a higher load")


# Single decisions, by servers that do not change.


def seen(load: float, *, within: float, count: int = 2_000, seconds: float = 10.0) -> Seen:
    """A run of independent requests, of which so many are within the limit."""
    run = measured(load, 1, np.random.default_rng(0))
    (one,) = run.objectives
    half = 2 * ((1 - within) * within / count) ** 0.5 + 2 / count
    low, high = max(within - half, 0.0), min(within + half, 1.0)
    decision: Met = "met" if low >= SHARE else "missed" if high < SHARE else "undecided"
    told = replace(
        one, value=within, ci95=(low, high), count=count, effective_count=count, decision=decision
    )
    return Seen(load, seconds, count, (told,))


def ask(runs: list[Seen], bounds: Bounds = BOUNDS) -> Ask:
    found = next_step(runs, bounds, sum(one.seconds for one in runs))
    assert isinstance(found, Ask), found
    return found


def test_loads_are_doubled_until_one_misses() -> None:
    assert ask([]).load == 10
    assert ask([seen(10, within=1.0)]).load == 20
    assert ask([seen(10, within=1.0), seen(20, within=0.99)]).load == 40, "undecided is no miss"
    between = ask([seen(10, within=1.0), seen(20, within=1.0), seen(40, within=0.5)])
    assert 20 < between.load < 40


def test_loads_are_halved_where_the_first_misses() -> None:
    assert ask([seen(10, within=0.5)]).load == 5
    below = [seen(10, within=0.5), seen(5, within=0.5), seen(2.5, within=1.0)]
    assert 2.5 < ask(below).load < 5
    bounds = replace(BOUNDS, least=10)
    assert next_step([seen(10, within=0.5)], bounds, 1) == "no lower load is tried"


def test_the_highest_load_of_interest_ends_it() -> None:
    bounds = replace(BOUNDS, most=30)
    runs = [seen(10, within=1.0), seen(20, within=1.0)]
    assert ask(runs, bounds).load == 30
    assert next_step([*runs, seen(30, within=1.0)], bounds, 30) == "no higher load is tried"
    undecided = ask([*runs, seen(30, within=0.9925, count=500)], bounds)
    assert 20 < undecided.load <= 30


def test_loads_that_are_close_end_it() -> None:
    runs = [seen(50, within=0.999), seen(50.9, within=0.9)]
    assert next_step(runs, BOUNDS, 20) == "the load is known within 2 %"


def test_whole_numbers() -> None:
    bounds = replace(BOUNDS, least=1, first=1, whole=True)
    assert ask([], bounds).load == 1
    runs = [seen(1, within=1.0), seen(2, within=1.0), seen(4, within=0.5)]
    assert ask(runs, bounds).load == 3
    assert next_step([*runs, seen(3, within=0.5)], bounds, 40) == "no load lies between"


def test_a_load_that_cannot_be_made_is_a_miss() -> None:
    over = replace(seen(40, within=1.0), overloaded=True)
    assert [one.decision for one in levels([over])] == ["missed"]
    assert 20 < ask([seen(20, within=1.0), over]).load < 40


def test_numbers_that_are_not_valid_meet_nothing() -> None:
    runs = [seen(10, within=1.0), replace(seen(10, within=1.0), valid=False)]
    assert [one.decision for one in levels(runs)] == ["undecided"]


def test_runs_at_one_load_count_together() -> None:
    once = [seen(10, within=0.995, count=800)]
    (level,) = levels(once)
    assert level.decision == "undecided"
    (level,) = levels(once * 5)
    assert (level.decision, level.requests, level.seconds) == ("met", 4_000, 50)
    assert level.objectives[0].value == pytest.approx(0.995)


def test_requests_come_together_no_less_than_at_a_lower_load() -> None:
    (one,) = seen(10, within=0.99).objectives
    alike = Seen(10, 10, 2_000, (replace(one, effective_count=200),))
    _, above = levels([alike, seen(20, within=1.0, count=1_000)])
    assert above.objectives[0].effective_count == pytest.approx(100)
    assert above.decision == "undecided"


def test_between_two_loads_they_do_as_between_these() -> None:
    def alike(load: float, times: float, count: int) -> Seen:
        (one,) = seen(load, within=0.99).objectives
        told = replace(one, count=count, effective_count=count / times)
        return Seen(load, 10, count, (told,))

    known = levels([alike(10, 4, 2_000), alike(20, 2, 1_000), alike(40, 16, 2_000)])
    worth = [one.objectives[0].count / one.objectives[0].effective_count for one in known]
    assert worth == pytest.approx([4, 8, 16])


def mean(load: float, value_ms: float, count: int = 400) -> Seen:
    half = value_ms / count**0.5
    interval = (value_ms - half, value_ms + half)
    decision: Met = "met" if interval[1] < 20 else "missed" if interval[0] >= 20 else "undecided"
    one = ObjectiveResult("mean", value_ms, interval, 20, count, count, decision, is_share=False)
    return Seen(load, 5.0, count, (one,))


def test_a_mean_can_be_sought_too() -> None:
    """1 ms × 1 / (1 − load / 100) reaches 20 ms at 95."""
    runs = [mean(load, 1 / (1 - load / 100)) for load in (10.0, 20.0, 40.0, 80.0)]
    runs.append(replace(mean(160.0, 500.0), overloaded=True))
    bounds = replace(BOUNDS, budget_s=200)
    while isinstance(now := next_step(runs, bounds, 5.0 * len(runs)), Ask):
        value_ms = 1 / (1 - now.load / 100) if now.load < 100 else 500.0
        runs.append(mean(now.load, min(value_ms, 500.0)))
    known = levels(runs)
    assert 85 < max(one.load for one in known if one.decision == "met") < 95
    assert sum(one.requests for one in known) == 400 * len(runs)

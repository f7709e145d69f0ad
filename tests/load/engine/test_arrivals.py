"""When requests are due: exact for constant rates, by law for Poisson arrivals."""

from itertools import islice, pairwise
from math import inf
from typing import Any

import numpy as np
import pytest

from tracebench.load.engine.pacing import (
    ClosedLoop,
    OpenLoop,
    arrivals_ns,
    done_share,
    pacing,
    warm_up,
)
from tracebench.model.plan import Arrival, Payload, Segment, Workload

PAYLOAD = Payload(b"x", "text/plain", "x", "data")
STEADY = (Segment(100, 100, inf),)


RAMP, REPLAY = (Segment(10, 20, 4.0), Segment(20, 20, 6.0)), (0.0, 1.0, 20.0)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"requests": 100}, 0.17),
        ({"requests": 10}, 1.0),
        ({"requests": None, "duration_s": 20.0}, 0.25),
        ({"requests": 100, "duration_s": 20.0}, 0.25),
        ({"requests": None, "rate": RAMP}, 0.5),
        ({"requests": None, "rate": STEADY, "duration_s": 10.0}, 0.5),
        ({"requests": None, "rate": STEADY}, None),
        ({"requests": None, "schedule_s": REPLAY}, 0.25),
    ],
)
def test_how_much_of_a_plan_came_about(ends: dict[str, Any], expected: float | None) -> None:
    assert done_share(Workload(**ends), finished=17, elapsed_s=5.0) == expected


def due_s(
    segments: tuple[Segment, ...], arrival: Arrival = "constant", seed: int = 1
) -> list[float]:
    return [at / 1e9 for at in islice(arrivals_ns(segments, arrival, seed), 100_000)]


def test_a_constant_rate_has_even_gaps() -> None:
    assert due_s((Segment(10, 10, 0.5),)) == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_steps_follow_each_other() -> None:
    steps = (Segment(2, 2, 1), Segment(4, 4, 1))
    assert due_s(steps) == [0.0, 0.5, 1.0, 1.25, 1.5, 1.75]


def test_a_pause_has_no_arrivals() -> None:
    steps = (Segment(2, 2, 1), Segment(0, 0, 3), Segment(1, 1, 1))
    assert due_s(steps) == [0.0, 0.5, 4.0]


def test_a_ramp_is_the_integral_of_its_rate() -> None:
    due = due_s((Segment(0, 200, 10),))
    assert len(due) == 1_000
    assert due[250] == pytest.approx(5.0)  # a quarter of the area lies before the middle
    assert due_s((Segment(200, 0, 10),))[750] == pytest.approx(5.0)


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(np.array(arrivals_of(20_000)))
    assert gaps.mean() == pytest.approx(0.01, rel=0.02)
    assert gaps.std() == pytest.approx(0.01, rel=0.03)
    assert np.mean(gaps > 0.01) == pytest.approx(np.exp(-1), abs=0.01)


def arrivals_of(count: int, seed: int = 1) -> list[float]:
    return [at / 1e9 for at in islice(arrivals_ns(STEADY, "poisson", seed), count)]


@pytest.mark.parametrize("shape", [0.25, 1.0, 16.0])
def test_gamma_gaps_have_the_mean_of_the_rate_and_the_spread_of_the_shape(shape: float) -> None:
    """Their coefficient of variation is 1/√K; its error, and the mean's, are 1 % or so here."""
    due = islice(arrivals_ns(STEADY, f"gamma:{shape:g}", 3), 40_000)
    gaps = np.diff(np.array(list(due)) / 1e9)
    assert gaps.mean() == pytest.approx(0.01, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(1 / np.sqrt(shape), rel=0.04)


def test_a_gamma_ramp_follows_its_rate_and_its_seed() -> None:
    ramp = (Segment(0, 200, 10),)
    due = due_s(ramp, "gamma:100")
    assert len(due) == pytest.approx(1_000, abs=15)
    assert due[len(due) // 4] == pytest.approx(5.0, abs=0.1)
    assert due == due_s(ramp, "gamma:100")
    assert due != due_s(ramp, "gamma:100", 8)
    assert all(a <= b for a, b in pairwise(due))


def test_a_poisson_ramp_has_the_expected_number() -> None:
    counts = [len(due_s((Segment(0, 100, 10),), "poisson", seed)) for seed in range(200)]
    assert np.mean(counts) == pytest.approx(500, abs=4 * np.sqrt(500 / 200))
    assert np.var(counts) == pytest.approx(500, rel=0.5)


def test_a_seed_gives_the_same_arrivals_again() -> None:
    assert arrivals_of(50) == arrivals_of(50)
    assert arrivals_of(50) != arrivals_of(50, seed=2)


def test_arrivals_never_go_back() -> None:
    ramp = (Segment(0, 500, 1), Segment(500, 3, 1), Segment(3, 3, 5))
    for due in (due_s(ramp), due_s(ramp, "poisson")):
        assert all(a <= b for a, b in pairwise(due))


def test_requests_and_duration_bound_an_open_loop() -> None:
    plan = Workload(rate=STEADY, requests=7, duration_s=None, warmup=3)
    measured, before = pacing(plan), warm_up(plan)
    assert isinstance(measured, OpenLoop)
    assert isinstance(before, OpenLoop)
    assert list(measured.arrivals_ns) == [n * 10_000_000 for n in range(7)]
    assert list(before.arrivals_ns) == list(measured.arrivals_ns)[:3]
    timed = pacing(Workload(rate=STEADY, requests=None, duration_s=0.055))
    assert isinstance(timed, OpenLoop)
    assert len(timed.arrivals_ns) == 6
    assert timed.asked_rps == pytest.approx(100)


def test_a_schedule_is_replayed() -> None:
    plan = Workload(schedule_s=(0.0, 0.5, 0.5, 2.0), requests=None, duration_s=1.0)
    replayed = pacing(plan)
    assert plan.is_open
    assert isinstance(replayed, OpenLoop)
    assert list(replayed.arrivals_ns) == [0, 500_000_000, 500_000_000]


def test_a_ramp_up_is_that_of_a_closed_loop() -> None:
    assert pacing(Workload(requests=5, ramp_up_s=2.5)) == ClosedLoop(5, ramp_up_ns=2_500_000_000)
    timed = pacing(Workload(requests=None, duration_s=2, ramp_up_s=1))
    assert timed == ClosedLoop(duration_ns=2_000_000_000, ramp_up_ns=1_000_000_000)
    assert warm_up(Workload(warmup=2, ramp_up_s=1)) == ClosedLoop(requests=2)


def test_without_a_rate_the_loop_is_closed() -> None:
    assert pacing(Workload(requests=5)) == ClosedLoop(requests=5)
    assert warm_up(Workload(warmup=2)) == ClosedLoop(requests=2)
    assert pacing(Workload(requests=None, duration_s=2)).asked_rps == 0

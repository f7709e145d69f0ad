"""Differences from pairs of blocks: nothing is nothing, a drift disappears, and 5 % are found."""

from collections.abc import Mapping
from dataclasses import replace
from math import nan

import numpy as np
import numpy.typing as npt
import pytest

from tests.analysis.samples import MS, SUCCESS, TIMING, load, target
from tests.analysis.series import consistent
from tests.records import decomposed
from tracebench.analysis.difference.comparison import compare_all
from tracebench.analysis.difference.paired import (
    Estimate,
    Rounds,
    estimate,
    estimates,
    pair_count,
    rounds_of,
    series,
)
from tracebench.analysis.statistics.distribution import describe
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.results.result import Comparison, TargetResult
from tracebench.model.results.statistics import COMPARED

Floats = npt.NDArray[np.float64]


# One statistic, from its pairs.


def known(found: Estimate | None) -> tuple[Estimate, tuple[float, float]]:
    assert found is not None
    assert found.ci95 is not None
    return found, found.ci95


def test_a_mean_is_that_of_the_differences_with_students_interval() -> None:
    drift = np.array([1.0, 5.0, 2.0, 9.0, 4.0, 7.0])
    differences = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found, (low, high) = known(estimate(drift, drift + differences, "mean_ms"))
    half = 2.5706 * 1.870829 / 6**0.5  # t of five degrees, and the sample's deviation
    assert found.delta == pytest.approx(3.5)
    assert (low, high) == pytest.approx((3.5 - half, 3.5 + half), abs=1e-3)
    assert found.p == pytest.approx(0.0059, abs=1e-4)


def test_a_percentile_leaves_a_fifth_out_at_either_end() -> None:
    """Yuen's statistic by hand: of ten differences two at either end are trimmed."""
    differences = np.array([-900.0, -1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 900.0])
    found, (low, high) = known(estimate(np.zeros(10), differences, "p50_ms"))
    winsorised = np.array([1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0, 6.0])
    error = winsorised.std(ddof=1) / (0.6 * 10**0.5)
    assert found.delta == pytest.approx(3.5)
    assert high - found.delta == pytest.approx(2.5706 * error, abs=1e-3)  # five degrees
    assert found.delta - low == pytest.approx(2.5706 * error, abs=1e-3)


def test_few_pairs_have_no_interval_and_show_nothing() -> None:
    found = estimate(np.zeros(5), np.arange(5.0), "mean_ms")
    assert found == Estimate(2.0, None, 1.0)


def test_a_pair_that_lacks_a_side_does_not_count() -> None:
    assert estimate(np.array([1.0, nan]), np.array([nan, 2.0]), "p50_ms") is None
    found = estimate(np.array([1.0, nan, 1.0]), np.array([2.0, 2.0, 2.0]), "p50_ms")
    assert found is not None
    assert found.delta == 1.0


def test_a_constant_difference_is_certain_and_none_is_none() -> None:
    base = np.arange(10.0)
    assert known(estimate(base, base + 1, "p50_ms"))[0].p == 0
    assert known(estimate(base, base, "p50_ms"))[0].p == 1


@pytest.mark.parametrize("statistic", COMPARED)
@pytest.mark.parametrize("pairs", [8, 40])
def test_the_interval_covers_the_truth(statistic: str, pairs: int) -> None:
    random, covered = np.random.default_rng(3), 0
    for _ in range(600):
        drift = random.normal(0, 5, pairs).cumsum()
        a, b = (drift + random.gamma(4, 1, pairs) for _ in range(2))
        _, (low, high) = known(estimate(a, b + 0.5, statistic))
        covered += low <= 0.5 <= high
    assert covered >= 0.93 * 600 or consistent(covered, 600, 0.95)


def test_disturbed_blocks_do_not_decide_on_percentiles() -> None:
    """One block in eight is disturbed, whichever side's it is: 5 % of the rest are still found."""
    random = np.random.default_rng(4)
    a, b = (10 + random.normal(0, 0.1, 40) for _ in range(2))
    a[::8] += random.exponential(20, 5)
    b[3::8] += random.exponential(20, 5)
    found, (low, _) = known(estimate(a, b * 1.05, "p50_ms"))
    assert found.delta == pytest.approx(0.5, abs=0.1)
    assert low > 0.35
    assert known(estimate(a, b * 1.05, "mean_ms"))[0].p > 0.05


# From the requests of rounds.


def rounds(values_ns: Nanoseconds, counts: list[int]) -> Rounds:
    bounds = np.concatenate(([0], np.cumsum(counts)))
    return Rounds({"end_to_end": values_ns}, bounds, (0.5,) * len(counts))


def test_blocks_of_different_numbers_of_requests_have_percentiles_at_the_same_place() -> None:
    """Of uniform values the percentiles of 20 and of 60 requests have one mean."""
    random = np.random.default_rng(5)
    found = {}
    for count in (20, 60):
        values_ns = random.integers(0, 1_000 * MS, 2_000 * count)
        bounds = np.arange(2_001) * count
        found[count] = float(np.mean(series(values_ns, bounds, "p95_ms")))
    assert found[20] == pytest.approx(950, abs=4)
    assert found[60] == pytest.approx(found[20], abs=4)


def test_rounds_with_few_requests_are_taken_together() -> None:
    values_ns = np.arange(96) * MS
    few = rounds(values_ns, [4] * 24)
    found = estimates(few, few, ["end_to_end"])
    assert pair_count(few, few) == 24
    assert all(found["end_to_end", name].delta == 0 for name in COMPARED)
    shifted = rounds(values_ns + MS, [4] * 24)
    moved = estimates(few, shifted, ["end_to_end"])
    assert {known(one)[0].delta for one in moved.values()} == {1.0}


def test_only_rounds_of_both_are_pairs() -> None:
    one, other = rounds(np.full(80, MS), [10] * 8), rounds(np.full(70, 2 * MS), [10] * 7)
    assert pair_count(one, other) == 7
    assert known(estimates(one, other, ["end_to_end"])["end_to_end", "mean_ms"])[0].delta == 1.0


def test_an_empty_block_is_no_pair() -> None:
    one = rounds(np.full(70, MS), [10, 0, 10, 10, 10, 10, 10, 10])
    other = rounds(np.full(80, 2 * MS), [10] * 8)
    found = estimates(one, other, ["end_to_end"])["end_to_end", "mean_ms"]
    assert found == Estimate(1.0, (1.0, 1.0), 0.0)


def test_rounds_are_told_by_when_requests_were_due() -> None:
    """Rows stand as they ended; of the third, which failed, there is nothing to tell."""
    due = [SUCCESS._replace(trace_id=f"{n:032x}") for n in range(6)]
    at_ms = [0, 5, 20, 40, 45, 60]
    moved = []
    for one, at in zip(due, at_ms, strict=True):
        shift = at * MS
        stamps = ("scheduled_ns", "ready_ns", "sent_ns", "first_byte_ns", "arrived_ns", "done_ns")
        moved.append(one._replace(**{name: getattr(one, name) + shift for name in stamps}))
    order = [moved[n] for n in (1, 0, 2, 4, 3, 5)]
    run = load(order)
    parted = replace(run, block_ends=(2, 3, 6), blocks_s=(0.1, 0.1, 0.1))
    found = rounds_of(parted, decomposed(order, [TIMING] * 6))
    assert found.bounds.tolist() == [0, 2, 3, 6]
    assert rounds_of(run, decomposed(order, [TIMING] * 6)).bounds.tolist() == [0, 6]


# A whole comparison.

ROUNDS, EACH = 40, 30


def two(
    random: np.random.Generator, slower: float = 1.0, drift: float = 0.0
) -> tuple[dict[str, Rounds], Floats]:
    """Two targets of one server by turns, whose inference changes by a share over the run."""
    order = [bool(random.integers(2)) for _ in range(ROUNDS // 2)]
    first = [one for pair in order for one in (pair, not pair)]
    level = 1 + drift * np.arange(2 * ROUNDS) / (2 * ROUNDS)
    level = np.exp(0.02 * random.standard_normal(2 * ROUNDS).cumsum() / 3) * level
    parts: dict[str, list[dict[str, Floats]]] = {"a": [], "b": []}
    for turn in range(ROUNDS):
        for place, name in enumerate("ab" if first[turn] else "ba"):
            at = level[2 * turn + place]
            factor = slower if name == "b" else 1.0
            inference = 8e6 * at * factor * np.exp(0.1 * random.standard_normal(EACH))
            network = 1e6 + 3e5 * random.exponential(1, EACH)
            whole = inference + network
            parts[name].append({"inference": inference, "network": network, "end_to_end": whole})
    bounds = np.arange(ROUNDS + 1) * EACH
    return {
        name: Rounds(
            {
                one: np.concatenate([block[one] for block in blocks]).astype(np.int64)
                for one in blocks[0]
            },
            bounds,
            (0.5,) * ROUNDS,
        )
        for name, blocks in parts.items()
    }, level


def results(found: Mapping[str, Rounds]) -> dict[str, TargetResult]:
    """Of each target, as far as comparisons go."""
    return {
        name: replace(
            target([SUCCESS]),
            components={one: describe(values_ns) for one, values_ns in of.columns.items()},
        )
        for name, of in found.items()
    }


def judged(found: Mapping[str, Rounds]) -> Comparison:
    [comparison] = compare_all(results(found), found)
    return comparison


def words(comparison: Comparison) -> set[tuple[str, str, str]]:
    return {
        (component, name, one.verdict)
        for component, of in comparison.components.items()
        for name, one in of.items()
        if one.verdict not in (None, "no difference shown")
    }


def test_a_planted_drift_disappears() -> None:
    """The server slows by 20 % over the run: both meet it alike."""
    found, level = two(np.random.default_rng(8), drift=0.20)
    assert level[-8:].mean() / level[:8].mean() > 1.1
    comparison = judged(found)
    assert words(comparison) == set()
    one = comparison.components["inference"]["p50_ms"]
    assert one.ci95 is not None
    assert one.ci95[0] <= 0 <= one.ci95[1]
    assert one.ci95[1] - one.ci95[0] < 0.02 * one.a * 2
    assert (comparison.pairs, comparison.block_s, comparison.caveat) == (ROUNDS, 0.5, "")


def test_one_after_the_other_the_same_drift_is_a_difference() -> None:
    found, _ = two(np.random.default_rng(8), drift=0.20)
    halves, middle = {}, ROUNDS // 2 * EACH
    for name, half in (("a", slice(middle)), ("b", slice(middle, None))):
        columns = {one: values_ns[half] for one, values_ns in found[name].columns.items()}
        halves[name] = replace(found[name], columns=columns)
    [comparison] = compare_all(results(halves), {})
    assert ("inference", "p50_ms", "slower") in words(comparison)
    assert comparison.caveat.startswith("measured one after the other: the intervals do not cover")
    assert comparison.pairs == 0


def test_five_per_cent_are_found_and_attributed() -> None:
    seen = 0
    for seed in range(20):
        found = words(judged(two(np.random.default_rng(seed), slower=1.05)[0]))
        seen += ("inference", "p50_ms", "slower") in found
        assert not any(component == "network" for component, *_ in found)
    assert seen >= 18


def test_alarms_of_nothing_are_rare() -> None:
    alarms = sum(bool(words(judged(two(np.random.default_rng(100 + n))[0]))) for n in range(100))
    assert alarms <= 9  # of 100 at 5 %: 97 in 100 times no more


def test_too_few_pairs_say_how_long_a_run_would_do() -> None:
    found, _ = two(np.random.default_rng(1), slower=2.0)
    short = {
        name: Rounds(one.columns, one.bounds[:5], one.blocks_s[:4]) for name, one in found.items()
    }
    comparison = judged(short)
    assert words(comparison) == set()
    assert comparison.components["inference"]["p50_ms"].ci95 is None
    assert comparison.components["inference"]["p50_ms"].delta == pytest.approx(8, rel=0.1)
    lacking = "too few pairs of blocks for an interval of mean, p50, p95"
    assert comparison.caveat == f"{lacking}: give --duration 3"

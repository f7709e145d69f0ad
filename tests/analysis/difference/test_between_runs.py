"""Runs against each other: intervals, words, and how often chance alone gets one."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from tests.analysis.samples import shifted, target
from tests.analysis.simulated_runs import ANY, run_of, simulated
from tests.load.streams.exact_streams import Streamed, chat, streams, tokens
from tracebench.analysis.difference.between_runs import differences
from tracebench.model.results.blocks import Blocks, BlockSeries
from tracebench.model.results.result import Difference, TargetResult
from tracebench.model.results.statistics import Statistics


def statistics(value_ms: float, half_ms: float) -> Statistics:
    """A sample whose every statistic has one value and one interval."""
    names = ("mean_ms", "p50_ms", "p95_ms", "p99_ms")
    within = (value_ms - half_ms, value_ms + half_ms)
    return replace(
        ANY.components["end_to_end"],
        mean_ms=value_ms,
        p50_ms=value_ms,
        p95_ms=value_ms,
        p99_ms=value_ms,
        ci95=dict.fromkeys(names, within),
        unsupported=(),
    )


def run(
    value_ms: float, half_ms: float = 0.1, halves: tuple[float, float] = (0, 0)
) -> TargetResult:
    names = ("mean_ms", "p50_ms", "p95_ms", "p99_ms")
    of = BlockSeries((None,), (None,), (None,), dict.fromkeys(names, halves))
    return replace(
        ANY,
        components={"end_to_end": statistics(value_ms, half_ms)},
        blocks=Blocks((0.0,), (1,), {"end_to_end": of}),
    )


def difference(a: list[TargetResult], b: list[TargetResult], name: str = "p50_ms") -> Difference:
    found = differences({"rest": (a, b)})["rest"]
    assert found.keys() == {"end_to_end"}
    return found["end_to_end"][name]


def test_single_runs_are_widened_by_the_largest_difference_between_halves() -> None:
    found = difference([run(10, 0.3, (9.9, 10.1))], [run(12, 0.4, (12.5, 11.9))])
    # √(0.3² + 0.4²) = 0.5, and the halves of B are 0.6 apart.
    assert (found.a, found.b, found.delta) == (10, 12, 2)
    assert found.ci95 == pytest.approx((0.9, 3.1))
    assert found.verdict == "slower"


def test_a_drift_as_large_as_the_difference_shows_nothing() -> None:
    drifting = run(12, 0.01, (11, 13))
    assert difference([run(10, 0.01)], [drifting]).verdict == "no difference shown"
    assert difference([run(10, 0.01)], [run(12, 0.01)]).verdict == "slower"
    assert difference([run(12, 0.01)], [run(10, 0.01)]).verdict == "faster"


def test_two_runs_of_a_side_are_widened_by_how_far_they_are_apart() -> None:
    found = difference([run(10, 0.3), run(11, 0.4)], [run(12, 0.3)])
    assert (found.a, found.delta) == (10.5, 1.5)
    half = sqrt((0.5 / 2) ** 2 + 0.3**2)
    assert found.ci95 == pytest.approx((1.5 - half - 1, 1.5 + half + 1))


def test_three_runs_a_side_are_the_sample() -> None:
    """Welch's interval: means 11 and 14, variances 1 and 1, four degrees of freedom."""
    a, b = [run(value) for value in (10, 11, 12)], [run(value) for value in (13, 14, 15)]
    found = difference(a, b)
    half = 2.776445 * sqrt(2 / 3)
    assert found.ci95 == pytest.approx((3 - half, 3 + half))
    unequal = difference([run(10), run(11), run(12)], [run(10), run(20), run(30), run(40)])
    assert unequal.ci95 == pytest.approx((14 - 20.42, 14 + 20.42), abs=0.05)
    assert unequal.verdict == "no difference shown"


def test_runs_that_agree_to_the_digit_fall_back_on_their_own_intervals() -> None:
    found = difference([run(10)] * 3, [run(12)] * 3)
    half = sqrt(2 * (sqrt(3 * 0.1**2) / 3) ** 2)
    assert found.ci95 == pytest.approx((2 - half, 2 + half))
    assert found.verdict == "slower"


def test_what_never_takes_time_is_not_judged() -> None:
    """`connect` on kept connections, and so on: they would make the rule stricter for others."""
    nothing = run(0, 0)
    found = difference([nothing], [nothing])
    assert found == Difference(0, 0, 0, (0, 0), "no difference shown")


def test_without_support_there_is_no_interval_and_no_p99() -> None:
    few = target([shifted(number) for number in range(100)])
    found = differences({"rest": ([few], [few])})["rest"]["inference"]
    assert set(found) == {"mean_ms", "p50_ms", "p95_ms"}
    assert found["p50_ms"].ci95 == (0, 0)
    assert found["p95_ms"].ci95 is None
    assert found["p95_ms"].verdict == "no difference shown"


def test_only_what_all_runs_have_is_compared() -> None:
    bare = replace(ANY, components={"end_to_end": ANY.components["end_to_end"]})
    assert differences({"rest": ([ANY, bare], [ANY])})["rest"].keys() == {"end_to_end"}


def test_streams_are_compared() -> None:
    one = Streamed(streams(chat(tokens(32))), requests=12).target
    found = differences({"rest": ([one], [one])})["rest"]
    assert {"stream.ttft", "stream.tpot", "stream.itl", "stream.generation"} <= found.keys()
    ttft = found["stream.ttft"]["p50_ms"]
    assert one.stream is not None
    assert one.stream.ttft is not None
    assert (ttft.a, ttft.delta) == (one.stream.ttft.p50_ms, 0)


Found = dict[str, dict[str, Difference]]


def words(found: Found) -> set[tuple[str, str]]:
    return {
        (component, statistic)
        for component, those in found.items()
        for statistic, one in those.items()
        if one.verdict != "no difference shown"
    }


def compared(random: np.random.Generator, runs: int = 1, *, drift: float, slower: float) -> Found:
    a = [simulated(random, 2_000, drift=drift) for _ in range(runs)]
    b = [simulated(random, 2_000, drift=drift, slower=slower) for _ in range(runs)]
    return differences({"rest": (a, b)})["rest"]


def test_a_server_does_not_differ_from_itself() -> None:
    """Chance may say so in 5 % of all comparisons, whatever number of statistics each has."""
    random = np.random.default_rng(1)
    found = [words(compared(random, drift=0.01, slower=1.0)) for _ in range(60)]
    assert sum(map(bool, found)) <= 3
    three = [words(compared(random, 3, drift=0.05, slower=1.0)) for _ in range(20)]
    assert sum(map(bool, three)) <= 1


def test_five_per_cent_slower_inference_is_found_and_called_by_its_name() -> None:
    random = np.random.default_rng(2)
    found = [words(compared(random, drift=0.0, slower=1.05)) for _ in range(20)]
    assert sum(("inference", "p50_ms") in one for one in found) >= 19
    others = {"queue", "server_other", "network"}
    assert sum(bool(others & {name for name, _ in one}) for one in found) <= 1


def test_every_statistic_counts_once_however_many_targets_there_are() -> None:
    """The verdicts of all targets are judged together."""
    just = run(10.0, 0.1), run(10.25, 0.1)
    alone = differences({"rest": ([just[0]], [just[1]])})["rest"]["end_to_end"]
    assert alone["p50_ms"].verdict == "slower"
    many = {str(at): ([run(10.0, 0.1)], [run(10.0, 0.1)]) for at in range(200)}
    found = differences({"rest": ([just[0]], [just[1]]), **many})["rest"]["end_to_end"]
    assert found["p50_ms"].verdict == "no difference shown"


def test_a_simulated_run_is_described_as_a_real_one_is() -> None:
    values = np.arange(1, 641, dtype=np.int64) * 1_000_000
    made = run_of({"end_to_end": values})
    assert made.blocks is not None
    assert made.blocks.count == (20,) * 32
    assert made.blocks.components["end_to_end"].halves["p50_ms"] == (160, 480)

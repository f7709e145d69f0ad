"""Two targets: differences and MOVER's intervals."""

from dataclasses import replace
from math import inf, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.samples import MS, NO_TIMING, SUCCESS, TIMING, target
from tracebench.analysis.difference.comparison import compare
from tracebench.model.results.result import Difference, TargetResult
from tracebench.model.results.statistics import Statistics

ANY = target([SUCCESS])


def sample(value_ms: float, low_ms: float, high_ms: float) -> Statistics:
    """A sample whose every statistic has one value and one interval."""
    return replace(
        ANY.components["end_to_end"],
        mean_ms=value_ms,
        p50_ms=value_ms,
        p95_ms=value_ms,
        ci95=dict.fromkeys(("mean_ms", "p50_ms", "p95_ms"), (low_ms, high_ms)),
    )


def with_latency(statistics: Statistics) -> TargetResult:
    return replace(ANY, components={"end_to_end": statistics})


def difference(a: Statistics, b: Statistics, name: str = "p50_ms") -> Difference:
    found = compare("rest", with_latency(a), "grpc", with_latency(b))
    assert found.components.keys() == {"end_to_end"}
    return found.components["end_to_end"][name]


@pytest.mark.parametrize("name", ["mean_ms", "p50_ms", "p95_ms"])
def test_a_difference_and_its_interval(name: str) -> None:
    found = difference(sample(10, 7, 14), sample(20, 16, 23), name)
    # Zou & Donner 2008: d − √((b − l_b)² + (u_a − a)²), d + √((u_b − b)² + (a − l_a)²)
    interval = 10 - sqrt(4**2 + 4**2), 10 + sqrt(3**2 + 3**2)
    expected = Difference(10, 20, 10, interval, "slower")
    assert found == expected


def test_without_an_interval_there_is_none() -> None:
    bare = replace(sample(10, 9, 11), ci95={})
    for a, b in ((bare, sample(20, 19, 21)), (sample(20, 19, 21), bare)):
        assert difference(a, b).ci95 is None


def test_only_what_both_have_is_compared() -> None:
    found = compare("rest", target([SUCCESS], TIMING), "grpc", target([SUCCESS], NO_TIMING))
    assert (found.a, found.b) == ("rest", "grpc")
    assert set(found.components) == {"end_to_end", "service_time", "backlog", "connect", "client"}
    assert set(found.components["client"]) == {"mean_ms", "p50_ms", "p95_ms"}


def test_a_body_of_one_side_alone_counts_as_none_on_the_other() -> None:
    late = replace(ANY, components={"end_to_end": sample(9, 8, 10), "body": sample(4, 3, 5)})
    none = replace(ANY, components={"end_to_end": sample(5, 4, 6)}, decomposed=1)
    found = compare("a", none, "b", late).components["body"]["mean_ms"]
    assert (found.a, found.b, found.delta, found.ci95) == (0, 4, 4, (3, 5))
    found = compare("a", late, "b", none).components["body"]["mean_ms"]
    assert (found.a, found.b, found.delta, found.ci95) == (4, 0, -4, (-5, -3))
    unknown = replace(none, decomposed=0)
    assert "body" not in compare("a", late, "b", unknown).components


def test_real_samples() -> None:
    slower = SUCCESS._replace(done_ns=SUCCESS.done_ns + MS)
    found = compare("a", target([SUCCESS] * 200), "b", target([slower] * 200))
    p50 = found.components["end_to_end"]["p50_ms"]
    assert (p50.a, p50.b) == (10.2, 11.2)
    assert p50.ci95 == (p50.delta, p50.delta)


sizes = st.floats(0, 1e6)


@given(sizes, sizes, sizes, sizes, sizes, sizes)
def test_swapping_the_sides_turns_the_interval_round(
    a_ms: float, a_below: float, a_above: float, b_ms: float, b_below: float, b_above: float
) -> None:
    a, b = (
        sample(a_ms, a_ms - a_below, a_ms + a_above),
        sample(b_ms, b_ms - b_below, b_ms + b_above),
    )
    there, back = difference(a, b), difference(b, a)
    assert there.delta == -back.delta
    low_ms, high_ms = there.ci95 or (inf, -inf)
    assert low_ms <= there.delta <= high_ms
    assert back.ci95 == (-high_ms, -low_ms)

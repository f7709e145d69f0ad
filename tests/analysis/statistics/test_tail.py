"""Tail attribution: exact sums, known shares, honest intervals."""

from math import fsum

import numpy as np
import numpy.typing as npt
import pytest

from tests.analysis.samples import MS, SUCCESS, target
from tests.analysis.series import normal
from tracebench.analysis.interpretation import interpret_tail
from tracebench.analysis.statistics.tail import attribute_tail
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.results.result import TailPart

ONE, FIVE = "slowest_1_percent", "slowest_5_percent"


def columns(**parts_ms: npt.NDArray[np.float64]) -> dict[str, Nanoseconds]:
    """Components, and their sum."""
    found = {name: (part_ms * MS).astype(np.int64) for name, part_ms in parts_ms.items()}
    return {**found, "end_to_end": np.sum([*found.values()], axis=0)}


def shuffled(count: int, slow: int) -> dict[str, Nanoseconds]:
    """10 ms of inference; some requests wait 40 ms and infer 10 ms longer."""
    is_slow = np.zeros(count)
    is_slow[:slow] = 1.0
    is_slow = np.random.default_rng(1).permutation(is_slow)
    return columns(queue=40 * is_slow, inference=10 + 10 * is_slow)


def test_shares_are_those_of_conditional_means() -> None:
    found = attribute_tail(shuffled(2000, 20))[ONE]
    assert (found.count, found.usual_count) == (20, 200)
    assert (found.slowest_ms, found.usual_ms, found.excess_ms) == (60.0, 10.0, 50.0)
    assert found.components == {
        "queue": TailPart(40.0, 0.8, (0.8, 0.8)),
        "inference": TailPart(10.0, 0.2, (0.2, 0.2)),
    }


@pytest.mark.parametrize(
    ("count", "names"), [(399, []), (400, [FIVE]), (1999, [FIVE]), (2000, [ONE, FIVE])]
)
def test_below_twenty_slow_requests_nothing_is_said(count: int, names: list[str]) -> None:
    assert [*attribute_tail(shuffled(count, count // 10))] == names


def test_a_constant_has_no_tail() -> None:
    assert attribute_tail(columns(inference=np.full(5000, 10.0))) == {}


def drawn(seed: int, runs: int, count: int, phi: float) -> list[dict[str, Nanoseconds]]:
    queue, inference, network = (normal(seed + n, runs, count, phi * (n == 0)) for n in range(3))
    return [
        columns(
            queue=3 * np.exp(queue[run]),
            inference=10 * np.exp(0.2 * inference[run]),
            network=1 + 0.3 * np.exp(0.8 * network[run]),
        )
        for run in range(runs)
    ]


def test_what_adds_up_adds_up() -> None:
    (sample,) = drawn(1, 1, 3000, 0.0)
    for tail in attribute_tail(sample).values():
        parts = tail.components.values()
        assert fsum(part.excess_ms for part in parts) == pytest.approx(tail.excess_ms, abs=1e-9)
        assert fsum(part.share for part in parts) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_intervals_cover(phi: float) -> None:
    """The truth is the share in three million requests."""
    truth = {FIVE: 0.985964, ONE: 0.998746}
    runs = drawn(50, 150, 4000, phi)
    for name, true in truth.items():
        intervals = [attribute_tail(sample)[name].components["queue"].ci95 for sample in runs]
        assert all(interval is not None for interval in intervals)
        hits = sum(low <= true <= high for low, high in filter(None, intervals))
        assert hits >= 0.9 * len(runs)


def test_one_event_has_no_interval() -> None:
    waits = np.zeros(2000)
    waits[1000:1020] = 50
    found = attribute_tail(columns(queue=waits, inference=np.full(2000, 10.0)))[ONE]
    assert found.components["queue"] == TailPart(50.0, 1.0, None)


def test_what_is_not_reported_counts_as_nothing() -> None:
    sample = shuffled(2000, 20)
    silent = {**sample, "preprocessing": np.full(2000, -1), "postprocessing": np.full(2000, -1)}
    silent["postprocessing"][0] = 0
    found = attribute_tail(silent)[ONE].components
    assert found["postprocessing"].share == 0
    assert "preprocessing" not in found


def test_the_sentence() -> None:
    stamps = ("scheduled_ns", "ready_ns", "sent_ns", "arrived_ns", "done_ns")
    exchanges = [
        SUCCESS._replace(**{name: getattr(SUCCESS, name) + n * 100 * MS for name in stamps})
        for n in range(2000)
    ]
    for n in range(0, 2000, 50):
        exchanges[n] = exchanges[n]._replace(scheduled_ns=exchanges[n].scheduled_ns - 41 * MS)
    result = target(exchanges)
    assert interpret_tail(result) == (
        "the slowest 1 % take 41 ms longer than the median request, 100 % of that in backlog "
        "(95 % interval 100 … 100 %)"
    )
    assert interpret_tail(target([SUCCESS] * 2000)) == ""

"""The offset between clocks: an interval that causality gives, and no more."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.samples import SUCCESS
from tests.records import chosen
from tracebench.analysis.closure.clock_offset import clock_offset as offset_of
from tracebench.model.record.exchange import ClockOffset, Exchange, Timing

MS = 1_000_000
BEGAN_NS = 1
"""A stamp of 0 is one that was never reached."""
Pair = tuple[Exchange, Timing]


def clock_offset(pairs: Iterable[Pair]) -> ClockOffset | None:
    exchanges, timings = zip(*pairs, strict=True) if (pairs := list(pairs)) else ((), ())
    return offset_of(chosen(exchanges, timings))


def window(sent_ns: int, there_ns: int, work_ns: int, back_ns: int, shift_ns: int) -> Pair:
    started_ns = sent_ns + there_ns
    ended_ns = started_ns + work_ns
    arrived_ns = ended_ns + back_ns
    sent = SUCCESS._replace(
        scheduled_ns=BEGAN_NS,
        sent_ns=BEGAN_NS + sent_ns,
        ready_ns=BEGAN_NS,
        first_byte_ns=BEGAN_NS + arrived_ns,
        arrived_ns=BEGAN_NS + arrived_ns,
    )
    return sent, Timing(work_ns, {}, "otlp", started_ns=BEGAN_NS + started_ns + shift_ns)


def test_the_interval_is_as_wide_as_the_way_there_and_back() -> None:
    assert clock_offset([window(0, 3, 100, 5, 250)]) == ClockOffset(245, 253, 0)


def test_the_fastest_in_each_direction_count() -> None:
    windows = [window(0, 3, 100, 50, 250), window(500, 30, 10, 5, 250)]
    assert clock_offset(windows) == ClockOffset(245, 253, 0)


def test_nothing_is_known_of_nothing() -> None:
    assert clock_offset([]) is None
    assert clock_offset([(SUCCESS, Timing(5, {}, "mirror"))]) is None


def test_a_step_is_told() -> None:
    windows = [window(n * MS, 100, 1000, 100, 0 if n < 5 else 7 * MS) for n in range(10)]
    assert clock_offset(windows) == ClockOffset(-100, 7 * MS + 100, 7 * MS - 200)


def test_a_drift_within_the_way_stays_unseen() -> None:
    slow = [window(n * MS, 100, 1000, 100, n) for n in range(150)]
    assert clock_offset(slow) == ClockOffset(49, 100, 0)


@pytest.mark.parametrize("shift_ns", [-250 * MS, 0, 250 * MS])
def test_a_drift_beyond_the_way_is_told(shift_ns: int) -> None:
    offset = clock_offset(window(n * MS, 100, 1000, 100, shift_ns + n) for n in range(1000))
    assert offset is not None
    assert shift_ns - 100 <= offset.low_ns <= shift_ns
    assert shift_ns + 999 <= offset.high_ns <= shift_ns + 1099
    assert 700 <= offset.moved_ns <= 999


LATENCY = st.integers(0, 10 * MS)


@given(st.lists(st.tuples(LATENCY, LATENCY, LATENCY), min_size=1), st.integers(-(10**15), 10**15))
def test_the_true_offset_always_lies_inside(ways: list[tuple[int, int, int]], shift: int) -> None:
    offset = clock_offset(window(n * MS, *way, shift) for n, way in enumerate(ways))
    assert offset is not None
    assert offset.low_ns <= shift <= offset.high_ns
    assert offset.moved_ns == 0

"""A server's clock may be anywhere: components stay as they are, and the interval tells where."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.records import record
from tests.tracing.samples import SUCCESS
from tracebench.model.record.exchange import Decomposition, Exchange, Undecomposed
from tracebench.model.record.span import Span
from tracebench.tracing.join.exporter import JoiningExporter

MS = 1_000_000
COUNT = 400


def exchange(number: int) -> Exchange:
    """One of many; a request takes 10 ms between `sent` and `arrived`."""
    start_ns = (number + 1) * 20 * MS
    return SUCCESS._replace(
        trace_id=f"{number + 1:032x}",
        span_id=f"{number + 1:016x}",
        scheduled_ns=start_ns,
        ready_ns=start_ns,
        connect_ns=0,
        sent_ns=start_ns,
        arrived_ns=start_ns + 10 * MS,
        done_ns=start_ns + 11 * MS,
    )


def served(one: Exchange, shift: Callable[[int], int]) -> list[Span]:
    """1 ms there, 8 ms of work, 1 ms back, on a clock that is `shift(time)` ahead."""

    def at(time_ns: int) -> int:
        return time_ns + shift(time_ns)

    start_ns, parent = one.sent_ns + MS, one.span_id
    entry = Span(
        one.trace_id, "e" * 16, parent, "POST /", "SERVER", at(start_ns), at(start_ns + 8 * MS)
    )
    work = Span(
        one.trace_id,
        "f" * 16,
        "e" * 16,
        "inference",
        "INTERNAL",
        at(start_ns + MS),
        at(start_ns + 6 * MS),
    )
    return [work, entry]


def decomposed(shift: Callable[[int], int]) -> Decomposition:
    exchanges = [exchange(number) for number in range(COUNT)]
    joining = JoiningExporter()
    joining.add(*record(exchanges, [Undecomposed.NO_TIMING] * COUNT))
    joining.take(span for one in exchanges for span in served(one, shift))
    return joining.decomposition()


@pytest.mark.parametrize("shift_ms", [-250, 0, 250])
def test_a_shift_changes_no_component(shift_ms: int) -> None:
    true, shifted = decomposed(lambda _: 0), decomposed(lambda _: shift_ms * MS)
    assert shifted.sources["otlp"] == COUNT
    for name, column in true.columns.items():
        assert np.array_equal(shifted.columns[name], column)
    assert shifted.clock is not None
    assert shifted.clock == ((shift_ms - 1) * MS, (shift_ms + 1) * MS, 0)


@pytest.mark.parametrize("shift_ms", [-250, 250])
@pytest.mark.parametrize("ppm", [-1000, 50, 1000])
def test_a_drift_changes_components_by_no_more_than_itself(shift_ms: int, ppm: int) -> None:
    true = decomposed(lambda _: 0)
    drifting = decomposed(lambda time_ns: shift_ms * MS + time_ns * ppm // 1_000_000)
    for name, column in true.columns.items():
        assert np.max(np.abs(drifting.columns[name] - column)) <= 8 * MS * abs(ppm) // 1_000_000 + 1
    assert drifting.clock is not None
    low_ns, high_ns, moved_ns = drifting.clock
    middle_ns = shift_ms * MS + COUNT * 10 * MS * ppm // 1_000_000
    assert low_ns <= middle_ns <= high_ns
    assert (moved_ns > 0) == (abs(ppm) == 1000)  # 8 ms in all, where 2 ms are the way

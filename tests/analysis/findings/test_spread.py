"""Latencies by slot, whatever pages they are on."""

import numpy as np

from tests.records import numbered
from tracebench.analysis.findings.steadiness import by_slot
from tracebench.model.record.columns import Columns
from tracebench.model.record.exchange import Outcome
from tracebench.model.record.requests import (
    DONE,
    OUTCOME,
    OUTCOME_CODES,
    READY,
    SLOT,
    Requests,
    stamp_columns,
)


def test_each_slot_has_the_latencies_of_its_successes() -> None:
    random, columns = np.random.default_rng(3), Columns()
    expected: dict[int, list[int]] = {}
    for count in (5, 65_536, 1_000, 1):
        slots = random.choice([0, 3, 4, 250, 999], count)
        due_ns, latency_ns = random.integers(1, 10**6, count), random.integers(1, 10**10, count)
        succeeded = random.random(count) < 0.8
        never = np.zeros(count, np.int64)
        stamps = {READY: due_ns, "sent": never, "first_byte": never, "arrived": never}
        outcomes = np.where(
            succeeded, OUTCOME_CODES[Outcome.SUCCEEDED], OUTCOME_CODES[Outcome.FAILED]
        )
        page = stamp_columns(due_ns, {**stamps, DONE: due_ns + latency_ns})
        columns.append({**page, SLOT: slots, OUTCOME: outcomes}, count)
        for slot, ns in zip(slots[succeeded].tolist(), latency_ns[succeeded].tolist(), strict=True):
            expected.setdefault(slot, []).append(ns)
    found = by_slot(Requests(columns, numbered()))
    assert [sorted(of_slot.tolist()) for of_slot in found] == [
        sorted(of_slot) for _, of_slot in sorted(expected.items())
    ]


def test_nothing_has_no_slots() -> None:
    assert by_slot(Requests(Columns(), numbered())) == []

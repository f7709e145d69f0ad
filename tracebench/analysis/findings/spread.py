"""Whether all slots meet the same server: connections often stay with one of its workers."""

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

import numpy as np

from tracebench.analysis.closure.closure import latency, successes
from tracebench.analysis.statistics.distribution import interval_ranks, rank
from tracebench.model.exchange import Nanoseconds
from tracebench.model.requests import SLOT, Requests

_FEWEST: Final = 30
"""Requests of a slot, for a median that means something."""
_STRICT: Final = (3.8906 / 1.9600) ** 2
"""From 95 % to 99.99 %: it is the slowest of many."""


class Slowest(NamedTuple):
    """The slot with the greatest median, beside the median slot."""

    slowest_ns: float
    usual_ns: float
    slots: int


def by_slot(requests: Requests) -> list[Nanoseconds]:
    """The latencies of each slot's successes, in any order.

    They are sorted into their places page by page: to sort all takes five times their memory.
    """
    chosen = successes(requests)
    slots = chosen.greatest(lambda part: part.request(SLOT)) + 1
    counts = [np.bincount(part.request(SLOT), minlength=slots) for part in chosen.parts]
    ends = np.cumsum(np.sum(counts, 0)) if counts else np.zeros(0, np.int64)
    values_ns, begins = np.empty(len(chosen), np.int64), np.concatenate(([0], ends))[:-1]
    for part, here in zip(chosen.parts, counts, strict=True):
        first = begins - np.concatenate(([0], np.cumsum(here)))[:-1]
        places = np.repeat(first, here) + np.arange(len(part))
        values_ns[places] = latency(part)[np.argsort(part.request(SLOT), kind="stable")]
        begins += here
    return [of_slot for of_slot in np.split(values_ns, ends[:-1]) if len(of_slot)]


def slowest(slots: Sequence[Nanoseconds]) -> Slowest | None:
    """Find a slot that is slower than the others, beyond chance.

    Returns:
        None where the 99.99 % interval of its median reaches down to the median slot's, or where
        fewer than two slots have 30 requests.
    """
    known = [np.sort(slot) for slot in slots if len(slot) >= _FEWEST]
    if len(known) < 2:
        return None
    medians = [float(slot[rank(len(slot), 500) - 1]) for slot in known]
    usual_ns = median(medians)
    most = int(np.argmax(medians))
    low, _ = interval_ranks(len(known[most]), 500, _STRICT)
    if known[most][low - 1] <= usual_ns:
        return None
    return Slowest(medians[most], usual_ns, len(known))

"""Findings about steadiness of the latency: over time, across workers, and across payloads."""

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

import numpy as np

from tracebench.analysis.advice import LONGER, Advice, unless, warms_up_by_itself
from tracebench.analysis.closure.decomposition import latency, service_time, successes
from tracebench.analysis.findings.finding import Evidence, FindingKind, part_of, weigh
from tracebench.analysis.statistics.distribution import NS_PER_MS, interval_ranks, rank
from tracebench.analysis.statistics.steady_state import drift, leftover
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.record.requests import SCHEDULED, SLOT, VARIANT, Requests
from tracebench.model.results.result import Finding

_NOT_STATIONARY: Final = FindingKind(
    "not_stationary",
    ((0.02, "info"), (0.10, "warning"), (0.50, "invalid")),
    "the server changed by {value:%} within the run: the mean latency was {before_ms:.3g} "
    "ms before {at:%} of the requests, and {after_ms:.3g} ms after",
    (
        Advice(
            "trim the warm-up with --warmup auto",
            unless(warms_up_by_itself),
            cause="fell",
            short="add --warmup auto",
        ),
        Advice(
            "check for growing memory use, heat or a filling queue",
            cause="rose",
            short="look for heat or a queue",
        ),
        *LONGER,
    ),
    "latency {moved} {before_ms:.3g} → {after_ms:.3g} ms after {at:%} of the run",
)
_EVEN: Final = 0.10
"""Relative difference of an open loop's halves beyond which its rate changes by design, and its
latency may change with it."""


def _not_stationary(run: Evidence) -> Finding | None:
    found = drift(run.latency_ns)
    if found is None or _changes_its_rate(run):
        return None
    moved = "fell" if found.after_ms < found.before_ms else "rose"
    evidence = {**found._asdict(), "moved": moved}
    return weigh(_NOT_STATIONARY, found.change, because=(moved,), **evidence)


def _changes_its_rate(run: Evidence) -> bool:
    requests = run.load.requests
    if not run.load.asked_rps or not len(requests):
        return False
    if ends := run.load.block_ends:
        early = float(np.interp(len(ends) / 2, range(len(ends) + 1), [0, *ends]))
    else:
        middle_ns = sum(requests.due_ns) / 2
        counts = [np.count_nonzero(rows[SCHEDULED] <= middle_ns) for rows in requests.pages()]
        early = float(sum(counts))
    return abs(2 * early - len(requests)) > _EVEN * len(requests)


_WARMUP_TOO_SHORT: Final = FindingKind(
    "warmup_too_short",
    ((0.02, "info"), (0.10, "warning")),
    "the first {cut:,} of {count:#request} look like warm-up: they move the mean by "
    "{value:%} more than chance would",
    (
        Advice(
            "trim them with --warmup auto", unless(warms_up_by_itself), short="add --warmup auto"
        ),
        Advice("or give a longer --warmup", unless(warms_up_by_itself)),
        *LONGER,
    ),
    "the first {cut:,} of {count:,} look like warm-up",
    explained_by=("not_stationary",),
)


def _warmup_too_short(run: Evidence) -> Finding | None:
    found = leftover(run.latency_ns)
    return weigh(_WARMUP_TOO_SHORT, found.shift, cut=found.cut, count=len(run.latency_ns))


# Whether all slots get the same service: connections often stay with one worker of a server.

_UNEVEN_SLOTS: Final = FindingKind(
    "uneven_slots",
    ((0.20, "info"), (0.50, "warning")),
    "the slowest of {slots} slots has a median of {slowest_ms:.3g} ms, {value:%} above the "
    "usual {usual_ms:.3g} ms: its connection has a slower worker",
    (
        Advice(
            "compare the server's workers; overall percentiles describe none of them",
            short="compare its workers",
        ),
    ),
    "the slowest of {slots} slots is {value:%} above the usual",
)
_FEWEST_A_SLOT: Final = 30
"""Requests of a slot needed for a meaningful median."""
_STRICT: Final = (3.8906 / 1.9600) ** 2
"""Variance factor from 95 % to 99.99 % confidence, as the slot is the slowest of many."""


def _uneven_slots(run: Evidence) -> Finding | None:
    if run.load.asked_rps:
        return None
    found = slowest(by_slot(run.load.requests))
    if found is None:
        return None
    return weigh(
        _UNEVEN_SLOTS,
        found.slowest_ns / found.usual_ns - 1,
        slots=found.slots,
        slowest_ms=found.slowest_ns / NS_PER_MS,
        usual_ms=found.usual_ns / NS_PER_MS,
    )


class Slowest(NamedTuple):
    """The median latency of the slowest slot, and that of the median slot."""

    slowest_ns: float
    usual_ns: float
    slots: int


def by_slot(requests: Requests) -> list[Nanoseconds]:
    """The latencies of each slot's successes, in any order; slots without any are left out.

    They are distributed page by page: sorting all at once would take five times their memory.
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
    """Find a slot that is slower than the others beyond chance.

    Returns:
        The slot; None if the 99.99 % interval of its median includes the median slot's, or if fewer
        than two slots have 30 requests.
    """
    known = [np.sort(slot) for slot in slots if len(slot) >= _FEWEST_A_SLOT]
    if len(known) < 2:
        return None
    medians = [float(slot[rank(len(slot), 500) - 1]) for slot in known]
    usual_ns = median(medians)
    most = int(np.argmax(medians))
    low, _ = interval_ranks(len(known[most]), 500, _STRICT)
    if known[most][low - 1] <= usual_ns:
        return None
    return Slowest(medians[most], usual_ns, len(known))


# Whether a repeated payload is answered faster, as by a cache.

_CACHED_REPLIES: Final = FindingKind(
    "cached_replies",
    ((0.50, "info"), (0.80, "warning")),
    "a payload's second reply took {value:%} less than its first (medians over {payloads} "
    "payloads: {second_ms:.3g} after {first_ms:.3g} ms): a cache may answer",
    (
        Advice(
            "send more payloads than the cache holds, or switch it off", short="send more payloads"
        ),
    ),
    "a payload's second reply took {value:%} less: a cache?",
)
_FEWEST_PAYLOADS: Final = 6
"""Payloads needed: the probability that all second replies are faster by chance is then < 2 %."""
_MOST_SHARE: Final = 0.9


def _cached_replies(run: Evidence) -> Finding | None:
    found = first_and_second(run.load.requests)
    if found is None:
        return None
    return weigh(
        _CACHED_REPLIES,
        1 - part_of(found.second_ns, found.first_ns),
        payloads=found.payloads,
        first_ms=found.first_ns / NS_PER_MS,
        second_ms=found.second_ns / NS_PER_MS,
    )


class FirstAndSecond(NamedTuple):
    """Median latencies of first and second replies to the same payload."""

    first_ns: float
    second_ns: float
    payloads: int


def first_and_second(requests: Requests) -> FirstAndSecond | None:
    """Compare first and second replies only, since a warm-up lasts longer than two replies.

    Returns:
        The medians; None if fewer than six payloads were answered twice, or fewer than nine in ten
        were faster the second time.
    """
    if not any(rows[VARIANT].any() for rows in requests.pages()):
        return None  # a single payload, as in most runs
    chosen = successes(requests)
    variants = chosen.column(lambda part: part.request(VARIANT))
    order = np.argsort(variants, kind="stable")
    _, starts, counts = np.unique(variants[order], return_index=True, return_counts=True)
    starts = starts[counts > 1]
    took_ns = chosen.column(service_time)
    first_ns, second_ns = took_ns[order[starts]], took_ns[order[starts + 1]]
    faster = int(np.count_nonzero(second_ns < first_ns))
    if len(starts) < _FEWEST_PAYLOADS or faster < _MOST_SHARE * len(starts):
        return None
    return FirstAndSecond(float(np.median(first_ns)), float(np.median(second_ns)), len(starts))


KINDS: Final = (
    _NOT_STATIONARY,
    _WARMUP_TOO_SHORT,
    _UNEVEN_SLOTS,
    _CACHED_REPLIES,
)
JUDGES: Final = (
    _not_stationary,
    _warmup_too_short,
    _uneven_slots,
    _cached_replies,
)

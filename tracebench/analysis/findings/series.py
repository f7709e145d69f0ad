"""Doubts about what the series of latencies is: steady, long enough, and of one server."""

from collections.abc import Sequence
from operator import itemgetter
from statistics import median
from typing import Final, NamedTuple

import numpy as np

from server_middleware.vocabulary import MOST_OWN_NAMES, SERVER_OTHER, SERVER_PROCESSING
from tracebench.analysis.closure.decomposition import latency, service_time, successes
from tracebench.analysis.closure.own_components import share_of
from tracebench.analysis.findings.evidence import Evidence, part_of
from tracebench.analysis.findings.finding import state, weigh
from tracebench.analysis.statistics.distribution import NS_PER_MS, interval_ranks, rank
from tracebench.analysis.statistics.steady_state import drift, leftover
from tracebench.model.exchange import Nanoseconds, Undecomposed
from tracebench.model.requests import SCHEDULED, SLOT, VARIANT, Requests
from tracebench.model.result import Finding

# Whether a payload is answered faster when it comes again, as a cache would.

_FEWEST_PAYLOADS: Final = 6
"""Payloads: that chance makes the second reply the faster one for all has then less than 2 %."""
_MOST_SHARE: Final = 0.9


class FirstAndSecond(NamedTuple):
    """Median latencies of the first and of the second reply to a payload."""

    first_ns: float
    second_ns: float
    payloads: int


def first_and_second(requests: Requests) -> FirstAndSecond | None:
    """Compare the first with the second reply only: a warm-up takes longer than that to pass.

    Returns:
        None where fewer than six payloads were answered twice, or not nine in ten were faster.
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


# Whether all slots meet the same server: connections often stay with one of its workers.

_FEWEST_A_SLOT: Final = 30
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


# Doubts about what the series of latencies is: steady, long enough, and of one server.

_EVEN: Final = 0.10
"""An open loop whose halves differ by more has a rate that changes, so its latency may too."""
_NAMES: Final = 5
"""So many names a sentence can hold."""

_LEAST_SHARE: Final = 0.05
"""Of the latency: time of the server's that is less explains nothing to anyone."""


def _changes_its_rate(run: Evidence) -> bool:
    requests = run.load.requests
    if not run.load.asked_rps or not len(requests):
        return False
    middle_ns = sum(requests.due_ns) / 2
    early = sum(int(np.count_nonzero(rows[SCHEDULED] <= middle_ns)) for rows in requests.pages())
    return abs(2 * early - len(requests)) > _EVEN * len(requests)


def _not_stationary(run: Evidence) -> Finding | None:
    found = drift(run.latency_ns)
    if found is None or _changes_its_rate(run):
        return None
    return weigh("not_stationary", found.change, **found._asdict())


def _warmup_too_short(run: Evidence) -> Finding | None:
    found = leftover(run.latency_ns)
    return weigh("warmup_too_short", found.shift, cut=found.cut, count=len(run.latency_ns))


def _correlated_samples(run: Evidence) -> Finding | None:
    if run.latency is None or not run.latency.effective_count:
        return None
    count, effective = run.latency.count, run.latency.effective_count
    return weigh("correlated_samples", count / effective, count=count, effective=effective)


def _unexplained_share(run: Evidence) -> Finding | None:
    if SERVER_PROCESSING not in run.components:
        return None
    if share_of(run.components, SERVER_OTHER) <= _LEAST_SHARE:
        return None
    own = run.decomposition.own
    other, *named = (share_of(run.components, n, SERVER_PROCESSING) for n in (SERVER_OTHER, *own))
    return weigh("unexplained_share", other - sum(named))


def _components_outside_requests(run: Evidence) -> Finding | None:
    """Of requests that may lack components; it explains little where little is unexplained."""
    share = part_of(run.decomposition.strays, run.decomposition.count)
    if share and share_of(run.components, SERVER_OTHER) <= _LEAST_SHARE:
        return state("components_outside_requests", "info", value=share)
    return weigh("components_outside_requests", share)


def _names_left_out(run: Evidence) -> Finding | None:
    """Of parts whose times cannot be exclusive times of the server's."""
    left_out = sorted(run.decomposition.left_out.items(), key=itemgetter(1), reverse=True)
    shown = ", ".join(f"{name} ({count})" for name, count in left_out[:_NAMES])
    more = f" and {len(left_out) - _NAMES} more" if len(left_out) > _NAMES else ""
    return weigh("names_left_out", len(left_out), names=shown + more)


def _too_many_names(run: Evidence) -> Finding | None:
    return weigh("too_many_names", run.decomposition.unlisted, most=MOST_OWN_NAMES)


def _negative_network(run: Evidence) -> Finding | None:
    count = run.decomposition.undecomposed.get(Undecomposed.NEGATIVE_NETWORK, 0)
    return weigh("negative_network", part_of(count, run.requests.succeeded))


def _cached_replies(run: Evidence) -> Finding | None:
    found = first_and_second(run.load.requests)
    if found is None:
        return None
    return weigh(
        "cached_replies",
        1 - part_of(found.second_ns, found.first_ns),
        payloads=found.payloads,
        first_ms=found.first_ns / NS_PER_MS,
        second_ms=found.second_ns / NS_PER_MS,
    )


def _uneven_slots(run: Evidence) -> Finding | None:
    if run.load.asked_rps:
        return None
    found = slowest(by_slot(run.load.requests))
    if found is None:
        return None
    return weigh(
        "uneven_slots",
        found.slowest_ns / found.usual_ns - 1,
        slots=found.slots,
        slowest_ms=found.slowest_ns / NS_PER_MS,
        usual_ms=found.usual_ns / NS_PER_MS,
    )


SERIES_JUDGES: Final = (
    _not_stationary,
    _warmup_too_short,
    _uneven_slots,
    _cached_replies,
    _negative_network,
    _unexplained_share,
    _components_outside_requests,
    _names_left_out,
    _too_many_names,
    _correlated_samples,
)

"""Doubts about what the series of latencies is: steady, long enough, and of one server."""

from operator import itemgetter
from typing import Final

import numpy as np

from server_middleware.vocabulary import MOST_OWN_NAMES, SERVER_OTHER, SERVER_PROCESSING
from tracebench.analysis.closure.own_components import share_of
from tracebench.analysis.findings import repeated, spread
from tracebench.analysis.findings.evidence import Evidence, part_of
from tracebench.analysis.findings.finding import state, weigh
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.analysis.statistics.steady_state import drift, leftover
from tracebench.model.exchange import Undecomposed
from tracebench.model.requests import SCHEDULED
from tracebench.model.result import Finding

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
    found = repeated.first_and_second(run.load.requests)
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
    found = spread.slowest(spread.by_slot(run.load.requests))
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

"""Exemplars: actual requests at percentiles of the latency, with stamps and components."""

from typing import Final, NamedTuple

import numpy as np

from tracebench.analysis.closure.decomposition import client_view, latency, ranked
from tracebench.analysis.closure.selection import Selection
from tracebench.analysis.statistics.distribution import NS_PER_MS, Ordered, in_order, rank
from tracebench.model.components import BODY, END_TO_END, SERVICE_TIME
from tracebench.model.record.exchange import Decomposition, Nanoseconds
from tracebench.model.record.requests import STAMPS, Requests
from tracebench.model.results.result import Exemplar

_PERMILLE: Final = (500, 900, 950, 990, 1000)
"""Percentiles, times ten; the last is the slowest request."""


class Ranked(NamedTuple):
    """The requests that latency percentiles cover: every success and every time-out."""

    requests: Requests
    known: Selection
    latency_ns: Nanoseconds

    @classmethod
    def of(cls, requests: Requests) -> "Ranked":
        """Select them from a record."""
        known = ranked(requests)
        return cls(requests, known, known.column(latency))


def exemplars(asked: Ranked, decomposition: Decomposition) -> tuple[Exemplar, ...]:
    """The requests whose latencies are the percentiles; empty if none can be ranked.

    Args:
        asked: the requests that asked for tracing, since users look up an exemplar's trace.
        decomposition: the decomposition of the same record.
    """
    if not len(asked.known):
        return ()
    ordered_ns = in_order(asked.latency_ns)
    found = {permille: _place(asked.latency_ns, ordered_ns, permille) for permille in _PERMILLE}
    return tuple(
        _exemplar(permille / 10, asked.requests, asked.known.place(at), decomposition)
        for permille, at in found.items()
    )


def _place(latency_ns: Nanoseconds, ordered_ns: Ordered, permille: int) -> int:
    """The index of the request at a percentile; among equal latencies, the later ranks higher."""
    at = rank(len(ordered_ns), permille) - 1
    value_ns = int(ordered_ns[at])
    before = int(np.searchsorted(ordered_ns, value_ns))
    return int(np.flatnonzero(latency_ns == value_ns)[at - before])


def _exemplar(
    percentile: float, requests: Requests, place: int, decomposition: Decomposition
) -> Exemplar:
    one = requests.exchange(place)
    reached = {name: getattr(one, f"{name}_ns") for name in STAMPS}
    stamps = {name: (at - one.scheduled_ns) / NS_PER_MS for name, at in reached.items() if at}
    return Exemplar(
        percentile,
        one.trace_id,
        stamps["done"],
        stamps=stamps,
        components=_components(requests, place, decomposition),
    )


def _components(requests: Requests, place: int, decomposition: Decomposition) -> dict[str, float]:
    """The components of one request, in ms; at least the client's view if it succeeded."""
    places = np.array([place])
    alone = decomposition.of_rows(places)
    columns = alone.columns if alone.count else client_view(requests.take(places))
    told = {name: columns[name] for name in columns if name not in (END_TO_END, SERVICE_TIME)}
    return {
        name: float(value_ns[0]) / NS_PER_MS
        for name, value_ns in told.items()
        if len(value_ns) and value_ns[0] >= (name == BODY)  # a body of 0 does not stand apart
    }

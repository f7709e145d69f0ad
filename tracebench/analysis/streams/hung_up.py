"""Streams that the client hung up: their first tokens count, the rest of them is told apart."""

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from typing import Final

import numpy as np

from tracebench.analysis.statistics.distribution import describe, describe_present
from tracebench.analysis.streams.streams import answered, by_request
from tracebench.model.measurement import Measurement
from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.requests import DONE, SCHEDULED, SENT, Requests
from tracebench.model.results.result import Gauge
from tracebench.model.results.stream_result import HungUp, StreamResult

OF_THE_FIRST: Final = ("ttft", "ttft_service", "first_text")
"""The metrics that are known once the first token has come."""
_RUNNING, _WAITING = "requests_running", "requests_waiting"
_FEWEST_READINGS: Final = 5
_FEWEST_LEFT: Final = 0.5
"""Requests that a server would have to work on for nobody, on average, to be noticed."""


def with_hung_up(found: StreamResult | None, load: Measurement) -> StreamResult | None:
    """Add the requests that the client hung up to the result of the others.

    Args:
        found: the result of the streams that ended; None: nothing streamed.
        load: what the engine recorded.
    """
    if found is None or load.streams is None or not load.hang_up_after:
        return found
    lasted_ns = _lasted_ns(load)
    if not len(lasted_ns):
        return found
    others = answered(load.requests, load.streams)
    them = answered(load.requests, load.streams, which=lambda rows: rows.abandoned)
    of_others, of_them = by_request(others), by_request(them)
    order = np.argsort(np.concatenate((others.scheduled, them.scheduled)), kind="stable")
    ttft, ttft_service, first_text = (
        describe_present(np.concatenate((of_others[name], of_them[name]))[order])
        for name in OF_THE_FIRST
    )
    told = HungUp(
        count=len(lasted_ns),
        after=load.hang_up_after,
        without_token=len(lasted_ns) - len(them.rows),
        tokens=int(them.rows["output"].sum()),
        ttft=describe_present(of_them["ttft"]),
        lasted=describe(lasted_ns),
    )
    return replace(found, ttft=ttft, ttft_service=ttft_service, first_text=first_text, hung_up=told)


def _lasted_ns(load: Measurement) -> Int64:
    """How long each request that was hung up lasted, in the order of scheduling."""
    requests = load.requests
    places = requests.places(lambda rows: rows.abandoned)
    lasted_ns = requests.whole(lambda rows: rows.since_scheduled(DONE))[places]
    order = np.argsort(requests.whole(lambda rows: rows[SCHEDULED])[places], kind="stable")
    return np.asarray(lasted_ns[order])


def went_on(
    load: Measurement, found: HungUp, usual_ms: float | None, gauges: Mapping[str, Gauge]
) -> bool | None:
    """Whether a server went on generating for clients that had hung up, by its own gauges.

    If it does, it has more requests than the clients wait for: on average as many as are hung up in
    the time that such a request would still have taken.

    Args:
        load: what the engine recorded.
        found: the requests that were hung up.
        usual_ms: mean latency of the others; None: there are none.
        gauges: the server's gauges, by name.

    Returns:
        None if the gauges do not show it.
    """
    running, waiting = gauges.get(_RUNNING), gauges.get(_WAITING)
    if running is None or found.lasted is None or usual_ms is None or load.block_ends:
        return None
    left_s = max(usual_ms - found.lasted.mean_ms, 0.0) / 1e3
    expected = found.count / load.duration_s * left_s
    if len(running.t_s) < _FEWEST_READINGS or expected < _FEWEST_LEFT:
        return None
    more = np.array(running.value) - _in_flight(load, running.t_s)
    if waiting is not None and waiting.t_s == running.t_s:
        more += np.array(waiting.value)
    error = float(more.std(ddof=1)) / sqrt(len(more))
    if error > expected / 4:
        return None
    return bool(more.mean() > expected / 2)


def _in_flight(load: Measurement, t_s: tuple[float, ...]) -> Int64:
    """How many requests the client waited for at these times, in s since the first was due."""
    at_ns = load.requests.due_ns[0] + (np.array(t_s) * 1e9).astype(np.int64)
    whole = [load.requests] if load.left_out is None else [load.requests, load.left_out]
    return sum((_waited_for(one, at_ns) for one in whole), np.zeros(len(at_ns), np.int64))


def _waited_for(requests: Requests, at_ns: Int64) -> Int64:
    sent = requests.whole(lambda rows: rows.at(SENT))
    done = requests.whole(lambda rows: rows.at(DONE))
    was_sent = sent != ABSENT
    begun = np.searchsorted(np.sort(sent[was_sent]), at_ns, "right")
    return np.asarray(begun - np.searchsorted(np.sort(done[was_sent]), at_ns, "right"))

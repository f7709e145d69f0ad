"""Findings about whether the load was generated as asked, by a tool with time to spare."""

from collections import Counter
from itertools import pairwise
from typing import Final

import numpy as np

from tracebench.analysis.advice import (
    LESS_LOAD,
    OWN_CORE,
    Advice,
    both,
    by_rate,
    by_schedule,
    cap_was_reached,
    given,
    has_one_core,
    unless,
)
from tracebench.analysis.findings.finding import Evidence, FindingKind, part_of, weigh
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.components import CLIENT, END_TO_END
from tracebench.model.measurement import Measurement
from tracebench.model.record.columns import ABSENT
from tracebench.model.record.exchange import Lost, Outcome
from tracebench.model.record.requests import (
    CONNECT,
    LOST,
    LOST_KINDS,
    OUTCOME,
    OUTCOME_CODES,
    READY,
    SCHEDULED,
    SENT,
)
from tracebench.model.results.result import Finding

_CLIENT_SATURATED: Final = FindingKind(
    "client_saturated",
    ((0.10, "warning"), (0.50, "invalid")),
    "{value:%} of the mean latency is the tool's own time "
    "({client_ms:.3g} of {end_to_end_ms:.3g} ms; its CPU was busy {cpu:%} of the run)",
    (*LESS_LOAD, *OWN_CORE),
    "{value:%} of the latency is the tool's own time",
)


def _client_saturated(run: Evidence) -> Finding | None:
    if END_TO_END not in run.components:
        return None
    client_ms = run.components[CLIENT].mean_ms
    end_to_end_ms = run.components[END_TO_END].mean_ms
    return weigh(
        _CLIENT_SATURATED,
        part_of(client_ms, end_to_end_ms),
        client_ms=client_ms,
        end_to_end_ms=end_to_end_ms,
        cpu=part_of(run.load.cpu_s, run.load.duration_s * max(len(run.load.workers), 1)),
    )


_RATE_NOT_MET: Final = FindingKind(
    "rate_not_met",
    ((0.01, "warning"), (0.05, "invalid")),
    "the rate asked for was missed by {value:%}: {achieved_rps:.5g}/s were sent instead of "
    "{asked_rps:.5g}/s",
    (
        Advice("ask for less with --rate", by_rate, short="lower --rate"),
        Advice(
            "ask for less: spread out the times of --arrivals",
            by_schedule,
            short="spread out --arrivals",
        ),
        Advice("allow more requests in flight with --concurrency", cap_was_reached),
        *(one._replace(fits=both(one.fits, unless(cap_was_reached))) for one in OWN_CORE),
    ),
    "{achieved_rps:.4g}/s were sent, {asked_rps:.4g}/s asked for",
)
_FEWEST: Final = 20
"""Requests needed for a meaningful rate; fewer have only a few gaps."""
_FAILED: Final = OUTCOME_CODES[Outcome.FAILED]


def _rate_not_met(run: Evidence) -> Finding | None:
    """Compare the rates from the first request due to the last one due or sent."""
    requests = run.load.requests
    if not run.load.asked_rps or len(requests) < _FEWEST:
        return None
    sent, last_sent_ns = 0, 0
    for rows in requests.pages():
        at_ns = rows.at(SENT)
        # If nothing accepts connections, the tool was still on time.
        at_ns = np.where((at_ns == ABSENT) & (rows[OUTCOME] == _FAILED), rows.at(READY), at_ns)
        sent += int(np.count_nonzero(at_ns != ABSENT))
        last_sent_ns = max(last_sent_ns, int(at_ns.max()))
    if not sent:
        return None
    begin_ns, end_ns = requests.due_ns
    due_ns, late_ns = end_ns - begin_ns, max(last_sent_ns - end_ns, 0)
    if run.load.block_ends:
        due_ns, late_ns = _by_blocks(run.load)
    asked_rps = part_of((len(requests) - 1) * 1e9, due_ns)
    achieved_rps = part_of((sent - 1) * 1e9, due_ns + late_ns)
    missed = 1 - part_of(achieved_rps, asked_rps) if asked_rps else 0.0
    return weigh(_RATE_NOT_MET, missed, achieved_rps=achieved_rps, asked_rps=asked_rps)


def _by_blocks(load: Measurement) -> tuple[int, int]:
    """The total time of a run's arrivals over all blocks, and the delay in sending them, in ns."""
    scheduled = load.requests.whole(lambda rows: rows[SCHEDULED])
    sent = load.requests.whole(lambda rows: rows.at(SENT))
    due_ns = late_ns = 0
    for first, end in pairwise((0, *load.block_ends)):
        if first < end:
            last_ns = int(scheduled[first:end].max())
            due_ns += last_ns - int(scheduled[first:end].min())
            late_ns += max(int(sent[first:end].max()) - last_ns, 0)
    return due_ns, late_ns


_LOOP_LAG: Final = FindingKind(
    "loop_lag",
    ((0.005, "info"), (0.02, "warning"), (0.05, "invalid")),
    "the tool did not look for replies during {value:%} of the run, "
    "{longest_ms:.3g} ms at the longest",
    (
        Advice(
            "give tracebench its own core (taskset)",
            unless(has_one_core),
            short="give it its own core (taskset)",
        ),
        Advice("stop other programs on this machine", short="stop other programs"),
    ),
    "the tool was not reading in {value:%} of the run",
    explained_by=("cpu_shared",),
    spoils=("p99", "p999"),
)


def _loop_lag(run: Evidence) -> Finding | None:
    share = part_of(run.load.stalled_s, run.load.duration_s)
    return weigh(_LOOP_LAG, share, longest_ms=run.load.longest_stall_s * 1e3)


_ARRIVALS_NOT_AS_ASKED: Final = FindingKind(
    "arrivals_not_as_asked",
    ((0.01, "info"), (0.10, "warning")),
    "{value:%} of the requests left more than a mean gap ({gap_ms:.3g} ms) late, because "
    "the tool was busy: the server received them in bursts",
    (*LESS_LOAD, *OWN_CORE),
    "{value:%} of the requests left late, in bursts",
    explained_by=("rate_not_met", "loop_lag", "client_saturated"),
)


def _arrivals_not_as_asked(run: Evidence) -> Finding | None:
    if not run.load.asked_rps:
        return None
    gap_ns = 1e9 / run.load.asked_rps
    sent = late = 0
    for rows in run.load.requests.pages():
        after_ns = rows[SENT]
        sent += int(np.count_nonzero(after_ns != ABSENT))
        late += int(np.count_nonzero(after_ns > gap_ns))
    return weigh(_ARRIVALS_NOT_AS_ASKED, part_of(late, sent), gap_ms=gap_ns / NS_PER_MS)


_CONNECTION_CHURN: Final = FindingKind(
    "connection_churn",
    ((0.05, "info"), (0.20, "warning")),
    "{value:%} of the requests had to wait for a new connection ({connections:,} of {count:,})",
    (
        Advice(
            "let the server keep connections alive, unless its clients really reconnect each time",
            short="keep them alive",
        ),
    ),
    "{value:%} of the requests waited for a new connection",
)
_REFUSED: Final = LOST_KINDS.index(Lost.REFUSED)


def _connection_churn(run: Evidence) -> Finding | None:
    anew = 0
    for rows in run.load.requests.pages():
        connected = rows.succeeded & (rows[CONNECT] > 0) & (rows[LOST] != _REFUSED)
        anew += int(np.count_nonzero(connected))
    count = run.requests.succeeded
    anew = max(anew - run.requests.abandoned, 0)  # who hung up closed the connection
    return weigh(_CONNECTION_CHURN, part_of(anew, count), connections=anew, count=count)


_SENT_AGAIN: Final = FindingKind(
    "sent_again",
    ((0.0, "info"), (0.05, "warning")),
    "{value:%} of the requests were sent a second time ({causes}): the time of the "
    "first attempt counts as connect",
    (
        Advice(
            "let the server keep idle connections longer, for more requests or streams each, and "
            "announce their end (Connection: close, GOAWAY)",
            short="a longer keep-alive in the server",
        ),
    ),
    "{value:%} of the requests had to be sent twice",
    explained_by=("connection_churn",),
)
_LOST: Final = {
    Lost.CLOSED: "as the server closed the connection",
    Lost.GOAWAY: "after its GOAWAY",
    Lost.REFUSED: "refused as REFUSED_STREAM",
}


def _sent_again(run: Evidence) -> Finding | None:
    counts = Counter[Lost]()
    for rows in run.load.requests.pages():
        for at, why in enumerate(LOST_KINDS):
            counts[why] += int(np.count_nonzero(rows[LOST] == at))
    causes = ", ".join(f"{count} {_LOST[why]}" for why, count in (+counts).most_common())
    return weigh(_SENT_AGAIN, part_of(counts.total(), run.requests.started), causes=causes)


NO_PORT_LEFT: Final = "cannot assign requested address"
"""The reason, in the system's words (EADDRNOTAVAIL), why a connection found no local port."""
SPREAD: Final = "spread the connections over several addresses of this machine with --bind"

_NO_LOCAL_PORT: Final = FindingKind(
    "no_local_port",
    ((0.0, "warning"), (0.01, "invalid")),
    "{value:%} of the requests found no free local port for a new connection: to one server, an "
    "address has only those of the system's range, and each stays taken for a minute after use",
    (
        Advice(SPREAD, unless(given("bind")), short="give --bind A,B"),
        Advice("give --bind more addresses of this machine", given("bind"), short="more --bind"),
        Advice(
            "let the server keep connections alive, or widen the range "
            "(sysctl net.ipv4.ip_local_port_range)"
        ),
    ),
    "{value:%} of the requests found no local port",
)


def _no_local_port(run: Evidence) -> Finding | None:
    without = sum(one.count for one in run.errors if NO_PORT_LEFT in one.reason)
    return weigh(_NO_LOCAL_PORT, part_of(without, run.requests.started))


KINDS: Final = (
    _CLIENT_SATURATED,
    _RATE_NOT_MET,
    _LOOP_LAG,
    _ARRIVALS_NOT_AS_ASKED,
    _CONNECTION_CHURN,
    _SENT_AGAIN,
    _NO_LOCAL_PORT,
)
JUDGES: Final = (
    _client_saturated,
    _rate_not_met,
    _loop_lag,
    _arrivals_not_as_asked,
    _connection_churn,
    _sent_again,
    _no_local_port,
)

"""Doubts about the load and the machine that made it."""

from collections import Counter
from typing import Final

import numpy as np

from tracebench.analysis.findings.evidence import Evidence, part_of
from tracebench.analysis.findings.finding import weigh
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.columns import ABSENT
from tracebench.model.exchange import Lost, Outcome
from tracebench.model.requests import (
    CONNECT,
    LOST,
    LOST_KINDS,
    OUTCOME,
    OUTCOME_CODES,
    READY,
    SENT,
)
from tracebench.model.result import Finding

_FEWEST: Final = 20
"""Requests below which a rate is that of a few gaps."""
_SLEWING: Final = 500e-6
"""How fast NTP may turn a clock without stepping it (adjtime(2))."""
_STEP_S: Final = 1e-3
_FAILED: Final = OUTCOME_CODES[Outcome.FAILED]
_REFUSED: Final = LOST_KINDS.index(Lost.REFUSED)
_LOST: Final = {
    Lost.CLOSED: "as the server closed the connection",
    Lost.GOAWAY: "after its GOAWAY",
    Lost.REFUSED: "refused as REFUSED_STREAM",
}


def _rate_not_met(run: Evidence) -> Finding | None:
    """Compare from the first that was due until the last that was due or sent."""
    requests = run.load.requests
    if not run.load.asked_rps or len(requests) < _FEWEST:
        return None
    sent, last_sent_ns = 0, 0
    for rows in requests.pages():
        at_ns = rows.at(SENT)
        # Where nobody accepts, the tool was still on time.
        at_ns = np.where((at_ns == ABSENT) & (rows[OUTCOME] == _FAILED), rows.at(READY), at_ns)
        sent += int(np.count_nonzero(at_ns != ABSENT))
        last_sent_ns = max(last_sent_ns, int(at_ns.max()))
    if not sent:
        return None
    begin_ns, end_ns = requests.due_ns
    asked_rps = part_of((len(requests) - 1) * 1e9, end_ns - begin_ns)
    achieved_rps = part_of((sent - 1) * 1e9, max(end_ns, last_sent_ns) - begin_ns)
    missed = 1 - part_of(achieved_rps, asked_rps) if asked_rps else 0.0
    return weigh("rate_not_met", missed, achieved_rps=achieved_rps, asked_rps=asked_rps)


def _arrivals_not_as_asked(run: Evidence) -> Finding | None:
    if not run.load.asked_rps:
        return None
    gap_ns = 1e9 / run.load.asked_rps
    sent = late = 0
    for rows in run.load.requests.pages():
        after_ns = rows[SENT]
        sent += int(np.count_nonzero(after_ns != ABSENT))
        late += int(np.count_nonzero(after_ns > gap_ns))
    return weigh("arrivals_not_as_asked", part_of(late, sent), gap_ms=gap_ns / NS_PER_MS)


def _loop_lag(run: Evidence) -> Finding | None:
    share = part_of(run.load.stalled_s, run.load.duration_s)
    return weigh("loop_lag", share, longest_ms=run.load.longest_stall_s * 1e3)


def _gc_pauses(run: Evidence) -> Finding | None:
    return weigh("gc_pauses", part_of(run.load.gc_pause_s, run.load.duration_s))


def _cpu_shared(run: Evidence) -> Finding | None:
    if not run.load.same_host or run.load.idle_share is None:
        return None
    return weigh("cpu_shared", 1 - run.load.idle_share)


def _noisy_neighbour(run: Evidence) -> Finding | None:
    return weigh("noisy_neighbour", run.load.stolen_share or 0.0)


def _frequency_scaling(run: Evidence) -> Finding | None:
    changing = [name for name in run.load.governors if name != "performance"]
    return weigh("frequency_scaling", bool(changing), governors=", ".join(changing))


def _compressible_payload(run: Evidence) -> Finding | None:
    if run.load.compressed_share is None:
        return None
    return weigh("compressible_payload", 1 - run.load.compressed_share)


def _clock_stepped(run: Evidence) -> Finding | None:
    step_s = run.load.clock_step_s
    beyond_s = abs(step_s) - _STEP_S - _SLEWING * run.load.duration_s
    return weigh("clock_stepped", beyond_s, step_ms=step_s * 1e3)


def _connection_churn(run: Evidence) -> Finding | None:
    anew = 0
    for rows in run.load.requests.pages():
        connected = rows.succeeded & (rows[CONNECT] > 0) & (rows[LOST] != _REFUSED)
        anew += int(np.count_nonzero(connected))
    count = run.requests.succeeded
    return weigh("connection_churn", part_of(anew, count), connections=anew, count=count)


def _sent_again(run: Evidence) -> Finding | None:
    counts = Counter[Lost]()
    for rows in run.load.requests.pages():
        for at, why in enumerate(LOST_KINDS):
            counts[why] += int(np.count_nonzero(rows[LOST] == at))
    causes = ", ".join(f"{count} {_LOST[why]}" for why, count in (+counts).most_common())
    return weigh("sent_again", part_of(counts.total(), run.requests.started), causes=causes)


def _record_in_memory(run: Evidence) -> Finding | None:
    return weigh("record_in_memory", bool(run.load.record_problem), why=run.load.record_problem)


LOAD_JUDGES: Final = (
    _rate_not_met,
    _loop_lag,
    _arrivals_not_as_asked,
    _connection_churn,
    _sent_again,
    _cpu_shared,
    _noisy_neighbour,
    _frequency_scaling,
    _compressible_payload,
    _gc_pauses,
    _clock_stepped,
    _record_in_memory,
)

"""Doubts about the load and the machine that made it."""

from collections import Counter
from typing import Final

from tracebench.analysis.evidence import Evidence, part_of
from tracebench.analysis.findings import weigh
from tracebench.analysis.statistics import NS_PER_MS
from tracebench.model.exchange import Lost, Outcome
from tracebench.model.result import Finding

_FEWEST: Final = 20
"""Requests below which a rate is that of a few gaps."""
_SLEWING: Final = 500e-6
"""How fast NTP may turn a clock without stepping it (adjtime(2))."""
_STEP_S: Final = 1e-3
_LOST: Final = {
    Lost.CLOSED: "as the server closed the connection",
    Lost.GOAWAY: "after its GOAWAY",
    Lost.REFUSED: "refused as REFUSED_STREAM",
}


def _rate_not_met(run: Evidence) -> Finding | None:
    """Compare from the first that was due until the last that was due or sent."""
    started = run.load.exchanges
    sent_ns = [
        one.sent_ns or one.ready_ns  # where nobody accepts, the tool was still on time
        for one in started
        if one.sent_ns or one.outcome is Outcome.FAILED
    ]
    if not run.load.asked_rps or len(started) < _FEWEST or not sent_ns:
        return None
    due_ns = [one.scheduled_ns for one in started]
    begin_ns, end_ns = min(due_ns), max(due_ns)
    asked_rps = part_of((len(started) - 1) * 1e9, end_ns - begin_ns)
    achieved_rps = part_of((len(sent_ns) - 1) * 1e9, max(end_ns, *sent_ns) - begin_ns)
    missed = 1 - part_of(achieved_rps, asked_rps) if asked_rps else 0.0
    return weigh("rate_not_met", missed, achieved_rps=achieved_rps, asked_rps=asked_rps)


def _arrivals_not_as_asked(run: Evidence) -> Finding | None:
    if not run.load.asked_rps:
        return None
    gap_ns = 1e9 / run.load.asked_rps
    sent = [one for one in run.load.exchanges if one.sent_ns]
    late = sum(one.sent_ns - one.ready_ns > gap_ns for one in sent)
    return weigh("arrivals_not_as_asked", part_of(late, len(sent)), gap_ms=gap_ns / NS_PER_MS)


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
    successes = [one for one in run.load.exchanges if one.outcome is Outcome.SUCCEEDED]
    anew = sum(one.connect_ns > 0 and one.lost is not Lost.REFUSED for one in successes)
    return weigh(
        "connection_churn",
        part_of(anew, len(successes)),
        connections=anew,
        count=len(successes),
    )


def _sent_again(run: Evidence) -> Finding | None:
    counts = Counter(one.lost for one in run.load.exchanges if one.lost is not None)
    causes = ", ".join(f"{count} {_LOST[why]}" for why, count in counts.most_common())
    share = part_of(counts.total(), len(run.load.exchanges))
    return weigh("sent_again", share, causes=causes)


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
)

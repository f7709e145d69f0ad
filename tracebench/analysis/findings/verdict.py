"""Whether the numbers of a run can be trusted: one small judge for each doubt."""

from math import inf
from typing import Final

from tracebench.analysis.findings.before_reply import REPLY_JUDGES
from tracebench.analysis.findings.evidence import Evidence, part_of
from tracebench.analysis.findings.finding import state, weigh
from tracebench.analysis.findings.kinds import SEVERITIES
from tracebench.analysis.findings.load_generator import LOAD_JUDGES
from tracebench.analysis.findings.otlp_spans import SPAN_JUDGES
from tracebench.analysis.findings.series import SERIES_JUDGES
from tracebench.analysis.numbers import rounded
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.components import CLIENT, END_TO_END
from tracebench.model.exchange import Stamp, Undecomposed
from tracebench.model.requests import DONE, WRITE_LAG
from tracebench.model.result import Finding, RequestCounts, Verdict


def judge(run: Evidence) -> Verdict:
    """Look for every doubt; the gravest comes first."""
    return with_findings(Verdict(True, ()), *(judging(run) for judging in _JUDGES))


def with_findings(verdict: Verdict, *more: Finding | None) -> Verdict:
    """A verdict with more findings; the gravest still comes first."""
    findings = [finding for finding in (*verdict.findings, *more) if finding is not None]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity), reverse=True)
    return Verdict(all(finding.severity != "invalid" for finding in findings), tuple(findings))


def interrupted(counts: RequestCounts, when: str) -> Finding:
    """What to say where the user ended the run; `when` follows the word."""
    cancelled, started = counts.cancelled, counts.started
    return state("interrupted", "warning", cancelled=cancelled, started=started, when=when)


def clients_cut_short(rounds: int, why: str) -> Finding:
    """What to say where libraries could not be compared in as many rounds as was planned."""
    return state("clients_cut_short", "warning", value=rounds, why=why)


def spans_lost(failed: int, reason: str) -> Finding:
    """What to say where spans could not be exported."""
    return state("spans_lost", "warning", value=failed, reason=reason)


def _no_successes(run: Evidence) -> Finding | None:
    if run.requests.succeeded or (not run.requests.started and _ended_early(run)):
        return None
    return state("no_successes", "invalid", value=run.requests.started)


def _ended_early(run: Evidence) -> bool:
    return bool(run.load.gave_up) or run.load.interrupted


def _gave_up(run: Evidence) -> Finding | None:
    return weigh("gave_up", bool(run.load.gave_up), why=run.load.gave_up)


def _not_stable(run: Evidence) -> Finding | None:
    asked, latency = run.load.until_stable, run.latency
    if asked is None or latency is None or run.load.stable:
        return None
    value_ms: float = getattr(latency, asked.statistic)
    low_ms, high_ms = latency.ci95.get(asked.statistic, (0.0, inf))
    if max(high_ms - value_ms, value_ms - low_ms) <= asked.share * value_ms:
        return None
    known = f"[{rounded(low_ms, 4)}, {rounded(high_ms, 4)}] ms" if high_ms < inf else "unknown"
    name, share = asked.statistic.removesuffix("_ms"), asked.share * 100
    return state("not_stable", "invalid", name=name, share=share, known=known)


def _errors(run: Evidence) -> Finding | None:
    failed, timed_out = run.requests.failed, run.requests.timed_out
    share = part_of(failed + timed_out, run.requests.started)
    return weigh("errors", share, failed=failed, timed_out=timed_out)


def _interrupted(run: Evidence) -> Finding | None:
    if not run.load.interrupted:
        return None
    if not run.requests.started:
        return interrupted(run.requests, " before the warm-up was over")
    share = run.load.done_share
    return interrupted(run.requests, "" if share is None else f" at {share:.0%}")


def _client_saturated(run: Evidence) -> Finding | None:
    if END_TO_END not in run.components:
        return None
    client_ms = run.components[CLIENT].mean_ms
    end_to_end_ms = run.components[END_TO_END].mean_ms
    return weigh(
        "client_saturated",
        part_of(client_ms, end_to_end_ms),
        client_ms=client_ms,
        end_to_end_ms=end_to_end_ms,
        cpu=part_of(run.load.cpu_s, run.load.duration_s),
    )


def _late_writes(run: Evidence) -> Finding | None:
    lag_ns = latency_ns = longest_ns = 0
    for rows in run.load.requests.pages():
        succeeded = rows.succeeded
        lags_ns = rows[WRITE_LAG][succeeded]
        lag_ns += int(lags_ns.sum())
        longest_ns = max(longest_ns, int(lags_ns.max(initial=0)))
        latency_ns += int(rows.since_scheduled(DONE)[succeeded].sum())
    share = part_of(lag_ns, latency_ns)
    return weigh("late_writes", share, longest_ms=longest_ns / NS_PER_MS)


def _stamped(run: Evidence, code: str, stamp: Stamp) -> Finding | None:
    return weigh(code, part_of(run.stamps[stamp.value], run.requests.succeeded))


def _no_kernel_stamps(run: Evidence) -> Finding | None:
    if run.load.unix_socket:
        return state("unix_socket", "info")
    return _stamped(run, "no_kernel_stamps", Stamp.USER)


def _shared_stamps(run: Evidence) -> Finding | None:
    return _stamped(run, "shared_stamps", Stamp.SHARED)


def _reported_nothing(run: Evidence) -> bool:
    only = set(run.decomposition.undecomposed) == {Undecomposed.NO_TIMING}
    return only and not run.decomposition.count


def _no_server_timing(run: Evidence) -> Finding | None:
    silent = run.decomposition.undecomposed.get(Undecomposed.NO_TIMING, 0)
    return weigh("no_server_timing", silent if _reported_nothing(run) else 0)


def _not_decomposed(run: Evidence) -> Finding | None:
    if _reported_nothing(run):
        return None
    counts = run.decomposition.undecomposed
    reasons = "; ".join(f"{reason.value} ({count})" for reason, count in counts.items())
    undecomposed = sum(counts.values())
    share = part_of(undecomposed, undecomposed + run.decomposition.count)
    return weigh("not_decomposed", share, reasons=reasons)


def _scaled_mirror(run: Evidence) -> Finding | None:
    decomposed = run.decomposition.count
    return weigh("scaled_mirror", run.decomposition.scaled, decomposed=decomposed)


def _too_few_samples(run: Evidence) -> Finding | None:
    if run.latency is None:
        return None
    names, count, worth = run.latency.unsupported, run.latency.count, run.latency.effective_count
    return weigh(
        "too_few_samples",
        len(names),
        count=count,
        worth=", correlated as they are," if worth and worth < count else "",
        names=", ".join(name.removesuffix("_ms") for name in names),
    )


_JUDGES: Final = (
    _no_successes,
    _gave_up,
    _not_stable,
    _errors,
    _interrupted,
    _client_saturated,
    *LOAD_JUDGES,
    _late_writes,
    _no_kernel_stamps,
    _shared_stamps,
    _no_server_timing,
    _not_decomposed,
    _scaled_mirror,
    *REPLY_JUDGES,
    *SERIES_JUDGES,
    _too_few_samples,
    *SPAN_JUDGES,
)
"""In the order in which a reader should hear of findings of equal severity."""

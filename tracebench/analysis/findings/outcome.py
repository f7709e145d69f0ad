"""Findings about failed requests and about runs that ended early."""

from math import inf
from typing import Final

from tracebench.analysis.advice import (
    Advice,
    Situation,
    both,
    by_rate,
    may_lower_concurrency,
    timed_out,
)
from tracebench.analysis.findings.finding import (
    INFO,
    INVALID,
    WARNING,
    Evidence,
    FindingKind,
    part_of,
    state,
    weigh,
)
from tracebench.analysis.numbers import percent, rounded
from tracebench.analysis.streams.hung_up import went_on
from tracebench.model.results.result import Finding, RequestCounts

_NO_SUCCESSES: Final = FindingKind(
    "no_successes",
    INVALID,
    "no request succeeded, of {value:,} that were started",
    (
        Advice(
            "look at the errors; `--dry-run` shows one exchange in full",
            short="--dry-run shows one in full",
        ),
    ),
    "no request succeeded, of {value:,} started",
    explained_by=("gave_up",),
)


def _no_successes(run: Evidence) -> Finding | None:
    if run.requests.succeeded or (not run.requests.started and _ended_early(run)):
        return None
    if run.requests.abandoned and not run.requests.failed + run.requests.timed_out:
        return None  # as asked
    return state(_NO_SUCCESSES, "invalid", value=run.requests.started)


def _ended_early(run: Evidence) -> bool:
    return bool(run.load.gave_up) or run.load.interrupted


_GAVE_UP: Final = FindingKind(
    "gave_up",
    INVALID,
    "the run was given up: {why}",
    (
        Advice(
            "check the server's log; if it is only slow, allow more time with --timeout",
            short="check the server's log",
        ),
    ),
    "given up: {why}",
)


def _gave_up(run: Evidence) -> Finding | None:
    return weigh(_GAVE_UP, bool(run.load.gave_up), why=run.load.gave_up)


_NOT_STABLE: Final = FindingKind(
    "not_stable",
    INVALID,
    "the run ended before {name} was known within {share:%} of its value: its 95 % interval "
    "is {known}",
    (
        Advice(
            "allow a longer run (--duration, --requests), or ask for less with --until-stable",
            short="longer --duration",
        ),
    ),
    "{name} is not known within {share:%} yet, but as {known}",
)


def _not_stable(run: Evidence) -> Finding | None:
    asked, latency = run.load.until_stable, run.latency
    if asked is None or latency is None or run.load.stable:
        return None
    value_ms: float = getattr(latency, asked.statistic)
    low_ms, high_ms = latency.ci95.get(asked.statistic, (0.0, inf))
    if max(high_ms - value_ms, value_ms - low_ms) <= asked.share * value_ms:
        return None
    known = f"[{rounded(low_ms, 4)}, {rounded(high_ms, 4)}] ms" if high_ms < inf else "unknown"
    name = asked.statistic.removesuffix("_ms")
    return state(_NOT_STABLE, "invalid", name=name, share=asked.share, known=known)


def _mostly_timed_out(now: Situation) -> bool:
    """Whether most failures are time-outs; others are not due to load or a short time-out."""
    return now.target.requests.timed_out > now.target.requests.failed


_ERRORS: Final = FindingKind(
    "errors",
    ((0.0, "warning"), (0.01, "invalid")),
    "{value:%} of the requests did not succeed: {failed:,} failed, {timed_out:,} timed out",
    (
        Advice(
            "fix the cause that the errors name; if the server went away, check its log",
            short=lambda now: "" if _mostly_timed_out(now) else "see the server's log",
        ),
        Advice(
            "a lower --concurrency may avoid time-outs",
            both(timed_out, may_lower_concurrency),
            short="lower --concurrency",
        ),
        Advice(
            "a lower --rate may avoid time-outs",
            both(timed_out, by_rate),
            short="lower --rate",
        ),
        Advice("a longer --timeout waits for slow replies", timed_out, short="raise --timeout"),
    ),
    "{value:%} of the requests failed{late}",
    explained_by=("no_successes", "no_local_port"),
)


def _errors(run: Evidence) -> Finding | None:
    counts = run.requests
    share = part_of(counts.failed + counts.timed_out, counts.started)
    return weigh(
        _ERRORS,
        share,
        failed=counts.failed,
        timed_out=counts.timed_out,
        late=" or timed out" if counts.timed_out else "",
    )


_INTERRUPTED: Final = FindingKind(
    "interrupted",
    WARNING,
    "the run was interrupted{when}, with {cancelled:,} of {started:#request} cancelled: not "
    "everything was measured",
    (
        Advice(
            "let it finish, or ask for a shorter one with --requests or --duration",
            short="let it finish, or shorten it (--duration)",
        ),
    ),
    "interrupted{when}",
)


def interrupted(counts: RequestCounts, when: str) -> Finding:
    """The finding for a run that the user ended; `when` follows the word `interrupted`."""
    cancelled, started = counts.cancelled, counts.started
    return state(_INTERRUPTED, "warning", cancelled=cancelled, started=started, when=when)


def _interrupted(run: Evidence) -> Finding | None:
    if not run.load.interrupted:
        return None
    if not run.requests.started:
        return interrupted(run.requests, " before the warm-up was over")
    share = run.load.done_share
    return interrupted(run.requests, "" if share is None else f" at {percent(share)}")


_HUNG_UP: Final = FindingKind(
    "hung_up",
    INFO,
    "the client hung up {value:#request} of {started:,} after {after}, as asked: their first "
    "tokens count, nothing else of them does{lean}; {server}",
    (
        Advice(
            "compare with a run without --hang-up-after to see what it costs the others",
            short="compare with a run without it",
        ),
    ),
    "{value:,} hung up after {after}, as asked",
)
_LEAN: Final = "; after a time it is the slow ones that are hung up, so the rest is the faster ones"
_OF_THE_SERVER: Final = {
    True: "the server went on generating for them, by its gauges",
    False: "the server stopped generating for them, by its gauges",
    None: "whether the server went on generating for them cannot be seen without its gauges "
    "(--metrics-url), for long enough",
}


def _hung_up(run: Evidence) -> Finding | None:
    found = None if run.stream is None else run.stream.hung_up
    count = run.requests.abandoned
    if not count:
        return None
    usual_ms = run.latency.mean_ms if run.latency is not None else None
    server = None if found is None else went_on(run.load, found, usual_ms, run.gauges)
    after = run.load.hang_up_after
    return weigh(
        _HUNG_UP,
        count,
        after=after,
        started=run.requests.started,
        lean=_LEAN if after.endswith(" s") else "",
        server=_OF_THE_SERVER[server],
    )


KINDS: Final = (
    _NO_SUCCESSES,
    _GAVE_UP,
    _NOT_STABLE,
    _ERRORS,
    _INTERRUPTED,
    _HUNG_UP,
)
JUDGES: Final = (
    _no_successes,
    _gave_up,
    _not_stable,
    _errors,
    _interrupted,
    _hung_up,
)

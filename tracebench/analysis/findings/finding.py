"""The list of findings: what can be said against a run, how grave it is, and what mends it.

A finding grows with one number, its value; the levels say from which value on it is how severe.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from tracebench.analysis.advice import (
    LESS_LOAD,
    LONGER,
    OWN_CORE,
    Advice,
    Situation,
    both,
    by_rate,
    fitting,
    given,
    may_lower_concurrency,
    on_linux,
    pieces,
    timed_out,
    unless,
)
from tracebench.analysis.findings.kinds import (
    INFO,
    INVALID,
    LOAD_KINDS,
    WARNING,
    FindingKind,
    Severity,
)
from tracebench.analysis.findings.reply_kinds import REPLY_KINDS
from tracebench.analysis.findings.span_kinds import SPAN_KINDS, TAKE_THE_CONTEXT
from tracebench.analysis.numbers import Wording
from tracebench.analysis.statistics.distribution import SAMPLE_FLOORS
from tracebench.model.result import Finding, TargetResult

FINDINGS: Final = {
    "no_successes": FindingKind(
        INVALID,
        "none of the {value} requests that were started succeeded",
        "look at the errors; `--dry-run` shows one exchange in full",
    ),
    "gave_up": FindingKind(
        INVALID,
        "the run was given up: {why}",
        "check the server's log; where it is only slow, allow longer with --timeout",
    ),
    "not_stable": FindingKind(
        INVALID,
        "the run ended before {name} was known within {share:.3g}% of its value: its 95 % interval "
        "is {known}",
        "allow a longer run (--duration, --requests), or ask for less with --until-stable",
    ),
    "errors": FindingKind(
        ((0.0, "warning"), (0.01, "invalid")),
        "{value:.2%} of the requests did not succeed: {failed} failed, {timed_out} timed out",
        (
            Advice("fix the cause shown above; if the server went away, check its log"),
            Advice(
                "a lower --concurrency may avoid time-outs", both(timed_out, may_lower_concurrency)
            ),
            Advice("a lower --rate may avoid time-outs", both(timed_out, by_rate)),
            Advice("a longer --timeout waits for slow replies", timed_out),
        ),
    ),
    "client_saturated": FindingKind(
        ((0.10, "warning"), (0.50, "invalid")),
        "{value:.0%} of the mean latency is the tool's own time "
        "({client_ms:.3g} of {end_to_end_ms:.3g} ms; its CPU was busy {cpu:.0%} of the run)",
        (*LESS_LOAD, *OWN_CORE),
    ),
    "late_writes": FindingKind(
        ((0.01, "info"), (0.10, "warning")),
        "up to {value:.1%} of the mean latency may be the tool resuming a partial write late "
        "(at most {longest_ms:.3g} ms a request, counted as network)",
        (*LESS_LOAD, Advice("send a smaller payload")),
    ),
    "no_kernel_stamps": FindingKind(
        ((0.01, "info"), (0.10, "warning")),
        "{value:.1%} of the replies carry no kernel receive stamp: there, the tool's own lag in "
        "reading is counted as network",
        (
            Advice("measure from Linux", unless(on_linux)),
            Advice("where the server closes connections, let it keep them alive"),
        ),
    ),
    "unix_socket": FindingKind(
        INFO,
        "the target is a Unix socket, where the kernel stamps no arrivals and knows no round trip: "
        "the tool's own lag in reading is counted as network",
        "let the server listen at 127.0.0.1 as well, to tell the two apart",
    ),
    "shared_stamps": FindingKind(
        ((0.0, "info"), (0.50, "warning")),
        "for {value:.1%} of the replies the arrival is an upper bound: several came in one read",
        (
            Advice(
                "leave --connections out: one connection a slot has exact stamps",
                given("connections"),
            ),
        ),
    ),
    "no_server_timing": FindingKind(
        INFO,
        "the server reported no timing in any of its {value} replies",
        "two lines in the server, `from server_middleware import instrument` and "
        "`instrument(app)` (gRPC: its interceptors), or a reply header of its own, "
        'X-Timing-Info: {"inference": 0.012, "server_processing": 0.015} (seconds)',
    ),
    "not_decomposed": FindingKind(
        ((0.0, "info"), (0.01, "warning")),
        "{value:.2%} of the successes could not be decomposed: {reasons}",
        "look at what the server reports with --dry-run; they count in `latency` alone",
    ),
    "scaled_mirror": FindingKind(
        INFO,
        "in {value} of {decomposed} replies the rounded parts exceeded their total by less than "
        "a last digit each, and were scaled down to it",
        "let the server report its times with more digits",
    ),
    "close_to_floor": FindingKind(
        INFO,
        "the median {what} of {median_ms:.3g} ms is {value:.2g} times the floor's {floor_ms:.3g} "
        "ms: much of it would pass with any server",
        "compare servers this fast by the difference from the floor",
    ),
    "floor_unknown": FindingKind(
        INFO,
        "a median latency of {median_ms:.3g} ms is little enough that the tool and the kernels "
        "may be a large part of it",
        (
            Advice(
                "--floor measures the same exchange against a server that does nothing",
                unless(given("floor")),
            ),
        ),
    ),
    "too_few_samples": FindingKind(
        ((0, "info"), (3, "warning")),
        "{count} samples{worth} are too few for {names}: given without an interval",
        (
            *LONGER,
            Advice(
                "independent samples needed are "
                + ", ".join(f"{least:,} for {name[:-3]}" for name, least in SAMPLE_FLOORS.items())
            ),
        ),
    ),
    "littles_law": FindingKind(
        ((0.05, "warning"),),
        "at {load:g} under way, throughput × mean time in each component sums to {found:.3g}: "
        "{off:.0%} off, and the ends of the run explain less",
        "look at that step's errors and undecomposed requests, and measure longer (--duration)",
    ),
    "steps_not_valid": FindingKind(
        WARNING,
        "not valid: {value} of {steps} steps ({loads})",
        "see the verdict of each in --output-json; the scaling counts only those that the tool "
        "itself limited",
    ),
    "interrupted": FindingKind(
        WARNING,
        "the run was interrupted{when}: {cancelled} of {started} requests were cancelled. What was "
        "asked for was not measured",
        "let it finish, or plan a shorter one with --requests or --duration",
    ),
    "traces_missing": FindingKind(
        ((0.0, "info"), (0.005, "warning")),
        "{value:.2%} of the traces could not be read back ({missing} of {asked}): {reason}{came}",
        (
            *TAKE_THE_CONTEXT,
            Advice(
                "see that the server exports every trace that asks for it to the same Jaeger, that "
                "Jaeger keeps as many, and that --jaeger names it",
                cause="lost",
            ),
        ),
    ),
    "unreadable_archive": FindingKind(
        ((0.0, "info"), (0.01, "warning")),
        "{bad} lines or spans of the archive cannot be read: {why}",
        "see that the file is whole; what can be read is all that counts here",
    ),
    "no_run_facts": FindingKind(
        INFO,
        "the archive has lost what the run knew besides its requests (CPU time, TCP, plan): "
        "duration and rate are those from the first request to the last",
        "let the collector keep the resource attribute tracebench.run.facts",
    ),
    "rules_missing": FindingKind(
        WARNING,
        "the run mapped spans by the rules in {path!r}, which is not here: the components may "
        "differ from the run's",
        "give the file with --mapping",
    ),
    "untraced_missing": FindingKind(
        WARNING,
        "only the requests that were drawn to ask for tracing are in the archive: counts and "
        "throughput are theirs alone",
        "see the run's own result (--output-json)",
    ),
    "other_client": FindingKind(
        INFO,
        "another client made these requests: only begin and end of each are known, so backlog, "
        "connect and client are 0 here, and what it took for itself is counted as network",
        "measure with `tracebench run` to tell the client from the network",
    ),
    "clients_cut_short": FindingKind(
        WARNING,
        "the comparison with client libraries ended after {value} rounds: {why}",
        "see what became of the server, and run again",
    ),
    "spans_lost": FindingKind(
        WARNING,
        "{value} spans could not be exported: {reason}",
        (
            Advice("see that the collector takes them, at --otlp-endpoint", given("otlp_endpoint")),
            Advice("see that the collector takes them, at --forward-otlp", given("forward_otlp")),
            Advice("see that there is room where --output-traces writes", given("output_traces")),
        ),
    ),
} | {**LOAD_KINDS, **SPAN_KINDS, **REPLY_KINDS}


def weigh(
    code: str, value: float, *, because: Collection[str] = (), **evidence: object
) -> Finding | None:
    """Judge one value.

    Args:
        code: a key of FINDINGS.
        value: what the severity depends on; shares are fractions.
        because: what it is due to, where advice depends on that.
        evidence: what else the message tells.

    Returns:
        The finding, or None where the value is above none of its limits.
    """
    passed = [severity for limit, severity in FINDINGS[code].levels if value > limit]
    return state(code, passed[-1], because, value=value, **evidence) if passed else None


def state(
    code: str, severity: Severity, because: Collection[str] = (), **evidence: object
) -> Finding:
    """Word a finding whose severity is known.

    Its hint is all the advice that helps: `advised` leaves out what does not fit.

    Args:
        code: a key of FINDINGS.
        severity: how grave it is.
        because: what it is due to, where advice depends on that.
        evidence: what the message tells.
    """
    kind = FINDINGS[code]
    helping = (one for one in pieces(kind.hint) if not one.cause or one.cause in because)
    hint = "; ".join(one.text for one in helping)
    return Finding(code, severity, Wording().format(kind.message, **evidence), hint)


def advised(
    targets: Mapping[str, TargetResult], plan: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, TargetResult]:
    """The results, with the advice that fits them in the hints of their findings.

    Args:
        targets: what was found.
        plan: what was asked for, as the result file tells it.
        environment: where it was measured.
    """
    return {
        name: _advised(target, Situation(plan, environment, target))
        for name, target in targets.items()
    }


def _helping(finding: Finding) -> tuple[Advice, ...]:
    """The advice that a finding was given."""
    return tuple(one for one in pieces(FINDINGS[finding.code].hint) if one.text in finding.hint)


def _advised(target: TargetResult, now: Situation) -> TargetResult:
    findings = tuple(
        replace(one, hint=fitting(_helping(one), now)) for one in target.verdict.findings
    )
    return replace(target, verdict=replace(target.verdict, findings=findings))

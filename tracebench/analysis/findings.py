"""The list of findings: what can be said against a run, how grave it is, and what mends it.

A finding grows with one number, its value; the levels say from which value on it is how severe.
"""

from typing import Final

from tracebench.analysis.kinds import INFO, INVALID, LOAD_KINDS, WARNING, Kind, Severity
from tracebench.analysis.span_kinds import SPAN_KINDS
from tracebench.analysis.statistics import SAMPLE_FLOORS
from tracebench.model.result import Finding
from tracebench.numbers import Wording

FINDINGS: Final = {
    "no_successes": Kind(
        INVALID,
        "none of the {value} requests that were started succeeded",
        "look at the errors; `--dry-run` shows one exchange in full",
    ),
    "gave_up": Kind(
        INVALID,
        "the run was given up: {why}",
        "see what became of the server, or allow slower replies with --timeout",
    ),
    "not_stable": Kind(
        INVALID,
        "the run ended before {name} was known within {share:.3g}% of its value: its 95 % interval "
        "is {known}",
        "measure longer (--duration, --requests), or be content with less (--until-stable)",
    ),
    "errors": Kind(
        ((0.0, "warning"), (0.01, "invalid")),
        "{value:.2%} of the requests did not succeed: {failed} failed, {timed_out} timed out",
        "mend what the errors name: where the server went away, see what became of it; where it is "
        "slow, a lower --concurrency or a longer --timeout may avoid them",
    ),
    "client_saturated": Kind(
        ((0.10, "warning"), (0.50, "invalid")),
        "{value:.0%} of the mean latency is the tool's own time "
        "({client_ms:.3g} of {end_to_end_ms:.3g} ms; its CPU was busy {cpu:.0%} of the run)",
        "lower --concurrency, or give tracebench a core that the server does not use (taskset)",
    ),
    "late_writes": Kind(
        ((0.01, "info"), (0.10, "warning")),
        "up to {value:.1%} of the mean latency may be the tool resuming a partial write late "
        "(at most {longest_ms:.3g} ms a request, counted as network)",
        "lower --concurrency, or send a smaller payload",
    ),
    "no_kernel_stamps": Kind(
        ((0.01, "info"), (0.10, "warning")),
        "{value:.1%} of the replies carry no kernel receive stamp: there, the tool's own lag in "
        "reading is counted as network",
        "measure from Linux; where the server closes connections, let it keep them alive",
    ),
    "shared_stamps": Kind(
        ((0.0, "info"), (0.50, "warning")),
        "for {value:.1%} of the replies the arrival is an upper bound: several came in one read",
        "leave --connections out: one connection a slot has exact stamps",
    ),
    "no_server_timing": Kind(
        INFO,
        "the server reported no timing in any of its {value} replies",
        "two lines in the server, `from server_middleware import instrument` and "
        "`instrument(app)` (gRPC: its interceptors), or a reply header of its own, "
        'X-Timing-Info: {"inference": 0.012, "server_processing": 0.015} (seconds)',
    ),
    "not_decomposed": Kind(
        ((0.0, "info"), (0.01, "warning")),
        "{value:.2%} of the successes could not be decomposed: {reasons}",
        "look at what the server reports with --dry-run; they count in `latency` alone",
    ),
    "scaled_mirror": Kind(
        INFO,
        "in {value} of {decomposed} replies the rounded parts exceeded their total by less than "
        "a last digit each, and were scaled down to it",
        "let the server report its times with more digits",
    ),
    "close_to_floor": Kind(
        INFO,
        "the median {what} of {median_ms:.3g} ms is {value:.2g} times the floor's {floor_ms:.3g} "
        "ms: much of it would pass with any server",
        "compare servers this fast by the difference from the floor",
    ),
    "floor_unknown": Kind(
        INFO,
        "a median latency of {median_ms:.3g} ms is little enough that the tool and the kernels "
        "may be a large part of it",
        "--floor measures the same exchange against a server that does nothing",
    ),
    "too_few_samples": Kind(
        ((0, "info"), (3, "warning")),
        "{count} samples{worth} are too few for {names}: given without an interval",
        "measure longer (--requests, --duration): independent samples needed are "
        + ", ".join(f"{least:,} for {name[:-3]}" for name, least in SAMPLE_FLOORS.items()),
    ),
    "waiting_before_server_span": Kind(
        ((0.10, "info"),),
        "{waiting_ms:.3g} ms of the median network time of {network_ms:.3g} ms cannot be the "
        "path, whose round trip takes {rtt_ms:.3g} ms: it passes outside the server's span "
        "(accept queue, waiting for a worker, reading and writing)",
        "give the server more workers or threads; with a large payload, look at bandwidth too",
    ),
    "littles_law": Kind(
        ((0.05, "warning"),),
        "at {load:g} under way, throughput × mean time in each component sums to {found:.3g}: "
        "{off:.0%} off, and the ends of the run explain less",
        "look at that step's errors and undecomposed requests, and measure longer (--duration)",
    ),
    "steps_not_valid": Kind(
        WARNING,
        "not valid: {value} of {steps} steps ({loads})",
        "see the verdict of each in --output-json; the scaling counts only those that the tool "
        "itself limited",
    ),
    "interrupted": Kind(
        WARNING,
        "the run was interrupted{when}: {cancelled} of {started} requests were cancelled",
        "let it finish, or plan a shorter one with --requests or --duration",
    ),
    "traces_missing": Kind(
        ((0.0, "info"), (0.005, "warning")),
        "{value:.2%} of the traces could not be read back ({missing} of {asked}): {reason}",
        "see that the server exports every trace that asks for it to the same Jaeger, that "
        "Jaeger keeps as many, and that --jaeger names it",
    ),
    "unreadable_archive": Kind(
        ((0.0, "info"), (0.01, "warning")),
        "{bad} lines or spans of the archive cannot be read: {why}",
        "see that the file is whole; what can be read is all that counts here",
    ),
    "no_run_facts": Kind(
        INFO,
        "the archive has lost what the run knew besides its requests (CPU time, TCP, plan): "
        "duration and rate are those from the first request to the last",
        "let the collector keep the resource attribute tracebench.run.facts",
    ),
    "rules_missing": Kind(
        WARNING,
        "the run mapped spans by the rules in {path!r}, which is not here: the components may "
        "differ from the run's",
        "give the file with --mapping",
    ),
    "untraced_missing": Kind(
        WARNING,
        "only the requests that were drawn to ask for tracing are in the archive: counts and "
        "throughput are theirs alone",
        "see the run's own result (--output-json)",
    ),
    "other_client": Kind(
        INFO,
        "another client made these requests: only begin and end of each are known, so backlog, "
        "connect and client are 0 here, and what it took for itself is counted as network",
        "measure with `tracebench run` to tell the client from the network",
    ),
    "clients_cut_short": Kind(
        WARNING,
        "the comparison with client libraries ended after {value} rounds: {why}",
        "see what became of the server, and run again",
    ),
    "spans_lost": Kind(
        WARNING,
        "{value} spans could not be exported: {reason}",
        "see that the collector takes them, and check --otlp-endpoint, --forward-otlp or "
        "--output-traces",
    ),
} | {**LOAD_KINDS, **SPAN_KINDS}


def weigh(code: str, value: float, **evidence: object) -> Finding | None:
    """Judge one value.

    Args:
        code: a key of FINDINGS.
        value: what the severity depends on; shares are fractions.
        evidence: what else the message tells.

    Returns:
        The finding, or None where the value is above none of its limits.
    """
    passed = [severity for limit, severity in FINDINGS[code].levels if value > limit]
    return state(code, passed[-1], value=value, **evidence) if passed else None


def state(code: str, severity: Severity, **evidence: object) -> Finding:
    """Word a finding whose severity is known; its message is given the evidence."""
    kind = FINDINGS[code]
    return Finding(code, severity, Wording().format(kind.message, **evidence), kind.hint)

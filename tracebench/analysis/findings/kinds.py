"""What a finding is made of, and those on the load, the machine and the series of latencies."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from tracebench.analysis.advice import (
    LESS_LOAD,
    LONGER,
    OWN_CORE,
    Advice,
    Hint,
    both,
    by_rate,
    by_schedule,
    cap_was_reached,
    given,
    has_one_core,
    reports_parts,
    unless,
    warms_up_by_itself,
)

Severity = Literal["info", "warning", "invalid"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "invalid")


class FindingKind(NamedTuple):
    """One kind of finding."""

    levels: Sequence[tuple[float, Severity]]
    """(limit, severity), ascending: the last limit that the value is above counts."""
    message: str
    """A template; it is given the value and whatever else is the evidence."""
    hint: Hint
    """What to do about it; see advice.py."""


INFO, WARNING, INVALID = (((0.0, severity),) for severity in SEVERITIES)

LOAD_KINDS: Final = {
    "rate_not_met": FindingKind(
        ((0.01, "warning"), (0.05, "invalid")),
        "the rate asked for was missed by {value:.1%}: {achieved_rps:.5g}/s were sent instead of "
        "{asked_rps:.5g}/s",
        (
            Advice("ask for less with --rate", by_rate),
            Advice("ask for less: spread the times of --arrivals out", by_schedule),
            Advice("allow more under way at once with --concurrency", cap_was_reached),
            *(one._replace(fits=both(one.fits, unless(cap_was_reached))) for one in OWN_CORE),
        ),
    ),
    "arrivals_not_as_asked": FindingKind(
        ((0.01, "info"), (0.10, "warning")),
        "{value:.1%} of the requests left more than a mean gap ({gap_ms:.3g} ms) after their "
        "time, because the tool was busy: the server got them in bunches",
        (*LESS_LOAD, *OWN_CORE),
    ),
    "loop_lag": FindingKind(
        ((0.005, "info"), (0.02, "warning"), (0.05, "invalid")),
        "the tool did not look for replies during {value:.1%} of the run, "
        "{longest_ms:.3g} ms at the longest",
        (
            Advice("give tracebench a core of its own (taskset)", unless(has_one_core)),
            Advice("stop what else runs on this machine"),
        ),
    ),
    "gc_pauses": FindingKind(
        ((0.001, "info"), (0.01, "warning")),
        "Python collected garbage during {value:.1%} of the run",
        "keep other code out of the process that measures",
    ),
    "cpu_shared": FindingKind(
        ((0.50, "info"), (0.90, "warning")),
        "the server runs on the tool's own machine (both ends of the connections have one "
        "address), whose CPUs were busy {value:.0%} of the run: they take time from each other",
        (
            Advice("run tracebench on another machine"),
            Advice("or give each its own cores (taskset)", unless(has_one_core)),
        ),
    ),
    "noisy_neighbour": FindingKind(
        ((0.01, "info"), (0.05, "warning")),
        "the hypervisor gave {value:.1%} of this machine's CPU time to others",
        "measure again later, or on a machine of your own; compare by interleaved runs",
    ),
    "frequency_scaling": FindingKind(
        INFO,
        "the clocks of this machine's CPUs may change during the run (governor {governors}): the "
        "first requests may find a slower machine than the last",
        "cpupower frequency-set --governor performance, on the server's machine as well",
    ),
    "compressible_payload": FindingKind(
        ((0.90, "info"),),
        "the payload shrinks by {value:.0%} when it is compressed, as real data seldom do: "
        "whatever compresses on the way, or skips zeros, is faster here than it will be",
        (
            Advice("send what users will send, not what was made up"),
            Advice("--json gives the model's input", given("oip")),
        ),
    ),
    "clock_stepped": FindingKind(
        WARNING,
        "the wall clock went {step_ms:+.3g} ms from the monotonic one during the run: times of "
        "spans shift by that, and stamps at the step fall back to the tool's own",
        "let the clock settle (chronyc tracking), then measure again; durations are not affected",
    ),
    "record_in_memory": FindingKind(
        INFO,
        "the record of the requests outgrew 64 MiB and stayed in memory, because {why}: a longer "
        "run may fill the memory",
        "set TMPDIR to a folder on a disk with free space",
    ),
    "connection_churn": FindingKind(
        ((0.05, "info"), (0.20, "warning")),
        "{value:.1%} of the requests had to wait for a new connection ({connections} of {count})",
        "let the server keep connections alive, unless its clients really come anew",
    ),
    "sent_again": FindingKind(
        ((0.0, "info"), (0.05, "warning")),
        "{value:.2%} of the requests were sent a second time ({causes}): what the first attempt "
        "took counts as connect",
        "let the server keep idle connections longer, for more requests or streams each, and "
        "announce their end (Connection: close, GOAWAY)",
    ),
    "not_stationary": FindingKind(
        ((0.02, "info"), (0.10, "warning"), (0.50, "invalid")),
        "the server changed by {value:.0%} within the run: the mean latency was {before_ms:.3g} "
        "ms before {at:.0%} of the requests, and {after_ms:.3g} ms after",
        (
            *LONGER,
            Advice("leave the warm-up out with --warmup auto", unless(warms_up_by_itself)),
            Advice("see whether memory, heat or a full queue grows"),
        ),
    ),
    "warmup_too_short": FindingKind(
        ((0.02, "info"), (0.10, "warning")),
        "the first {cut} of {count} requests look like warm-up: they move the mean by "
        "{value:.0%} more than chance does",
        (
            Advice("--warmup auto leaves them out", unless(warms_up_by_itself)),
            Advice("or give a longer --warmup", unless(warms_up_by_itself)),
            *LONGER,
        ),
    ),
    "correlated_samples": FindingKind(
        ((2.0, "info"), (20.0, "warning")),
        "successive requests are correlated: {count} tell as much of the mean as {effective} "
        "independent ones, which the intervals allow for",
        (
            *LONGER,
            Advice("a drift, a warm-up or a stall of the server correlates requests too"),
        ),
    ),
    "components_outside_requests": FindingKind(
        ((0.0, "info"), (0.10, "warning")),
        "during {value:.0%} of the requests components ran outside any request, where its context "
        "does not reach: the time that they took for it is in server_other",
        "run them in a copy of the request's context (contextvars.copy_context().run), or let them "
        "name what they work for: component(name, requests=[this_request()]); the server's log "
        "names one of them",
    ),
    "unexplained_share": FindingKind(
        ((0.25, "info"), (0.50, "warning")),
        "{value:.0%} of the server's time is in no component, neither a standard one nor one by a "
        "name of its own",
        (
            Advice(
                "wrap what else it does in component(): reading, batching, writing", reports_parts
            ),
            Advice("wrap its steps in component(), or map its spans", unless(reports_parts)),
            Advice(
                "components that it has were lost if they ran where the request's context does not "
                "reach: a thread that outlives it, a greenlet, a process pool, a worker process",
                unless(reports_parts),
            ),
        ),
    ),
    "names_left_out": FindingKind(
        INFO,
        "{value} timings by other than the standard names are not shown, or not in every request, "
        "because they do not fit into the server's time beside the others: {names} (requests)",
        "let the server report exclusive times, as component() does; timings that a proxy or CDN "
        "adds to the header may be of other things, and change nothing else here",
    ),
    "too_many_names": FindingKind(
        INFO,
        "{value} more components by names of their own are not shown: those that take the most "
        "time are, up to {most}",
        "give component() names that do not depend on the request",
    ),
    "negative_network": FindingKind(
        ((0.0, "info"), (0.01, "warning")),
        "for {value:.2%} of the replies the server reports more time than the client waited: "
        "they are not decomposed",
        "see that it reports the right unit, and that its span ends before the reply is sent",
    ),
    "cached_replies": FindingKind(
        ((0.50, "info"), (0.80, "warning")),
        "a payload's second reply took {value:.0%} less than its first (medians over {payloads} "
        "payloads: {second_ms:.3g} after {first_ms:.3g} ms): a cache may answer",
        "send more payloads than the cache holds, or switch it off",
    ),
    "uneven_slots": FindingKind(
        ((0.20, "info"), (0.50, "warning")),
        "the slowest of {slots} slots has a median of {slowest_ms:.3g} ms, {value:.0%} above the "
        "usual {usual_ms:.3g} ms: its connection has a slower worker",
        "compare the server's workers; percentiles of all describe none of them",
    ),
}

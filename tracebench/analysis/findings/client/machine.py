"""Findings about the machine (CPUs, clocks, memory, kernel stamps) and the payload."""

from typing import Final

from tracebench.analysis.advice import LESS_LOAD, Advice, given, has_one_core, on_linux, unless
from tracebench.analysis.findings.finding import (
    INFO,
    WARNING,
    Evidence,
    FindingKind,
    part_of,
    state,
    weigh,
)
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.model.record.exchange import Stamp
from tracebench.model.record.requests import DONE, WRITE_LAG
from tracebench.model.results.result import Finding

_CPU_SHARED: Final = FindingKind(
    "cpu_shared",
    ((0.50, "info"), (0.90, "warning")),
    "the server and the tool share this machine (both ends of the connections have the same "
    "address), and its CPUs were {value:%} busy: they slow each other down",
    (
        Advice(
            "run tracebench on another machine",
            short=lambda now: f"{'' if has_one_core(now) else 'taskset, or '}another machine",
        ),
        Advice("or give each its own cores (taskset)", unless(has_one_core)),
    ),
    "server and tool share CPUs that are {value:%} busy",
    spoils=("p99", "p999"),
)


def _cpu_shared(run: Evidence) -> Finding | None:
    if not run.load.same_host or run.load.idle_share is None:
        return None
    return weigh(_CPU_SHARED, 1 - run.load.idle_share)


_NOISY_NEIGHBOUR: Final = FindingKind(
    "noisy_neighbour",
    ((0.01, "info"), (0.05, "warning")),
    "the hypervisor gave {value:%} of this machine's CPU time to others",
    (
        Advice(
            "measure again later, or on a dedicated machine; compare by interleaved runs",
            short="measure again later",
        ),
    ),
    "the hypervisor gave {value:%} of the CPU time to others",
    spoils=("p99", "p999"),
)


def _noisy_neighbour(run: Evidence) -> Finding | None:
    return weigh(_NOISY_NEIGHBOUR, run.load.stolen_share or 0.0)


_FREQUENCY_SCALING: Final = FindingKind(
    "frequency_scaling",
    INFO,
    "the clocks of this machine's CPUs may change during the run (governor {governors}): the "
    "first requests may find a slower machine than the last",
    (
        Advice(
            "run cpupower frequency-set --governor performance, on the server's machine too",
            short="cpupower frequency-set",
        ),
    ),
    "CPU clocks may change (governor {governors})",
)


def _frequency_scaling(run: Evidence) -> Finding | None:
    changing = [name for name in run.load.governors if name != "performance"]
    return weigh(_FREQUENCY_SCALING, bool(changing), governors=", ".join(changing))


_COMPRESSIBLE_PAYLOAD: Final = FindingKind(
    "compressible_payload",
    ((0.90, "info"),),
    "the payload shrinks by {value:%} when compressed, unlike most real data: whatever "
    "compresses on the way, or skips zeros, is faster here than in production",
    (
        Advice("send real data, not generated data", short="send real data"),
        Advice("give the model's input with --json", given("oip")),
    ),
    "the payload shrinks by {value:%} when compressed",
)


def _compressible_payload(run: Evidence) -> Finding | None:
    if run.load.compressed_share is None:
        return None
    return weigh(_COMPRESSIBLE_PAYLOAD, 1 - run.load.compressed_share)


_GC_PAUSES: Final = FindingKind(
    "gc_pauses",
    ((0.001, "info"), (0.01, "warning")),
    "Python collected garbage during {value:%} of the run",
    (
        Advice(
            "keep other code out of the measuring process",
            short="measure in a process of its own",
        ),
    ),
    "Python collected garbage in {value:%} of the run",
    spoils=("p99", "p999"),
)


def _gc_pauses(run: Evidence) -> Finding | None:
    return weigh(_GC_PAUSES, part_of(run.load.gc_pause_s, run.load.duration_s))


_CLOCK_STEPPED: Final = FindingKind(
    "clock_stepped",
    WARNING,
    "the wall clock moved {step_ms:+.3g} ms against the monotonic clock during the run: span "
    "times shift by that, and timestamps at the step fall back to the tool's own",
    (
        Advice(
            "let the clock settle (chronyc tracking), then measure again; durations are not "
            "affected",
            short="let it settle, measure again",
        ),
    ),
    "the wall clock stepped by {step_ms:+.3g} ms",
)
_SLEWING: Final = 500e-6
"""The rate at which NTP may slew a clock without stepping it (adjtime(2))."""
_STEP_S: Final = 1e-3


def _clock_stepped(run: Evidence) -> Finding | None:
    step_s = run.load.clock_step_s
    beyond_s = abs(step_s) - _STEP_S - _SLEWING * run.load.duration_s
    return weigh(_CLOCK_STEPPED, beyond_s, step_ms=step_s * 1e3)


_RECORD_IN_MEMORY: Final = FindingKind(
    "record_in_memory",
    INFO,
    "the record of the requests outgrew 64 MiB and stayed in memory, because {why}: a longer "
    "run may fill the memory",
    (
        Advice(
            "set TMPDIR to a folder on a disk with free space", short="set TMPDIR to a free disk"
        ),
    ),
    "the record stayed in memory: {why}",
)


def _record_in_memory(run: Evidence) -> Finding | None:
    return weigh(_RECORD_IN_MEMORY, bool(run.load.record_problem), why=run.load.record_problem)


_LATE_WRITES: Final = FindingKind(
    "late_writes",
    ((0.01, "info"), (0.10, "warning")),
    "up to {value:%} of the mean latency may be the tool resuming a partial write late "
    "(at most {longest_ms:.3g} ms per request, counted as network)",
    (*LESS_LOAD, Advice("send a smaller payload", short="send a smaller payload")),
    "up to {value:%} of the latency are late writes",
    explained_by=("client_saturated", "loop_lag"),
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
    return weigh(_LATE_WRITES, share, longest_ms=longest_ns / NS_PER_MS)


_NO_KERNEL_STAMPS: Final = FindingKind(
    "no_kernel_stamps",
    ((0.01, "info"), (0.10, "warning")),
    "{value:%} of the replies carry no kernel receive stamp: there, the tool's own lag in "
    "reading is counted as network",
    (
        Advice("measure from Linux", unless(on_linux), short="measure from Linux"),
        Advice(
            "if the server closes connections, let it keep them alive",
            short="keep connections alive",
        ),
    ),
    "{value:%} of the replies have no kernel receive stamp",
    explained_by=("connection_churn",),
)

_UNIX_SOCKET: Final = FindingKind(
    "unix_socket",
    INFO,
    "the target is a Unix socket, for which the kernel gives no arrival times and no round trip: "
    "the tool's own lag in reading is counted as network",
    (
        Advice(
            "let the server also listen on 127.0.0.1, to tell the two apart",
            short="listen on 127.0.0.1 as well",
        ),
    ),
    "a Unix socket has no kernel receive stamps",
)


def _no_kernel_stamps(run: Evidence) -> Finding | None:
    if run.load.unix_socket:
        return state(_UNIX_SOCKET, "info")
    return _stamped(run, _NO_KERNEL_STAMPS, Stamp.USER)


_SHARED_STAMPS: Final = FindingKind(
    "shared_stamps",
    ((0.0, "info"), (0.50, "warning")),
    "for {value:%} of the replies the arrival time is an upper bound: several came in one read",
    (
        Advice(
            "leave out --connections: with one connection per slot, arrival times are exact",
            given("connections"),
            short="leave out --connections",
        ),
    ),
    "the arrival of {value:%} of replies is an upper bound",
)


def _shared_stamps(run: Evidence) -> Finding | None:
    return _stamped(run, _SHARED_STAMPS, Stamp.SHARED)


def _stamped(run: Evidence, kind: FindingKind, stamp: Stamp) -> Finding | None:
    return weigh(kind, part_of(run.stamps[stamp.value], run.requests.succeeded))


KINDS: Final = (
    _CPU_SHARED,
    _NOISY_NEIGHBOUR,
    _FREQUENCY_SCALING,
    _COMPRESSIBLE_PAYLOAD,
    _GC_PAUSES,
    _CLOCK_STEPPED,
    _RECORD_IN_MEMORY,
    _LATE_WRITES,
    _NO_KERNEL_STAMPS,
    _UNIX_SOCKET,
    _SHARED_STAMPS,
)
JUDGES: Final = (
    _cpu_shared,
    _noisy_neighbour,
    _frequency_scaling,
    _compressible_payload,
    _gc_pauses,
    _clock_stepped,
    _record_in_memory,
    _late_writes,
    _no_kernel_stamps,
    _shared_stamps,
)

"""What the run was made with: the machine's CPUs, clocks, memory and stamps, and the payload."""

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
from tracebench.model.exchange import Stamp
from tracebench.model.requests import DONE, WRITE_LAG
from tracebench.model.result import Finding

_CPU_SHARED: Final = FindingKind(
    "cpu_shared",
    ((0.50, "info"), (0.90, "warning")),
    "the server runs on the tool's own machine (both ends of the connections have one "
    "address), whose CPUs were busy {value:.0%} of the run: they take time from each other",
    (
        Advice("run tracebench on another machine"),
        Advice("or give each its own cores (taskset)", unless(has_one_core)),
    ),
)


def _cpu_shared(run: Evidence) -> Finding | None:
    if not run.load.same_host or run.load.idle_share is None:
        return None
    return weigh(_CPU_SHARED, 1 - run.load.idle_share)


_NOISY_NEIGHBOUR: Final = FindingKind(
    "noisy_neighbour",
    ((0.01, "info"), (0.05, "warning")),
    "the hypervisor gave {value:.1%} of this machine's CPU time to others",
    "measure again later, or on a machine of your own; compare by interleaved runs",
)


def _noisy_neighbour(run: Evidence) -> Finding | None:
    return weigh(_NOISY_NEIGHBOUR, run.load.stolen_share or 0.0)


_FREQUENCY_SCALING: Final = FindingKind(
    "frequency_scaling",
    INFO,
    "the clocks of this machine's CPUs may change during the run (governor {governors}): the "
    "first requests may find a slower machine than the last",
    "cpupower frequency-set --governor performance, on the server's machine as well",
)


def _frequency_scaling(run: Evidence) -> Finding | None:
    changing = [name for name in run.load.governors if name != "performance"]
    return weigh(_FREQUENCY_SCALING, bool(changing), governors=", ".join(changing))


_COMPRESSIBLE_PAYLOAD: Final = FindingKind(
    "compressible_payload",
    ((0.90, "info"),),
    "the payload shrinks by {value:.0%} when it is compressed, as real data seldom do: "
    "whatever compresses on the way, or skips zeros, is faster here than it will be",
    (
        Advice("send what users will send, not what was made up"),
        Advice("--json gives the model's input", given("oip")),
    ),
)


def _compressible_payload(run: Evidence) -> Finding | None:
    if run.load.compressed_share is None:
        return None
    return weigh(_COMPRESSIBLE_PAYLOAD, 1 - run.load.compressed_share)


_GC_PAUSES: Final = FindingKind(
    "gc_pauses",
    ((0.001, "info"), (0.01, "warning")),
    "Python collected garbage during {value:.1%} of the run",
    "keep other code out of the process that measures",
)


def _gc_pauses(run: Evidence) -> Finding | None:
    return weigh(_GC_PAUSES, part_of(run.load.gc_pause_s, run.load.duration_s))


_CLOCK_STEPPED: Final = FindingKind(
    "clock_stepped",
    WARNING,
    "the wall clock went {step_ms:+.3g} ms from the monotonic one during the run: times of "
    "spans shift by that, and stamps at the step fall back to the tool's own",
    "let the clock settle (chronyc tracking), then measure again; durations are not affected",
)
_SLEWING: Final = 500e-6
"""How fast NTP may turn a clock without stepping it (adjtime(2))."""
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
    "set TMPDIR to a folder on a disk with free space",
)


def _record_in_memory(run: Evidence) -> Finding | None:
    return weigh(_RECORD_IN_MEMORY, bool(run.load.record_problem), why=run.load.record_problem)


_LATE_WRITES: Final = FindingKind(
    "late_writes",
    ((0.01, "info"), (0.10, "warning")),
    "up to {value:.1%} of the mean latency may be the tool resuming a partial write late "
    "(at most {longest_ms:.3g} ms a request, counted as network)",
    (*LESS_LOAD, Advice("send a smaller payload")),
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
    "{value:.1%} of the replies carry no kernel receive stamp: there, the tool's own lag in "
    "reading is counted as network",
    (
        Advice("measure from Linux", unless(on_linux)),
        Advice("where the server closes connections, let it keep them alive"),
    ),
)

_UNIX_SOCKET: Final = FindingKind(
    "unix_socket",
    INFO,
    "the target is a Unix socket, where the kernel stamps no arrivals and knows no round trip: "
    "the tool's own lag in reading is counted as network",
    "let the server listen at 127.0.0.1 as well, to tell the two apart",
)


def _no_kernel_stamps(run: Evidence) -> Finding | None:
    if run.load.unix_socket:
        return state(_UNIX_SOCKET, "info")
    return _stamped(run, _NO_KERNEL_STAMPS, Stamp.USER)


_SHARED_STAMPS: Final = FindingKind(
    "shared_stamps",
    ((0.0, "info"), (0.50, "warning")),
    "for {value:.1%} of the replies the arrival is an upper bound: several came in one read",
    (
        Advice(
            "leave --connections out: one connection a slot has exact stamps",
            given("connections"),
        ),
    ),
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

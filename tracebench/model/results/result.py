"""The result of a run, from which every report is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tracebench.model.objectives import Decision, GateResult, ObjectiveResult
from tracebench.model.results.blocks import Blocks, Timeline
from tracebench.model.results.statistics import Statistics
from tracebench.model.results.stream_result import Goodput, StreamResult
from tracebench.model.results.workers import Worker


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """Kernel statistics (TCP_INFO): medians over the connections; `retransmits` is a sum."""

    min_rtt_ms: float
    rtt_ms: float
    retransmits: int
    connections: int


Detail: TypeAlias = Literal["table", "answer", "all"]
"""How much of a result is printed: only the table (`-q`), the answer, or everything (`-v`)."""


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Number of requests by outcome: started is the sum of those that follow it."""

    started: int
    succeeded: int
    failed: int
    timed_out: int
    cancelled: int
    abandoned: int = 0
    """Streams that the client hung up as asked (`--hang-up-after`); no failures."""
    sent_again: int = 0
    """Started requests that were sent a second time: after a keep-alive race, or because HTTP/2
    reported that the server had not processed them."""


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """The number of requests that failed for the same reason."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A request that represents a latency percentile; 100 is the slowest request."""

    percentile: float
    trace_id: str
    end_to_end_ms: float
    url: str | None = None
    """The request's page in the trace UI; None if no UI is configured."""
    stamps: Mapping[str, float] = field(default_factory=dict)
    """`ready`, `sent`, `first_byte`, `arrived`, `done` → ms since the request was due; absent if
    not reached."""
    components: Mapping[str, float] = field(default_factory=dict)
    """Component → ms, as far as known for this request; leaf components add up to its latency."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A doubt about the numbers or a noteworthy fact, with a hint on how to fix it."""

    code: str
    severity: Literal["info", "warning", "invalid"]
    message: str
    hint: str
    brief: str = ""
    """A short form of the message; empty in older files."""
    fix: str = ""
    """A short form of the hint: what to try first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the numbers can be trusted, and which statistics are precise enough to use."""

    valid: bool
    findings: tuple[Finding, ...]
    usable_for: tuple[str, ...] | None = None
    """Latency statistics (`mean`, `p50`, …) that are precise enough to base decisions on; empty if
    the numbers are not valid, None in older files."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A latency distribution for drawing: `ms[i]` is the `quantile[i]` quantile."""

    quantile: tuple[float, ...]
    ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Floor:
    """The same exchange, measured against a server on loopback that does nothing."""

    end_to_end: Statistics
    network: Statistics
    client: Statistics
    throughput_rps: float
    in_the_clear: bool
    """Whether the floor was measured without TLS although the target uses TLS."""


@dataclass(frozen=True, slots=True)
class Difference:
    """b − a for one statistic, in ms."""

    a: float
    b: float
    delta: float
    """If a and b were measured in alternating blocks, the mean over pairs of blocks, which may
    differ slightly from b − a."""
    ci95: tuple[float, float] | None
    """None if the samples do not allow one."""
    verdict: Literal["slower", "faster", "no difference shown"] | None = None
    """Verdict on b relative to a, Holm-corrected over all statistics; None if this
    difference is not judged."""


@dataclass(frozen=True, slots=True)
class ClientCost:
    """The same exchange, sent by a client library in blocks that alternate with the engine's."""

    latency: Statistics | None
    """Duration of successful calls; None if no call succeeded."""
    throughput_rps: float
    failed: int
    errors: tuple[ErrorCount, ...]
    cost_ms: Mapping[str, Difference]
    """Statistic (`mean_ms`, …) → library (b) minus engine (a), over pairs of blocks."""


@dataclass(frozen=True, slots=True)
class Warmup:
    """The warm-up that was removed from the record."""

    method: Literal["requests", "MSER-5", "ramp-up"]
    """`requests`: a fixed number was sent before the run; `MSER-5`: that rule trimmed the start of
    the run; `ramp-up`: the slots started one after the other."""
    cut: int
    """The number of requests removed."""
    cut_s: float | None = None
    """Duration of the removed part; None if it was not measured."""
    cut_mean_ms: float | None = None
    kept_mean_ms: float | None = None
    """Mean latency of the removed requests (`cut_mean_ms`) and of the others (`kept_mean_ms`)."""


@dataclass(frozen=True, slots=True)
class ObserverEffect:
    """What tracing costs the server: traced requests (b) compared with untraced ones (a)."""

    traced: int
    untraced: int
    mean_ms: Difference
    p50_ms: Difference
    p95_ms: Difference


@dataclass(frozen=True, slots=True)
class TailPart:
    """What one leaf component contributes to the excess latency of the tail."""

    excess_ms: float
    share: float
    """Fraction of the total excess; negative if slow requests spend less time in this component
    than usual ones."""
    ci95: tuple[float, float] | None
    """Interval of the share; None if all slow requests stem from a single event."""


@dataclass(frozen=True, slots=True)
class Tail:
    """How much longer the slowest requests take than median ones, and in which components."""

    count: int
    usual_count: int
    """Number of requests around the median that the slowest ones are compared with."""
    slowest_ms: float
    usual_ms: float
    """Mean latencies of the slowest requests (`slowest_ms`) and of the median ones (`usual_ms`)."""
    excess_ms: float
    """slowest_ms − usual_ms, which is also the sum over `components`."""
    components: Mapping[str, TailPart]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A gauge of the server, read once a second under load."""

    metric: str
    """The server's own name for the metric."""
    t_s: tuple[float, ...]
    """Time of each reading in s since the first request was due. At most 600 points: if there were
    more readings, each point is the mean of equally many."""
    value: tuple[float, ...]
    min: float
    median: float
    max: float
    """`min`, `median` and `max` are over all readings, before averaging."""


@dataclass(frozen=True, slots=True)
class TargetResult:
    """All results for one target."""

    address: str
    requests: RequestCounts
    errors: tuple[ErrorCount, ...]
    duration_s: float
    throughput_rps: float
    client_cpu_s: float
    """CPU time that the tool itself used during the run."""
    decomposed: int
    undecomposed: Mapping[str, int]
    server_timing_source: Mapping[str, int]
    stamps: Mapping[str, int]
    tcp: TcpInfo | None
    latency: Statistics | None
    """None if no request succeeded or timed out."""
    components: Mapping[str, Statistics]
    share: Mapping[str, float]
    exemplars: tuple[Exemplar, ...]
    cdf: Curve | None
    verdict: Verdict
    floor: Floor | None = None
    warmup: Warmup | None = None
    """None if no warm-up was requested or looked for."""
    tail: Mapping[str, Tail] = field(default_factory=dict)
    """`slowest_1_percent` and `slowest_5_percent`; missing if there are too few requests."""
    observer_effect: ObserverEffect | None = None
    search_url: str | None = None
    """Link to the target's traces in the trace UI; None if no UI is configured or no spans were
    exported."""
    clients: Mapping[str, ClientCost] = field(default_factory=dict)
    clock_offset_ms: tuple[float, float] | None = None
    """Bounds on how far the server's clock is ahead of the client's, from causality alone; no other
    number depends on them. None if no server spans arrived."""
    interrupted_at: float | None = None
    """The fraction of the planned load that was measured, if the run was interrupted; else None."""
    parts_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Component → names in `components` of its parts: `prefill` and `decode` of `inference`,
    custom-named ones of `server_other` (largest first). They are not leaves and are not added
    to any sum."""
    stream: StreamResult | None = None
    """None if no reply was streamed."""
    blocks: Blocks | None = None
    """None in older files, or if no request succeeded or timed out."""
    histograms: Mapping[str, str] = field(default_factory=dict)
    """Component, as in `blocks` → HdrHistogram of ns (V2 encoding, compressed, base64)."""
    goodput: Goodput | None = None
    """None if no limits were given, or if no request has the metrics that they limit."""
    objectives: tuple[ObjectiveResult, ...] = ()
    """Objectives of a sweep or a search (`--slo`)."""
    ci95: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % intervals of `throughput_rps`, `errors.share` and `decomposed.share`; missing if the run
    does not allow one."""
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    """The server's gauges during the run: `requests_running`, `requests_waiting`, `kv_cache_usage`
    (a fraction), and metrics requested by name."""
    timeline: Timeline | None = None
    """None in older files, or if no request succeeded or timed out."""
    workers: tuple[Worker, ...] = ()
    """The processes that shared the load; empty if it was one."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two targets side by side: component → statistic (`mean_ms`, …) → difference."""

    a: str
    b: str
    components: Mapping[str, Mapping[str, Difference]]
    caveat: str = ""
    """Sources of variation that the intervals do not cover."""
    pairs: int = 0
    """Number of pairs of blocks; 0 if the targets were measured one after the other."""
    block_s: float = 0.0
    """Mean duration of a block."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run, from which every report is made."""

    tool: Mapping[str, str]
    environment: Mapping[str, Any]
    plan: Mapping[str, Any]
    started_at: str
    targets: Mapping[str, TargetResult]
    comparison: Comparison | None = None
    """The second target compared with the first, if there are exactly two."""
    comparisons: tuple[Comparison, ...] = ()
    """Each further target compared with the first, if there are more than two."""
    label: str = ""
    """The user's name for the run (`--label`)."""
    gates: tuple[GateResult, ...] = ()
    """Results of `--fail-if` and `--fail-if-slower`."""
    decision: Decision | None = None
    """The combined decision of all gates; None if there are none."""
    schema: str = "tracebench.result/1"

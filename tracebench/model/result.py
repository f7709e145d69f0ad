"""What a run found: the one thing that every report is a function of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tracebench.model.blocks import Blocks, Timeline
from tracebench.model.objectives import Decision, GateResult, ObjectiveResult
from tracebench.model.statistics import Statistics
from tracebench.model.stream_result import Goodput, StreamResult


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """What the kernel knows of the connections (TCP_INFO): medians over them, and a sum."""

    min_rtt_ms: float
    rtt_ms: float
    retransmits: int
    connections: int


Detail: TypeAlias = Literal["table", "answer", "all"]
"""How much of it is told: the table alone (`-q`), what answers the question, or all (`-v`)."""


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """started = succeeded + failed + timed_out + cancelled, always."""

    started: int
    succeeded: int
    failed: int
    timed_out: int
    cancelled: int
    sent_again: int = 0
    """How many of those started were sent a second time, after a keep-alive race or because HTTP/2
    said that the server had not begun with them."""


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """Requests that ended for one reason."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A request that stands for a percentile; 100 is the slowest."""

    percentile: float
    trace_id: str
    end_to_end_ms: float
    url: str | None = None
    """Its page in the trace UI, where one was named."""
    stamps: Mapping[str, float] = field(default_factory=dict)
    """`ready`, `sent`, `first_byte`, `arrived`, `done` → ms since it was due, where reached."""
    components: Mapping[str, float] = field(default_factory=dict)
    """Component → ms, as far as known of this request; the leaves add up to its latency."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One doubt about the numbers, or one thing worth knowing, and what mends it."""

    code: str
    severity: Literal["info", "warning", "invalid"]
    message: str
    hint: str
    brief: str = ""
    """The message in few words; empty in files that are older than it."""
    fix: str = ""
    """What of the hint to try first, in few words."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the numbers can be trusted, and which of them."""

    valid: bool
    findings: tuple[Finding, ...]
    usable_for: tuple[str, ...] | None = None
    """The statistics of the latency that are known well enough to decide by, as `mean`, `p50`; none
    where the numbers are not valid; None in files that are older than this."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A latency distribution for drawing: `ms[i]` is the `quantile[i]` quantile."""

    quantile: tuple[float, ...]
    ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Floor:
    """The same exchange against a server that does nothing, on loopback."""

    end_to_end: Statistics
    network: Statistics
    client: Statistics
    throughput_rps: float
    in_the_clear: bool
    """The target is spoken to over TLS, the floor is not."""


@dataclass(frozen=True, slots=True)
class Difference:
    """b − a for one statistic, in ms."""

    a: float
    b: float
    delta: float
    """Where both were measured by turns, the mean over pairs of blocks: not b − a to the digit."""
    ci95: tuple[float, float] | None
    """None where the samples do not give one."""
    verdict: Literal["slower", "faster", "no difference shown"] | None = None
    """What b is, judged together with every other statistic; None where nobody judges it."""


@dataclass(frozen=True, slots=True)
class ClientCost:
    """The same exchange, sent by a library by turns with the engine."""

    latency: Statistics | None
    """Around each call that succeeded; None where none did."""
    throughput_rps: float
    failed: int
    errors: tuple[ErrorCount, ...]
    cost_ms: Mapping[str, Difference]
    """Statistic (`mean_ms`, …) → the library's against the engine's, over pairs of blocks."""


@dataclass(frozen=True, slots=True)
class Warmup:
    """What came before the requests that count, and was left out."""

    method: Literal["requests", "MSER-5"]
    """As many as was said, before the run; or cut from the begin of the run by that rule."""
    cut: int
    cut_s: float | None = None
    """How long they took; None where that was not measured."""
    cut_mean_ms: float | None = None
    kept_mean_ms: float | None = None
    """What was cut, and why: the mean latency of those, and of the others."""


@dataclass(frozen=True, slots=True)
class ObserverEffect:
    """What tracing costs the server: requests that asked for it against those that did not."""

    traced: int
    untraced: int
    mean_ms: Difference
    p50_ms: Difference
    p95_ms: Difference


@dataclass(frozen=True, slots=True)
class TailPart:
    """What one leaf component adds to the tail."""

    excess_ms: float
    share: float
    """Of the excess of all; below 0 where the slow requests spend less on it than the others."""
    ci95: tuple[float, float] | None
    """Of the share; None where the slow requests are one event."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What the slowest requests take longer than the median request, and on what."""

    count: int
    usual_count: int
    """How many requests around the median they are compared with."""
    slowest_ms: float
    usual_ms: float
    """Mean latencies of both."""
    excess_ms: float
    """The difference; the components' sum to it."""
    components: Mapping[str, TailPart]


@dataclass(frozen=True, slots=True)
class Gauge:
    """One of the server's own gauges, read once a second while it was loaded."""

    metric: str
    """What the server calls it."""
    t_s: tuple[float, ...]
    """When it was read, from when the first request was due; at most 600 times, each the mean of
    equally many where more were read."""
    value: tuple[float, ...]
    min: float
    median: float
    max: float
    """Of all that was read."""


@dataclass(frozen=True, slots=True)
class TargetResult:
    """Everything that was learned of one target."""

    address: str
    requests: RequestCounts
    errors: tuple[ErrorCount, ...]
    duration_s: float
    throughput_rps: float
    client_cpu_s: float
    """CPU time that the tool itself took during the run."""
    decomposed: int
    undecomposed: Mapping[str, int]
    server_timing_source: Mapping[str, int]
    stamps: Mapping[str, int]
    tcp: TcpInfo | None
    latency: Statistics | None
    """None where no request succeeded or timed out."""
    components: Mapping[str, Statistics]
    share: Mapping[str, float]
    exemplars: tuple[Exemplar, ...]
    cdf: Curve | None
    verdict: Verdict
    floor: Floor | None = None
    warmup: Warmup | None = None
    """None where nothing was left out, nor looked for."""
    tail: Mapping[str, Tail] = field(default_factory=dict)
    """`slowest_1_percent` and `slowest_5_percent`, where there are enough requests."""
    observer_effect: ObserverEffect | None = None
    search_url: str | None = None
    """The list of its traces in the trace UI, where one was named and the spans were exported."""
    clients: Mapping[str, ClientCost] = field(default_factory=dict)
    clock_offset_ms: tuple[float, float] | None = None
    """How far the server's clock is ahead of the client's: an interval from causality alone, which
    no other number depends on; None where no spans of the server's came."""
    interrupted_at: float | None = None
    """How much of what was asked for was measured, where the run was interrupted."""
    parts_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Component → those among `components` that are parts of it: of `inference`, `prefill` and
    `decode`; of `server_other` those by names of the author's own, the largest first. They are no
    leaves, and stand in no sum."""
    stream: StreamResult | None = None
    """None where no reply streamed."""
    blocks: Blocks | None = None
    """None in a file that is older than they, or where no request succeeded or timed out."""
    histograms: Mapping[str, str] = field(default_factory=dict)
    """The components of `blocks` → HdrHistogram of ns: V2, compressed, base64."""
    goodput: Goodput | None = None
    """None where no limits were given, or a request tells nothing that they limit."""
    objectives: tuple[ObjectiveResult, ...] = ()
    """Those of a sweep or a search (`--slo`)."""
    ci95: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Of `throughput_rps`, `errors.share` and `decomposed.share`, where the run gives them."""
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    """What the server told of itself meanwhile: `requests_running`, `requests_waiting`,
    `kv_cache_usage` (a share), and what was asked for by its own name."""
    timeline: Timeline | None = None
    """None in a file that is older than it, or where no request succeeded or timed out."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two targets side by side: component → statistic (`mean_ms`, …) → difference."""

    a: str
    b: str
    components: Mapping[str, Mapping[str, Difference]]
    caveat: str = ""
    """What the intervals do not cover."""
    pairs: int = 0
    """From how many pairs of blocks they come; 0: both were measured one after the other."""
    block_s: float = 0.0
    """How long a block took, in the mean."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found: the one thing that every report is a function of."""

    tool: Mapping[str, str]
    environment: Mapping[str, Any]
    plan: Mapping[str, Any]
    started_at: str
    targets: Mapping[str, TargetResult]
    comparison: Comparison | None = None
    """Of two targets."""
    comparisons: tuple[Comparison, ...] = ()
    """Of more than two: each with the first."""
    label: str = ""
    """What its user calls it."""
    gates: tuple[GateResult, ...] = ()
    """What `--fail-if` and `--fail-if-slower` found."""
    decision: Decision | None = None
    """Of all gates together; None where there are none."""
    schema: str = "tracebench.result/1"

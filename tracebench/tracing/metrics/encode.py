"""Progress → OTLP metrics: counters, gauges and histograms with bounds that suit latencies.

Names and attributes are those of the semantic conventions where there are any, and begin with
`tracebench.` elsewhere; docs/metrics.md lists them. Histograms have explicit bounds (E12: each 20 %
above the last), since Prometheus takes those without any setting.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from tracebench.model.progress import BOUNDS_NS, SUCCEEDED, Latencies, Progress
from tracebench.tracing.metrics.messages import Measured, Sample, Setup, Value
from tracebench.tracing.roots import attributes

HTTP_DURATION: Final = "http.client.request.duration"
RPC_DURATION: Final = "rpc.client.call.duration"
GEN_AI_DURATION: Final = "gen_ai.client.operation.duration"
REQUESTS: Final = "tracebench.requests"
ERRORS: Final = "tracebench.errors"
IN_FLIGHT: Final = "tracebench.requests.in_flight"
TOKENS: Final = "tracebench.tokens"
UNITS: Final = {
    HTTP_DURATION: "s",
    RPC_DURATION: "s",
    GEN_AI_DURATION: "s",
    REQUESTS: "{request}",
    ERRORS: "{request}",
    IN_FLIGHT: "{request}",
    TOKENS: "{token}",
}
"""Every metric, and its unit."""
_TOLD: Final = {
    HTTP_DURATION: "Latency of HTTP requests, from when each was due",
    RPC_DURATION: "Latency of calls, from when each was due",
    GEN_AI_DURATION: "Latency of requests to a language model, from when each was due",
    REQUESTS: "Requests that have ended",
    ERRORS: "Requests that failed or timed out",
    IN_FLIGHT: "Requests in flight",
    TOKENS: "Tokens in the replies",
}
_ERROR_TYPE, _STATUS_CODE = "error.type", "http.response.status_code"
_TOKEN_TYPE: Final[Mapping[str, Value]] = {"gen_ai.token.type": "output"}
_LABEL, _INSTANCE = "tracebench.label", "service.instance.id"
_GEN_AI: Final = "gen_ai."
_TOO_VARIED: Final = frozenset({"url.full"})
"""Attributes of spans that the conventions keep out of metrics."""

_STEP: Final = 2
_FIRST_NS, _LAST_NS = 100_000, 100_000_000_000
_CUTS: Final = tuple(
    at for at in range(0, len(BOUNDS_NS), _STEP) if _FIRST_NS <= BOUNDS_NS[at] <= _LAST_NS
)
"""Which of the bounds are exported: from 0.1 ms to 100 s."""
BOUNDS_S: Final = tuple(BOUNDS_NS[at] / 1e9 for at in _CUTS)
_ENDS: Final = (0, *(at + 1 for at in _CUTS), len(BOUNDS_NS) + 1)

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


class _Point(NamedTuple):
    """A value with its attributes, not yet part of a metric."""

    metric: str
    attributes: dict[str, Value]
    value: int | Latencies


def metrics_of(setup: Setup, sample: Sample) -> MetricsData:
    """All metrics at one moment, as the SDK's exporters take them."""
    points: dict[str, list[_Point]] = {}
    for name, progress in sample.progress.items():
        errors = sample.errors.get(name, progress.errors)
        for point in _points(_common(setup, name), setup.targets[name], progress, errors):
            points.setdefault(point.metric, []).append(point)
    metrics = [_metric(name, those, setup, sample) for name, those in points.items()]
    scope = InstrumentationScope("tracebench", setup.version)
    scoped = ScopeMetrics(scope, metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource_of(setup), [scoped], schema_url="")])


def resource_of(setup: Setup) -> Resource:
    """The run, as the source of metrics."""
    told = {
        SERVICE_NAME: attributes.SERVICE,
        _INSTANCE: setup.run_id,
        "service.version": setup.version,
        attributes.RUN_ID: setup.run_id,
    }
    return Resource.create({**told, **({_LABEL: setup.label} if setup.label else {})})


def _common(setup: Setup, name: str) -> dict[str, Value]:
    """What is in every point, too: few backends keep what only the resource has."""
    told: dict[str, Value] = {
        attributes.RUN_ID: setup.run_id,
        attributes.TARGET: name,
        attributes.PROTOCOL: setup.targets[name].protocol,
    }
    return {**told, **({_LABEL: setup.label} if setup.label else {})}


def _points(
    common: dict[str, Value], target: Measured, progress: Progress, errors: Mapping[str, int]
) -> Iterator[_Point]:
    of_spans = {name: value for name, value in target.attributes.items() if name not in _TOO_VARIED}
    usual = {name: value for name, value in of_spans.items() if not name.startswith(_GEN_AI)}
    for kind, latencies in (progress.latencies or {SUCCEEDED: Latencies()}).items():
        told = common | _error(kind, target.protocol)
        duration = HTTP_DURATION if target.protocol == "rest" else RPC_DURATION
        yield _Point(duration, usual | told, latencies)
        if len(usual) < len(of_spans):
            yield _Point(GEN_AI_DURATION, of_spans | told, latencies)
    yield _Point(REQUESTS, common, progress.finished)
    yield _Point(IN_FLIGHT, common, progress.in_flight)
    for kind, count in errors.items():
        yield _Point(ERRORS, common | _error(kind, target.protocol), count)
    if progress.tokens:
        yield _Point(TOKENS, {**common, **_TOKEN_TYPE}, progress.tokens)


def _error(kind: str, protocol: str) -> dict[str, Value]:
    if kind == SUCCEEDED:
        return {}
    code: dict[str, Value] = {}
    if protocol == "rest" and kind.isdecimal():
        code[_STATUS_CODE] = int(kind)
    return {_ERROR_TYPE: kind, **code}


def _metric(name: str, points: Iterable[_Point], setup: Setup, sample: Sample) -> Metric:
    times = setup.began_ns, sample.at_ns
    data: Histogram | Sum | Gauge
    if name in (HTTP_DURATION, RPC_DURATION, GEN_AI_DURATION):
        data = Histogram([_histogram(one, *times) for one in points], _CUMULATIVE)
    else:
        numbers = [_number(one, *times) for one in points]
        gauge = name == IN_FLIGHT
        data = Gauge(numbers) if gauge else Sum(numbers, _CUMULATIVE, is_monotonic=True)
    return Metric(name, _TOLD[name], UNITS[name], data)


def _number(point: _Point, began_ns: int, at_ns: int) -> NumberDataPoint:
    assert isinstance(point.value, int)
    return NumberDataPoint(point.attributes, began_ns, at_ns, point.value)


def _histogram(point: _Point, began_ns: int, at_ns: int) -> HistogramDataPoint:
    assert isinstance(point.value, Latencies)
    counts = point.value.counts
    return HistogramDataPoint(
        attributes=point.attributes,
        start_time_unix_nano=began_ns,
        time_unix_nano=at_ns,
        count=point.value.count,
        sum=point.value.sum_ns / 1e9,
        bucket_counts=[sum(counts[first:end]) for first, end in pairwise(_ENDS)],
        explicit_bounds=BOUNDS_S,
        min=None,  # type: ignore[arg-type] # OTLP may leave it out, as the exporter does then
        max=None,  # type: ignore[arg-type] # as above
    )

"""Exchanges, spans and exporters to test with."""

from collections.abc import Sequence

from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from server_middleware.vocabulary import SERVER_PARTS
from tracebench.model.record.exchange import Exchange, Outcome, Reply, Stamp, Timing, Undecomposed
from tracebench.tracing.roots.export import Anchor, Run, export
from tracebench.tracing.roots.target_attributes import TargetAttributes, grpc, rest

REST = rest("POST", "http://model:5000/predict")
GRPC = grpc("model", 50051, "inference.InferenceService/Predict")
RUN = Run("run-1", Anchor(1_764_000_000_000_000_000, 5_000_000_000), 4)
SUCCESS = Exchange(
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
    scheduled_ns=6_000_000_000,
    connect_ns=0,
    ready_ns=6_000_000_100,
    sent_ns=6_000_020_100,
    first_byte_ns=6_005_100_000,
    arrived_ns=6_005_200_000,
    done_ns=6_005_250_007,
    write_lag_ns=13,
    outcome=Outcome.SUCCEEDED,
    stamp=Stamp.KERNEL,
    reply=Reply("200", {}, b""),
    reason="",
)
TIMED_OUT = SUCCESS._replace(
    span_id="00000000000000ff",
    first_byte_ns=0,
    arrived_ns=0,
    stamp=Stamp.USER,
    outcome=Outcome.TIMED_OUT,
    reply=Reply("", {}, b""),
    reason="no reply within 30 s",
)
MIRROR = Timing(5_000_000, {"inference": 4_000_000, "queue": 7}, "mirror", scaled=True)


class Collected(SpanExporter):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.batches: list[list[ReadableSpan]] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.batches.append(list(spans))
        return SpanExportResult.SUCCESS

    @property
    def spans(self) -> list[ReadableSpan]:
        return [span for batch in self.batches for span in batch]


def spans_of(
    exchanges: Sequence[Exchange],
    timings: Sequence[Timing | Undecomposed] | None = None,
    described: TargetAttributes = REST,
) -> list[ReadableSpan]:
    """The root spans that an exporter is given."""
    collected = Collected()
    nothing = [Undecomposed.NO_TIMING] * len(exchanges)
    export(exchanges, timings or nothing, described, RUN, [collected])
    return collected.spans


def _ids(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """An exchange that ended at any stage, with stamps in order; those not reached are 0."""
    outcome = draw(st.sampled_from(Outcome))
    lags_ns = draw(st.lists(st.integers(0, 10**10), min_size=6, max_size=6))
    scheduled_ns = draw(st.integers(1, 10**15))
    stamps_ns = [scheduled_ns + sum(lags_ns[:count]) for count in range(7)]
    succeeded = outcome is Outcome.SUCCEEDED
    reached = 6 if succeeded else draw(st.integers(1, 6))
    _, ready_ns, sent_ns, first_byte_ns, arrived_ns = (
        stamp if index < reached else 0 for index, stamp in enumerate(stamps_ns[:5])
    )
    return Exchange(
        trace_id=draw(_ids(32)),
        span_id=draw(_ids(16)),
        scheduled_ns=scheduled_ns,
        connect_ns=draw(st.integers(0, lags_ns[0])),
        ready_ns=ready_ns,
        sent_ns=sent_ns,
        first_byte_ns=first_byte_ns,
        arrived_ns=arrived_ns,
        done_ns=stamps_ns[6],
        write_lag_ns=draw(st.integers(0, 10**10)),
        outcome=outcome,
        stamp=draw(st.sampled_from(Stamp)),
        reply=Reply("200" if succeeded else draw(st.sampled_from(("", "200", "503"))), {}, b""),
        reason="" if succeeded else draw(st.sampled_from(("no reply", "☃ é\n", "x" * 9_000))),
    )


@st.composite
def mirrors(draw: st.DrawFn) -> Timing | Undecomposed:
    """What a mirror may come to."""
    problem: Undecomposed | None = draw(st.none() | st.sampled_from(Undecomposed))
    if problem is not None:
        return problem
    names = st.sampled_from([*SERVER_PARTS, "tokenize", "network"])
    parts_ns = draw(st.dictionaries(names, st.integers(0, 10**9)))
    total_ns = sum(parts_ns.values()) + draw(st.integers(0, 10**9))
    left_out = draw(st.sampled_from([(), ("origin",), ("edge", "origin")]))
    return Timing(
        total_ns,
        parts_ns,
        "mirror",
        draw(st.booleans()),
        left_out=left_out,
        unlisted=draw(st.integers(0, 9)),
        strays=draw(st.integers(0, 3)),
    )

"""Streams of known times joined with spans that real servers recorded: every part to the ns."""

from collections.abc import Sequence
from functools import partial

import pytest

from tests.load.http2_samples import call
from tests.load.streams.exact_streams import (
    BOTH_WAYS_MS,
    MS,
    Streamed,
    chat,
    delta,
    streams,
    tokens,
)
from tests.load.streams.test_grpc_streams import streaming
from tests.load.streams.test_server_times import comments, stamps
from tests.tracing.otlp_samples import RECORDED
from tracebench.analysis.interpretation import interpret_stream
from tracebench.analysis.streams.streams import summarise_streams
from tracebench.analysis.summary.summary import summarise
from tracebench.load.wire.grpc_reply import read_streamed
from tracebench.load.wire.http2 import StreamingHttp2Codec
from tracebench.model.record.span import Event, Span
from tracebench.model.results.result import TargetResult
from tracebench.model.results.stream_result import StreamResult
from tracebench.report.tables.stream_table import stream_block
from tracebench.report.tables.terminal import printed
from tracebench.tracing.join.exporter import JoiningExporter
from tracebench.tracing.otlp.read_json import read_json


def recorded(name: str) -> list[list[Span]]:
    """The spans of each trace."""
    traces: dict[str, list[Span]] = {}
    for span in read_json((RECORDED / name).read_bytes()):
        traces.setdefault(span.trace_id, []).append(span)
    return list(traces.values())


def joined(run: Streamed, traces: Sequence[Sequence[Span]]) -> tuple[StreamResult, TargetResult]:
    """The run's requests with these spans, which take over their ids."""
    joining = JoiningExporter()
    joining.add(run.load.requests, run.load.times)
    for request, spans in zip(run.load.requests, traces, strict=True):
        known = {one.span_id for one in spans}
        for one in spans:
            parent = one.parent_id if one.parent_id in known else request.span_id
            joining.take([one._replace(trace_id=request.trace_id, parent_id=parent)])
    decomposition = joining.decomposition()
    found = summarise_streams(run.load, decomposition.streams)
    assert found is not None
    return found, summarise("x", run.load, decomposition)


def to_first(found: StreamResult) -> dict[str, object]:
    """Mean of each part that takes any time, in ms to the ns."""
    parts = found.parts["ttft"].items()
    return {name: pytest.approx(one.mean_ms, abs=1e-9) for name, one in parts if one.mean_ms}


def test_vllm() -> None:
    """One recorded request a run: the client saw its first token 31.2 ms after it had asked."""
    run = Streamed(streams(chat(tokens(32, first_ms=31))))
    found, target = joined(run, recorded("vllm-stream-1.json")[:1])
    assert to_first(found) == {
        "network_first": 31 + BOTH_WAYS_MS - 30.992746,
        "queue": 0.041007,
        "prefill": 14.129324,
        "server_before_first": 16.822415,
    }
    assert found.first_token_splits == {"apart": 1, "scaled": 0, "left_out": 0}
    decode = found.parts["generation"]["decode"].mean_ms
    assert decode == pytest.approx(303.369468)
    components = {name: one.mean_ms for name, one in target.components.items()}
    assert components["server_processing"] == pytest.approx(334.428104)
    assert components["inference"] == pytest.approx(14.129324 + 303.369468)
    assert components["network"] == pytest.approx(341 + BOTH_WAYS_MS - 334.428104)
    assert target.parts_of == {"inference": ("prefill", "decode")}


def test_three_of_vllm_s_requests_sum_to_what_the_client_saw() -> None:
    run = Streamed(streams(chat(tokens(32, first_ms=42))), requests=3)
    found, target = joined(run, recorded("vllm-stream-1.json"))
    assert found.first_token_splits["apart"] == 3
    assert found.ttft is not None
    sums = sum(one.mean_ms for one in found.parts["ttft"].values())
    assert sums == pytest.approx(found.ttft.mean_ms, abs=1e-9)
    assert target.decomposed == 3


def test_triton_s_decoupled_stream() -> None:
    serve = streaming(7, gap_ms=1.5, first=[b" the"] * 6, content=b"")
    run = Streamed(serve, codec=partial(StreamingHttp2Codec, call()), read=read_streamed)
    found, target = joined(run, recorded("triton-stream-1.json"))
    assert to_first(found) == {
        "network_first": 50 + BOTH_WAYS_MS - 2.619703,
        "queue": 0.121027,
        "preprocessing": 0.312756,
        "server_before_first": 2.619703 - 0.121027 - 0.312756,
    }
    components = {name: one.mean_ms for name, one in target.components.items()}
    assert components["server_processing"] == pytest.approx(11.314066)
    assert components["network"] == pytest.approx(59 + BOTH_WAYS_MS - 11.314066)


def test_our_middleware_s_spans() -> None:
    """The role delta is the first chunk, and the first token the second."""
    parts = [(2.0, delta(role="assistant", content="")), *tokens()]
    run = Streamed(streams(chat(parts)), requests=2)
    sizes = [len(parts[0][1]), len(parts[0][1] + parts[1][1])]
    chunks = tuple(
        Event("tracebench.chunk", 1_000 * MS + at_ms * MS, {"tracebench.chunk.bytes": size})
        for at_ms, size in zip((2, 50), sizes, strict=True)
    )
    entry = Span("", "1" * 16, "", "POST", "SERVER", 1_000 * MS, 1_680 * MS, events=chunks)
    waits = Span("", "2" * 16, "1" * 16, "queue", "INTERNAL", 1_001 * MS, 1_006 * MS)
    found, target = joined(run, [[entry, waits]] * 2)
    assert to_first(found) == {
        "network_first": BOTH_WAYS_MS,
        "queue": 5,
        "server_before_first": 45,
    }
    assert target.components["network"].mean_ms == pytest.approx(BOTH_WAYS_MS)


def test_spans_without_such_events_leave_what_the_reply_tells() -> None:
    parts = tokens()
    told = comments(X_Timing_Info='{"total": 0.68}', X_Stream_Timing=stamps(parts, waited_s=0.002))
    run = Streamed(streams(chat([*parts[:-1], (parts[-1][0], parts[-1][1] + told)])))
    entry = Span("", "1" * 16, "", "POST", "SERVER", 1_000 * MS, 1_680 * MS)
    found, target = joined(run, [[entry]])
    assert target.server_timing_source["otlp"] == 1
    assert to_first(found) == {"network_first": BOTH_WAYS_MS, "server_before_first": 50}
    assert found.waited is not None
    assert found.waited.mean_ms == 2


def test_the_table_tells_of_it() -> None:
    parts = tokens()
    told = comments(
        X_Timing_Info='{"prefill": 0.03, "decode": 0.6, "total": 0.68}',
        X_Stream_Timing=stamps(parts, waited_s=0.002),
    )
    run = Streamed(streams(chat([*parts[:-1], (parts[-1][0], parts[-1][1] + told)])))
    found = run.result
    text = printed(stream_block(found), 80, color=False)
    assert "the reader kept the server waiting for 2.00 ms (median)" in " ".join(text.split())
    rows = [line.split()[0] for line in text.splitlines() if line.strip()]
    at = rows.index("ttft")
    assert rows[at + 1 : at + 4] == ["network_first", "prefill", "server_before_first"]
    assert "(60 % prefill)" in interpret_stream(found)

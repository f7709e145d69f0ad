"""What stands in the headers, and that tracebench reads it back without loss."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace

from server_middleware.components.component import is_name
from server_middleware.mirror import MOST_NAMES, headers
from server_middleware.vocabulary import REPORTED_PARTS, UNLISTED
from tests.middleware.span_samples import Spans
from tracebench.model.record.exchange import Reply, Timing
from tracebench.tracing.mirror import timings


def test_both_spellings() -> None:
    assert headers(12_500_000, {"queue": 1, "inference": 10_000_000}) == [
        (
            "X-Timing-Info",
            '{"queue": 0.000000001, "inference": 0.010000000, "server_processing": 0.012500000}',
        ),
        (
            "Server-Timing",
            "queue;dur=0.000001, inference;dur=10.000000, server_processing;dur=12.500000",
        ),
    ]


@pytest.mark.parametrize("total_ns", [0, 999_999_999, 1_000_000_000, 61_000_000_007])
def test_seconds_are_written_with_all_nanoseconds(total_ns: int) -> None:
    written = json.loads(headers(total_ns, {"inference": 5})[0][1], parse_float=str)
    assert written == {"inference": "0.000000005", "server_processing": f"{total_ns / 1e9:.9f}"}


def test_the_span_is_named_in_the_way_of_trace_context_level_3(spans: Spans) -> None:
    span = spans.provider.get_tracer("test").start_span("entry")
    context = span.get_span_context()
    ids = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    assert headers(0, {}, span)[1][1].endswith(f', trace;desc="{ids}"')


def test_a_span_that_is_not_recorded_is_not_named() -> None:
    remote = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1))
    assert "trace" not in headers(0, {}, trace.NonRecordingSpan(remote))[1][1]


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", fullmatch=True).filter(is_name)
durations_ns = st.integers(0, 10**12)


@given(st.dictionaries(names, durations_ns, max_size=60))
def test_headers_are_bounded_and_well_formed(parts_ns: dict[str, int]) -> None:
    pairs = dict(headers(10**13, parts_ns))
    assert all(value.isascii() for value in pairs.values())
    assert sum(map(len, pairs.values())) < 4_096
    assert len(json.loads(pairs["X-Timing-Info"])) <= MOST_NAMES + 1


def test_standard_names_come_before_own_ones() -> None:
    own = {f"own_{number}": number for number in range(40)}
    told = json.loads(headers(100, {**own, "inference": 7})[0][1])
    assert told["inference"] == 7e-9


@pytest.mark.parametrize(("count", "unlisted"), [(32, 0), (36, 0), (40, 4)])
def test_what_does_not_fit_is_counted(count: int, unlisted: int) -> None:
    told = headers(10**9, {f"step{number}": 7 for number in range(count)})
    assert (UNLISTED in told[1][1]) is bool(unlisted)
    found = timings.read_timing(Reply("200", {name.lower(): value for name, value in told}, b""))
    assert isinstance(found, Timing)
    assert len(found.parts_ns) == 32
    assert found.unlisted == count - 32


def test_of_too_many_names_those_that_take_the_most_time_are_told() -> None:
    told = json.loads(headers(10**9, {f"step{number}": number for number in range(40)})[0][1])
    assert list(told) == [*(f"step{number}" for number in range(4, 40)), "server_processing"]


def test_32_own_names_of_the_usual_length_fit() -> None:
    own_ns = {f"usual_name_{number:02}": 7 for number in range(32)}
    parts_ns = {**own_ns, **dict.fromkeys(REPORTED_PARTS, 1)}
    for header in headers(10**9, parts_ns):
        reply = Reply("200", {header[0].lower(): header[1]}, b"")
        assert timings.read_timing(reply) == Timing(10**9, parts_ns, "mirror", came_with="head")


@given(
    st.dictionaries(st.sampled_from([*REPORTED_PARTS, "tokenize", "client"]), durations_ns),
    durations_ns,
    st.booleans(),
)
def test_what_is_written_is_read_to_the_ns(
    parts_ns: dict[str, int], other_ns: int, first: bool
) -> None:
    total_ns = sum(parts_ns.values()) + other_ns
    written = headers(total_ns, parts_ns)[0 if first else 1 :]
    reply = Reply("200", {name.lower(): value for name, value in written}, b"")
    assert timings.read_timing(reply) == Timing(total_ns, parts_ns, "mirror", came_with="head")

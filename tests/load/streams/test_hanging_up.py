"""Clients that hang up: when they do, what is kept of it, and what the others are left with."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tests.load.fake_network import Socket
from tests.load.http2_samples import call
from tests.load.streams.exact_streams import (
    HEAD,
    LAST_CHUNK,
    Streamed,
    chat,
    chunk,
    delta,
    event,
    streams,
    tokens,
)
from tests.load.streams.test_grpc_streams import streaming
from tests.load.streams.test_pitfalls import TTFT_MS, mean
from tracebench.analysis.streams.hung_up import went_on
from tracebench.load.streams.events import cut_for
from tracebench.load.streams.hanging_up import TokensSoFar
from tracebench.load.streams.reading import NO_STREAMS
from tracebench.load.wire.codec import GRPC_STREAM, StreamLog
from tracebench.load.wire.grpc_reply import read_streamed
from tracebench.load.wire.http2 import StreamingHttp2Codec
from tracebench.model.plan import HangUp
from tracebench.model.record.exchange import Outcome
from tracebench.model.results.result import Gauge
from tracebench.model.results.stream_result import HungUp
from tracebench.report.tables.stream_table import stream_line

Called = partial(Streamed, codec=partial(StreamingHttp2Codec, call()), read=read_streamed)
AFTER_TOKENS, AFTER_TIME = HangUp(tokens=4), HangUp(after_s=0.085)


def outcomes(run: Streamed) -> list[Outcome]:
    return [one.outcome for one in run.load.requests]


def hung_up(run: Streamed) -> HungUp:
    stream = run.target.stream
    assert stream is not None
    assert stream.hung_up is not None
    return stream.hung_up


# ── when ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", ["rest", "grpc"])
@pytest.mark.parametrize("after", [AFTER_TOKENS, AFTER_TIME])
def test_a_stream_is_hung_up(make: str, after: HangUp) -> None:
    run = (
        Streamed(streams(chat(tokens())), requests=3, hang_up=after)
        if make == "rest"
        else Called(streaming(), requests=3, hang_up=after)
    )
    assert outcomes(run) == [Outcome.ABANDONED] * 3
    lasted_ms = TTFT_MS + 30 if after is AFTER_TOKENS else 85
    found = hung_up(run)
    assert (found.count, found.without_token) == (3, 0)
    assert found.tokens == 3 * 4
    assert mean(found.lasted) == pytest.approx(lasted_ms, abs=0.5)
    assert found.ttft is not None
    assert found.ttft.min_ms == TTFT_MS, "later ones had to connect anew"
    counts = run.target.requests
    assert (counts.started, counts.abandoned, counts.failed) == (3, 3, 0)
    assert run.target.errors == ()
    assert "no_successes" not in {one.code for one in run.target.verdict.findings}


def test_the_connection_is_closed_and_the_next_request_has_a_new_one() -> None:
    run = Streamed(streams(chat(tokens())), requests=3, hang_up=AFTER_TOKENS)
    connects = [one.connect_ns > 0 for one in run.load.requests]
    assert connects == [False, True, True]


def test_a_call_is_cancelled_and_its_connection_goes_on() -> None:
    heard: list[bytes] = []

    def serve(one: Socket, data: bytes) -> None:
        heard.append(data)
        answer(one, data)

    answer = streaming()
    run = Called(serve, requests=4, slots=2, channels=1, hang_up=AFTER_TOKENS)
    assert outcomes(run) == [Outcome.ABANDONED] * 4
    reset, cancel = b"\x03", b"\x00\x00\x00\x08"
    for stream_id in (b"\x01", b"\x03"):
        frame = b"\x00\x00\x04" + reset + b"\x00\x00\x00\x00" + stream_id + cancel
        assert any(frame in one for one in heard)
    assert all(not one.connect_ns for one in run.load.requests)


def test_who_waits_for_the_first_token_hangs_up_without_one() -> None:
    run = Streamed(streams(chat(tokens())), requests=2, hang_up=HangUp(after_s=0.02))
    found = hung_up(run)
    assert (found.count, found.without_token, found.tokens) == (2, 2, 0)
    assert found.ttft is None
    assert mean(found.lasted) == pytest.approx(20, abs=0.5)


def test_a_stream_that_ends_before_is_an_ordinary_one() -> None:
    for after in (HangUp(tokens=65), HangUp(after_s=5.0)):
        run = Streamed(streams(chat(tokens())), requests=2, hang_up=after)
        assert outcomes(run) == [Outcome.SUCCEEDED] * 2
        assert run.target.stream is not None
        assert run.target.stream.hung_up is None


def test_an_error_before_it_is_still_a_failure() -> None:
    parts = [(10.0, delta(content="a")), (20.0, event({"error": {"message": "no memory"}}))]
    sent = [(at_ms, chunk(data)) for at_ms, data in parts]
    run = Streamed(streams([(0, HEAD), *sent]), hang_up=HangUp(after_s=0.1))
    assert outcomes(run) == [Outcome.FAILED]


# ── what is left of it ───────────────────────────────────────────────────────────────────────


def test_first_tokens_count_and_nothing_else_does() -> None:
    half = HangUp(tokens=4, share=0.5)
    run = Streamed(streams(chat(tokens())), requests=20, hang_up=half)
    gone = outcomes(run).count(Outcome.ABANDONED)
    assert 0 < gone < 20
    stream, latency = run.target.stream, run.target.latency
    assert stream is not None
    assert latency is not None
    assert latency.count == stream.count == 20 - gone
    assert stream.ttft is not None
    assert stream.ttft.count == 20
    assert stream.tpot is not None
    assert stream.tpot.count == 20 - gone
    assert stream.tokens.output == 64 * (20 - gone)
    assert hung_up(run).count == gone
    again = Streamed(streams(chat(tokens())), requests=20, hang_up=half)
    assert outcomes(again) == outcomes(run), "the seed chooses"
    told = list(stream_line(stream))
    assert f"{gone} more hung up after 4 tokens: ttft p50 ~50.40 ms" in told[1] or gone > 9


def test_after_a_time_the_rest_is_said_to_be_the_faster_ones() -> None:
    run = Streamed(streams(chat(tokens())), requests=2, hang_up=AFTER_TIME)
    (found,) = (one for one in run.target.verdict.findings if one.code == "hung_up")
    assert found.severity == "info"
    assert "the rest is the faster ones" in found.message
    assert "cannot be seen without its gauges" in found.message
    run = Streamed(streams(chat(tokens())), requests=2, hang_up=AFTER_TOKENS)
    (found,) = (one for one in run.target.verdict.findings if one.code == "hung_up")
    assert found.message.startswith("the client hung up 2 requests of 2 after 4 tokens, as asked: ")
    assert "faster" not in found.message


# ── does the server go on? ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "answer"), [(0.0, False), (2.9, True), (1.45, None)], ids=["stops", "goes on", "?"]
)
def test_gauges_show_whether_the_server_goes_on(more: float, answer: bool | None) -> None:
    """Ten a second are hung up, each 0.3 s before its end: about three more are at work."""
    run = Streamed(streams(chat(tokens())), requests=12, hang_up=AFTER_TOKENS)
    found = hung_up(run)
    assert found.lasted is not None
    usual_ms = found.lasted.mean_ms + 290
    at_s = tuple(at / 100 for at in range(1, 90))
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1 if answer is not None else 30, len(at_s))
    values = tuple((1 + more + noise).tolist())
    running = Gauge("running", at_s, values, min(values), 1.0, max(values))
    gauges = {"requests_running": running}
    assert went_on(run.load, found, usual_ms, gauges) is answer
    assert went_on(run.load, found, None, gauges) is None
    assert went_on(run.load, found, usual_ms, {}) is None
    assert went_on(run.load, replace(found, count=0), usual_ms, gauges) is None


# ── tokens of a stream that goes on ──────────────────────────────────────────────────────────


def log_of(kind: str, *parts: bytes) -> tuple[TokensSoFar, list[int]]:
    log = StreamLog(kind)
    so_far, counts = TokensSoFar(log, NO_STREAMS), []
    for part in parts:
        log.body += part
        counts.append(so_far.count())
    return so_far, counts


def test_an_event_counts_once_it_is_whole() -> None:
    one = delta(content=" the")
    assert log_of("text/event-stream", one[:9], one[9:], one + one[:-1], b"\n")[1] == [0, 1, 2, 3]
    crlf = one.replace(b"\n", b"\r\n")
    assert log_of("text/event-stream", crlf, crlf[:-2], crlf[-2:])[1] == [1, 1, 2]


def test_an_unknown_form_counts_events() -> None:
    assert log_of("text/event-stream", b"data: a\n\n", b": ping\n\n", b"data: b\n\n")[1] == [
        1,
        1,
        2,
    ]
    line = b'{"response": "a", "done": false}\n'
    assert log_of("application/x-ndjson", line, line[:5], line[5:] + line)[1] == [1, 1, 3]


def test_messages_count_once_they_are_whole() -> None:
    whole = b"\0\0\0\0\x04 the"
    assert log_of(GRPC_STREAM, whole[:6], whole[6:], whole + whole)[1] == [0, 1, 3]
    assert len(list(cut_for(GRPC_STREAM)(whole * 3))) == 3


def test_the_last_chunk_is_not_waited_for() -> None:
    """What ends in the read that brings the last token wanted is no longer hung up."""
    sent: list[tuple[float, bytes]] = [(0, HEAD)]
    sent.append((10, chunk(delta("stop", content="a") + b"data: [DONE]\n\n") + LAST_CHUNK))
    run = Streamed(streams(sent), hang_up=HangUp(tokens=1))
    assert outcomes(run) == [Outcome.SUCCEEDED]

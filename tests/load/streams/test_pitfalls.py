"""The ways in which tools go wrong about streams, each with an answer that is known exactly."""

from dataclasses import replace
from typing import Any

import pytest

from tests.load.fake_network import US
from tests.load.streams.exact_streams import (
    BOTH_WAYS_MS,
    DONE,
    HEAD,
    LAST_CHUNK,
    MS,
    Streamed,
    chat,
    chunk,
    delta,
    event,
    streams,
    tokens,
    usage,
)
from tracebench.model.record.exchange import Outcome
from tracebench.model.results.statistics import Statistics

TTFT_MS = 50 + BOTH_WAYS_MS


def p50(found: Statistics | None) -> float:
    assert found is not None
    return found.p50_ms


def mean(found: Statistics | None) -> float:
    assert found is not None
    return found.mean_ms


def outcomes(run: Streamed) -> set[tuple[Outcome, str]]:
    return {(one.outcome, one.reason) for one in run.load.requests}


def test_a_plain_stream() -> None:
    run = Streamed(streams(chat(tokens())), requests=3)
    found = run.result
    assert found.count == 3
    assert p50(found.ttft) == p50(found.ttft_service) == p50(found.first_text) == TTFT_MS
    assert p50(found.itl) == mean(found.itl) == p50(found.tpot) == 10
    assert p50(found.generation) == 630
    assert p50(found.ending) == 0
    assert found.itl is not None
    assert found.itl.count == 3 * 63
    assert found.tokens.output == 3 * 64
    assert found.tokens.source == "events"
    assert found.stamps == {"exact": 3 * 63, "shared": 3}, "the last came with the end"
    assert run.codes == {"tokens_unknown"}


def test_both_sums_are_exact() -> None:
    run = Streamed(streams(chat(tokens())), requests=4, slots=2)
    found, whole = run.result, run.target.components["end_to_end"]
    assert found.ttft is not None
    assert found.generation is not None
    assert found.ending is not None
    parts = sum(one.mean_ms for one in found.parts["ttft"].values())
    assert parts == pytest.approx(found.ttft.mean_ms, abs=1e-9)
    after = whole.mean_ms - found.ttft.mean_ms - found.generation.mean_ms - found.ending.mean_ms
    assert after == pytest.approx(0, abs=1e-6), "the client took no time"


def test_a_role_delta_is_no_token() -> None:
    role = (0.0, delta(role="assistant", content=""))
    run = Streamed(streams(chat([role, *tokens()])))
    assert p50(run.result.ttft) == TTFT_MS
    rows = run.load.streams.rows if run.load.streams is not None else None
    assert rows is not None
    assert rows["first_event"][0] < rows["first_token"][0]


def test_a_role_delta_in_one_read_with_the_first_token() -> None:
    parts = tokens()
    parts[0] = (50, delta(role="assistant", content=None) + parts[0][1])
    found = Streamed(streams(chat(parts))).result
    assert p50(found.ttft) == TTFT_MS
    assert found.stamps["exact"] == 63


def test_several_tokens_an_event() -> None:
    parts = tokens(16, text=" the the the the", end=delta("length") + usage(64) + DONE)
    run = Streamed(streams(chat(parts)))
    found = run.result
    assert found.tokens.output == 64
    assert found.tokens.source == "usage"
    assert p50(found.tpot) == 150 / 60, "the first event's four were there at the first token"
    assert found.events_per_token == 0.25
    assert "chunks_are_not_tokens" in run.codes


def test_several_events_a_send() -> None:
    parts = [(50 + 40 * at, delta(content=" the") * 4) for at in range(16)]
    run = Streamed(streams(chat([*parts, (650, delta("length") + DONE)])))
    found = run.result
    assert mean(found.itl) == 10
    assert p50(found.tpot) == 10
    assert found.stamps == {"exact": 15, "shared": 49}, "the last came with the end"
    assert found.itl is not None
    assert "p50_ms" in found.itl.unsupported, "only their sum is known"
    assert "client_token_lag" in run.codes


def test_the_last_byte_of_an_event_counts() -> None:
    parts: list[tuple[float, bytes]] = [(0, HEAD)]
    for at_ms, data in tokens()[:-1]:
        whole = chunk(data)
        parts += [(at_ms, whole[:20]), (at_ms + 3, whole[20:])]
    parts.append((684, chunk(delta("length") + DONE) + LAST_CHUNK))
    found = Streamed(streams(parts)).result
    assert p50(found.ttft) == TTFT_MS + 3
    assert p50(found.itl) == 10


def with_comments(parts: list[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    pings = [(7.0 * at, b": ping\n\n") for at in range(1, 90)]
    return sorted([*parts[:-1], *pings], key=lambda one: one[0]) + parts[-1:]


def test_comments_and_line_ends_change_nothing() -> None:
    plain = Streamed(streams(chat(tokens()))).result
    parts = with_comments(tokens())
    assert Streamed(streams(chat(parts))).result.ttft == plain.ttft
    crlf = [(at_ms, data.replace(b"\n", b"\r\n")) for at_ms, data in parts]
    commented = Streamed(streams(chat(crlf))).result
    assert replace(commented, stamps={}) == replace(plain, stamps={})


def test_an_error_in_mid_stream_is_a_failure() -> None:
    parts = [*tokens(32)[:-1], (370, event({"error": {"message": "engine died"}}))]
    run = Streamed(streams(chat(parts)), requests=3)
    assert outcomes(run) == {(Outcome.FAILED, "the stream broke off with an error: engine died")}
    assert run.result.count == 0
    assert run.result.ttft is None
    assert run.codes == {"stream_error"}


def test_a_stream_without_an_end_is_truncated() -> None:
    run = Streamed(streams(chat(tokens(end=b": bye\n\n"))))
    assert outcomes(run) == {(Outcome.FAILED, "the stream stopped without an event that ends it")}
    assert run.codes == {"stream_truncated"}


def test_a_finish_reason_is_an_end() -> None:
    run = Streamed(streams(chat(tokens(end=delta("length")))))
    assert outcomes(run) == {(Outcome.SUCCEEDED, "")}


def test_a_connection_that_ends_in_mid_stream_is_a_failure() -> None:
    parts = [*chat(tokens(32))[:-1], (400, b"")]
    ((outcome, reason),) = outcomes(Streamed(streams(parts)))
    assert outcome is Outcome.FAILED
    assert "in the middle of a reply" in reason


def test_a_reply_that_ends_with_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    parts = [(0.0, head), *tokens(), (681.0, b"")]
    found = Streamed(streams(parts), requests=2).result
    assert found.count == 2
    assert p50(found.ttft_service) == TTFT_MS
    assert p50(found.tpot) == 10


def test_no_text_while_the_usage_grows_is_a_token() -> None:
    def counted(at: int) -> bytes:
        said = {"index": 0, "delta": {"content": "" if at % 2 else " the"}, "finish_reason": None}
        return event({"choices": [said], "usage": {"completion_tokens": at + 1}})

    parts = [(50 + 10.0 * at, counted(at)) for at in range(64)]
    found = Streamed(streams(chat([*parts, (680, delta("length") + usage(64) + DONE)]))).result
    assert found.itl is not None
    assert found.itl.count == 63
    assert p50(found.itl) == 10
    assert found.events_per_token == 1


def test_reasoning_comes_before_the_text() -> None:
    thought = [(50 + 10.0 * at, delta(reasoning_content="hm")) for at in range(8)]
    found = Streamed(streams(chat([*thought, *tokens(first_ms=130)]))).result
    assert p50(found.ttft) == TTFT_MS
    assert p50(found.first_text) == 130 + BOTH_WAYS_MS
    assert p50(found.tpot) == 10


def test_a_client_that_stalls_makes_bounds_not_errors() -> None:
    """Every exact stamp is right, and every other an interval that holds the truth."""
    busy = [(at, 20.0) for at in range(30, 5_000, 200)]
    plain = Streamed(streams(chat(tokens())), requests=5)
    run = Streamed(streams(chat(tokens())), requests=5, busy_ms=busy)
    found = run.result
    assert p50(found.itl) == p50(plain.result.itl) == 10
    assert p50(found.ttft_service) == TTFT_MS
    assert 0 < found.shared_gaps < 0.2
    assert run.load.streams is not None
    sent = {one.span_id: one.sent_ns for one in run.load.requests}
    for row in run.load.streams.rows:
        truth_ns = sent[run.load.requests.ids(int(row["draw"]))[1]] + TTFT_MS * MS
        if row["first_token"] == row["first_token_after"]:
            assert row["first_token"] == truth_ns
        else:
            assert row["first_token_after"] < truth_ns <= row["first_token"]


def test_a_proxy_that_buffers() -> None:
    everything = b"".join(data for _, data in tokens())
    run = Streamed(streams([(680, HEAD), (680, chunk(everything) + LAST_CHUNK)]), requests=2)
    found = run.result
    assert found.itl is None
    assert found.tpot is None
    assert p50(found.ttft) == 680 + BOTH_WAYS_MS
    assert "buffered_stream" in run.codes


def test_a_first_token_that_is_held_back() -> None:
    parts = tokens()
    held = [(130.0, b"".join(data for _, data in parts[:9])), *parts[9:]]
    run = Streamed(streams(chat(held)))
    assert "first_token_held_back" in run.codes
    assert p50(run.result.tpot) == (680 - 130) / (64 - 9)


def test_fewer_tokens_than_asked() -> None:
    run = Streamed(streams(chat(tokens(12, end=delta("stop") + usage(12) + DONE))))
    run.load = replace(run.load, asked_tokens=64)
    assert run.codes == {"short_outputs"}
    run.load = replace(run.load, asked_tokens=12)
    assert run.codes == set()


def test_prompts_from_the_cache() -> None:
    cached: Any = {"prompt_tokens_details": {"cached_tokens": 12}}
    run = Streamed(streams(chat(tokens(end=delta("stop") + usage(64, **cached) + DONE))))
    assert run.result.tokens.cached == 12
    assert run.codes == {"prefix_cached"}


def test_one_token_has_no_time_per_token() -> None:
    found = Streamed(streams(chat(tokens(1))), requests=2).result
    assert (found.tpot, found.itl, found.one_token) == (None, None, 2)
    assert p50(found.ttft) == TTFT_MS


def test_the_time_out_is_that_of_each_gap() -> None:
    slow = chat(tokens(8, gap_ms=400))
    assert outcomes(Streamed(streams(slow), timeout_ms=500)) == {(Outcome.SUCCEEDED, "")}
    gap = Streamed(streams(slow), timeout_ms=300)
    assert outcomes(gap) == {(Outcome.TIMED_OUT, "no more of the stream within 0.3 s")}
    whole = Streamed(streams(slow), timeout_ms=500, stream_timeout_ms=1_500)
    assert outcomes(whole) == {(Outcome.TIMED_OUT, "no end of the stream within 1.5 s")}
    first = Streamed(streams(chat(tokens(first_ms=900))), timeout_ms=500)
    assert outcomes(first) == {(Outcome.TIMED_OUT, "no event within 0.5 s")}


def test_the_servers_own_times_are_parts() -> None:
    """llama.cpp tells how long prefill and decoding took, and no total."""
    timings = {"prompt_n": 20, "prompt_ms": 30.0, "predicted_n": 64, "predicted_ms": 600.0}
    last = event({"choices": [{"delta": {}, "finish_reason": "length"}], "timings": timings})
    found = Streamed(streams(chat(tokens(end=last + DONE)))).result
    ttft, generation = found.parts["ttft"], found.parts["generation"]
    assert ttft["prefill"].mean_ms == 30
    assert ttft["server_and_network"].mean_ms == pytest.approx(TTFT_MS - 30)
    assert generation["decode"].mean_ms == 600
    assert generation["server_and_network"].mean_ms == pytest.approx(30)
    assert found.tokens.source == "usage"


def test_tokens_a_second_of_the_steady_part() -> None:
    run = Streamed(streams(chat(tokens())), requests=40, slots=2)
    assert run.result.output_tokens_per_s == pytest.approx(2 * 64 / 0.6802, rel=0.01)


def test_long_streams_are_understood_between_the_rounds() -> None:
    """One that takes long to understand keeps no reply of another waiting."""
    many = chat(tokens(4_000, gap_ms=0.05))
    run = Streamed(streams(many), requests=2)
    assert run.result.tokens.output == 8_000
    assert p50(run.result.tpot) == 50 * US / MS


@pytest.mark.parametrize(
    ("closed", "told"), [(None, False), (0, False), (1, True)], ids=["unknown", "never", "once"]
)
def test_a_reader_who_was_late_is_told_of(closed: int | None, told: bool) -> None:
    run = Streamed(streams(chat(tokens())), requests=3)
    run.load = replace(run.load, closed_windows=closed)
    assert ("window_throttled" in run.codes) is told

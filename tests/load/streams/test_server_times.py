"""What servers tell of themselves at the end of a stream, and what becomes of it: exact numbers."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.load.http2_samples import block, call
from tests.load.streams.exact_streams import (
    BOTH_WAYS_MS,
    DONE,
    HEAD,
    Part,
    Streamed,
    chat,
    delta,
    event,
    streams,
    tokens,
)
from tests.load.streams.test_grpc_streams import streaming
from tests.load.streams.test_pitfalls import mean, outcomes, p50
from tracebench.load.streams.messages import by_path
from tracebench.load.wire.grpc_reply import read_streamed
from tracebench.load.wire.http2 import StreamingHttp2Codec
from tracebench.model.record.exchange import Outcome
from tracebench.protos.inference_pb2 import PredictResponse

ROLE: Part = (2.0, delta(role="assistant", content=""))
END = delta("length") + DONE
EARLY = HEAD.replace(b"\r\n\r\n", b'\r\nX-Timing-Info: {"server_processing": 0.001}\r\n\r\n')
TIMES_S = {"queue": 0.005, "prefill": 0.03, "decode": 0.6, "server_processing": 0.68}


def stamps(parts: Sequence[Part], waited_s: float = 0, count: int = 8) -> str:
    """What a server that sends these says of the first of them."""
    sizes = accumulate(len(data) for _, data in parts)
    chunks = [[size, at_ms / 1e3] for size, (at_ms, _) in zip(sizes, parts, strict=True)]
    told = {"chunks": chunks[:count], "last": parts[-1][0] / 1e3, "waited": waited_s}
    return json.dumps(told)


def comments(**headers: str) -> bytes:
    lines = [f": {name.replace('_', '-')}: {value}\n" for name, value in headers.items()]
    return "".join(lines).encode() + b"\n"


def telling(
    parts: Sequence[Part],
    times_s: Mapping[str, float] | None = None,
    said: str | None = None,
    head: bytes = EARLY,
) -> Streamed:
    """A run against a server that tells of itself behind the last event."""
    headers = {"X_Timing_Info": json.dumps(TIMES_S if times_s is None else times_s)}
    headers["X_Stream_Timing"] = stamps(parts) if said is None else said
    at_ms, data = parts[-1]
    whole = [*parts[:-1], (at_ms, data + comments(**headers))]
    return Streamed(streams(chat(whole, head)), requests=2)


def to_first(run: Streamed) -> dict[str, float]:
    return {name: one.mean_ms for name, one in run.result.parts["ttft"].items() if one.mean_ms}


def test_the_time_to_the_first_token_is_divided() -> None:
    run = telling([ROLE, *tokens()])
    assert to_first(run) == {
        "network_first": pytest.approx(BOTH_WAYS_MS),
        "queue": 5,
        "prefill": 30,
        "server_before_first": 15,
    }
    assert run.result.first_token_splits == {"apart": 2, "scaled": 0, "left_out": 0}
    assert mean(run.result.parts["generation"]["decode"]) == 600
    assert mean(run.result.parts["generation"]["server_and_network"]) == 30
    assert run.result.waited is None


def test_what_comes_at_the_end_counts_before_the_head() -> None:
    run = telling([ROLE, *tokens()])
    components = {name: one.mean_ms for name, one in run.target.components.items()}
    assert "body" not in components
    assert components["server_processing"] == 680
    assert components["network"] == pytest.approx(BOTH_WAYS_MS)
    assert components["inference"] == 630
    assert run.target.parts_of == {"inference": ("prefill", "decode")}
    assert "streamed_reply" not in {one.code for one in run.target.verdict.findings}
    early = Streamed(streams(chat([ROLE, *tokens()], EARLY)), requests=2).target
    assert early.components["body"].mean_ms > 600
    assert "streamed_reply" in {one.code for one in early.verdict.findings}


def test_nothing_of_the_head_is_left() -> None:
    head = EARLY.replace(b'{"', b'{"postprocessing": 0.0001, "')
    assert "postprocessing" not in telling(tokens(), head=head).target.components


def test_server_timing_is_one_spelling_of_the_same() -> None:
    end = END + comments(Server_Timing="queue;dur=5, prefill;dur=30, total;dur=680")
    found = Streamed(streams(chat(tokens(end=end)))).result
    assert found.parts["ttft"]["queue"].mean_ms == 5
    assert found.first_token_splits == {"apart": 0, "scaled": 0, "left_out": 0}


def test_the_first_chunk_is_not_the_first_token() -> None:
    """A token that lies in one chunk with others left with the last byte of that chunk."""
    both = (50.0, ROLE[1] + tokens()[0][1])
    assert to_first(telling([(1.0, b": hi\n\n"), both, *tokens()[1:]]))["network_first"] == (
        pytest.approx(BOTH_WAYS_MS)
    )


def test_an_event_in_several_chunks_left_with_its_last_byte() -> None:
    parts = tokens()
    at_ms, data = parts[0]
    run = telling([(at_ms, data[:20]), (at_ms + 3, data[20:]), *parts[1:]])
    assert to_first(run)["network_first"] == pytest.approx(BOTH_WAYS_MS)
    assert sum(to_first(run).values()) == pytest.approx(53 + BOTH_WAYS_MS)


def test_what_is_not_known_is_no_network() -> None:
    """The token came after the chunks that have stamps: what is left is one part."""
    many = [(5.0 * at, event({"choices": [], "progress": at})) for at in range(9)]
    run = telling([*many, *tokens()])
    assert to_first(run) == {
        "queue": 5,
        "prefill": 30,
        "server_and_network": pytest.approx(15 + BOTH_WAYS_MS),
    }
    assert run.result.first_token_splits["apart"] == 0


@pytest.mark.parametrize(
    "said", ["", "[]", '{"chunks": [[1]]}', '{"chunks": [["a", 1]]}', '{"chunks": [[9,1],[1,2]]}']
)
def test_stamps_that_cannot_be_read_leave_the_times(said: str) -> None:
    run = telling(tokens(), said=said)
    assert run.result.first_token_splits["apart"] == 0
    assert run.target.components["server_processing"].mean_ms == 680


def test_times_that_cannot_be_read_leave_those_of_the_head() -> None:
    run = telling(tokens(), times_s={"queue": -1})
    assert run.target.components["server_processing"].mean_ms == 1


@pytest.mark.parametrize(
    ("first_s", "splits"),
    [
        (0.0502, {"apart": 2, "scaled": 0, "left_out": 0}),
        (0.05025, {"apart": 2, "scaled": 2, "left_out": 0}),
        (0.0505, {"apart": 0, "scaled": 0, "left_out": 2}),
    ],
)
def test_clocks_that_exceed_each_other(first_s: float, splits: dict[str, int]) -> None:
    parts = tokens()
    said = json.dumps({"chunks": [[len(parts[0][1]), first_s]]})
    run = telling(parts, said=said)
    assert run.result.first_token_splits == splits
    expected = {"queue": 5, "prefill": 30, "server_before_first": pytest.approx(15.2)}
    if not splits["apart"]:
        expected = {"server_and_network": pytest.approx(50.2)}
    assert to_first(run) == expected


def test_parts_that_exceed_the_server_s_time_to_the_first_token() -> None:
    times_s = {**TIMES_S, "queue": 0.02001, "decode": 0.5}
    run = telling(tokens(), times_s=times_s)
    assert run.result.first_token_splits == {"apart": 2, "scaled": 2, "left_out": 0}
    assert sum(to_first(run).values()) == pytest.approx(50 + BOTH_WAYS_MS)
    assert "server_before_first" not in to_first(run)
    run = telling(tokens(), times_s={**times_s, "queue": 0.03})
    assert run.result.first_token_splits["left_out"] == 2


def test_a_reader_that_is_slow_is_told() -> None:
    parts = tokens()
    assert p50(telling(parts, said=stamps(parts, waited_s=0.002)).result.waited) == 2


def test_a_source_without_a_total_is_never_network() -> None:
    timings = {"prompt_ms": 30.0, "predicted_ms": 600.0}
    last = event({"choices": [{"delta": {}, "finish_reason": "length"}], "timings": timings})
    run = Streamed(streams(chat(tokens(end=last + DONE))))
    assert to_first(run) == {
        "prefill": 30,
        "server_and_network": pytest.approx(20 + BOTH_WAYS_MS),
    }


def test_it_stands_beside_a_server_that_tells_no_prefill_in_its_total() -> None:
    """A middleware in front of a server that tells of prefill in its events."""
    timings = {"prompt_ms": 30.0, "predicted_ms": 600.0}
    last = event({"choices": [{"delta": {}, "finish_reason": "length"}], "timings": timings})
    run = telling(tokens(end=last + DONE), times_s={"server_processing": 0.68})
    assert to_first(run) == {
        "network_first": pytest.approx(BOTH_WAYS_MS),
        "prefill": 30,
        "server_before_first": 20,
    }


def test_comments_change_no_other_number() -> None:
    plain, told = Streamed(streams(chat(tokens())), requests=2), telling(tokens())
    for name in ("ttft", "itl", "tpot", "generation", "ending", "tokens", "stamps"):
        assert getattr(plain.result, name) == getattr(told.result, name)
    assert outcomes(told) == {(Outcome.SUCCEEDED, "")}


# ── gRPC ─────────────────────────────────────────────────────────────────────────────────────


def called(
    chunks: Sequence[tuple[int, float]],
    first: Sequence[bytes] = (),
    content: bytes = b" the",
    **how: Any,
) -> Streamed:
    trailing = block(
        ("grpc-status", "0"),
        ("x-timing-info", json.dumps(TIMES_S)),
        ("x-stream-timing", json.dumps({"chunks": chunks, "last": 0.68, "waited": 0})),
    )
    return Streamed(
        streaming(trailing=trailing, first=first, content=content),
        requests=3,
        codec=partial(StreamingHttp2Codec, call()),
        read=read_streamed,
        **how,
    )


def test_trailing_metadata_tells_the_same_over_grpc() -> None:
    run = called([(1, 0.05), (2, 0.06)])
    assert to_first(run) == {
        "network_first": pytest.approx(BOTH_WAYS_MS),
        "queue": 5,
        "prefill": 30,
        "server_before_first": 15,
    }
    assert run.result.first_token_splits == {"apart": 3, "scaled": 0, "left_out": 0}
    assert run.target.components["network"].mean_ms == pytest.approx(BOTH_WAYS_MS)


def test_messages_are_counted_with_those_that_carry_nothing() -> None:
    """The third message is the first with a token: the stamp is that of three."""
    reads = partial(by_path, PredictResponse.FromString, ("result",))
    full = PredictResponse(result="the").SerializeToString()
    chunks = [(1, 0.01), (2, 0.02), (3, 0.07), (4, 0.08)]
    run = called(chunks, first=(b"", b""), content=full, message=reads, path=("result",))
    assert to_first(run)["network_first"] == pytest.approx(BOTH_WAYS_MS)
    assert sum(to_first(run).values()) == pytest.approx(70 + BOTH_WAYS_MS)


# ── whatever they tell ───────────────────────────────────────────────────────────────────────

SECONDS = st.one_of(st.just(0.0), st.floats(0, 0.1), st.just(0.05), st.just(0.0502))


@settings(max_examples=25, deadline=None)
@given(first_s=SECONDS, queue_s=SECONDS, prefill_s=SECONDS, decode_s=SECONDS)
def test_the_sums_hold_whatever_the_server_tells(
    first_s: float, queue_s: float, prefill_s: float, decode_s: float
) -> None:
    parts = tokens(8)
    times_s = {
        "queue": queue_s,
        "prefill": prefill_s,
        "decode": decode_s,
        "server_processing": 0.1201,
    }
    said = json.dumps({"chunks": [[len(parts[0][1]), first_s]]})
    found = telling(parts, times_s=times_s, said=said).result
    for whole in ("ttft", "generation"):
        sums = sum(one.mean_ms for one in found.parts[whole].values())
        assert sums == pytest.approx(mean(getattr(found, whole)), abs=1e-9)
        assert all(one.min_ms >= 0 for one in found.parts[whole].values())

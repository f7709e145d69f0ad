"""gRPC calls with a stream of messages, to the nanosecond."""

from collections.abc import Sequence
from functools import partial

from tests.load import http2_samples
from tests.load.fake_network import Serve, Socket
from tests.load.http2_samples import SETTINGS, TRAILING, block, call, headers, message
from tests.load.streams.exact_streams import BOTH_WAYS_MS, MS, Streamed
from tests.load.streams.test_pitfalls import TTFT_MS, mean, outcomes, p50
from tracebench.load.streams.messages import by_path, by_usage, tells_usage
from tracebench.load.wire.grpc_reply import read_streamed
from tracebench.load.wire.http2 import StreamingHttp2Codec
from tracebench.model.record.exchange import Outcome
from tracebench.protos.completions_pb2 import CompletionChunk, Usage
from tracebench.protos.inference_pb2 import PredictResponse

FAILED = block(("grpc-status", "13"), ("grpc-message", "engine died"))
Called = partial(Streamed, codec=partial(StreamingHttp2Codec, call()), read=read_streamed)


def streaming(
    count: int = 64,
    *,
    gap_ms: float = 10,
    apart_ms: float = 0,
    content: bytes = b" the",
    first: Sequence[bytes] = (),
    trailing: bytes = TRAILING,
    cut: int = 0,
) -> Serve:
    """A server of such streams, however many share a connection.

    Args:
        count: of the messages.
        gap_ms: between them; the first comes after 50 ms.
        apart_ms: so much later is each further stream of a connection.
        content: of each message.
        first: instead, of the first ones.
        trailing: how the call ends.
        cut: so many bytes of each message come in a frame of their own, 3 ms before the rest.
    """
    opened: dict[Socket, int] = {}

    def serve(one: Socket, data: bytes) -> None:
        if not data:
            one.says(SETTINGS)
            return
        for _ in range(data.count(b"hello")):
            stream_id = opened[one] = opened.get(one, -1) + 2
            later_ms = (stream_id - 1) / 2 % 8 * apart_ms
            one.says(headers(stream_id))
            for at in range(count):
                at_ns = round((50 + later_ms + gap_ms * at) * MS)
                whole = message(first[at] if at < len(first) else content)
                if cut:
                    one.says(http2_samples.data(stream_id, whole[:cut]), at_ns)
                    at_ns += 3 * MS
                one.says(http2_samples.data(stream_id, whole[cut:]), at_ns)
            one.says(headers(stream_id, trailing, end=True), at_ns)

    return serve


def test_each_message_is_a_token() -> None:
    run = Called(streaming(), requests=3)
    found = run.result
    assert outcomes(run) == {(Outcome.SUCCEEDED, "")}
    assert p50(found.ttft) == TTFT_MS
    assert p50(found.itl) == p50(found.tpot) == 10
    assert found.tokens.output == 3 * 64
    assert found.tokens.source == "events"
    assert found.stamps == {"exact": 3 * 64, "shared": 0}, "trailers are no message"


def test_streams_that_share_a_connection() -> None:
    """Each read belongs to one of them; those of the others have stamps of their own."""
    found = Called(streaming(apart_ms=1), requests=8, slots=4, channels=1).result
    assert found.count == 8
    assert mean(found.itl) == 10
    assert found.stamps["shared"] == 0
    assert found.ttft is not None
    assert found.ttft.min_ms == TTFT_MS


def test_messages_of_several_streams_in_one_read_have_bounds() -> None:
    found = Called(streaming(), requests=4, slots=4, channels=1).result
    assert found.stamps == {"exact": 64, "shared": 3 * 64}


def test_a_message_across_frames_comes_with_its_last_byte() -> None:
    found = Called(streaming(cut=3)).result
    assert p50(found.ttft) == TTFT_MS + 3
    assert p50(found.itl) == 10


def test_a_call_that_fails_in_the_middle() -> None:
    run = Called(streaming(32, trailing=FAILED), requests=2)
    assert outcomes(run) == {(Outcome.FAILED, "INTERNAL: engine died")}
    assert run.result.count == 0


def test_empty_messages_are_no_tokens() -> None:
    run = Called(streaming(4, content=b""))
    assert run.result.count == 0
    assert run.result.without_tokens == 1
    assert "tokens_unknown" in run.codes


def test_where_a_message_has_its_token() -> None:
    empty, full = PredictResponse(), PredictResponse(result="the")
    for content, count in ((empty, 0), (full, 1)):
        content.timing_info.add(component="x", duration_ms=1.0)
        reads = partial(by_path, PredictResponse.FromString, ("result",))
        serve = streaming(4, content=content.SerializeToString())
        run = Called(serve, path=("result",), message=reads)
        assert run.result.count == count
        assert outcomes(run) == {(Outcome.SUCCEEDED, "")}


def test_messages_that_tell_their_usage() -> None:
    """As the example's do: a text a token, the counts in the last message, which may have none."""
    text = CompletionChunk(text="the").SerializeToString()
    told = Usage(prompt_tokens=16, completion_tokens=3, cached_tokens=5)
    end = CompletionChunk(finish_reason="stop", usage=told).SerializeToString()
    assert tells_usage(CompletionChunk)
    assert not tells_usage(PredictResponse)
    serve = streaming(4, first=[text, text, text, end])
    run = Called(serve, message=partial(by_usage, CompletionChunk.FromString))
    tokens = run.result.tokens
    assert (tokens.input, tokens.output, tokens.cached) == (16, 3, 5)
    assert tokens.source == "usage"
    assert run.result.stamps == {"exact": 3, "shared": 0}
    assert outcomes(run) == {(Outcome.SUCCEEDED, "")}


def test_the_time_there_and_back_is_in_the_first_token() -> None:
    run = Called(streaming())
    parts = run.result.parts["ttft"]
    assert parts["server_and_network"].mean_ms == 50 + BOTH_WAYS_MS

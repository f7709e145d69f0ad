"""What the HTTP/2 codec costs: µs of CPU for `request` and `receive` of one call, without I/O.

    python -m benchmarks.http2_codec [CALLS]

The reply is what a grpcio server sends: headers, one message and trailers in one read, then a
PING and a WINDOW_UPDATE now and then. The last line reads kept replies, as it is done after a run.
"""

import sys
from time import process_time_ns

import hpack

from tracebench.load.wire import grpc_reply, http2_frames
from tracebench.load.wire.codec import RawReply, Slot
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.load.wire.http2 import Http2Codec

IDS = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
WINDOWS = http2_frames.settings(
    (http2_frames.INITIAL_WINDOW_SIZE, 2**31 - 1)
) + http2_frames.window_update(0, 2**30)
ROUNDS = 5


def call(size: int) -> GrpcRequest:
    """A request with a message of `size` bytes."""
    return GrpcRequest(
        b"/inference.InferenceService/Predict", b"localhost:50051", b"http", (), bytes(size), 30.0
    )


def block(*fields: tuple[str, str]) -> bytes:
    """A header block without a table."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(list(fields)))


INITIAL = block((":status", "200"), ("content-type", "application/grpc"))
MESSAGE = b"\0" + (200).to_bytes(4, "big") + bytes(200)


def trailing(number: int) -> bytes:
    """Trailers as a mirroring server sends them: different for each reply."""
    timing = f"preprocessing;dur=1.{number:06}, inference;dur=4.{number:06}, total;dur=6.1"
    return block(("grpc-status", "0"), ("server-timing", timing))


TRAILING = trailing(1)


def reply(stream_id: int, size: int) -> bytes:
    """One reply, and what comes with it on average."""
    return (
        http2_frames.frame(http2_frames.HEADERS, http2_frames.END_HEADERS, stream_id, INITIAL)
        + http2_frames.frame(http2_frames.DATA, 0, stream_id, MESSAGE)
        + http2_frames.frame(
            http2_frames.HEADERS,
            http2_frames.END_HEADERS | http2_frames.END_STREAM,
            stream_id,
            TRAILING,
        )
        + (http2_frames.frame(http2_frames.PING, 0, 0, bytes(8)) if stream_id % 20 == 1 else b"")
        + http2_frames.window_update(0, size)
    )


def codec_us(size: int, calls: int) -> float:
    """The least CPU time of a call over some rounds, in µs."""
    best_ns = sys.maxsize
    for _ in range(ROUNDS):
        codec, slot = Http2Codec(call(size)), Slot(lambda _slot: None)
        codec.receive(WINDOWS)
        replies = [reply(2 * n + 1, size) for n in range(calls)]
        began_ns = process_time_ns()
        for received in replies:
            codec.request(slot, IDS)
            codec.receive(received)
            codec.outgoing()
        best_ns = min(best_ns, process_time_ns() - began_ns)
        assert slot.reply is not None
        assert not codec.busy()
    return best_ns / calls / 1e3


def reading_us(calls: int) -> float:
    """CPU time of reading one kept reply, in µs."""
    kept: list[RawReply] = [(INITIAL, MESSAGE, trailing(n)) for n in range(calls)]
    began_ns = process_time_ns()
    for raw in kept:
        assert not grpc_reply.read_reply(raw)[1]
    return (process_time_ns() - began_ns) / calls / 1e3


def main() -> None:
    """Measure and print."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for size in (100, 24_000, 1_000_000):
        cost_us = codec_us(size, min(calls, 10**9 // size))
        print(f"message of {size:>9,} bytes: {cost_us:6.1f} µs a call")
    print(f"reading a kept reply: {reading_us(min(calls, 5_000)):6.1f} µs")


if __name__ == "__main__":
    main()

"""What the HTTP/2 tests share: a call, a codec ready for it, and replies to it in bytes."""

import hpack

from tracebench.load.wire import http2_frames
from tracebench.load.wire.codec import Slot
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.load.wire.http2 import Http2Codec

IDS = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
SETTINGS = http2_frames.settings()
SETTINGS_ACK = http2_frames.frame(http2_frames.SETTINGS, http2_frames.ACK, 0)
PING = http2_frames.frame(http2_frames.PING, 0, 0, b"12345678")


def call(
    message: bytes = b"hello",
    metadata: tuple[tuple[bytes, bytes], ...] = (),
    method: bytes = b"Say",
    timeout_s: float = 30.0,
) -> GrpcRequest:
    return GrpcRequest(
        path=b"/test.Echo/" + method,
        authority=b"localhost:50051",
        scheme=b"http",
        metadata=metadata,
        body=message,
        timeout_s=timeout_s,
    )


def new_slot() -> Slot:
    return Slot(lambda _slot: None)


def ready(message: bytes = b"hello", first: bytes = SETTINGS) -> Http2Codec:
    """A codec whose peer has sent its SETTINGS, with the acknowledgement drained."""
    codec = Http2Codec(call(message))
    assert codec.receive(first) == ()
    assert codec.outgoing() == [SETTINGS_ACK]
    return codec


def opened(codec: Http2Codec) -> Slot:
    slot = new_slot()
    codec.request(slot, IDS)
    return slot


def block(*fields: tuple[str, str]) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(list(fields)))


INITIAL = block((":status", "200"), ("content-type", "application/grpc"), ("server", "sample"))
TRAILING = block(("grpc-status", "0"), ("server-timing", "inference;dur=4.2"))
TRAILERS_ONLY = block(
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-status", "5"),
    ("grpc-message", "no%20such%20model"),
)


def headers(stream_id: int, payload: bytes = INITIAL, *, end: bool = False) -> bytes:
    flags = http2_frames.END_HEADERS | (http2_frames.END_STREAM if end else 0)
    return http2_frames.frame(http2_frames.HEADERS, flags, stream_id, payload)


def data(stream_id: int, payload: bytes, *, end: bool = False) -> bytes:
    """DATA frames, as many as it takes."""
    most = http2_frames.SMALLEST_MAX_FRAME
    parts = [payload[at : at + most] for at in range(0, len(payload), most)] or [b""]
    last = len(parts) - 1
    return b"".join(
        http2_frames.frame(
            http2_frames.DATA, http2_frames.END_STREAM if end and at == last else 0, stream_id, part
        )
        for at, part in enumerate(parts)
    )


def message(content: bytes) -> bytes:
    return b"\0" + len(content).to_bytes(4, "big") + content


def reply(stream_id: int, content: bytes = b"world") -> bytes:
    """A whole reply that is OK."""
    return (
        headers(stream_id)
        + data(stream_id, message(content))
        + headers(stream_id, TRAILING, end=True)
    )


def goaway(last_id: int, code: int = 0, debug: bytes = b"") -> bytes:
    numbers = last_id.to_bytes(4, "big") + code.to_bytes(4, "big")
    return http2_frames.frame(http2_frames.GOAWAY, 0, 0, numbers + debug)


def body_bytes(sent: list[bytes]) -> dict[int, int]:
    """How many bytes of DATA were sent on each stream."""
    sizes: dict[int, int] = {}
    for kind, _, stream_id, payload in http2_frames.FrameSplitter().split(b"".join(sent)):
        if kind == http2_frames.DATA:
            sizes[stream_id] = sizes.get(stream_id, 0) + len(payload)
    return sizes

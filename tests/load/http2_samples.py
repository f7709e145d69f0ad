"""What the HTTP/2 tests share: a call, a codec ready for it, and replies to it in bytes."""

import hpack

from tracebench.load import frames
from tracebench.load.grpc_request import GrpcRequest
from tracebench.load.http2 import Http2Codec
from tracebench.load.slot import Slot

IDS = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
SETTINGS = frames.settings()
SETTINGS_ACK = frames.frame(frames.SETTINGS, frames.ACK, 0)


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
        message=message,
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
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
    return frames.frame(frames.HEADERS, flags, stream_id, payload)


def data(stream_id: int, payload: bytes, *, end: bool = False) -> bytes:
    """DATA frames, as many as it takes."""
    most = frames.SMALLEST_MAX_FRAME
    parts = [payload[at : at + most] for at in range(0, len(payload), most)] or [b""]
    last = len(parts) - 1
    return b"".join(
        frames.frame(frames.DATA, frames.END_STREAM if end and at == last else 0, stream_id, part)
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

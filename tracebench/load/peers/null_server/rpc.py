"""gRPC without a server: any unary call is read to its end and answered OK, with no bytes.

Its header blocks are constants without a table (RFC 7541); the client's are not even looked at.
"""

from typing import Final

from tracebench.load.peers.null_server.answers import Answers
from tracebench.load.wire import http2_frames
from tracebench.load.wire.codec import ProtocolError
from tracebench.load.wire.flow import FIRST_WINDOW
from tracebench.load.wire.grpc_request import PREFIX, literal
from tracebench.load.wire.http2_frames import CLIENT_PREFACE, FrameSplitter, frame, frame_header

_REPLENISH_BYTES: Final = 2**30
"""The connection's receive window is refilled when this much of it is used."""
_STATUS_200: Final = b"\x88"  # an index into the static table, RFC 7541, appendix A
_INITIAL: Final = _STATUS_200 + literal(b"content-type", b"application/grpc")
_MESSAGE: Final = PREFIX.pack(0, 0)
_TRAILING: Final = literal(b"grpc-status", b"0")


class GrpcAnswers(Answers):
    """One connection, any number of calls at a time."""

    greeting = http2_frames.settings(
        (http2_frames.INITIAL_WINDOW_SIZE, http2_frames.LARGEST_31_BIT)
    ) + http2_frames.window_update(0, http2_frames.LARGEST_31_BIT - FIRST_WINDOW)

    def __init__(self) -> None:
        self._splitter = FrameSplitter()
        self._preface = CLIENT_PREFACE
        """What is still to come of it."""
        self._used_bytes = 0

    def receive(self, data: bytes) -> bytes:
        """Take bytes of calls; see `Answers.receive`."""
        if self._preface:
            data = self._past_preface(data)
        split = self._splitter.split(data)
        return b"".join([self._answer(*one) for one in split])

    def _past_preface(self, data: bytes) -> bytes:
        size = len(self._preface)
        if data[:size] != self._preface[: len(data)]:
            raise ProtocolError("the client does not speak HTTP/2")
        self._preface = self._preface[len(data) :]
        return data[size:]

    def _answer(self, kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
        answer = b""
        if kind == http2_frames.DATA:
            self._used_bytes += len(payload)
            if flags & http2_frames.END_STREAM:
                answer = _reply(stream_id)
            if self._used_bytes >= _REPLENISH_BYTES:
                answer += http2_frames.window_update(0, self._used_bytes)
                self._used_bytes = 0
        elif kind in (http2_frames.SETTINGS, http2_frames.PING) and not flags & http2_frames.ACK:
            answer = frame(kind, http2_frames.ACK, 0, payload if kind == http2_frames.PING else b"")
        return answer


def _reply(stream_id: int) -> bytes:
    end = http2_frames.END_HEADERS | http2_frames.END_STREAM
    return (
        frame_header(len(_INITIAL), http2_frames.HEADERS, http2_frames.END_HEADERS, stream_id)
        + _INITIAL
        + frame_header(len(_MESSAGE), http2_frames.DATA, 0, stream_id)
        + _MESSAGE
        + frame_header(len(_TRAILING), http2_frames.HEADERS, end, stream_id)
        + _TRAILING
    )

"""HTTP/1.1, one exchange at a time: the codec, on httptools, and reading kept replies."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httptools

from tracebench.load.wire.codec import (
    CUT_SHORT,
    KEPT_BODY_BYTES,
    NO_REPLY,
    Codec,
    ProtocolError,
    RawReply,
    Slot,
    StreamLog,
)
from tracebench.model.record.exchange import Lost, Reply

# Reading kept HTTP/1.1 replies, after the run.

_NO_NAMES: Final[frozenset[str]] = frozenset()


class _Reading:
    """Collects what httptools reports of the final reply; interim ones (1xx) are skipped."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.late: set[str] = set()
        """Names of trailers, whose values replace those of the same name in the head."""
        self.body = b""
        self.head_complete = self.complete = False
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.headers = {}
        self.head_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if self.head_complete and key not in self.late:
            self.late.add(key)
            self.headers.pop(key, None)
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.head_complete = True

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.complete = self.head_complete


def _read(kept: bytes) -> _Reading:
    reading = _Reading()
    with suppress(httptools.HttpParserError):  # what precedes a fault has been read
        reading.parser.feed_data(kept)
    return reading


def read_reply(raw: RawReply) -> tuple[Reply, str]:
    """Read one reply; returns it, and why it failed, empty for a 2xx."""
    reading = _read(raw[0])
    status = reading.parser.get_status_code()
    late = frozenset(reading.late) if reading.late else _NO_NAMES
    ended = reading.complete or _ends_with_connection(reading)
    whole = (
        ended and len(reading.body) < KEPT_BODY_BYTES
    )  # what is kept of a longer one is that long
    reply = Reply(str(status), reading.headers, reading.body, late, whole)
    return reply, "" if 200 <= status < 300 else f"HTTP {status}"


def status_of(raw: RawReply) -> str:
    """The status code of a kept reply, from its first line alone."""
    return raw[0][9:12].decode("latin-1")


def ends_with_connection(kept: bytes) -> bool:
    """Whether the reply's body lasts until the server closes (RFC 9112, section 6.3)."""
    return _ends_with_connection(_read(kept))


def _ends_with_connection(reading: _Reading) -> bool:
    chunked = "chunked" in reading.headers.get("transfer-encoding", "").lower()
    return reading.head_complete and not chunked and "content-length" not in reading.headers


# HTTP/1.1, one exchange at a time: the codec, on httptools.
#
# Measured: feeding one small reply costs 0.5 µs. httptools reports the end of 1xx replies like
# any other, and has no notion of end of file; both are handled here.

KEPT_REPLY_BYTES = 16_384
"""A reply's head and the start of its body are kept up to about this size in all."""
SHORT = 2_048
"""A reply up to this size is kept as read."""
SWITCHES = "the server switches to another protocol (HTTP 101)"
TOO_MUCH = "the server sent more than one reply: a second one, or more bytes than its length says"
_SWITCHES: Final = 101


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request repeated with new ids: `head + ids + tail + body`."""

    head: bytes
    """Up to and including `traceparent: 00-`."""
    tail: bytes
    body: bytes

    def buffers(self, ids: bytes) -> list[bytes]:
        """What to send, in order.

        Args:
            ids: 49 bytes, `<trace id>-<span id>` in lower-case hex.
        """
        return [self.head + ids + self.tail, self.body]


class Http1Codec(Codec):
    """One HTTP/1.1 connection that repeats requests, indexed by `Slot.variant`."""

    multiplexed = False
    established = True

    def __init__(self, *requests: HttpRequest) -> None:
        self.reusable = True
        self.served = False
        self._requests = requests
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self._status = self._parser.get_status_code
        self._keep_alive = self._parser.should_keep_alive
        self.open = False
        """An exchange is open; the fast path leaves it so while it repeats it for the slot."""
        self._slot: tuple[Slot, ...] = ()
        """The slot of the exchange in flight, or of the last one."""
        self._most_kept = KEPT_REPLY_BYTES
        self.kept = b""
        """The current reply so far."""
        self._completed = 0

    def busy(self) -> bool:
        """Whether an exchange is open."""
        return self.open

    @property
    def room(self) -> int:
        """One exchange at a time."""
        return 0 if self.open else 1

    def preface(self) -> bytes:
        """HTTP/1.1 has none."""
        return b""

    def begin(self, slot: Slot) -> None:
        """Open an exchange whose request is sent by other means."""
        self.open = True
        self._slot = (slot,)

    def request(self, slot: Slot, ids: bytes) -> list[bytes]:
        """Open an exchange; returns head and body."""
        self.begin(slot)
        return self._requests[slot.variant].buffers(ids)

    def receive(self, data: bytes) -> Sequence[Slot]:
        """Take bytes of the reply; see `Codec.receive`."""
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ProtocolError(self._fault(error)) from None
        if not self.open:
            raise ProtocolError("the server sent bytes that answer no request")
        if not self.kept:
            self.kept = data
        elif len(self.kept) < self._most_kept:
            self.kept += data
        if self._completed:
            if self._completed > 1:
                raise ProtocolError(TOO_MUCH)
            kept, self.kept = self.kept, b""
            self._slot[0].reply = (kept if len(kept) <= SHORT else _excerpt(kept),)
            self._completed = 0
            self.open = False
            self.served = True
        return self._slot

    def _fault(self, error: Exception) -> str:
        if self._completed:
            return TOO_MUCH
        return SWITCHES if self._status() == _SWITCHES else f"not HTTP/1.1: {error}"

    def on_message_complete(self) -> None:
        """Called by httptools at the end of a reply; an interim one (1xx) is not the end."""
        if self._status() >= 200:
            self._completed += 1
            self.reusable = self._keep_alive()  # llhttp does not know earlier

    def outgoing(self) -> list[bytes]:
        """HTTP/1.1 sends nothing of its own."""
        return []

    def cancel(self, slot: Slot) -> list[bytes] | None:
        """HTTP/1.1 can give up a request only by closing."""
        self.open = self.reusable = False
        return None

    def end_of_file(self) -> Sequence[Slot]:
        """Finish the open exchange; a body may be delimited by the end of the connection."""
        if not self.open:
            self.reusable = False
            return ()
        self.open = self.reusable = False
        slot = self._slot[0]
        if not self.kept:
            slot.error = NO_REPLY
            slot.unanswered = Lost.CLOSED if self.served else None
        elif ends_with_connection(self.kept):
            slot.reply = (_excerpt(self.kept),)
        else:
            slot.error = CUT_SHORT
        return self._slot


class StreamingHttp1Codec(Http1Codec):
    """The codec for replies that may stream, which keeps the whole body of those that do."""

    _kind = ""

    def on_message_begin(self) -> None:
        """Called by httptools."""
        self._kind, self._most_kept = "", KEPT_REPLY_BYTES

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools, also for trailers."""
        if name.lower() == b"content-type":
            self._kind = value.partition(b";")[0].strip().lower().decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by httptools."""
        if self._kind in STREAM_TYPES and 200 <= self._status() < 300:
            self._slot[0].stream = StreamLog(self._kind)
            self._most_kept = SHORT  # the log has all of it, and each token would copy up to 16 KB

    def on_body(self, part: bytes) -> None:
        """Called by httptools with a part of the body, chunked coding removed."""
        stream = self._slot[0].stream
        if stream is not None:
            stream.body += part


class OneStreamHttp1Codec(StreamingHttp1Codec):
    """The codec for servers that promise to keep a connection but close it after each stream.

    The next request would cross that close. Usually the loss is noticed and the request sent again,
    but not if the server is busy and closes late.
    """

    def on_message_complete(self) -> None:
        """Called by httptools."""
        super().on_message_complete()
        self.reusable = False


STREAM_TYPES: Final = frozenset(
    {
        "text/event-stream",
        *("application/x-ndjson", "application/ndjson", "application/stream+json"),
        *("application/jsonl", "application/jsonlines", "application/x-jsonlines"),
    }
)
"""The media types of streaming replies."""


def _excerpt(kept: bytes) -> bytes:
    """The head and the start of the body, as a copy that does not hold a large read in memory."""
    return kept[: kept.find(b"\r\n\r\n") + 4 + KEPT_BODY_BYTES]

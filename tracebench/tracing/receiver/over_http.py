"""OTLP over HTTP/1.1, on httptools and asyncio; every wait and size is bounded."""

import asyncio
import zlib
from collections import OrderedDict
from http import HTTPStatus
from typing import Final

import httptools

from tracebench.tracing.receiver.intake import (
    ENCODINGS,
    MEDIA_TYPES,
    OK,
    Answer,
    InflatedBody,
    Intake,
    TooLargeError,
    refusal,
    reply_to,
)
from tracebench.tracing.receiver.settings import Bounds
from tracebench.tracing.receiver.store import Encoding

TRACES: Final = b"/v1/traces"
DROPPED: Final = (b"/v1/metrics", b"/v1/logs")
"""Accepted and discarded, so that servers that send them log no errors."""
_LINGER_S: Final = 3.0
"""How long to keep reading after a refusal: peers read the reply only after sending it all."""
_SWEEP_S: Final = 1.0


class Site:
    """State shared by all connections; the first in `connections` has been silent longest."""

    def __init__(self, intake: Intake, bounds: Bounds) -> None:
        self.intake, self.bounds = intake, bounds
        self.underway_bytes = 0
        self.connections: OrderedDict[HttpConnection, None] = OrderedDict()

    def joined(self, connection: "HttpConnection") -> None:
        """Add a connection; if there are too many, the one silent longest is closed."""
        self.connections[connection] = None
        if len(self.connections) > self.bounds.connections:
            self.intake.refuse("too many connections")
            silent, _ = self.connections.popitem(last=False)
            silent.abort()

    async def sweep(self) -> None:
        """Close connections past their deadline, in an endless loop."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = loop.time()
            for late in [one for one in self.connections if one.deadline_s < now_s]:
                late.expire()


class HttpConnection(asyncio.Protocol):
    """One connection; requests on it are answered in order."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._now_s = asyncio.get_running_loop().time
        self.deadline_s = self._now_s() + site.bounds.request_s
        self._over = False
        self._parser = httptools.HttpRequestParser(self)
        self._body: InflatedBody | None = None
        self._reset()

    def _reset(self) -> None:
        self._release()
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._came_bytes = self._head_bytes = 0
        self._encoding: Encoding = "json"
        self._busy = False

    # ── asyncio's callbacks ──────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._site.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection."""
        self._over = True
        self._release()
        self._site.connections.pop(self, None)

    def pause_writing(self) -> None:
        """Back-pressure: stop reading from a peer that does not read its replies."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Resume reading."""
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Parse; data after a refusal is read and discarded."""
        if self._over:
            return
        self._site.connections.move_to_end(self)
        if not self._busy:
            self._busy = True
            self.deadline_s = self._now_s() + self._site.bounds.request_s
        self._came_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"no HTTP/1.1: {error}", "no HTTP")
        bounds = self._site.bounds
        framing_bytes = 0 if self._body is None else 2 * bounds.body_bytes
        if self._came_bytes > bounds.head_bytes + framing_bytes:
            self._head_too_long()

    def _feed(self, data: bytes) -> None:
        while data and not self._over:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self._parser = httptools.HttpRequestParser(self)

    def _head_without_upgrade(self) -> bytes:
        """Drop the h2c upgrade that Java's client offers: httptools would skip the body."""
        kept = {n: v for n, v in self._headers.items() if n not in (b"upgrade", b"connection")}
        lines = b"".join(b"%s: %s\r\n" % pair for pair in kept.items())
        head = b"%s %s HTTP/1.1\r\n%s\r\n" % (self._parser.get_method(), self._url, lines)
        self._url, self._headers, self._head_bytes = b"", {}, 0
        return head

    # ── httptools' callbacks ─────────────────────────────────────────────────────────────────

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._head_bytes += len(name) + len(value)
        self._headers[name.lower()] = value.strip()

    def on_headers_complete(self) -> None:
        """Decide whether to read the body."""
        if self._over or self._parser.should_upgrade():
            return
        media_type = self._headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        self._encoding = MEDIA_TYPES.get(media_type.decode("latin-1"), "json")
        coding = self._headers.get(b"content-encoding", b"identity").decode("latin-1").lower()
        length = self._headers.get(b"content-length", b"0")
        limit_bytes = self._site.bounds.body_bytes
        if self._head_bytes + len(self._url) > self._site.bounds.head_bytes:
            self._head_too_long()
        elif self._path() not in (TRACES, *DROPPED):
            self._refuse(HTTPStatus.NOT_FOUND, "post to /v1/traces", "no such path")
        elif self._parser.get_method() != b"POST":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "use POST", "not POST")
        elif media_type.decode("latin-1") not in MEDIA_TYPES:
            message = f"send {' or '.join(MEDIA_TYPES)}"
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message, "media type")
        elif coding not in ENCODINGS:
            message = f"supported content encodings: {', '.join(ENCODINGS)}"
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message, "content encoding")
        elif int(length) > limit_bytes:  # llhttp ensures that it is a number
            self._too_large()
        else:
            self._body = InflatedBody(coding, limit_bytes)
            if self._headers.get(b"expect", b"").lower() == b"100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """A part of the body."""
        if self._over or self._body is None:
            return
        before_bytes = len(self._body)
        try:
            self._body.feed(piece)
            self._site.underway_bytes += len(self._body) - before_bytes
            if self._site.underway_bytes > self._site.bounds.underway_bytes:
                self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "too much at once", "no room")
        except TooLargeError:
            self._too_large()
        except zlib.error as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"cannot decompress: {error}", "malformed")

    def on_message_complete(self) -> None:
        """Answer; keep the connection alive if the peer wants that."""
        if self._over or self._body is None:
            return
        try:
            body = self._body.whole()
        except zlib.error as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"cannot decompress: {error}", "malformed")
            return
        traces = self._path() == TRACES
        answer = self._site.intake.traces(self._encoding, body) if traces else Answer(OK)
        self._transport.write(reply_to(answer, self._encoding))
        if not self._parser.should_keep_alive():
            self._over = True
            self._transport.close()
        self._reset()
        self.deadline_s = self._now_s() + self._site.bounds.idle_s

    # ── endings ──────────────────────────────────────────────────────────────────────────────

    def expire(self) -> None:
        """Handle a timeout: of the request, of the idle connection, or of a refused peer."""
        if self._busy and not self._over:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request was cut short", "slow")
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._over = True
        self._transport.abort()

    def _release(self) -> None:
        if self._body is not None:
            self._site.underway_bytes -= len(self._body)
        self._body = None

    def _path(self) -> bytes:
        return self._url.split(b"?")[0]

    def _head_too_long(self) -> None:
        too_long = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self._refuse(too_long, "there are too many headers", "head too long")

    def _too_large(self) -> None:
        message = (
            f"send at most {self._site.bounds.body_bytes} bytes, before and after decompression"
        )
        self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, "too large")

    def _refuse(self, status: HTTPStatus, message: str, reason: str) -> None:
        """Answer and end; keep discarding data briefly, so that the peer can read the answer."""
        if self._over:
            return
        self._over = True
        self._release()
        self._site.intake.refuse(reason)
        headers = {"Connection": "close"}
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = "POST"
        self._transport.write(refusal(status, message, self._encoding, headers))
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.deadline_s = self._now_s() + _LINGER_S

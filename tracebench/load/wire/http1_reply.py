"""Reading kept HTTP/1.1 replies, after the run."""

from contextlib import suppress
from typing import Final

import httptools

from tracebench.load.wire.slot import EXCERPT, RawReply
from tracebench.model.exchange import Reply

_NO_NAMES: Final[frozenset[str]] = frozenset()


class _Reading:
    """Collects what httptools reports of the final reply; interim ones (1xx) are skipped."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.late: set[str] = set()
        """Names of trailers: a value there is newer than one in the head, and replaces it."""
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
    with suppress(httptools.HttpParserError):  # what stands before a fault has been read
        reading.parser.feed_data(kept)
    return reading


def read(raw: RawReply) -> tuple[Reply, str]:
    """Read one reply; returns it with the reason why it is no success, empty for a 2xx."""
    reading = _read(raw[0])
    status = reading.parser.get_status_code()
    late = frozenset(reading.late) if reading.late else _NO_NAMES
    ended = reading.complete or _ends_with_connection(reading)
    whole = ended and len(reading.body) < EXCERPT  # what is kept of a longer one is that long
    reply = Reply(str(status), reading.headers, reading.body, late, whole)
    return reply, "" if 200 <= status < 300 else f"HTTP {status}"


def ends_with_connection(kept: bytes) -> bool:
    """Whether the reply's body lasts until the server closes (RFC 9112, section 6.3)."""
    return _ends_with_connection(_read(kept))


def _ends_with_connection(reading: _Reading) -> bool:
    chunked = "chunked" in reading.headers.get("transfer-encoding", "").lower()
    return reading.head_complete and not chunked and "content-length" not in reading.headers

"""Reading kept HTTP/1.1 replies, after the run."""

from contextlib import suppress

import httptools

from tracebench.load.slot import RawReply
from tracebench.model.exchange import Reply


class _Reading:
    """Collects what httptools reports of the final reply; interim ones (1xx) are skipped."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self.head_complete = False
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.headers = {}
        self.head_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.head_complete = True

    def on_body(self, part: bytes) -> None:
        self.body += part


def _read(kept: bytes) -> _Reading:
    reading = _Reading()
    with suppress(httptools.HttpParserError):  # what stands before a fault has been read
        reading.parser.feed_data(kept)
    return reading


def read(raw: RawReply) -> tuple[Reply, str]:
    """Read one reply; returns it with the reason why it is no success, empty for a 2xx."""
    reading = _read(raw[0])
    status = reading.parser.get_status_code()
    reply = Reply(str(status), reading.headers, reading.body)
    return reply, "" if 200 <= status < 300 else f"HTTP {status}"


def ends_with_connection(kept: bytes) -> bool:
    """Whether the reply's body lasts until the server closes (RFC 9112, section 6.3)."""
    reading = _read(kept)
    chunked = "chunked" in reading.headers.get("transfer-encoding", "").lower()
    return reading.head_complete and not chunked and "content-length" not in reading.headers

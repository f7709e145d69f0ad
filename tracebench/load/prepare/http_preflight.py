"""Before a run over HTTP: read documents that describe a model, and try each request once."""

import json
import re
import warnings
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import InsecureRequestWarning

from server_middleware.vocabulary import TRACEPARENT
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.language.dialogue import Said
from tracebench.load.measuring.once import attempt
from tracebench.load.prepare import unix_sockets
from tracebench.load.prepare.diagnosis import diagnose
from tracebench.load.prepare.expectations import Content
from tracebench.load.prepare.headers import Header
from tracebench.load.wire.http1 import HttpRequest
from tracebench.model.errors import TargetError, excerpt
from tracebench.model.record.exchange import Exchange, Reply
from tracebench.system.redaction import redacted
from tracebench.tracing.roots.trace_ids import IdSource, traceparent

# What an HTTP server is asked before the run, by `requests`: documents that describe a model, and
# prompts.

_JSON: Final = {"Content-Type": "application/json", "Connection": "close"}
"""A connection for each prompt: some servers end it after a stream, whatever they promise."""


class HttpProbe:
    """One session with one server.

    Args:
        prepared: the target.
        headers: the headers to send.
    """

    def __init__(self, prepared: PreparedTarget, headers: Iterable[Header]) -> None:
        self._session = session = requests.Session()
        session.trust_env = False  # no proxy, no ~/.netrc: only the given headers
        session.headers.update(
            {name: value for name, value in headers if not name.lower().startswith("content-")}
        )
        trust = prepared.trust
        session.verify = not trust.insecure and (trust.cacert or True)
        if trust.cert is not None:
            session.cert = (trust.cert, trust.key or trust.cert)
        unix_sockets.mount(session, prepared.endpoint.unix_path)
        self._prepared = prepared

    def __enter__(self) -> "HttpProbe":
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.close()

    def get(self, url: str) -> tuple[int, str, Any]:
        """Get a document; returns its status, its start, and its JSON value, or None.

        Raises:
            TargetError: there is no reply.
        """
        reply = self._reply(url)
        content = None
        with suppress(ValueError, RecursionError):
            content = json.loads(reply.content)
        said = self._prepared.secrets.hide_bytes(reply.content)
        return reply.status_code, excerpt(said) or "no text", content

    def post(self, url: str, body: bytes) -> Said:
        """Post JSON; returns whatever the server answers.

        Raises:
            TargetError: there is no reply.
        """
        reply = self._reply(url, body)
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        shown = excerpt(self._prepared.secrets.hide_bytes(reply.content)) or "no text"
        return Said(reply.status_code, kind, reply.content, shown)

    def _reply(self, url: str, body: bytes | None = None) -> requests.Response:
        context = {TRACEPARENT: traceparent(IdSource().draw())}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InsecureRequestWarning)  # the user asked for it
                return self._session.request(
                    "GET" if body is None else "POST",
                    url,
                    data=body,
                    headers=context if body is None else context | _JSON,
                    timeout=self._prepared.timeout_s,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            why = self._cause(url) or excerpt(self._prepared.secrets.hide(str(error)))
            raise TargetError(f"{redacted(url)}: {why}") from None

    def _cause(self, url: str) -> str:
        """Why the same request fails in the engine: `diagnose` knows only the engine's wording."""
        parts = urlsplit(url)
        head = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\ntraceparent: 00-"
        request = HttpRequest(head.encode(), b"-01\r\n\r\n", b"")
        exchange = attempt(replace(self._prepared, repeated=[request])).exchange
        if exchange.reply.status:
            return ""
        return diagnose(exchange.reason, self._prepared)


# JSON of which only the first part was kept: complete values in it can still be read.

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_CLOSERS: Final = {b"{": b"}", b"[": b"]"}


def load_first_part(text: bytes) -> Any:
    """Read the first part of a document, leaving out a value that is cut off.

    Raises:
        ValueError: it is not JSON.
    """
    return json.loads(_closed(text))


def _closed(text: bytes) -> bytes:
    """The part of a cut document up to its last complete value, with open brackets closed.

    Before each comma a value has ended, and after each opening bracket none has begun.
    """
    stack: list[bytes] = []
    end, closers = 0, b""
    for token in _TOKENS.finditer(text):
        mark = token[0]
        if mark in _CLOSERS:
            stack.append(_CLOSERS[mark])
            end = token.end()
        elif mark == b",":
            end = token.start()
        elif stack and mark == stack[-1]:
            stack.pop()
            end = token.end()
        else:
            continue
        closers = b"".join(reversed(stack))
    return text[:end] + closers


# A request tried before the run, by the engine itself, so that both accept the same replies.

_ANY_ZLIB: Final = 47  # zlib's wbits for "detect gzip or deflate"
_MOST_UNPACKED_BYTES: Final = 2**20
_CLOSES_WITHIN_S: Final = 0.05
"""How long to wait for the server to close the connection after a stream; llama.cpp's server does
so within 1 ms."""
_REDIRECTS: Final = frozenset({"301", "302", "303", "307", "308"})


class Answered(NamedTuple):
    """A preflight's successful answer."""

    said: str
    """The start of the answer."""
    streamed: bool
    closes: bool
    """The server closed the connection after the stream without having announced it."""


def try_http(prepared: PreparedTarget, name: str = "", *, any_status: bool = False) -> Answered:
    """Check that a target's only request is answered as expected.

    Args:
        prepared: the target.
        name: the payload's name, if there are several.
        any_status: `--expect-status` is given, so a redirection may be intended.

    Raises:
        TargetError: it is not.
    """
    exchange, _, streams, closes = attempt(prepared, _CLOSES_WITHIN_S)
    said = excerpt(prepared.secrets.hide_bytes(_content(exchange.reply)))
    where, headers = ": ".join(filter(None, (prepared.address, name))), exchange.reply.headers
    if exchange.reason:
        raise TargetError(f"{where}: {_fault(exchange, prepared, said, any_status)}")
    coding = headers.get("content-encoding", "identity")
    if len(streams) and coding != "identity":
        raise TargetError(
            f"{where}: the reply is a compressed stream ({excerpt(coding)}), which hides when each "
            "event came: add --header 'Accept-Encoding: identity'"
        )
    return Answered(said, len(streams) > 0, closes)


def _fault(exchange: Exchange, prepared: PreparedTarget, said: str, any_status: bool) -> str:
    reply = exchange.reply
    if not reply.status:
        return diagnose(exchange.reason, prepared)
    location = reply.headers.get("location")
    if reply.status in _REDIRECTS and location and not any_status:
        return f"it redirects to {excerpt(redacted(location))}: use that URL"
    reason = re.sub(r"^HTTP (\d{3})\b", _with_phrase, exchange.reason)
    return f"{reason}: {said or 'no text'}"


def _with_phrase(found: re.Match[str]) -> str:
    with suppress(ValueError):
        return f"{found[0]} {HTTPStatus(int(found[1])).phrase}"
    return found[0]


def document(reply: Reply) -> Content:
    """A reply's body as JSON, to the extent that it was kept.

    Raises:
        ValueError: it is not JSON.
    """
    whole = reply.headers.get("content-length") == str(len(reply.body))
    return _document(reply.body, reply.headers.get("content-encoding", ""), whole=whole)


@lru_cache(maxsize=256)
def _document(kept: bytes, encoding: str, *, whole: bool) -> Content:
    text = _unpacked(kept, encoding)
    try:
        return Content(json.loads(text))
    except ValueError:
        with suppress(ValueError):
            if not whole:
                return Content(load_first_part(text), len(kept))
        raise ValueError("the reply is not JSON") from None


def _content(reply: Reply) -> bytes:
    return _unpacked(reply.body, reply.headers.get("content-encoding", ""))


def _unpacked(kept: bytes, encoding: str) -> bytes:
    """Decompress a body, to the extent that it was kept and can be decompressed."""
    with suppress(zlib.error):
        if encoding in ("gzip", "x-gzip", "deflate"):
            return zlib.decompressobj(_ANY_ZLIB).decompress(kept, _MOST_UNPACKED_BYTES)
    return kept

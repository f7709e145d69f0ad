"""Jaeger's query API: where it is, and the spans of a trace as they were recorded."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

import urllib3

from tracebench.model.errors import TargetError, UsageError
from tracebench.model.span import Span
from tracebench.system.redaction import redacted
from tracebench.tracing.jaeger import legacy_json
from tracebench.tracing.jaeger.legacy_json import NS_PER_US
from tracebench.tracing.otlp.checks import OtlpError
from tracebench.tracing.otlp.read_json import read_json

# Base URLs as people write them.


def base_url(option: str, text: str) -> str:
    """A base URL without a slash at its end.

    Args:
        option: what gave it.
        text: the URL: `http` or `https`, a host, and perhaps a port and a base path.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment or any(char.isspace() for char in text):
        raise UsageError(
            f"{option} {redacted(text)!r} is not a base URL: write e.g. http://localhost:16686"
        )
    if parts.username is not None:
        raise UsageError(f"{option} contains a password, which would not be sent: leave it out")
    return text.rstrip("/")


# Jaeger's query API, of which one thing is wanted: the spans of a trace, as they were recorded.

CONNECTIONS: Final = 4
_TIMEOUT_S: Final = 10.0
_LARGEST_ANSWER: Final = 16 << 20
"""In bytes. A trace that is larger is not that of one request."""
_EPOCH: Final = datetime(1970, 1, 1)
_NOT_A_TRACE = (KeyError, TypeError, ValueError, AttributeError, RecursionError, OtlpError)


class UnreadableError(Exception):
    """The backend did not answer, or not as it should; the message says how."""


class QueryApi:
    """Jaeger's query API: OTLP JSON (`/api/v3`), or where it is too old for that, its own.

    Both are asked for raw traces: Jaeger can be told to shift the spans of machines whose clocks
    seem to be off, and would then answer with its own estimate. Safe to use from several threads.

    Args:
        url: of the UI, under which both are.

    Raises:
        UsageError: it is no base URL.
    """

    def __init__(self, url: str) -> None:
        self.url: Final = base_url("--jaeger", url)
        self._path = urlsplit(self.url).path
        self._pool = urllib3.connection_from_url(
            self.url,
            maxsize=CONNECTIONS,
            block=True,
            retries=urllib3.Retry(
                2, read=0, redirect=False, status_forcelist=(502, 503, 504), backoff_factor=0.1
            ),
            timeout=urllib3.Timeout(_TIMEOUT_S),
        )
        self._trace: Callable[[str], list[Span]] = self._otlp
        self.unusable: Final[set[str]] = set()
        """Spans that cannot be used, each with why; the same trace may be asked for many times."""

    def check(self) -> None:
        """See that it is there, and which of both it speaks.

        Raises:
            TargetError: it does not answer as Jaeger does.
        """
        try:
            if not self._has("/api/v3/services"):
                self._trace = self._old
                if not self._has("/api/services"):
                    raise UnreadableError("it is not the API of a Jaeger")
        except UnreadableError as error:
            raise TargetError(
                f"cannot read traces from --jaeger {self.url!r} ({error}): give the URL of "
                "Jaeger's UI, like http://localhost:16686"
            ) from None

    def spans(self, trace_id: str) -> list[Span]:
        """What is known of a trace so far; nothing where it is not known.

        Raises:
            UnreadableError: the backend did not answer, or not as it should.
        """
        try:
            return self._trace(trace_id)
        except _NOT_A_TRACE as error:
            raise UnreadableError(f"the answer for {trace_id} is not a trace ({error})") from None

    def search(self, service: str, start_ns: int, end_ns: int, most: int) -> list[Span]:
        """All spans of up to so many traces in which the service began a span within a time.

        Nothing where Jaeger is too old to tell them to the nanosecond.

        Raises:
            UnreadableError: the backend did not answer, or not as it should.
        """
        if self._trace != self._otlp:
            return []
        # 2.20 renamed them all, and goes on to read these.
        query = {
            "query.service_name": service,
            "query.start_time_min": _rfc3339(start_ns),
            "query.start_time_max": _rfc3339(end_ns + NS_PER_US),
            "query.num_traces": most,
            "query.raw_traces": "true",
        }
        try:
            return self._read(f"/api/v3/traces?{urlencode(query)}")
        except _NOT_A_TRACE as error:
            raise UnreadableError(
                f"a search returned something that is not a trace ({error})"
            ) from None

    def services(self) -> list[str]:
        """Who has spans there, as far as it tells.

        Raises:
            UnreadableError: the backend did not answer.
        """
        answer = self._get("/api/v3/services")
        try:
            return [str(one) for one in json.loads(answer or b"{}").get("services") or ()]
        except _NOT_A_TRACE:
            return []

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _has(self, path: str) -> bool:
        answer = self._get(path)
        return answer is not None and answer.lstrip().startswith(b"{")

    def _otlp(self, trace_id: str) -> list[Span]:
        # With its name before 2.20, and since.
        return self._read(f"/api/v3/traces/{trace_id}?raw_traces=true&rawTraces=true")

    def _read(self, path: str) -> list[Span]:
        answer = self._get(path)
        if answer is None:
            return []
        # {"result": OTLP}: the wrapping of a gateway to gRPC
        _, _, otlp = answer.partition(b'"result":')
        return read_json(otlp.rstrip().removesuffix(b"}"), self.unusable.add)

    def _old(self, trace_id: str) -> list[Span]:
        answer = self._get(f"/api/traces/{trace_id}?raw=true")
        return (
            []
            if answer is None
            else list(legacy_json.spans_in(json.loads(answer), self.unusable.add))
        )

    def _get(self, path: str) -> bytes | None:
        """What is under a path; None where nothing is."""
        try:
            with self._pool.request("GET", self._path + path, preload_content=False) as reply:
                body = reply.read(_LARGEST_ANSWER + 1, decode_content=True)
        except urllib3.exceptions.HTTPError as error:
            raise UnreadableError(_cause(error)) from None
        if len(body) > _LARGEST_ANSWER:
            raise UnreadableError(f"an answer has more than {_LARGEST_ANSWER >> 20} MiB")
        if reply.status not in (200, 404):
            raise UnreadableError(f"HTTP {reply.status}")
        return body if reply.status == 200 else None


def _rfc3339(time_ns: int) -> str:
    """A time (epoch), cut off to the microsecond: stores of Jaeger's keep no more."""
    return f"{_EPOCH + timedelta(microseconds=time_ns // NS_PER_US):%Y-%m-%dT%H:%M:%S.%fZ}"


def _cause(error: Exception) -> str:
    """The reason in an exception of urllib3, without the objects that are named before it."""
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2] or repr(reason)

"""Jaeger's query API: its URL, and reading the spans of a trace as they were recorded."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

import urllib3

from tracebench.model.errors import TargetError, UsageError
from tracebench.model.record.span import Span
from tracebench.system.redaction import redacted
from tracebench.tracing.jaeger import legacy_json
from tracebench.tracing.jaeger.legacy_json import NS_PER_US
from tracebench.tracing.otlp.checks import OtlpError
from tracebench.tracing.otlp.read_json import read_json

# Base URLs as users write them.


def base_url(option: str, text: str) -> str:
    """Check a base URL; returns it without a trailing slash.

    Args:
        option: the option that gave it.
        text: the URL: `http` or `https`, a host, and optionally a port and a base path.

    Raises:
        UsageError: it is not such a URL.
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


# Jaeger's query API, used only to read the spans of traces as they were recorded.

CONNECTIONS: Final = 4
_TIMEOUT_S: Final = 10.0
_LARGEST_ANSWER: Final = 16 << 20
"""Limit in bytes; a larger trace does not belong to one request."""
_EPOCH: Final = datetime(1970, 1, 1)
_NOT_A_TRACE = (KeyError, TypeError, ValueError, AttributeError, RecursionError, OtlpError)


class UnreadableError(Exception):
    """The backend did not answer, or gave an invalid answer; the message says which."""


class QueryApi:
    """Jaeger's query API: OTLP JSON (`/api/v3`), or the older format if that is missing.

    Both are queried for raw traces: Jaeger can be configured to shift the spans of machines whose
    clocks seem to be off, which would return its own estimate. Thread-safe.

    Args:
        url: the URL of the UI, which also serves the API.

    Raises:
        UsageError: it is not a base URL.
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
        """Unusable spans, each with the reason; a set, as the same trace may be queried many
        times."""

    def check(self) -> None:
        """Check that Jaeger is there, and which version of the API it has.

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
        """The spans stored so far of a trace; empty if it is unknown.

        Raises:
            UnreadableError: the backend did not answer, or gave an invalid answer.
        """
        try:
            return self._trace(trace_id)
        except _NOT_A_TRACE as error:
            raise UnreadableError(f"the answer for {trace_id} is not a trace ({error})") from None

    def search(self, service: str, start_ns: int, end_ns: int, most: int) -> list[Span]:
        """All spans of up to `most` traces in which the service began a span in this period.

        Empty if Jaeger is too old to return times in ns.

        Raises:
            UnreadableError: the backend did not answer, or gave an invalid answer.
        """
        if self._trace != self._otlp:
            return []
        # Jaeger 2.20 renamed all of them, but still accepts these.
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
        """The services that have spans in the store, as far as it lists them.

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
        # The parameter's names before and since Jaeger 2.20.
        return self._read(f"/api/v3/traces/{trace_id}?raw_traces=true&rawTraces=true")

    def _read(self, path: str) -> list[Span]:
        answer = self._get(path)
        if answer is None:
            return []
        # {"result": OTLP}, as wrapped by the gRPC gateway
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
        """The body at a path; None if there is nothing."""
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
    """A time in ns since the epoch, truncated to microseconds: Jaeger's stores keep no more."""
    return f"{_EPOCH + timedelta(microseconds=time_ns // NS_PER_US):%Y-%m-%dT%H:%M:%S.%fZ}"


def _cause(error: Exception) -> str:
    """The reason in a urllib3 exception, without the objects named before it."""
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2] or repr(reason)

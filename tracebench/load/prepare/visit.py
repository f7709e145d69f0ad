"""A visit to an HTTP server before the run, by `requests`: what it says is told to the user."""

import json
import warnings
import zlib
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import requests
from urllib3.exceptions import InsecureRequestWarning

from tracebench.errors import TargetError
from tracebench.load.http1 import SHORT
from tracebench.load.prepare import kept_json
from tracebench.load.prepare.expectations import Content, Expectations
from tracebench.load.prepared import excerpt
from tracebench.load.slot import EXCERPT
from tracebench.model.exchange import Reply
from tracebench.model.plan import Plan
from tracebench.tracing.ids import IdSource, traceparent
from tracebench.vocabulary import TRACEPARENT

_ANY_ZLIB: Final = 47  # zlib's name for "find out whether it is gzip or deflate"
_MOST_UNPACKED_BYTES: Final = 2**20


class Visit:
    """One session with one server, trusted as the plan says."""

    def __init__(self, plan: Plan) -> None:
        self.session = requests.Session()
        self._headers = {
            name: value for name, value in plan.headers if not name.lower().startswith("content-")
        }
        self._timeout_s = plan.timeout_s
        self._verify: bool | str = not plan.insecure
        if plan.cacert and self._verify:
            self._verify = plan.cacert

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_error: object) -> None:
        self.session.close()

    def send(self, request: requests.PreparedRequest) -> requests.Response:
        """Send a request once, traced.

        Raises:
            TargetError: there is no reply.
        """
        once = request.copy()
        once.headers[TRACEPARENT] = traceparent(IdSource().draw())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InsecureRequestWarning)  # it was asked for
                return self.session.send(
                    once,
                    timeout=self._timeout_s,
                    verify=self._verify,
                    allow_redirects=False,
                    proxies={},
                )
        except requests.RequestException as error:
            why = _cause(error, self._timeout_s, secure=str(request.url).startswith("https:"))
            raise TargetError(f"{request.url}: {why}") from None

    def get(self, url: str) -> tuple[int, str, Any]:
        """Get a document; returns its status, the start of it, and what it is as JSON, or None."""
        request = requests.Request("GET", url, headers=self._headers)
        reply = self.send(self.session.prepare_request(request))
        content = None
        with suppress(ValueError, RecursionError):
            content = json.loads(reply.content)
        return reply.status_code, excerpt(reply.content) or "no text", content

    def try_out(
        self, request: requests.PreparedRequest, expected: Expectations, name: str = ""
    ) -> str:
        """See a request answered as expected; returns the start of the answer.

        Args:
            request: what to send.
            expected: what its reply must be.
            name: of the payload, where there are several.

        Raises:
            TargetError: it is not.
        """
        reply = self.send(request)
        good = 200 <= reply.status_code < 300
        reason = "" if good else f"HTTP {reply.status_code} {reply.reason}"
        if reply.is_redirect and not expected.statuses:
            raise TargetError(
                f"{request.url} redirects to {reply.headers['Location']}: give that URL"
            )
        status, content = str(reply.status_code), reply.content
        fault = expected.fault(Reply(status, {}, content), reason, document)
        packed = "Content-Encoding" in reply.headers
        if not fault and not packed and len(content) > SHORT:
            # In the run only its start will be kept.
            fault = expected.fault(Reply(status, {}, content[:EXCERPT]), reason, document)
        if fault:
            where = f"{request.url}: {name}" if name else request.url
            raise TargetError(f"{where}: {fault}: {excerpt(reply.content) or 'no text'}")
        return excerpt(reply.content)


def document(reply: Reply) -> Content:
    """A reply's body as JSON, as far as it was kept.

    Raises:
        ValueError: it is no JSON.
    """
    return _document(
        reply.body,
        reply.headers.get("content-encoding", ""),
        whole=reply.headers.get("content-length") == str(len(reply.body)),
    )


@lru_cache(maxsize=256)
def _document(kept: bytes, encoding: str, *, whole: bool) -> Content:
    text = kept
    with suppress(zlib.error):
        if encoding in ("gzip", "x-gzip", "deflate"):
            text = zlib.decompressobj(_ANY_ZLIB).decompress(kept, _MOST_UNPACKED_BYTES)
    try:
        return Content(json.loads(text))
    except ValueError:
        with suppress(ValueError):
            if not whole:
                return Content(kept_json.load(text), len(kept))
        raise ValueError("the reply is no JSON") from None


def _cause(error: requests.RequestException, timeout_s: float, *, secure: bool) -> str:
    """What went wrong, and what to change."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS failed ({excerpt(_innermost(error))}): see --cacert and --insecure"
    if isinstance(error, requests.Timeout):
        doubt = "does it speak TLS, or is it busy" if secure else "is it busy"
        return f"no answer within {timeout_s:g} s: {doubt}? --timeout S waits longer"
    if "BadStatusLine" in str(error):
        return f"it does not speak HTTP/1.1 ({excerpt(_innermost(error))}): gRPC is --grpc-server's"
    return f"the exchange failed ({excerpt(_innermost(error))})"


def _innermost(error: BaseException) -> str:
    """The text of the first cause: urllib3 wraps what the socket said three deep."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(reason).rpartition(": ")[2] if isinstance(reason, BaseException) else str(reason)

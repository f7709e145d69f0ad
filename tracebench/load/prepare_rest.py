"""REST: `requests` builds the exchange and tries it once; the engine repeats exactly that."""

import ssl
import warnings
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import InsecureRequestWarning

from tracebench import __version__
from tracebench.errors import TargetError, UsageError
from tracebench.load import http1_reply
from tracebench.load.connection import Connection, Owner
from tracebench.load.endpoint import Endpoint, client_tls, resolve
from tracebench.load.http1 import Http1Codec, HttpRequest
from tracebench.load.ledger import Ledger
from tracebench.load.loop import Loop
from tracebench.load.mapped import MappedConnection, MappedRequest
from tracebench.load.prepared import Prepared, excerpt
from tracebench.load.tls import TlsConnection
from tracebench.model.plan import Plan
from tracebench.tracing import described
from tracebench.tracing.ids import IdSource, traceparent
from tracebench.vocabulary import BENCHMARK_HEADER, TRACEPARENT

_DEFAULT_PATH = "/predict"
_PORTS = {"http": 80, "https": 443}
_REFUSED_METHODS = ("HEAD", "CONNECT")


def prepare(plan: Plan) -> Prepared:
    """Build the request, look the target up, and see it answer once.

    Raises:
        UsageError: the URL or the method is wrong.
        TargetError: the target cannot be reached, or does not answer with a 2xx status.
    """
    url = complete_url(plan.rest_url or "")
    parts = urlsplit(url)
    with requests.Session() as session:
        prepared = _request(session, plan, url)
        tls = None
        if parts.scheme == "https":
            tls = client_tls(plan.cacert, insecure=plan.insecure, protocol="http/1.1")
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        endpoint = resolve(host, port, tls)
        answer = _preflight(session, plan, prepared)
    request = _repeated(prepared, parts.netloc.rpartition("@")[2])
    return Prepared(
        described=described.rest(plan.method, url),
        address=url,
        connect=partial(_connect, endpoint, tls, (request,)),
        read=http1_reply.read,
        request=f"{_text(request)}\n({len(request.body)} bytes)",
        answer=answer,
    )


def complete_url(url: str) -> str:
    """The URL to post to: `/predict` is meant where it has no path.

    Raises:
        UsageError: it is no http(s) URL.
    """
    example = "give one like http://127.0.0.1:5000"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - a port that is no number is told only when asked for
    except ValueError as error:
        raise UsageError(f"--rest-url {url!r} is malformed ({error}): {example}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UsageError(f"--rest-url {url!r} is no http(s) URL: {example}")
    path = parts.path if parts.path not in ("", "/") else _DEFAULT_PATH
    return urlunsplit(parts._replace(path=path, fragment=""))


def _request(session: requests.Session, plan: Plan, url: str) -> requests.PreparedRequest:
    if plan.method.upper() in _REFUSED_METHODS or not plan.method.isalpha():
        raise UsageError(f"--method {plan.method!r} cannot be measured: use one like POST or GET")
    headers = CaseInsensitiveDict({"User-Agent": f"tracebench/{__version__}"})
    headers.update(plan.headers)
    headers[BENCHMARK_HEADER] = "1"
    headers.pop(TRACEPARENT, None)
    payload = plan.payload
    if payload.form == "image":
        files = {plan.field: (payload.name, payload.content, payload.content_type)}
        request = requests.Request(plan.method, url, headers=headers, files=files)
    else:
        headers.setdefault("Content-Type", payload.content_type)
        request = requests.Request(plan.method, url, headers=headers, data=payload.content)
    try:
        return session.prepare_request(request)
    except (requests.RequestException, ValueError) as error:
        raise UsageError(f"cannot build the request to {url!r}: {error}") from None


def _preflight(session: requests.Session, plan: Plan, request: requests.PreparedRequest) -> str:
    """Send the request once; returns the start of the answer."""
    once = request.copy()
    once.headers[TRACEPARENT] = traceparent(IdSource().draw())
    verify: bool | str = not plan.insecure
    if plan.cacert and verify:
        verify = plan.cacert
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureRequestWarning)  # it was asked for
            reply = session.send(
                once, timeout=plan.timeout_s, verify=verify, allow_redirects=False, proxies={}
            )
    except requests.RequestException as error:
        raise TargetError(f"{request.url}: {_cause(error, plan.timeout_s)}") from None
    if reply.is_redirect:
        raise TargetError(f"{request.url} redirects to {reply.headers['Location']}: give that URL")
    if not reply.ok:
        raise TargetError(
            f"{request.url} answers HTTP {reply.status_code} {reply.reason}: "
            f"{excerpt(reply.content) or 'no text'}"
        )
    return excerpt(reply.content)


def _cause(error: requests.RequestException, timeout_s: float) -> str:
    """What went wrong, and what to change."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS failed ({excerpt(_innermost(error))}): see --cacert and --insecure"
    if isinstance(error, requests.Timeout):
        return f"no answer within {timeout_s:g} s: is it busy? --timeout S waits longer"
    return f"the exchange failed ({excerpt(_innermost(error))})"


def _innermost(error: BaseException) -> str:
    """The text of the first cause: urllib3 wraps what the socket said three deep."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(reason).rpartition(": ")[2] if isinstance(reason, BaseException) else str(reason)


def _repeated(request: requests.PreparedRequest, host: str) -> HttpRequest:
    headers = dict(request.headers)
    lines = [f"{request.method} {request.path_url} HTTP/1.1"]
    if "Host" not in request.headers:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {_latin(value)}" for name, value in headers.items()]
    head = "\r\n".join(lines).encode("latin-1")
    body = request.body or b""
    content = body.encode() if isinstance(body, str) else bytes(body)
    return HttpRequest(head + b"\r\ntraceparent: 00-", b"-01\r\n\r\n", content)


def _latin(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _text(request: HttpRequest) -> str:
    return f"{request.head.decode('latin-1')}<trace id>-<span id>-01".replace("\r\n", "\n")


def _connect(
    endpoint: Endpoint,
    tls: ssl.SSLContext | None,
    requests: Sequence[HttpRequest],
    loop: Loop,
    owner: Owner,
    ledger: Ledger,
) -> Connection:
    if tls is not None:
        return TlsConnection(loop, endpoint, tls, Http1Codec(*requests), owner, ledger)
    if MappedRequest.possible(requests):
        return MappedConnection(loop, endpoint, requests, owner, ledger)
    return Connection(loop, endpoint, Http1Codec(*requests), owner, ledger)

"""REST: `requests` builds the exchange and tries it; the engine repeats exactly that."""

from itertools import islice
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.structures import CaseInsensitiveDict

from tracebench import __version__
from tracebench.errors import UsageError
from tracebench.load import http1_reply
from tracebench.load.endpoint import client_tls, resolve
from tracebench.load.http1 import HttpRequest
from tracebench.load.prepare import expectations, oip, twins
from tracebench.load.prepare.twins import with_twins
from tracebench.load.prepare.visit import Visit, document
from tracebench.load.prepared import MOST_TRIED, Prepared, variants
from tracebench.model.plan import Payload, Plan
from tracebench.tracing import described
from tracebench.vocabulary import BENCHMARK_HEADER, TRACEPARENT

_DEFAULT_PATH = "/predict"
_PORTS = {"http": 80, "https": 443}
_REFUSED_METHODS = ("HEAD", "CONNECT")


def prepare(plan: Plan) -> Prepared:
    """Build the requests, look the target up, and see it answer.

    Raises:
        UsageError: the URL, the method or a payload is wrong.
        TargetError: the target cannot be reached, or does not answer as expected.
    """
    if plan.method.upper() in _REFUSED_METHODS or not plan.method.isalpha():
        raise UsageError(f"--method {plan.method!r} cannot be measured: use one like POST or GET")
    url = complete_url(plan.rest_url or "")
    if plan.oip is not None:
        url = oip.infer_url(plan.rest_url or "", plan.oip)
    parts = urlsplit(url)
    expected = expectations.of(plan, "rest")
    with Visit(plan) as visit:
        tls = None
        if parts.scheme == "https":
            tls = client_tls(plan.cacert, insecure=plan.insecure, protocol="http/1.1")
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        endpoint = resolve(host, port, tls)
        payloads = plan.payloads if plan.oip is None else oip.rest_payloads(plan, visit, url)
        prepared = [_request(visit.session, plan, url, payload) for payload in payloads]
        names = [payload.name if len(payloads) > 1 else "" for payload in payloads]
        answers = [
            visit.try_out(request, expected, name)
            for request, name in islice(zip(prepared, names, strict=True), MOST_TRIED)
        ]
    repeated = [_repeated(request, parts.netloc.rpartition("@")[2]) for request in prepared]
    ready = Prepared(
        described=described.rest(plan.method, url),
        address=described.redacted(url),
        endpoint=endpoint,
        repeated=repeated,
        read=expected.checked(http1_reply.read, document),
        request=f"{_text(repeated[0])}\n({len(repeated[0].body)} bytes)",
        answer=answers[0],
        variants=variants(plan, len(repeated)),
    )
    if not plan.observer_effect:
        return ready
    return with_twins(ready, [twins.untraced_http(one) for one in repeated], plan.seed)


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


def _request(
    session: requests.Session, plan: Plan, url: str, payload: Payload
) -> requests.PreparedRequest:
    headers = CaseInsensitiveDict({"User-Agent": f"tracebench/{__version__}"})
    headers.update(plan.headers)
    headers[BENCHMARK_HEADER] = "1"
    headers.pop(TRACEPARENT, None)
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

"""REST: `requests` builds the requests; the engine tries each once, and repeats exactly those."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final, cast
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import get_netrc_auth

from server_middleware.vocabulary import BENCHMARK_HEADER
from tracebench import __version__
from tracebench.load.engine.endpoint import Endpoint, client_tls, resolve, resolve_unix
from tracebench.load.engine.target import (
    MOST_TRIED,
    PreparedTarget,
    streaming,
    variants,
    with_unsampled,
    with_untraced,
)
from tracebench.load.language.check import check_interface
from tracebench.load.language.dialogue import Dialogue, models_at
from tracebench.load.language.interface import (
    Interface,
    completions_url,
    extra_fields,
    is_chat,
)
from tracebench.load.language.prompts import build
from tracebench.load.prepare import expectations, open_inference, unix_sockets
from tracebench.load.prepare.headers import Header, http_headers
from tracebench.load.prepare.http_preflight import HttpProbe, document, try_http
from tracebench.load.wire import http1
from tracebench.load.wire.http1 import (
    Http1Codec,
    HttpRequest,
    OneStreamHttp1Codec,
    StreamingHttp1Codec,
)
from tracebench.load.wire.http1_pattern import pattern_of
from tracebench.model.errors import UsageError
from tracebench.model.plan import Calls, Payload, Plan, Target, Tls
from tracebench.system.redaction import Secrets, header_shown, redacted, scrubbed
from tracebench.tracing.roots import generated, target_attributes

_DEFAULT_PATH = "/predict"
_PORTS = {"http": 80, "https": 443}
_REFUSED_METHODS = ("HEAD", "CONNECT")
_AUTHORIZATION: Final = "Authorization"
_JSON: Final = "application/json"
_SHOWN_BYTES: Final = 400
"""Of a prompt, in a dry run."""
_ASKS: Final = f"\r\n{BENCHMARK_HEADER}: 1".encode()


def prepare(plan: Plan, target: Target | None = None) -> PreparedTarget:
    """Build the requests, look up the target, and check that it answers.

    Args:
        plan: what to send.
        target: one of the plan's; None: its first over REST.

    Raises:
        UsageError: the URL, the method, a header or a payload is wrong.
        TargetError: the target cannot be reached, or does not answer as expected.
    """
    calls, target = plan.calls, target or plan.targets.first("rest")
    if calls.method.upper() in _REFUSED_METHODS or not calls.method.isalpha():
        raise UsageError(f"--method {calls.method!r} cannot be measured: use e.g. POST or GET")
    given = unix_sockets.rest_url(target.address, target.option)
    url = complete_url(given, target.option)
    if calls.oip is not None:
        url = open_inference.infer_url(given, calls.oip)
    if plan.language.llm is not None:
        url = completions_url(complete_url(given, target.option, default_path=""))
        check_interface(plan, url)
    headers = (*http_headers(calls.headers), *_credentials(calls.headers, url))
    plan = replace(plan, calls=replace(calls, headers=headers))
    secrets = Secrets.of(plan)
    with secrets.guard():
        return _prepared(plan, url, secrets)


def _prepared(plan: Plan, url: str, secrets: Secrets) -> PreparedTarget:
    expected = expectations.of(plan.expected, "rest", plan.targets)
    ready = PreparedTarget(
        described=target_attributes.rest(plan.calls.method, url),
        address=redacted(url),
        endpoint=_endpoint(url, plan.tls, plan.load.bind),
        repeated=(),
        codec=Http1Codec,
        read=expected.checked(http1.read_reply, document),
        learn=None if expected.ask else pattern_of,
        request="",
        timeout_s=plan.load.timeout_s,
        trust=plan.tls,
        secrets=secrets,
        streaming=streaming(plan.streamed),
    )
    bare = _without_userinfo(url)
    if plan.language.llm is not None:
        return _language_model(ready, plan, bare)
    payloads: Sequence[Payload] = plan.payloads.all
    if plan.calls.oip is not None:
        with HttpProbe(ready, plan.calls.headers) as visit:
            payloads = open_inference.rest_payloads(
                visit, bare, plan.calls.oip, payloads, plan.load.seed
            )
    repeated = [_request(plan.calls, unix_sockets.over_tcp(bare), payload) for payload in payloads]
    any_status = bool(plan.expected.expect_status)
    answer, codec = _tried(ready, repeated, payloads, any_status=any_status)
    ready = replace(
        ready,
        repeated=repeated,
        request=f"{_text(repeated[0])}\n({len(repeated[0].body)} bytes)",
        answer=answer,
        variants=variants(plan.payloads.order, plan.load.seed, len(repeated)),
    )
    if codec is not Http1Codec:
        ready = _streaming(ready, codec, url)
    return _perhaps_untraced(ready, plan)


def _language_model(ready: PreparedTarget, plan: Plan, url: str) -> PreparedTarget:
    """Build prompts; a single one is tried, since each may take a server as long as any other."""
    asked, over_tcp = plan.language, unix_sockets.over_tcp(url)
    interface = Interface(
        model=asked.llm or "",
        chat=is_chat(url),
        stream=plan.streamed.stream is not False,
        extra=extra_fields(asked.extra_body),
    )
    template = _request(plan.calls, over_tcp, Payload(b"{}", _JSON, "prompt", "json"))
    with HttpProbe(ready, plan.calls.headers) as visit:
        post, models = partial(visit.post, url), partial(models_at, visit.get, url)
        dialogue = Dialogue(post, models, ready.address, interface, asked.reuse_prompts)
        built = build(plan, dialogue, template)
    any_status = bool(plan.expected.expect_status)
    tried = ([built.first], [Payload(b"", _JSON, "", "json")])
    answer, codec = _tried(ready, *tried, any_status=any_status)
    before = plan.load.warmup_requests
    ready = replace(
        ready,
        repeated=built.requests,
        request=f"{_text(built.first)}\n{built.first.body[:_SHOWN_BYTES].decode(errors='replace')}…",
        answer=answer,
        variants=None if built.talks else variants("rotate", 0, len(built.requests), before),
        talks=built.talks,
        agreement=built.agreement,
    )
    if codec is not Http1Codec:
        ready = _streaming(ready, codec, url)
    return _perhaps_untraced(ready, plan)


def _perhaps_untraced(ready: PreparedTarget, plan: Plan) -> PreparedTarget:
    requests, seed = cast(Sequence[HttpRequest], ready.repeated), plan.load.seed
    if plan.influence.observer_effect:
        return with_untraced(ready, [untraced(one) for one in requests], seed)
    if (share := plan.traces.trace_share) < 1:
        return with_unsampled(ready, [unsampled(one) for one in requests], share, seed)
    return ready


def _streaming(ready: PreparedTarget, codec: type[Http1Codec], url: str) -> PreparedTarget:
    """Adapt a target to replies that stream, and add the attributes of a generative model."""
    told = {**ready.described.attributes, **generated.of_target(url, ready.repeated[0].body)}
    described = replace(ready.described, attributes=told)
    return replace(ready, described=described, codec=codec, streams=True)


def _endpoint(url: str, trust: Tls, sources: Sequence[str]) -> Endpoint:
    parts, path = urlsplit(url), unix_sockets.rest_path(url)
    if path is not None:
        return resolve_unix(path, sources)
    tls = client_tls(trust, protocol="http/1.1") if parts.scheme == "https" else None
    return resolve(parts.hostname or "", parts.port or _PORTS[parts.scheme], tls, sources)


def _tried(
    ready: PreparedTarget,
    requests: Sequence[HttpRequest],
    payloads: Sequence[Payload],
    *,
    any_status: bool,
) -> tuple[str, type[Http1Codec]]:
    """Check that the first requests are answered as expected.

    Returns:
        The start of the first answer, and the codec that the answers need.
    """
    names = [payload.name if len(payloads) > 1 else "" for payload in payloads]
    probing = replace(ready, codec=StreamingHttp1Codec)
    tried = [
        try_http(replace(probing, repeated=[request]), name, any_status=any_status)
        for request, name in islice(zip(requests, names, strict=True), MOST_TRIED)
    ]
    if any(one.closes for one in tried):
        return tried[0].said, OneStreamHttp1Codec
    streamed = any(one.streamed for one in tried)
    return tried[0].said, StreamingHttp1Codec if streamed else Http1Codec


def complete_url(url: str, option: str = "--rest-url", default_path: str = _DEFAULT_PATH) -> str:
    """The URL to post to: with `/predict` or another default if it has no path.

    Args:
        url: as it was given.
        option: where.
        default_path: if it has none.

    Raises:
        UsageError: it is not an http(s) URL.
    """
    example = "write e.g. http://127.0.0.1:5000"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - an invalid port is reported only when read
    except ValueError:
        why = "its host or its port cannot be read"
        raise UsageError(f"{option} {redacted(url)!r} is malformed ({why}): {example}") from None
    if parts.scheme not in (*_PORTS, unix_sockets.SCHEME) or not parts.hostname:
        raise UsageError(f"{option} {redacted(url)!r} is not an http(s) URL: {example}")
    path = parts.path if parts.path not in ("", "/") else default_path
    return urlunsplit(parts._replace(path=path, fragment=""))


def _credentials(headers: Sequence[Header], url: str) -> tuple[Header, ...]:
    """The Authorization header from the URL, else ~/.netrc; an explicit one takes precedence."""
    if any(name.lower() == _AUTHORIZATION.lower() for name, _ in headers):
        return ()
    userinfo, at, _ = urlsplit(url).netloc.rpartition("@")
    user, _, password = (unquote(part) for part in userinfo.partition(":"))
    if not at:
        found = get_netrc_auth(url)
        if found is None:
            return ()
        user, password = found
    pair = f"{user}:{password}"
    try:
        content = pair.encode("latin-1")  # as in requests and browsers
    except UnicodeEncodeError:
        content = pair.encode()
    return ((_AUTHORIZATION, f"Basic {base64.b64encode(content).decode()}"),)


def _without_userinfo(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _request(calls: Calls, url: str, payload: Payload) -> HttpRequest:
    headers = CaseInsensitiveDict({"User-Agent": f"tracebench/{__version__}"})
    headers.update(calls.headers)
    headers[BENCHMARK_HEADER] = "1"
    if payload.form == "image":
        files = {calls.field: (payload.name, payload.content, payload.content_type)}
        request = requests.Request(calls.method, url, headers=headers, files=files)
    else:
        headers.setdefault("Content-Type", payload.content_type)
        request = requests.Request(calls.method, url, headers=headers, data=payload.content)
    try:
        with requests.Session() as session:
            session.trust_env = False  # `_credentials` handles ~/.netrc
            return _repeated(session.prepare_request(request), calls.headers, urlsplit(url).netloc)
    except (requests.RequestException, ValueError) as error:
        raise UsageError(f"cannot build the request to {redacted(url)!r}: {error}") from None


def _repeated(request: requests.PreparedRequest, given: Sequence[Header], host: str) -> HttpRequest:
    """The bytes to send: the library's headers, then the given ones, unchanged."""
    lines = [f"{request.method} {request.path_url} HTTP/1.1"]
    if "Host" not in request.headers:
        lines.append(f"Host: {host}")
    names = {name.lower() for name, _ in given}
    own = ((name, value) for name, value in request.headers.items() if name.lower() not in names)
    lines += [f"{name}: {_latin(value)}" for name, value in (*own, *given)]
    head = "\r\n".join(lines).encode("latin-1")
    body = request.body or b""
    content = body.encode() if isinstance(body, str) else bytes(body)
    return HttpRequest(head + b"\r\ntraceparent: 00-", b"-01\r\n\r\n", content)


def untraced(request: HttpRequest) -> HttpRequest:
    """A copy of a request that asks for no tracing: not sampled, and without `X-Benchmark`."""
    return replace(unsampled(request), head=request.head.replace(_ASKS, b"", 1))


def unsampled(request: HttpRequest) -> HttpRequest:
    """A copy of a request that asks for timings in the reply, but for no trace."""
    return replace(request, tail=b"-00" + request.tail[len(b"-01") :])


def _latin(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _text(request: HttpRequest) -> str:
    first, *lines = request.head.decode("latin-1").split("\r\n")
    fields = (line.partition(": ") for line in lines[:-1])
    shown = [f"{name}: {header_shown(name, value)}" for name, _, value in fields]
    return "\n".join([scrubbed(first), *shown, f"{lines[-1]}<trace id>-<span id>-01"])

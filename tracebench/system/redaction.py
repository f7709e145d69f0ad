"""Redaction of passwords, tokens and keys in texts.

There are two rules, because neither is enough. By position: whatever is in the place of credentials
in a URL is hidden, whoever wrote it. By value: the credentials of this run are hidden wherever they
occur, even in messages from a server or a library.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

from tracebench.model.errors import TracebenchError
from tracebench.model.plan import Plan
from tracebench.model.record.span import Span

REDACTED: Final = "REDACTED"
HIDDEN: Final = "(hidden)"
_CUT: Final = "…"
_LEAST: Final = 4
"""A shorter text is not treated as a secret: hiding it would garble every message."""
_LONG: Final = 8
"""A text of at least this length is also hidden inside words."""
_PLAIN_HEADERS: Final = frozenset(
    {
        *("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control"),
        *("connection", "content-encoding", "content-length", "content-type", "expect", "host"),
        *("te", "traceparent", "user-agent", "x-benchmark"),
    }
)
_SECRET_NAME: Final = re.compile(
    r"key|token|secret|passw|pwd|passphrase|auth|credential|cookie|signature|session|jwt|bearer"
    r"|^x-(amz|goog|ms|oss|cos)-"
    r"|(?<![a-z])(sig|sign|code|pass|sid|otp|pin|hmac|sas|ticket|assertion)(?![a-z])",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"(?<=://)[^/?#\s'\"<>]*@")
_PARAMETER: Final = re.compile(
    r"(?<=[?&;#])([^=&;#\s?'\"]+)=([^&;#\s'\"<>]*?)(?=[:.,)]*(?:[&;#\s'\"<>]|$))"
)
"""A name and a value; trailing punctuation belongs to the sentence that quotes the URL."""
_SIGNED: Final = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?")
"""A JSON web token."""
_SCHEMES: Final = frozenset({"basic", "bearer", "digest", "negotiate", "token", "apikey", "key"})


def redacted(url: str) -> str:
    """A URL that may be shown: without user, password, fragment, and credentials in parameters.

    An invalid URL may hold them elsewhere, so everything before its last @ is removed.
    """
    if not _is_url(url):
        url = re.sub(r"(?s)^([a-z+]+://)?.*@", rf"\1{REDACTED}@", url)
    return scrubbed(url.partition("#")[0])


def scrubbed(text: str) -> str:
    """A text without the credentials in any URLs, or parts of URLs, that it quotes."""
    if "://" in text:
        text = _USERINFO.sub(f"{REDACTED}:{REDACTED}@", text)
    if "=" in text:
        text = _PARAMETER.sub(_parameter, text)
    return _SIGNED.sub(REDACTED, text) if "eyJ" in text else text


def is_secret(name: str) -> bool:
    """Whether a header or query parameter of this name holds a credential."""
    return _SECRET_NAME.search(name) is not None


def header_shown(name: str, value: str) -> str:
    """A request header's value, hidden unless the header only describes the message."""
    return value if name.lower() in _PLAIN_HEADERS else HIDDEN


@dataclass(frozen=True, slots=True)
class Secrets:
    """The credentials of a run."""

    texts: frozenset[str] = frozenset()
    _pattern: "re.Pattern[str] | None" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        forms = {form for text in self.texts for form in _forms(text) if len(form) >= _LEAST}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        pattern = re.compile("|".join(map(_occurrence, longest_first))) if forms else None
        object.__setattr__(self, "_pattern", pattern)

    @classmethod
    def of(cls, plan: Plan) -> "Secrets":
        """All the credentials in a plan."""
        routes, calls = plan.traces, plan.calls
        ends = (routes.otlp_endpoint, routes.forward_otlp, routes.jaeger, routes.trace_ui)
        given = (
            *(one.address for one in plan.targets.all if one.protocol == "rest"),
            plan.gauges.metrics_url,
            *ends,
        )
        urls = [url for url in given if url is not None]
        public = " ".join([*map(redacted, urls), calls.grpc_method or "", calls.oip or ""])
        texts = {text for url in urls for text in _in_url(url)}
        texts |= set(_in_fields(plan.language.extra_body))
        return cls(frozenset(texts)).and_headers(calls.headers, public)

    def and_headers(self, headers: Iterable[tuple[str, str]], public: str = "") -> "Secrets":
        """The union of these secrets and those in headers.

        Args:
            headers: names and values.
            public: text that is shown anyway: a value in it is secret only if its name says so.
        """
        texts = {text for name, value in headers for text in _in_header(name, value, public)}
        return Secrets(self.texts | texts)

    def __or__(self, others: "Secrets") -> "Secrets":
        """The union of these secrets and others."""
        return Secrets(self.texts | others.texts)

    def hide(self, text: str) -> str:
        """A text with the secrets hidden, even if it ends with `…` in the middle of one."""
        text = scrubbed(text)
        if self._pattern is not None:
            text = self._pattern.sub(REDACTED, text)
        return self._without_stump(text) if text.endswith(_CUT) else text

    def hide_bytes(self, content: bytes) -> bytes:
        """Like `hide`, for a body that may be text."""
        return self.hide(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    def hidden(self, value: Any) -> Any:
        """Like `hide`, for all texts in lists and mappings."""
        match value:
            case str():
                return self.hide(value)
            case dict():
                return {name: self.hidden(one) for name, one in value.items()}
            case list() | tuple():
                return [self.hidden(one) for one in value]
        return value

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Hide them in the messages of errors raised within."""
        try:
            yield
        except TracebenchError as error:
            if (said := self.hide(str(error))) == str(error):
                raise
            raise type(error)(said) from None

    def _without_stump(self, text: str) -> str:
        body = text.removesuffix(_CUT)
        for secret in self.texts:
            for size in range(min(len(secret), len(body)), _LEAST - 1, -1):
                if body.endswith(secret[:size]):
                    return f"{body[:-size]}{REDACTED}{_CUT}"
        return text


NO_SECRETS: Final = Secrets()


def cleared(span: Span, secrets: Secrets) -> Span:
    """A server's span, with secrets hidden that the server may have recorded in it."""
    return span._replace(
        name=secrets.hide(span.name),
        message=secrets.hide(span.message),
        attributes=secrets.hidden(dict(span.attributes)),
        events=tuple(
            one._replace(attributes=secrets.hidden(dict(one.attributes))) for one in span.events
        ),
    )


def _is_url(text: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0
    return False


def _parameter(found: re.Match[str]) -> str:
    name, value = found.groups()
    return f"{name}={REDACTED if value and is_secret(unquote_plus(name)) else value}"


def _in_url(url: str) -> Iterator[str]:
    for userinfo in _USERINFO.findall(url):
        user, _, password = unquote(userinfo[:-1]).partition(":")
        yield from (user, password, _basic(user, password))
    for name, value in _PARAMETER.findall(url.partition("#")[0]):
        if is_secret(unquote_plus(name)):
            yield unquote_plus(value)


def _in_fields(text: str | None) -> Iterator[str]:
    """Texts in a JSON object at names of credentials."""
    with suppress(ValueError, RecursionError):
        yield from _texts_of(json.loads(text or "{}"), hidden=False)


def _texts_of(value: Any, *, hidden: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _texts_of(one, hidden=hidden or is_secret(name))
    elif isinstance(value, list):
        for one in value:
            yield from _texts_of(one, hidden=hidden)
    elif hidden and isinstance(value, str) and len(value) >= _LONG:
        yield value


def _in_header(name: str, value: str, public: str) -> Iterator[str]:
    if name.lower() in _PLAIN_HEADERS:
        return
    least = _LEAST
    if not is_secret(name):
        least = _LONG
        if value in public:
            return
    yield from (text for text in _credentials(value) if len(text) >= least)


def _credentials(value: str) -> Iterator[str]:
    """A header's value without its scheme, and the longer parts of it."""
    scheme, _, rest = value.partition(" ")
    credentials = rest.strip() if scheme.lower() in _SCHEMES else value
    yield credentials
    for part in re.split(r"[\s,;\"]+", credentials):
        if len(part) >= _LONG:
            yield part
        if len(given := part.partition("=")[2].strip("=")) >= _LONG:
            yield given
    if scheme.lower() == "basic":
        with suppress(ValueError):
            yield from base64.b64decode(credentials).decode().split(":", 1)


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _forms(text: str) -> set[str]:
    """A text as it is, and as written in URLs, in JSON, and without base64 padding."""
    plain = {text, text.rstrip("="), json.dumps(text)[1:-1]}
    return plain | {quote(text, safe=""), quote(text), quote_plus(text)}


def _occurrence(text: str) -> str:
    escaped = re.escape(text)
    return escaped if len(text) >= _LONG else rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])"

"""Credentials are hidden by form, wherever a URL has them, and by value, wherever they occur."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.plans import plan_of
from tracebench.model.errors import TargetError
from tracebench.model.plan import Calls, Payloads, Plan, Targets
from tracebench.model.record.span import Span
from tracebench.system.redaction import (
    Secrets,
    cleared,
    header_shown,
    is_secret,
    redacted,
    scrubbed,
)

URL = "http://SECRETUSER:SECRETPASS@h:81/p?api_key=SECRETQUERY&size=3#SECRETFRAGMENT"
CREDENTIALS = (
    ("Authorization", "Bearer SECRETBEARER"),
    ("Cookie", "session=SECRETCOOKIE; theme=dark"),
    ("X-Api-Key", "SECRETKEY"),
    ("X-Tenant", "SECRETTENANT"),
    ("Content-Type", "application/json"),
)


def plan(**more: object) -> Plan:
    return plan_of((), rest_url=URL, headers=CREDENTIALS, **more)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "http://REDACTED:REDACTED@h:81/p?api_key=REDACTED&size=3"),
        ("https://h/p?X-Amz-Signature=0a1b&x=1", "https://h/p?X-Amz-Signature=REDACTED&x=1"),
        ("http://h/p?sig=a%2Fb%3D&sv=2", "http://h/p?sig=REDACTED&sv=2"),
        ("http://h/p?api%5Fkey=x", "http://h/p?api%5Fkey=REDACTED"),
        ("http://h/p?to=a@b.c", "http://h/p?to=a@b.c"),
        ("http://user:pa/ss@h/", "http://REDACTED:REDACTED@h/"),
        ("http://user:pa#ss@h/", "http://REDACTED:REDACTED@h/"),
        ("user:pass@h:1", "REDACTED@h:1"),
        ("http://[::1", "http://[::1"),
        ("localhost:5000", "localhost:5000"),
        ("http://h", "http://h"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apikey", "key", "token", "access_token", "id-token", "sig", "signature"),
        *("X-Amz-Credential", "password", "passwd", "pwd", "code", "client_secret", "auth"),
        *("Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Auth", "jwt", "sid"),
    ],
)
def test_names_of_credentials(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["size", "model", "q", "encoding", "design", "passage", "insider"])
def test_other_names(name: str) -> None:
    assert not is_secret(name)


def test_texts_that_quote_a_url() -> None:
    said = (
        "HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: /p?token=abc (Caused "
        "by x); see 'http://u:p@h/x?key=1': refused, http://h/cb#access_token=abc."
    )
    assert scrubbed(said) == (
        "HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: /p?token=REDACTED "
        "(Caused by x); see 'http://REDACTED:REDACTED@h/x?key=REDACTED': refused, "
        "http://h/cb#access_token=REDACTED."
    )


@pytest.mark.parametrize(
    "text",
    [
        "SECRETUSER",
        "SECRETPASS",
        "SECRETQUERY",
        "SECRETBEARER",
        "SECRETCOOKIE",
        "SECRETKEY",
        "SECRETTENANT",
        base64.b64encode(b"SECRETUSER:SECRETPASS").decode(),
        "xSECRETBEARERx",
        '{"authorization": "Bearer SECRETBEARER"}',
        "a text cut within SECRETBE…",
    ],
)
def test_what_a_server_repeats(text: str) -> None:
    said = Secrets.of(plan()).hide(f"it said {text}")
    assert "SECRET" not in said
    assert "U0VDUkVU" not in said
    assert said.startswith("it said ")


def test_credentials_of_every_url_count() -> None:
    url = "http://u:SECRETPASS@h?token=SECRETQUERY"
    for option in ("otlp_endpoint", "forward_otlp", "jaeger", "trace_ui"):
        secrets = Secrets.of(plan_of((), **{option: url}))
        assert secrets.hide("SECRETPASS, SECRETQUERY") == "REDACTED, REDACTED"


def test_a_basic_credential_is_hidden_when_it_is_decoded_too() -> None:
    basic = base64.b64encode(b"alice:SECRETPASS").decode()
    secrets = Secrets.of(
        Plan(Payloads(()), calls=Calls(headers=(("authorization", f"Basic {basic}"),)))
    )
    assert secrets.hide(f"{basic} is alice and SECRETPASS") == "REDACTED is REDACTED and REDACTED"


def test_what_is_public_or_short_is_left_as_it_is() -> None:
    headers = (("X-Model", "resnet-50"), ("X-Mode", "fast"), ("Authorization", "Bearer tok"))
    secrets = Secrets.of(
        Plan(
            Payloads(()),
            Targets(rest_url="http://h/models/resnet-50/predict"),
            calls=Calls(headers=headers),
        )
    )
    said = '/models/resnet-50: "fast", Bearer tok, a token'
    assert secrets.hide(said) == said


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=20))
def test_any_long_password_in_any_form(password: str) -> None:
    assume(password not in "REDACTED")
    secrets = Secrets(frozenset({password}))
    for form in (password, quote(password, safe=""), json.dumps(password)):
        hidden = secrets.hide(f"<{form}>")
        assert password not in hidden
        assert quote(password, safe="") not in hidden


def test_errors_from_within_a_guard_keep_their_kind() -> None:
    with pytest.raises(TargetError, match=r"^no REDACTED$"), Secrets.of(plan()).guard():
        raise TargetError("no SECRETPASS")
    with pytest.raises(TargetError, match=r"^plain$"), Secrets.of(plan()).guard():
        raise TargetError("plain")


def test_a_servers_span_may_hold_what_it_was_sent() -> None:
    attributes: dict[str, Any] = {
        "url.query": "?api_key=SECRETQUERY",
        "http.request.header.x-api-key": ["SECRETKEY"],
        "http.status_code": 200,
    }
    span = Span("1", "2", "", "GET", "SERVER", 0, 1, attributes, message="bad SECRETKEY")
    assert cleared(span, Secrets.of(plan()))[:7] == span[:7]
    told = str(cleared(span, Secrets.of(plan())))
    assert "SECRET" not in told
    assert "200" in told


@pytest.mark.parametrize("name", ["Authorization", "X-Anything", "cookie"])
def test_request_headers_are_shown_by_name(name: str) -> None:
    assert header_shown(name, "value") == "(hidden)"
    assert header_shown("Content-Type", "image/png") == "image/png"

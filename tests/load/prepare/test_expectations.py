"""Replies that are not what was expected count as failed, each with its reason."""

import gzip
from typing import Any

import pytest

from tests.plans import plan_of
from tests.servers import HOST, answering, reply, serving
from tracebench.benchmark import run
from tracebench.load.prepare import expectations
from tracebench.load.prepare.http_preflight import document
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.plan import Expected, Payload, Targets
from tracebench.model.record.exchange import Reply
from tracebench.model.results.result import TargetResult

PAYLOAD = Payload(b'{"a": 1}', "application/json", "a.json", "json")
LONG = b'{"label": "cat", "scores": [' + b"0.5, " * 1_000 + b'0.5], "last": 1}'


def expected(*fields: str, statuses: tuple[str, ...] = ()) -> expectations.Expectations:
    return expectations.of(Expected(statuses, fields), "rest", Targets(rest_url="http://h"))


def fault(body: bytes, *fields: str, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return expected(*fields).fault(Reply("200", named, body), "", document)


@pytest.mark.parametrize(
    "field",
    [
        "label=cat",
        'label="cat"',
        "label",
        "scores[1]=0.25",
        "scores.1=0.25",
        "scores=[1,0.25]",
        "more.deep[0].flag=true",
        "nothing=null",
        "nothing",
    ],
)
def test_what_holds(field: str) -> None:
    body = b'{"label":"cat","scores":[1,0.25],"more":{"deep":[{"flag":true}]},"nothing":null}'
    assert fault(body, field) == ""


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("label=dog", "does not hold"),
        ("flag=1", "does not hold"),
        ("one=true", "does not hold"),
        ("labels", "no such field"),
        ("label.x", "no such field"),
        ("list[2]", "no such field"),
        ("list.x", "no such field"),
    ],
)
def test_what_does_not_hold(field: str, said: str) -> None:
    assert said in fault(b'{"label": "cat", "flag": true, "one": 1, "list": [1, 2]}', field)


def test_the_kept_part_of_a_long_body_is_enough_where_it_has_the_field() -> None:
    assert fault(LONG[:1_024], "label=cat", content_length=str(len(LONG))) == ""
    said = fault(LONG[:1_024], "last=1", content_length=str(len(LONG)))
    assert said == (
        "--expect-json 'last=1': not in the first 1024 bytes of the reply: the rest is not kept"
    )
    assert "not in the first" in fault(LONG[:1_024], "scores=[1]")


def test_a_body_that_is_no_json() -> None:
    assert fault(b"<html>", "a") == "--expect-json 'a': the reply is not JSON"
    assert fault(b'{"a": 1, oops', "a", content_length="13").endswith("is not JSON")


def test_a_compressed_body_is_unpacked() -> None:
    packed = gzip.compress(LONG)
    for kept in (packed, packed[:-20]):
        assert fault(kept, "label=cat", content_encoding="gzip") == ""
    assert "not JSON" in fault(b"garbage", "label", content_encoding="gzip")


@pytest.mark.parametrize(
    ("wanted", "status", "reason", "said"),
    [
        (("200",), "200", "", ""),
        (("200",), "201", "", "201, but --expect-status is 200"),
        (("2xx",), "201", "", ""),
        (("200", "404"), "404", "HTTP 404", ""),
        (("200,404",), "500", "HTTP 500", "HTTP 500, but --expect-status is 200,404"),
        ((), "500", "HTTP 500", "HTTP 500"),
    ],
)
def test_statuses(wanted: tuple[str, ...], status: str, reason: str, said: str) -> None:
    judged = expected(statuses=wanted).fault(Reply(status, {}, b""), reason, document)
    assert judged == said


@pytest.mark.parametrize("status", ["", "20", "ok", "6xx", "200-299", "200,,201"])
def test_statuses_that_are_none(status: str) -> None:
    with pytest.raises(UsageError, match="--expect-status"):
        expected(statuses=(status,))


def test_a_status_of_the_other_protocol() -> None:
    both, either = Targets("http://h", "h:1"), Expected(("OK", "201"))
    assert expectations.of(either, "rest", both).statuses == ("201",)
    assert expectations.of(either, "grpc", both).statuses == ("OK",)
    with pytest.raises(UsageError, match="'OK' does not fit rest"):
        expectations.of(Expected(("OK",)), "rest", Targets("http://h"))


@pytest.mark.parametrize("field", ["", "=1", "a[", "a[x]=1", "a..b"])
def test_paths_that_are_none(field: str) -> None:
    with pytest.raises(UsageError, match="--expect-json"):
        expected(field)


def measured(*replies: bytes, **more: Any) -> TargetResult:
    with serving(answering(*replies)) as port:
        url = f"http://{HOST}:{port}/v1/models/m:predict"
        return run(plan_of(PAYLOAD, rest_url=url, requests=30, **more)).targets["rest"]


def test_fast_errors_are_not_fast_answers() -> None:
    good, bad = reply(b'{"label": "cat"}'), reply(b'{"error": "overloaded"}')
    found = measured(good, good, bad, expect_json=("label=cat",))
    assert (found.requests.succeeded, found.requests.failed) == (20, 10)
    (error,) = found.errors
    assert error.reason == "--expect-json 'label=cat': the reply has no such field"
    assert "overloaded" in error.example


def test_a_status_that_is_expected_is_a_success() -> None:
    found = measured(reply(b"", "404 Not Found"), expect_status=("404",))
    assert found.requests.succeeded == 30


def test_the_first_answer_is_judged_before_the_run() -> None:
    with pytest.raises(TargetError, match=r"does not hold: \{\"label\": \"dog\"\}"):
        measured(reply(b'{"label": "dog"}'), expect_json=("label=cat",))
    with pytest.raises(TargetError, match="first 1024 bytes"):
        measured(reply(LONG), expect_json=("last=1",))


def test_a_long_answer_that_is_compressed_is_kept_whole() -> None:
    packed = reply(gzip.compress(LONG), "200 OK", "Content-Encoding: gzip")
    assert measured(packed, expect_json=("last=1",)).requests.succeeded == 30

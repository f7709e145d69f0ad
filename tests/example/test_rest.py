import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.example.pictures import BAD, COFFEE
from tracebench.example.serve import Addresses

LIMIT = 32 << 20
PARTS = {"preprocessing", "inference", "postprocessing"}


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def url(servers: Addresses) -> str:
    return f"{servers.rest_url}/predict"


@pytest.fixture(autouse=True)
def goes_on(session: requests.Session, url: str) -> Iterator[None]:
    """Whatever a test sent: the next picture is classified."""
    yield
    assert label(session.post(url, data=COFFEE)) == "espresso"


def label(reply: requests.Response) -> str:
    assert reply.status_code == 200, reply.text
    return str(reply.json()["predictions"][0]["label"])


def test_a_picture_as_a_form_field(session: requests.Session, url: str) -> None:
    reply = session.post(url, files={"image": ("coffee.png", COFFEE, "image/png")})
    assert label(reply) == "espresso"
    assert reply.headers["Content-Type"] == "application/json"
    predictions = reply.json()["predictions"]
    assert [set(one) for one in predictions] == [{"label", "probability"}] * 5
    probabilities = [one["probability"] for one in predictions]
    assert probabilities == sorted(probabilities, reverse=True)


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", None])
def test_a_picture_as_the_body(
    session: requests.Session, url: str, content_type: str | None
) -> None:
    reply = session.post(url, data=COFFEE, headers={"Content-Type": content_type})
    assert label(reply) == "espresso"


def test_a_chunked_body(session: requests.Session, url: str) -> None:
    parts = (COFFEE[start : start + 10_000] for start in range(0, len(COFFEE), 10_000))
    assert label(session.post(url, data=parts)) == "espresso"


def test_health(session: requests.Session, servers: Addresses) -> None:
    reply = session.get(f"{servers.rest_url}/healthz")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_bad_pictures(session: requests.Session, url: str, content: bytes, message: str) -> None:
    for reply in (session.post(url, data=content), session.post(url, files={"image": content})):
        assert reply.status_code == 400
        assert reply.json()["error"].startswith(message)


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"files": {"img": COFFEE}}, 400, "send the picture as a file in the form field 'image'"),
        ({"files": {"image": (None, "text")}}, 400, "send the picture as a file"),
        ({"data": b"no boundary", "headers": {"Content-Type": FORM[:19]}}, 400, "send the picture"),
        ({"data": b"--x\r\nno end", "headers": {"Content-Type": FORM}}, 400, "send the picture"),
        ({"data": bytes(LIMIT + 1)}, 413, "The data value transmitted exceeds"),
        ({"data": bytes(100_000_000)}, 413, "The data value transmitted exceeds"),
        ({"files": {"image": bytes(LIMIT)}}, 413, "The data value transmitted exceeds"),
    ],
    ids=["wrong field", "no file", "no boundary", "no end", "over the limit", "100 MB", "form"],
)
def test_bad_requests(
    session: requests.Session, url: str, request_: dict[str, Any], status: int, message: str
) -> None:
    reply = session.post(url, **request_)
    assert reply.status_code == status
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json()["error"].startswith(message)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods(session: requests.Session, url: str, method: str) -> None:
    reply = session.request(method, url)
    assert reply.status_code == 405
    assert "not allowed" in reply.json()["error"]
    assert "POST" in reply.headers["Allow"]


def test_other_paths(session: requests.Session, servers: Addresses) -> None:
    reply = session.post(f"{servers.rest_url}/classify", data=COFFEE)
    assert reply.status_code == 404
    assert "not found" in reply.json()["error"]


def test_timings_are_mirrored_to_who_asks(session: requests.Session, url: str) -> None:
    asked = session.post(url, data=COFFEE, headers={"X-Benchmark": "1"})
    times_s = json.loads(asked.headers["X-Timing-Info"])
    assert set(times_s) >= {*PARTS, "server_processing"}
    assert 0 < sum(times_s[part] for part in PARTS) <= times_s["server_processing"]
    assert "X-Timing-Info" not in session.post(url, data=COFFEE).headers

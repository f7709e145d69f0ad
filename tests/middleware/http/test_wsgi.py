"""WSGI and Flask: who is asked, what is answered, and which span comes of it."""

from collections.abc import Callable, Iterable, Iterator
from time import sleep, time_ns
from typing import Any

import flask
import pytest
from opentelemetry.semconv.attributes import http_attributes
from opentelemetry.trace import SpanKind, StatusCode

from server_middleware import component, instrument
from tests.middleware.span_samples import (
    ASKING,
    PARENT_ID,
    TRACE_ID,
    UNSAMPLED,
    Spans,
    duration_ns,
    mirrored,
    parent_id,
    span_id,
)
from tests.middleware.wsgi_client import call, environ

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def plain(given: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    with component("inference"):
        body = b"espresso"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def generated(given: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [])
    for _ in range(5):
        with component("inference"):
            sleep(0.02)
        yield b"token "


def model_server() -> flask.Flask:
    app = flask.Flask("model")

    @app.post("/predict/<model>")
    def predict(model: str) -> str:
        with component("preprocessing"):
            size = len(flask.request.get_data())
        with component("inference"):
            return f"{model} {size}"

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("out of memory")

    return instrument(app)


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({}, False),
        (ASKING, True),
        ({"X-Benchmark": "1"}, True),
        ({"traceparent": UNSAMPLED}, False),
        ({"traceparent": UNSAMPLED, "X-Benchmark": "1"}, True),
        ({"traceparent": "garbage"}, False),
        ({"traceparent": ""}, False),
    ],
)
def test_only_a_request_that_asks_is_answered(headers: dict[str, str], asked: bool) -> None:
    answer = call(instrument(plain), environ(headers))
    assert answer.chunks == [b"espresso"]
    assert set(mirrored(answer.headers)) == ({"inference", "server_processing"} if asked else set())
    assert ("server-timing" in answer.headers) is asked


def test_a_request_that_does_not_ask_makes_no_span(spans: Spans) -> None:
    call(instrument(plain), environ({}))
    call(instrument(plain), environ({"traceparent": UNSAMPLED}))
    assert spans.none()


def test_a_list_is_handed_on_as_it_is() -> None:
    body = [b"a", b"b"]

    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return body

    assert instrument(app)(environ(ASKING), lambda *_: None) is body


def test_a_file_is_left_to_the_server() -> None:
    class FileWrapper:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"weights"])

    file = FileWrapper()

    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return file

    given = environ(ASKING) | {"wsgi.file_wrapper": FileWrapper}
    assert instrument(app)(given, lambda *_: None) is file


def test_a_stream_of_100_ms_is_a_span_of_100_ms(spans: Spans) -> None:
    assert call(instrument(generated), environ(ASKING)).chunks == [b"token "] * 5
    *steps, server = spans.wait(6)
    assert duration_ns(server) >= 100e6
    assert {parent_id(span) for span in steps} == {span_id(server)}


def test_a_client_that_goes_away_ends_the_span(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    assert call(instrument(generated), environ(ASKING), most=2).chunks == [b"token "] * 2
    assert spans.server(3).status.status_code is StatusCode.UNSET
    assert not caplog.records


def test_the_span_ends_before_the_last_announced_byte_is_handed_over(spans: Spans) -> None:
    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        yield b"ab"
        yield b"cd"
        resumed_ns.append(time_ns())

    resumed_ns: list[int] = []
    call(instrument(app), environ(ASKING))
    assert (spans.server().end_time or 0) <= resumed_ns[0]


def test_an_exception_of_the_app_passes_and_marks_the_span(spans: Spans) -> None:
    error = RuntimeError("out of memory")

    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raise error

    with pytest.raises(RuntimeError) as caught:
        call(instrument(app), environ(ASKING))
    assert caught.value is error
    span = spans.server()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "RuntimeError"


def test_a_mirror_written_by_hand_stays() -> None:
    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("X-Timing-Info", '{"inference": 0.25}')])
        return [b""]

    assert mirrored(call(instrument(app), environ(ASKING)).headers) == {"inference": 0.25}


def test_reading_the_body_is_told(spans: Spans) -> None:
    client = model_server().test_client()
    client.post("/predict/lite0", data=b"x" * 70_000, headers=ASKING).get_data()
    attributes = spans.server(3).attributes or {}
    assert attributes["http.request.body.size"] == 70_000
    assert attributes["tracebench.request.read_ms"] >= 0  # type: ignore[operator] # it is a float


@pytest.mark.parametrize(
    ("stamp", "believed", "queued"),
    [
        ("t={s}", True, True),
        ("{ms}", True, True),
        ("t={us}", True, True),
        ("t={s}", False, False),
        ("yesterday", True, False),
        ("t=nan", True, False),
        ("t=99999999999999999999", True, False),
    ],
)
def test_the_proxys_stamp_is_the_queue_if_it_shares_the_clock(
    spans: Spans, monkeypatch: pytest.MonkeyPatch, stamp: str, believed: bool, queued: bool
) -> None:
    now_ns = 1_700_000_000_000_000_000
    monkeypatch.setattr("server_middleware.http.conventions.time_ns", lambda: now_ns)
    sent_us = now_ns // 1_000 - 250_000
    text = stamp.format(s=sent_us / 1e6, ms=sent_us // 1_000, us=sent_us)
    app = instrument(plain, proxy_shares_clock=believed)
    times = mirrored(call(app, environ({**ASKING, "X-Request-Start": text})).headers)
    assert times.get("queue", 0) == pytest.approx(0.25 if queued else 0, abs=1e-3)
    assert times["server_processing"] >= times.get("queue", 0)
    if queued:
        queue = next(span for span in spans.wait(3) if span.name == "queue")
        server = spans.server(3)
        assert (queue.start_time, parent_id(queue)) == (server.start_time, span_id(server))


def test_flask_conforms_to_the_conventions_of_http(spans: Spans) -> None:
    given = {**ASKING, "User-Agent": "tracebench", "Host": "models.test:8080"}
    client = model_server().test_client()
    query = "/predict/lite0?top=5&sig=secret&X-Goog-Signature=s"
    assert client.post(query, headers=given).get_data() == b"lite0 0"
    span = spans.server(3)
    assert (span.name, span.kind) == ("POST /predict/<model>", SpanKind.SERVER)
    assert (span.get_span_context().trace_id, parent_id(span)) == (TRACE_ID, PARENT_ID)  # type: ignore[union-attr]
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        http_attributes.HTTP_REQUEST_METHOD: "POST",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
        http_attributes.HTTP_ROUTE: "/predict/<model>",
        "url.scheme": "http",
        "url.path": "/predict/lite0",
        "url.query": "top=5&sig=REDACTED&X-Goog-Signature=REDACTED",
        "network.protocol.version": "1.1",
        "server.address": "models.test",
        "server.port": 8080,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "user_agent.original": "tracebench",
    }


@pytest.mark.parametrize(
    ("method", "path", "name", "status", "failed"),
    [
        ("GET", "/nowhere", "GET", 404, None),
        ("GET", "/predict/lite0", "GET", 405, None),
        ("GET", "/broken", "GET /broken", 500, "500"),
        ("BREW", "/predict/lite0", "HTTP", 405, None),
    ],
)
def test_failures_conform_as_well(
    spans: Spans, method: str, path: str, name: str, status: int, failed: str | None
) -> None:
    response = model_server().test_client().open(path, method=method, headers=ASKING)
    response.get_data()
    assert "server_processing" in mirrored({k.lower(): v for k, v in response.headers.items()})
    span = spans.server()
    attributes = span.attributes or {}
    assert (span.name, attributes["http.response.status_code"]) == (name, status)
    assert attributes.get("error.type") == failed
    assert span.status.status_code is (StatusCode.ERROR if failed else StatusCode.UNSET)
    known = method != "BREW"
    assert attributes["http.request.method"] == (method if known else "_OTHER")
    assert attributes.get("http.request.method_original") == (None if known else method)


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("models.test", "models.test", 8000),
        ("models.test:8080", "models.test", 8080),
        ("[::1]:8080", "::1", 8080),
        ("[::1]", "::1", 8000),
    ],
)
def test_the_host_is_split_from_its_port(spans: Spans, host: str, address: str, port: int) -> None:
    call(instrument(plain), environ({**ASKING, "Host": host}))
    attributes = spans.server(2).attributes or {}
    assert (attributes["server.address"], attributes["server.port"]) == (address, port)


def test_instrumenting_twice_is_instrumenting_once() -> None:
    app = model_server()
    inside = app.wsgi_app
    assert instrument(app) is app
    assert app.wsgi_app is inside
    wrapped = instrument(plain)
    assert instrument(wrapped) is wrapped


@pytest.mark.parametrize("no_app", [None, 7, "app", object()])
def test_what_is_no_app_is_refused(no_app: object) -> None:
    with pytest.raises(TypeError, match="neither a WSGI nor an ASGI app; a gRPC server takes"):
        instrument(no_app)

"""WSGI bodies that stand still in the middle of a component, or announce odd things."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from opentelemetry import context as otel

from server_middleware import component, instrument
from server_middleware.context.scope import current
from tests.middleware.span_samples import ASKING, Spans, mirrored, parent_id, span_id
from tests.middleware.wsgi_client import call, environ


def detokenized(given: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [])
    with component("inference"):
        for _ in range(3):
            with component("postprocessing"):
                pass
            yield b"token "


@pytest.mark.parametrize("most", [1, 2, 1_000])
def test_nothing_stays_current_while_and_after_it_streams(spans: Spans, most: int) -> None:
    app = instrument(detokenized)
    chunks = app(environ(ASKING), lambda *_: None)
    for _ in range(min(most, 3)):
        assert next(iter(chunks)) == b"token "
        assert current.get() is None
        assert otel.get_current() == otel.Context()
    chunks.close()  # type: ignore[attr-defined] # it is a generator's
    assert current.get() is None
    assert otel.get_current() == otel.Context()
    server = spans.server(min(most, 3) + 2)
    (inference,) = [span for span in spans.ended() if span.name == "inference"]
    inner = [span for span in spans.ended() if span.name == "postprocessing"]
    assert parent_id(inference) == span_id(server)
    assert {parent_id(span) for span in inner} == {span_id(inference)}


def test_two_streams_by_turns_are_told_apart(spans: Spans) -> None:
    app = instrument(detokenized)
    one, two = (iter(app(environ(ASKING), lambda *_: None)) for _ in range(2))
    for _ in range(3):
        next(one), next(two)
    assert [list(one), list(two)] == [[], []]
    inner = [span for span in spans.wait(10) if span.name == "postprocessing"]
    outer = [span_id(span) for span in spans.ended() if span.name == "inference"]
    assert [parent_id(span) for span in inner] == outer * 3


@pytest.mark.parametrize("length", ["six", "", "-1", "6, 6"])
def test_an_odd_length_is_the_servers_affair(spans: Spans, length: str) -> None:
    def odd(given: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", length)])
        yield b"abc"
        yield b"def"

    answer = call(instrument(odd), environ(ASKING))
    assert answer.chunks == [b"abc", b"def"]
    assert "server_processing" in mirrored(answer.headers)
    assert spans.server().name == "POST"


def test_work_that_a_body_does_before_its_first_byte_is_in_the_mirror() -> None:
    app = flask.Flask("streams")
    instrument(app)

    @app.post("/predict")
    def predict() -> flask.Response:
        def answer() -> Iterator[str]:
            yield ""
            with component("inference"):
                time.sleep(0.005)
            yield "cat"

        return flask.Response(answer())

    reply = app.test_client().post("/predict", headers={"X-Benchmark": "1"})
    assert reply.data == b"cat"
    told = json.loads(reply.headers["X-Timing-Info"])
    assert told["inference"] >= 0.005
    assert told["server_processing"] >= told["inference"]

"""An app is asked, and answers, as it would be without the middleware."""

import asyncio
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from server_middleware import component, instrument
from server_middleware.http.wsgi.wsgi_input import timed_input
from tests.middleware.serving import post, uvicorn_serving, waitress_serving
from tests.middleware.span_samples import ASKING, Spans, mirrored
from tests.middleware.wsgi_client import call, environ

App = Callable[[dict[str, Any], Callable[..., Any]], Any]


def answering(chunks: Any) -> App:
    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return chunks

    return app


class Counted:
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


def test_the_length_of_an_only_chunk_is_announced_all_the_same() -> None:
    with waitress_serving(instrument(answering(Counted(b"espresso")))) as url:
        assert post(url, ASKING).headers["content-length"] == "8"


def test_a_body_of_unknown_length_has_none() -> None:
    body = instrument(answering(iter([b"espresso"])))(environ(ASKING), lambda *_: None)
    assert not hasattr(body, "__len__")


class Failing:
    """Cannot be iterated, but must be closed."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        raise RuntimeError("no chunks")

    def close(self) -> None:
        self.closed = True


def test_what_cannot_be_iterated_is_closed_by_the_server() -> None:
    chunks = Failing()
    with pytest.raises(RuntimeError, match="no chunks"):
        call(instrument(answering(chunks)), environ(ASKING))
    assert chunks.closed


@pytest.mark.parametrize("chunk", [None, 7, ""])
def test_an_odd_chunk_is_the_servers_affair(chunk: Any) -> None:
    assert call(instrument(answering(iter([chunk]))), environ(ASKING)).chunks == [chunk]


def test_a_body_answers_for_what_it_wraps() -> None:
    file = io.BytesIO(b"weights")
    body = instrument(answering(file))(environ(ASKING), lambda *_: None)
    assert body.readable()
    assert body.getvalue() == b"weights"


def test_a_file_that_a_function_wrapped_is_left_to_the_server() -> None:
    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return given["wsgi.file_wrapper"](file, 8_192)

    file = io.BytesIO(b"weights")
    given = environ(ASKING) | {"wsgi.file_wrapper": lambda file, _size: file}
    assert instrument(app)(given, lambda *_: None) is file


def test_an_error_may_replace_the_head_and_the_argument_may_be_named() -> None:
    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        error = RuntimeError("late")
        start_response("500 Oh", [], exc_info=(RuntimeError, error, None))
        return [b"sorry"]

    started: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        started.append((status, exc_info and exc_info[0]))

    assert instrument(app)(environ(ASKING), start_response) == [b"sorry"]
    assert started == [("200 OK", None), ("500 Oh", RuntimeError)]


def begins_early(given: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    start_response("200 OK", [])
    with component("inference"):
        return [b"espresso"]


def begins_early_and_streams(given: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    start_response("200 OK", [])
    with component("inference"):
        chunk = b"espresso"
    yield chunk


def begins_early_and_has_no_more(given: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    start_response("204 No Content", [])
    with component("inference"):
        yield from ()


def begins_early_and_writes(given: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    write = start_response("200 OK", [])
    with component("inference"):
        pass
    write(b"espresso")
    return []


@pytest.mark.parametrize(
    "app",
    [begins_early, begins_early_and_streams, begins_early_and_has_no_more, begins_early_and_writes],
)
def test_the_mirror_is_written_after_the_work_though_the_head_was_begun_before(app: App) -> None:
    with waitress_serving(instrument(app)) as url:
        answer = post(url, ASKING)
    assert answer.text in ("espresso", "")
    assert set(mirrored(answer.headers)) == {"inference", "server_processing"}


def test_of_two_heads_the_server_sees_both() -> None:
    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        start_response("201 Created", [])
        return [b""]

    started: list[str] = []
    instrument(app)(environ(ASKING), lambda status, _fields: started.append(status))
    assert started == ["200 OK", "201 Created"]


def test_a_head_that_the_server_refuses_ends_the_span(spans: Spans) -> None:
    def refuse(status: str, fields: Any) -> None:
        raise ValueError("carriage return")

    with pytest.raises(ValueError, match="carriage return"):
        instrument(begins_early)(environ(ASKING), refuse)
    assert spans.server(2).name == "POST"


def test_header_fields_may_come_from_a_generator() -> None:
    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", (field for field in [("X-Model", "lite0")]))
        return [b""]

    headers = call(instrument(app), environ(ASKING)).headers
    assert headers["x-model"] == "lite0"
    assert "x-timing-info" in headers


def test_what_is_written_the_old_way_is_written() -> None:
    def app(given: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])(b"espresso")
        return []

    written: list[bytes] = []
    instrument(app)(environ(ASKING), lambda *_: written.append)
    assert written == [b"espresso"]


class Length:
    """A stream with a length, and one way to read it."""

    def __init__(self, data: bytes) -> None:
        self._file, self._length = io.BytesIO(data), len(data)

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


class Stream(io.BytesIO):
    pass


@pytest.mark.parametrize("make", [io.BytesIO, Stream, Length])
def test_the_input_is_what_it_was(make: Callable[[bytes], Any]) -> None:
    plain, timed = make(b"one\ntwo\n"), timed_input(make(b"one\ntwo\n"))
    assert isinstance(timed, type(plain))
    for name in ("__len__", "__iter__", "__next__", "__enter__", "__bool__"):
        assert hasattr(type(timed), name) is hasattr(type(plain), name), name
    assert bool(timed) is bool(plain)
    assert timed.read(3) == plain.read(3)


def test_an_input_is_read_in_every_way() -> None:
    timed: Any = timed_input(io.BytesIO(b"one\ntwo\nthree\n"))
    assert timed.readline() == b"one\n"
    assert next(timed) == b"two\n"
    assert list(timed) == [b"three\n"]
    assert timed.seek(4) == 4
    assert io.BufferedReader(timed).read() == b"two\nthree\n"
    assert timed.seen()["http.request.body.size"] == 24
    timed.close()
    assert timed.closed


def test_an_attribute_of_the_input_is_set_on_the_stream() -> None:
    stream: Any = Stream()
    timed_input(stream).model = "lite0"
    assert stream.model == "lite0"


SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-benchmark", b"1")]}


def asked(app: Any, scope: Any, receive: Any) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(instrument(app)(scope, receive, send))
    return sent


async def receive() -> Any:
    return {"type": "http.request", "body": b""}


def test_without_a_span_an_app_receives_from_the_server_itself() -> None:
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.extend(given)

    asked(app, SCOPE, receive)
    assert seen[0] is SCOPE
    assert seen[1] is receive


def test_headers_that_can_be_read_once_are_read_by_the_app() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])

    seen: list[Any] = []
    asked(app, {**SCOPE, "headers": iter(SCOPE["headers"])}, receive)
    assert seen == SCOPE["headers"]


def test_a_file_sent_by_its_path_ends_the_span(spans: Spans) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/weights"})
        assert len(spans.ended()) == 1

    assert [message["type"][14:] for message in asked(app, SCOPE, receive)] == ["start", "pathsend"]


async def espresso(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"espresso"})


def plain_espresso(scope: Any, receive: Any, send: Any) -> Any:
    return espresso(scope, receive, send)


def old_espresso(scope: Any) -> Any:
    async def serve(receive: Any, send: Any) -> None:
        await espresso(scope, receive, send)

    return serve


@pytest.mark.parametrize("app", [plain_espresso, old_espresso])
def test_an_older_form_of_asgi_is_served(app: Any) -> None:
    with uvicorn_serving(instrument(app)) as url:
        quiet, answer = post(url, {}), post(url, ASKING)
    assert quiet.text == answer.text == "espresso"
    assert set(mirrored(answer.headers)) == {"server_processing"}
    assert not mirrored(quiet.headers)

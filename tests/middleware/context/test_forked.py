"""A forked child reports into no request of its parent's, and waits for no lock of its threads."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from threading import Event, Thread
from typing import Any

import flask
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

from server_middleware import component, instrument, this_request
from server_middleware.context.outside_requests import Passing, get_passing, set_passing
from server_middleware.context.scope import current
from server_middleware.recording.recorder import RequestRecorder
from tests.middleware.requests import parts, request
from tests.middleware.span_samples import ASKING, UNSAMPLED, Spans, mirrored

PATIENCE_S = 20


@component("inference")
def infer(_: object = None) -> int:
    return os.getpid()


def in_child(work: Callable[[], object]) -> str:
    """What the work gives in a forked child, as text; fails where it does not come to an end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE_S)
        said = "nothing"
        with suppress(BaseException):
            said = repr(work())
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as end:
        said = end.read().decode()
    assert os.waitpid(pid, 0)[1] == 0, "the child did not come to an end"
    return said


def names(spans: Spans) -> list[str]:
    return [span.name for span in spans.ended()]


def test_a_component_in_a_child_is_nobodys(spans: Spans) -> None:
    def work() -> object:
        infer()
        return names(spans), current.get(), this_request(), trace.get_current_span() is UNKNOWN

    with request(traced=True) as recorder, component("preprocessing"):
        assert in_child(work) == "([], None, None, True)"
        assert list(parts(recorder)) == ["preprocessing"]
    assert [span.name for span in spans.wait(2)] == ["preprocessing", "GET"]


UNKNOWN = trace.INVALID_SPAN


def test_a_child_that_unwinds_ends_nothing_of_its_parents(spans: Spans) -> None:
    reading, writing = os.pipe()
    parent = os.getpid()
    try:
        with request(traced=True), component("preprocessing"), component("inference"):
            if (pid := os.fork()) == 0:
                signal.alarm(PATIENCE_S)
                raise SystemExit
    except SystemExit:
        pass
    if os.getpid() != parent:
        os.write(writing, repr(names(spans)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as end:
        assert end.read() == b"[]"
    os.waitpid(pid, 0)
    assert [span.name for span in spans.wait(3)] == ["inference", "preprocessing", "GET"]


def test_spans_of_others_stay_current_but_get_no_components(spans: Spans) -> None:
    def work() -> object:
        infer()
        with trace.get_tracer("user").start_as_current_span("in the child"):
            infer()
        return names(spans), trace.get_current_span() is theirs

    with trace.get_tracer("user").start_as_current_span("official") as theirs:
        assert in_child(work) == "(['inference', 'in the child'], True)"


def test_requests_of_a_child_are_its_own(spans: Spans) -> None:
    def work() -> object:
        with request(traced=True) as recorder:
            infer()
            return list(parts(recorder)), this_request() is not None

    with request(traced=True), component("inference"):
        assert in_child(work) == "(['inference'], True)"


def test_named_requests_of_the_parent_are_left_alone(spans: Spans) -> None:
    def work() -> object:
        with component("inference", requests=[handle]):
            return current.get(), names(spans)

    with request(traced=True) as recorder:
        handle = this_request()
    assert handle is not None
    spans.forget()
    with recorder._lock:  # as another thread may hold it
        assert in_child(work) == "(None, [])"


def test_a_lock_of_another_thread_keeps_no_child_waiting(spans: Spans) -> None:
    def work() -> object:
        infer()
        return current.get()

    held, ended = Event(), Event()

    def hold(recorder: RequestRecorder) -> None:
        with recorder._lock:
            held.set()
            ended.wait(PATIENCE_S)

    with request(traced=True) as recorder:
        thread = Thread(target=hold, args=(recorder,))
        thread.start()
        held.wait(PATIENCE_S)
        assert in_child(work) == "None"
        ended.set()
        thread.join(PATIENCE_S)


def test_a_request_that_does_not_ask_is_forgotten_too() -> None:
    set_passing(Passing())
    try:
        assert in_child(get_passing) == "None"
    finally:
        set_passing(None)


def test_a_fork_in_a_thread_of_a_request_is_a_fork_like_any(spans: Spans) -> None:
    said: list[str] = []

    def work() -> object:
        infer()
        return current.get(), names(spans)

    with request(traced=True):
        thread = Thread(target=lambda: said.append(in_child(work)))
        thread.start()
        thread.join(PATIENCE_S)
    assert said == ["(None, [])"]


class Told:
    """Spans of a child, as text through a pipe."""

    def __init__(self, writing: int) -> None:
        self._writing, self._parent = writing, os.getpid()

    def on_start(self, span: object, parent_context: object = None) -> None: ...

    def _on_ending(self, span: object) -> None: ...

    def on_end(self, span: ReadableSpan) -> None:
        if os.getpid() != self._parent:
            os.write(self._writing, f"{span.name}\n".encode())

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


@pytest.mark.parametrize("kind", ["executor", "pool"])
def test_a_pool_that_is_made_in_a_request_reports_into_none(spans: Spans, kind: str) -> None:
    app = instrument(flask.Flask("lazily"))
    made: list[Any] = []

    @app.post("/predict")
    def predict() -> str:
        if not made:
            fork = get_context("fork")
            made.append(ProcessPoolExecutor(1, fork) if kind == "executor" else fork.Pool(1))
        (pool,) = made
        worker = pool.submit(infer).result(10) if kind == "executor" else pool.apply(infer)
        return str(worker)

    reading, writing = os.pipe()
    told: Any = Told(writing)
    spans.provider.add_span_processor(told)
    try:
        client = app.test_client()
        for headers in (ASKING, ASKING, {"traceparent": UNSAMPLED}, {}):
            reply = client.post("/predict", headers=headers)
            assert int(reply.text) != os.getpid()
            assert "inference" not in mirrored(dict(reply.headers))
    finally:
        for pool in made:
            pool.shutdown() if kind == "executor" else (pool.close(), pool.join())
        processors = spans.provider._active_span_processor
        processors._span_processors = processors._span_processors[:-1]
    os.close(writing)
    with os.fdopen(reading, "rb") as end:
        assert end.read() == b""

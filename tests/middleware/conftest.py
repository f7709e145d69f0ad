"""Spans of the middleware, kept in memory."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from server_middleware.context.outside_requests import set_passing
from tests.middleware.clock import Clock, stopped
from tests.middleware.span_samples import Spans

# One provider serves all tests: tracers keep the first one that they meet.
_EXPORTER = InMemorySpanExporter()
_PROVIDER = TracerProvider()
_PROVIDER.add_span_processor(SimpleSpanProcessor(_EXPORTER))


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """A TracerProvider is configured while the test runs; gives what it records."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", _PROVIDER)
    _EXPORTER.clear()
    yield Spans(_EXPORTER, _PROVIDER)
    _EXPORTER.clear()


@pytest.fixture(autouse=True)
def no_request() -> None:
    """No test finds a request that another one served in this thread."""
    set_passing(None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What requests are timed by while the test runs; it goes on when it is told to."""
    return stopped(monkeypatch)

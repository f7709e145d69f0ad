"""`component("inference")`: a context manager and a decorator around one part of the work."""

import re
from contextlib import ContextDecorator
from contextvars import Token
from time import perf_counter_ns
from types import TracebackType

from opentelemetry import context as otel_context
from opentelemetry import trace

from server_middleware.recorder import Interval, Recorder, current
from tracebench.vocabulary import COMPONENT_ATTRIBUTE

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_tracer = trace.get_tracer("server_middleware")


class component(ContextDecorator):  # noqa: N801 - it reads like a keyword where it is used
    """Time a part of the work; where the request is traced, also as a span.

    Args:
        name: `preprocessing`, `inference`, `postprocessing` or `queue`, or a name of your own:
            a letter, then up to 63 letters, digits, and `_`, `.` or `-`.

    Raises:
        ValueError: the name is none.
    """

    def __init__(self, name: str) -> None:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no component name: use letters, digits, '_', '.', '-'")
        self._name = name
        self._open: list[_Open] = []

    def _recreate_cm(self) -> "component":
        return component(self._name)

    def __enter__(self) -> None:
        found = current.get()
        if found is not None:
            self._open.append(_Open(self._name, *found))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._open:
            self._open.pop().close(error)


class _Open:
    """A component under way."""

    __slots__ = ("_attached", "_depth", "_name", "_recorder", "_span", "_start_ns", "_token")

    def __init__(self, name: str, recorder: Recorder, depth: int) -> None:
        self._name, self._recorder, self._depth = name, recorder, depth
        self._token: Token[tuple[Recorder, int] | None] = current.set((recorder, depth + 1))
        self._span = None
        if recorder.traced:
            self._span = _tracer.start_span(name, attributes={COMPONENT_ATTRIBUTE: name})
            self._attached = otel_context.attach(trace.set_span_in_context(self._span))
        self._start_ns = perf_counter_ns()

    def close(self, error: BaseException | None) -> None:
        self._recorder.add(Interval(self._name, self._start_ns, perf_counter_ns(), self._depth))
        if self._span is not None:
            otel_context.detach(self._attached)
            if error is not None:
                self._span.record_exception(error)
                self._span.set_status(trace.StatusCode.ERROR, str(error))
            self._span.end()
        current.reset(self._token)

"""One request that asked for its timings: its recorder, and its server span where there is one."""

from collections.abc import Mapping
from threading import Lock
from typing import Any, TypeAlias

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.util.types import AttributeValue

from server_middleware.caller import extract
from server_middleware.harmless import harmless
from server_middleware.mirror import headers
from server_middleware.opened import mark
from server_middleware.recorder import Recorder
from server_middleware.scope import Entered, Scope, with_span
from server_middleware.spans import tracer
from tracebench.vocabulary import QUEUE

Attributes: TypeAlias = dict[str, AttributeValue]


class Request:
    """What an adapter keeps for one request.

    The adapter lets code run between `enter` and its `leave`, says with `handed_over` that the
    reply has left its hands, and with `finish` that nothing more will come.
    """

    __slots__ = ("_end_ns", "_once", "_scope", "finished", "recorder", "span")

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.span: trace.Span | None = None
        """The server span; None where others make it, or nobody does."""
        self._scope = Scope(recorder, tracer())
        self._end_ns = 0
        self._once = Lock()
        self.finished = False

    def trace(self, name: str, attributes: Attributes, carrier: Any, getter: Getter[Any]) -> None:
        """Begin a server span, unless one is under way already, or nobody configured tracing.

        Args:
            name: of the span.
            attributes: what is known when the request begins: samplers may look at it.
            carrier: what the propagators find the caller's context in.
            getter: how they read it.
        """
        scope, around = self._scope, otel.get_current()
        if scope.tracer is None or (around and trace.get_current_span(around).is_recording()):
            return
        context = extract(carrier, around, getter)
        self.span = scope.tracer.begin_server(context, name, self.recorder.began_ns, attributes)
        scope.span = self.span
        scope.context = with_span(self.span, context)

    @harmless
    def queued(self, until_ns: int) -> None:
        """Record the wait for a worker, from the begin of the request on, as a span."""
        tracer, context = self._scope.tracer, self._scope.context
        if tracer is None or context is None or self.span is None or not self.span.is_recording():
            return
        began_ns = self.recorder.began_ns
        tracer.begin_component(self.span, QUEUE, began_ns, context).end(until_ns)

    def enter(self) -> Entered:
        """Make this request, and its span, current."""
        return Entered(self._scope, self._scope.context)

    def mirrored(self) -> list[tuple[str, str]]:
        """The headers that mirror the timings up to now."""
        return headers(*self.recorder.report(), self.span or trace.get_current_span())

    def handed_over(self) -> None:
        """The last of the reply is about to leave: the server span ends here, once."""
        self._end_ns = self._end_ns or self.recorder.now_ns()

    def finish(
        self,
        attributes: Mapping[str, AttributeValue],
        *,
        name: str | None = None,
        failed: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """End the server span; only the first call counts.

        Args:
            attributes: what has become known since the request began.
            name: a better name for the span.
            failed: what kind of error the server is to blame for.
            error: the exception behind it.
        """
        if not self._once.acquire(blocking=False):
            return
        self.finished = True
        self.handed_over()
        span, tracer = self.span, self._scope.tracer
        if span is None or tracer is None:
            return
        tracer.describe(span, attributes)
        if name is not None:
            span.update_name(name)
        if failed is not None:
            span.set_attribute("error.type", failed)
            span.set_status(trace.StatusCode.ERROR)
        if error is not None:
            mark(span, error)
        span.end(self._end_ns)

"""One request that asked for its timings: its recorder, and its server span where there is one."""

from collections.abc import Mapping
from threading import Lock
from typing import Any, TypeAlias

from opentelemetry import trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.util.types import AttributeValue

from server_middleware.caller import extract
from server_middleware.components.running import mark
from server_middleware.context.outside_requests import ran_outside_since, strays
from server_middleware.context.scope import Entered, Scope, get_context, with_span
from server_middleware.harmless import complain
from server_middleware.mirror import headers
from server_middleware.recorder import Recorder
from server_middleware.spans.configured_tracer import tracer
from server_middleware.vocabulary import QUEUE

Attributes: TypeAlias = dict[str, AttributeValue]


class Request(Scope):
    """What an adapter keeps for one request: its span is the server's, if it has one of its own.

    The adapter lets code run between `enter` and its `leave` or `pause`, says with `handed_over`
    that the reply has left its hands, and with `finish` that nothing more will come.
    """

    __slots__ = ("_end_ns", "_known", "_once", "_strays_before", "finished")

    recorder: Recorder

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder, tracer())
        self._end_ns = 0
        self._known: trace.SpanContext | None = None
        self._once = Lock()
        self._strays_before = strays.count
        self.finished = False

    def trace(self, name: str, attributes: Attributes, carrier: Any, getter: Getter[Any]) -> None:
        """Begin a server span, unless one is under way already, or nobody configured tracing.

        A known wait for a worker is a span of its own in it.

        Args:
            name: of the span.
            attributes: what is known when the request begins: samplers may look at it.
            carrier: what the propagators find the caller's context in.
            getter: how they read it.
        """
        around = get_context()
        if self.tracer is None or (around and trace.get_current_span(around).is_recording()):
            return
        context = extract(carrier, around, getter)
        self.span = self.tracer.begin_server(context, name, self.recorder.began_ns, attributes)
        self.context = with_span(self.span, context)
        if (queued_until_ns := self.recorder.queued_until_ns) and self.span.is_recording():
            began_ns = self.recorder.began_ns
            waiting = self.tracer.begin_component(self.span, QUEUE, began_ns, self.context)
            waiting.end(queued_until_ns)

    def let_go(self) -> None:
        """Make it nobody's, in a forked child: its reply is the parent's to give."""
        super().let_go()
        self.recorder = Recorder()
        self.over()
        self.finished = True
        self._once.acquire(False)

    def enter(self) -> Entered:
        """Make this request, and its span, current."""
        return Entered(self, self.context)

    def mirrored(self) -> list[tuple[str, str]]:
        """The headers that mirror the timings up to now."""
        span = self.span or trace.get_current_span()
        ran_outside = ran_outside_since(self._strays_before, span)
        return headers(*self.recorder.report(), span, ran_outside, self._known)

    def look_around(self) -> None:
        """Remember the span that somebody else made: it may have ended when the mirror is made."""
        if self.span is None and (span := trace.get_current_span()).is_recording():
            self._known = span.get_span_context()

    def over(self) -> None:
        """The app has come back: what still runs in the request's context works for nobody."""
        self.recorder.over = True

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
        if not self._once.acquire(False):
            return
        self.finished = True
        span, end_ns = self.span, self._end_ns or self.recorder.now_ns()
        if span is None or self.tracer is None:
            return
        try:
            self.tracer.describe(span, attributes)
            ran_outside_since(self._strays_before, span)
            if name is not None:
                span.update_name(name)
            if failed is not None:
                span.set_attribute("error.type", failed)
                span.set_status(trace.StatusCode.ERROR)
            if error is not None:
                mark(span, error)
        except Exception:
            complain("describing a request's span")
        try:
            span.end(end_ns)
        except Exception:
            complain("ending a request's span")

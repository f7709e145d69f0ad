"""One gRPC call that asked for its timings, as a server of either kind handles it."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

import grpc
from opentelemetry.propagators.textmap import Getter

from server_middleware.asking import sampled
from server_middleware.grpc import conventions
from server_middleware.grpc.context import Aborting, telling
from server_middleware.harmless import harmless
from server_middleware.mirror import timings
from server_middleware.recorder import Recorder
from server_middleware.request import Request
from server_middleware.scope import Scope
from tracebench.vocabulary import BENCHMARK_HEADER, TRACEPARENT

_BENCHMARK: Final = BENCHMARK_HEADER.lower()

_DESERIALIZATION: Final = Scope((), 1, "deserialization")
_SERIALIZATION: Final = Scope((), 1, "serialization")

Serialize = Callable[[Any], bytes]


def asks(details: Any) -> bool:
    """Whether a call's metadata asks for its timings."""
    for name, value in details.invocation_metadata:
        if name == _BENCHMARK or (name == TRACEPARENT and sampled(value)):
            return True
    return False


def asks_in_message(message: Any) -> bool:
    """Whether the message does, by a field `enable_timing`."""
    return bool(getattr(message, "enable_timing", False))


def _as_it_is(message: bytes) -> bytes:
    return message


class Call:
    """The clock of one call, from its headers until its reply is serialised.

    Args:
        details: gRPC's, of the call.
    """

    def __init__(self, details: Any) -> None:
        self._details = details
        self._request = Request(Recorder())
        self._queued_ns = 0
        self._in_message = self._mirrored = False
        self._context: Any = None

    def started(self) -> None:
        """A thread of the pool has taken the call up."""
        self._queued_ns = self._request.recorder.queued()

    def deserializing(self, deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        """The same, timed."""
        return self._timed(_DESERIALIZATION, deserialize)

    def _timed(self, part: Scope, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        recorder = self._request.recorder

        def timed(argument: Any) -> Any:
            recorder.enter(part)
            try:
                return function(argument)
            finally:
                recorder.leave(part)

        return timed

    def running(self, message: Any, context: Any) -> "Running":
        """The handler is about to run, with this message: begin the span."""
        self._context = telling(context)
        self._in_message = asks_in_message(message)
        self._trace(context)
        at_once = not isinstance(context, grpc.ServicerContext)
        given = Aborting(self._context, self.mirror) if at_once else context
        return Running(self, self._request, given)

    @harmless
    def _trace(self, context: Any) -> None:
        method, metadata = self._details.method, self._details.invocation_metadata
        attributes = conventions.call_attributes(method, context.peer())
        self._request.trace(conventions.span_name(method), attributes, metadata, _GETTER)
        if self._queued_ns:
            self._request.queued(self._queued_ns)

    @harmless
    def answered(self, response: Any) -> None:
        """The handler has returned its message."""
        if self._in_message and hasattr(response, "timing_info"):
            for name, ns in timings(*self._request.recorder.report()).items():
                response.timing_info.add(component=name, duration_ms=ns / 1e6)
        if conventions.status_of(self._context, None) is not grpc.StatusCode.OK:
            self.complete()  # there may be no message to be serialised

    def serializing(self, serialize: Serialize | None) -> Serialize:
        """The same, timed; after it the mirror is written, and the call is over."""
        timed = self._timed(_SERIALIZATION, serialize or _as_it_is)

        def last(message: Any) -> bytes:
            try:
                data: bytes = timed(message)
            except Exception as error:
                self.complete(error)
                raise
            self.complete()
            return data

        return last

    def complete(self, error: BaseException | None = None) -> None:
        """The reply is ready, or there will be an error's: write the mirror, and end the span."""
        self.mirror()
        self.finish(error)

    @harmless
    def mirror(self) -> None:
        """Write the timings up to now, behind what the handler set; only the first call counts."""
        if self._mirrored:
            return
        self._mirrored = True
        mirrored = [(name.lower(), value) for name, value in self._request.mirrored()]
        own = self._context.trailing_metadata() or ()
        self._context.set_trailing_metadata((*own, *mirrored))

    @harmless
    def finish(self, error: BaseException | None) -> None:
        """Nothing more will come from the handler."""
        conventions.finish(self._request, conventions.status_of(self._context, error), error)

    def __del__(self) -> None:
        """End the span of a reply that nobody serialises any more, because the client is gone."""
        if not self._request.finished:
            conventions.finish(self._request, grpc.StatusCode.CANCELLED, None)


class Running:
    """The handler at work: the call is current, and an exception ends it."""

    def __init__(self, call: Call, request: Request, context: Any) -> None:
        self._call, self._request = call, request
        self.context = context
        """To be given to the handler."""

    def __enter__(self) -> "Running":
        self._entered = self._request.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered.leave()
        if error is not None:
            self._call.complete(error)

    def pause(self) -> None:
        """A message of the stream is on its way: other code runs."""
        self._entered.leave()

    def resume(self) -> None:
        """The next one is wanted."""
        self._entered = self._request.enter()


class _MetadataGetter(Getter[Any]):
    """Reads metadata for OpenTelemetry's propagators."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        wanted = key.lower()
        return [value for name, value in carrier if name == wanted] or None

    def keys(self, carrier: Any) -> list[str]:
        return [name for name, _ in carrier]


_GETTER: Final = _MetadataGetter()

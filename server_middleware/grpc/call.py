"""One gRPC call that asked for its timings, on a server of either kind."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final

import grpc
from opentelemetry.propagators.textmap import Getter

from server_middleware.context.scope import Entered
from server_middleware.grpc import conventions
from server_middleware.grpc.context import Aborting, telling
from server_middleware.harmless import complain, harmless
from server_middleware.mirror import timings
from server_middleware.recording.recorder import RequestRecorder
from server_middleware.recording.stream import Stream
from server_middleware.request import Request, sampled
from server_middleware.vocabulary import (
    BENCHMARK_HEADER,
    SERVER_TIMING_HEADER,
    TIMING_HEADER,
    TRACEPARENT,
)

_BENCHMARK: Final = BENCHMARK_HEADER.lower()
_TIMING: Final = TIMING_HEADER.lower()
_SERVER_TIMING: Final = SERVER_TIMING_HEADER.lower()


def asks(details: Any) -> bool:
    """Whether a call's metadata asks for its timings."""
    for name, value in details.invocation_metadata:
        if name == _BENCHMARK or (name == TRACEPARENT and sampled(value)):
            return True
    return False


def asks_in_message(message: Any) -> bool:
    """Whether the message asks for timings, by a field `enable_timing`."""
    try:
        return bool(getattr(message, "enable_timing", False))
    except Exception:  # it may be any object
        return False


class TimedCall:
    """The clock of one call, from its headers until its reply is serialised.

    Its span begins when its handler runs: a call whose message cannot be read has none.
    While the handler runs, the call is entered as a context manager: it is current then, and an
    exception ends it.

    Args:
        details: gRPC's details of the call.
    """

    unserialized = grpc.StatusCode.INTERNAL
    """The status that gRPC sends if the serializer fails."""
    deserializer: Callable[[bytes], Any]
    serializer: Callable[[Any], bytes]

    def __init__(self, details: Any) -> None:
        self._details = details
        self._request = Request(RequestRecorder())
        self._in_message = self._mirrored = False
        self._context: Any = None

    @property
    def taken_up(self) -> Callable[[], None]:
        """Callback for the thread that picks up the call; it references only the recorder."""
        return self._request.recorder.taken_up

    def deserialize(self, data: bytes) -> Any:
        """Apply the deserializer, timed."""
        return self._request.recorder.apply(self.deserializer, data, "deserialization")

    def begin(self, message: Any, context: Any) -> Any:
        """Begin the span: the handler is about to run with this message.

        Returns:
            The context to pass to the handler.
        """
        self._context = context
        self._in_message = asks_in_message(message)
        metadata = self._details.invocation_metadata
        try:
            attributes = conventions.call_attributes(self._details.method, context.peer())
            name = attributes["rpc.method"]
            once = dict(metadata)
            carrier = once if len(once) == len(metadata) else _gathered(metadata)
            self._request.trace(name, attributes, carrier, _GETTER)
        except Exception:
            complain("beginning a call's span")
        return context

    def __enter__(self) -> None:
        self._entered = self._request.enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered.leave()
        if error is not None:
            self.complete(error)

    def begin_stream(self) -> Stream:
        """The handler is about to produce a stream of messages."""
        return self._request.begin_stream("messages")

    def pause(self, stream: Stream) -> None:
        """A message of the stream is being sent: other code runs meanwhile."""
        self._inside = self._entered.pause()
        stream.hand_over(1)

    def resume(self, stream: Stream) -> None:
        """The handler goes on: the next message is wanted, or none."""
        stream.come_back()
        self._entered = Entered(*self._inside)

    def answered(self, response: Any) -> Any:
        """The handler has returned its message; returns the one to send."""
        if self._in_message:
            response = self._telling(response) or response
        if conventions.status_of(self._context, None) is not grpc.StatusCode.OK:
            self.complete()  # there may be no message to serialise
        return response

    @harmless
    def _telling(self, given: Any) -> Any:
        """A copy with the timings: the handler may return the same object every time."""
        if not hasattr(given, "timing_info") or given.timing_info:
            return given  # set by hand, in the older style
        response = type(given)()
        response.CopyFrom(given)
        for name, ns in timings(*self._request.recorder.report()).items():
            response.timing_info.add(component=name, duration_ms=ns / 1e6)
        return response

    def serialize(self, message: Any) -> bytes:
        """Apply the serializer, timed; then write the mirror and end the call."""
        try:
            data = self._request.recorder.apply(self.serializer, message, "serialization")
        except Exception as error:
            self.complete(error, self.unserialized)
            raise
        self.complete()
        return data

    def complete(
        self, error: BaseException | None = None, status: grpc.StatusCode | None = None
    ) -> None:
        """The reply or an error is ready: write the mirror, and end the span."""
        if self._request.finished:
            return
        self.mirror()
        status = status or conventions.status_of(self._context, error)
        conventions.finish(self._request, status, error)
        self._request.over()
        self._context = None  # it refers to the deserializer, and so to this call: a cycle

    def mirror(self) -> None:
        """Write the timings so far, after what the handler set; only the first call counts."""
        if self._mirrored:
            return
        self._mirrored = True
        try:
            request = self._request
            (_, seconds), (_, server_timing) = request.mirrored()
            own = self._context.trailing_metadata() or ()
            for name, _ in own:
                if name == _TIMING:
                    return  # written by hand, in the older style
            mirrored = [(_TIMING, seconds), (_SERVER_TIMING, server_timing)]
            if request.stream is not None:
                mirrored += [(name.lower(), told) for name, told in request.stream.mirrored()]
            self._context.set_trailing_metadata((*own, *mirrored))
        except Exception:
            complain("mirroring a call's timings")

    def __del__(self) -> None:
        """End the span of a reply that is never serialised, because the client disconnected."""
        if not self._request.finished:
            conventions.finish(self._request, grpc.StatusCode.CANCELLED, None)
            self._request.over()


class AtOnceCall(TimedCall):
    """A call of a `grpc.aio` server, where `abort` sends at once, so the mirror goes first."""

    unserialized = grpc.StatusCode.UNKNOWN

    def begin(self, message: Any, context: Any) -> Any:
        """Begin the span: the handler is about to run with this message."""
        told = TimedCall.begin(self, message, telling(context))  # `super()` would be slower
        return Aborting(told, self.mirror)


def _gathered(metadata: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    """Metadata with repeated names, as lists of values."""
    found: dict[str, list[Any]] = {}
    for name, value in metadata:
        found.setdefault(name, []).append(value)
    return found


class _MetadataGetter(Getter[dict[str, Any]]):
    """Reads metadata for OpenTelemetry's propagators."""

    def get(self, carrier: dict[str, Any], key: str) -> list[Any] | None:
        value = carrier.get(key.lower())
        return value if value is None or type(value) is list else [value]

    def keys(self, carrier: dict[str, Any]) -> list[str]:
        return list(carrier)


_GETTER: Final = _MetadataGetter()

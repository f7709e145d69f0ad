"""Contexts for handlers, where gRPC's own do not offer enough."""

from collections.abc import Callable
from typing import Any

from server_middleware.recording.stream import Stream


def telling(context: Any) -> Any:
    """The context itself; wrapped if it is the one that `grpc.aio` gives to threaded handlers."""
    return context if hasattr(context, "trailing_metadata") else _Telling(context)


class _Wrapper:
    """Delegates everything else to another context, and passes for one of its type."""

    _context: Any

    @property  # type: ignore[misc] # for isinstance
    def __class__(self) -> type:
        """The class of the wrapped context."""
        kind: type = self._context.__class__
        return kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class Aborting(_Wrapper):
    """Writes the mirror before `abort`, which in `grpc.aio` sends everything at once.

    Args:
        context: the wrapped context.
        mirror: adds to its trailing metadata.
    """

    def __init__(self, context: Any, mirror: Callable[[], object]) -> None:
        self._context, self._mirror = context, mirror  # `super()` would be slower

    def abort(self, code: Any, details: Any = "", trailing_metadata: Any = ()) -> Any:
        """End the call with a status."""
        if trailing_metadata:
            self._context.set_trailing_metadata(trailing_metadata)
        self._mirror()
        return self._context.abort(code, details)


class Writing(_Wrapper):
    """Stamps the messages that a coroutine writes.

    Args:
        context: the wrapped context.
        stream: holds the stamps.
    """

    def __init__(self, context: Any, stream: Stream) -> None:
        self._context, self._stream = context, stream

    async def write(self, message: Any) -> None:
        """Send one message."""
        self._stream.hand_over(1)
        try:
            await self._context.write(message)
        finally:
            self._stream.come_back()


class _Telling(_Wrapper):
    """Remembers the status and the trailing metadata."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._code: Any = None
        self._trailing: Any = ()

    def code(self) -> Any:
        """The status that was set."""
        return self._code

    def trailing_metadata(self) -> Any:
        """The metadata that was set."""
        return self._trailing

    def set_code(self, code: Any) -> None:
        """Set the status."""
        self._code = code
        self._context.set_code(code)

    def set_trailing_metadata(self, metadata: Any) -> None:
        """Set the trailing metadata."""
        self._trailing = metadata
        self._context.set_trailing_metadata(metadata)

    def abort(self, code: Any, details: Any = "") -> Any:
        """End the call with a status."""
        self._code = code
        return self._context.abort(code, details)

"""A context that tells what was set on it, where gRPC's own does not."""

from typing import Any


def telling(context: Any) -> Any:
    """The context itself, unless it is the one that `grpc.aio` gives to handlers in threads."""
    return context if hasattr(context, "trailing_metadata") else _Telling(context)


class _Telling:
    """Passes everything on, and remembers the status and the trailing metadata."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._code: Any = None
        self._trailing: Any = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

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

    def abort(self, code: Any, *details: Any, **more: Any) -> Any:
        """End the call with a status."""
        self._code = code
        return self._context.abort(code, *details, **more)

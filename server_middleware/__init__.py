"""Two lines that make a Python model server explain itself.

    from server_middleware import instrument, component

    instrument(app)
    with component("inference"): ...

Nothing but OpenTelemetry's API is imported here: no SDK, no numpy.
"""

from importlib import import_module
from types import ModuleType

from server_middleware.apps import instrument
from server_middleware.components.component import component
from server_middleware.context.forks import forget_when_forked
from server_middleware.context.scope import Handle, this_request

__all__ = ["Handle", "component", "instrument", "this_request"]

forget_when_forked()


def __getattr__(name: str) -> ModuleType:
    """Import `server_middleware.grpc` when it is first used: only gRPC servers bring grpcio."""
    if name == "grpc":
        return import_module("server_middleware.grpc")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

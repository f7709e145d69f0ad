"""Two lines that make a Python model server report where the time of its requests goes.

    from server_middleware import instrument, component

    instrument(app)
    with component("inference"): ...

Only OpenTelemetry's API is imported here: no SDK, no numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from server_middleware.components.component import component
    from server_middleware.context.scope import Handle, this_request
    from server_middleware.http.apps import instrument

__version__ = "1.0.0"

__all__ = ["Handle", "component", "instrument", "this_request"]
_HOMES: Final = {
    "Handle": "server_middleware.context.scope",
    "component": "server_middleware.components.component",
    "instrument": "server_middleware.http.apps",
    "this_request": "server_middleware.context.scope",
}


def __getattr__(name: str) -> Any:
    """Import lazily, so that unused parts cost nothing, and only gRPC servers need grpcio."""
    if name == "grpc":
        return import_module("server_middleware.grpc")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found

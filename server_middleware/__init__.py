"""Two lines that make a Python model server explain itself.

    from server_middleware import instrument, component

    instrument(app)
    with component("inference"): ...

Nothing but OpenTelemetry's API is imported here: no SDK, no numpy.
"""

from server_middleware.component import component
from server_middleware.flask import instrument

__all__ = ["component", "instrument"]

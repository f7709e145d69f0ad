"""Notices that what `instrument` returned was not kept: the app that is served is not timed."""

import logging
import sys
import weakref
from typing import Any, Protocol

_logger = logging.getLogger("server_middleware")


class Serving(Protocol):
    """A wrapped app."""

    __weakref__: Any
    served: list[bool]
    """Holds something from its first request on; a list, so that it outlives the app."""


def warn_if_dropped(wrapped: Any, what: str) -> None:
    """Log a warning if the wrapped app goes without having served a request.

    A finalizer is the first chance to notice: it runs at once after a statement `instrument(app)`.

    Args:
        wrapped: what `instrument` returns.
        what: the app, as it is shown.
    """
    weakref.finalize(wrapped, _dropped, wrapped.served, what).atexit = False


def _dropped(served: list[bool], what: str) -> None:
    if served or sys.is_finalizing():
        return
    _logger.warning(
        "instrument(%s) returned a new app, which is gone before it served anything: nothing is "
        "timed; write `app = instrument(app)` and serve that",
        what,
    )

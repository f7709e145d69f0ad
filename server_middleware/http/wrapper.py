"""The base class of the middleware for all kinds of apps."""

import logging
import sys
from typing import Any

_logger = logging.getLogger("server_middleware")


class Outside:
    """Wraps an app, and delegates every other attribute to it.

    Args:
        app: the app.
        proxy_shares_clock: believe `X-Request-Start`.
    """

    unserved: str | None = None
    """The app's repr, for the warning if this is dropped unserved; None: no warning."""

    def __init__(self, app: Any, *, proxy_shares_clock: bool = False) -> None:
        self._app = app
        self._proxy_shares_clock = proxy_shares_clock

    def __getattr__(self, name: str) -> Any:
        """Delegate to the app, so that e.g. `app.add_route` still works."""
        if name.startswith("__") or name == "_app":
            raise AttributeError(name)  # while being copied, before there is an app
        return getattr(self._app, name)

    def __del__(self) -> None:
        """Warn if the result of `instrument` was not kept: the app that is served is not timed.

        This is the earliest opportunity: after a bare `instrument(app)` it runs at once.
        """
        if self.unserved is None or sys.is_finalizing():
            return
        _logger.warning(
            "instrument(%s) returned a new app, which was dropped before it served anything: "
            "nothing is timed; write `app = instrument(app)` and serve that",
            self.unserved,
        )

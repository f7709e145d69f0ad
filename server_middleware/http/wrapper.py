"""What is common to the middleware around any app."""

import logging
import sys
from typing import Any

_logger = logging.getLogger("server_middleware")


class Outside:
    """Stands before an app, and for it: whatever else is asked of it, the app answers.

    Args:
        app: the app.
        proxy_shares_clock: believe `X-Request-Start`.
    """

    unserved: str | None = None
    """The app, as it is shown when this goes without having served a request; None: it may go."""

    def __init__(self, app: Any, *, proxy_shares_clock: bool = False) -> None:
        self._app = app
        self._proxy_shares_clock = proxy_shares_clock

    def __getattr__(self, name: str) -> Any:
        """Let `app.add_route` be the app's own: it was `app` before it was wrapped."""
        if name.startswith("__") or name == "_app":
            raise AttributeError(name)  # of what is being copied, and has no app yet
        return getattr(self._app, name)

    def __del__(self) -> None:
        """Notice that what `instrument` returned was not kept: the app that is served is not timed.

        It is the first chance to: after a statement `instrument(app)` this runs at once.
        """
        if self.unserved is None or sys.is_finalizing():
            return
        _logger.warning(
            "instrument(%s) returned a new app, which was dropped before it served anything: "
            "nothing is timed; write `app = instrument(app)` and serve that",
            self.unserved,
        )

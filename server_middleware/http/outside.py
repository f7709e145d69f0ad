"""What is common to the middleware around any app."""

from typing import Any


class Outside:
    """Stands before an app, and for it: whatever else is asked of it, the app answers.

    Args:
        app: the app.
        proxy_shares_clock: believe `X-Request-Start`.
    """

    def __init__(self, app: Any, *, proxy_shares_clock: bool = False) -> None:
        self._app = app
        self._proxy_shares_clock = proxy_shares_clock
        self.served: list[bool] = []
        """Holds something from its first request on; a list, so that it outlives this."""

    def __getattr__(self, name: str) -> Any:
        """Let `app.add_route` be the app's own: it was `app` before it was wrapped."""
        if name.startswith("__") or name == "_app":
            raise AttributeError(name)  # of what is being copied, and has no app yet
        return getattr(self._app, name)

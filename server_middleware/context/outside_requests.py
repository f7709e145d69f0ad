"""Counts components that run outside any request, where no request's context reaches.

Work handed to a queue, a greenlet or a thread that outlives the request leaves the request's
context behind, and its components are missing from the request's timings. Which request they belong
to is unknown, but the fact that there were some while it was in progress is reported to its client
and on its span, so that the missing time is not mistaken for the server's own.
"""

import logging
from contextvars import ContextVar
from threading import Lock
from typing import Final

from opentelemetry import trace

from server_middleware.vocabulary import OUTSIDE_ATTRIBUTE

_logger = logging.getLogger("server_middleware")


class Passing:
    """A request that does not ask for its timings: current while it is entered, then over.

    It has no `__init__`, to save time: each such request makes one.
    """

    over = False

    def __enter__(self) -> None:
        set_passing(self)

    def __exit__(self, *_: object) -> None:
        self.over = True


passing: Final[ContextVar[Passing | None]] = ContextVar("server_middleware_passing", default=None)
"""The current request, if it does not ask for timings; it may be over."""
get_passing: Final = passing.get  # bound once: components call it if nobody asked
set_passing: Final = passing.set


class Strays:
    """The components of this process that ran outside any request."""

    __slots__ = ("_last", "_lock", "_told", "count")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset; needed in a forked child, where the parent's lock may be held forever."""
        self._lock = Lock()
        self._last = ""
        self._told = False
        self.count = 0

    def note(self, name: str) -> None:
        """Count a component as outside, unless a request that does not ask is in progress."""
        request = get_passing()
        if request is None or request.over:
            with self._lock:
                self.count += 1
                self._last = name

    def since(self, before: int) -> int:
        """How many there were since the count was `before`; the first time, log a warning."""
        if not self._told:
            self._told = True
            _logger.warning(
                "component %r ran outside any request while a request that asked for timings was "
                "in progress; it is missing there: run it in a copy of the request's context "
                "(contextvars.copy_context().run), or name the requests it works for: "
                "component(%r, requests=[this_request()])",
                self._last,
                self._last,
            )
        return self.count - before


strays: Final = Strays()


def ran_outside_since(before: int, span: trace.Span) -> int:
    """How many there were since the count was `before`; also set on the request's span."""
    if strays.count == before:
        return 0
    ran = strays.since(before)
    span.set_attribute(OUTSIDE_ATTRIBUTE, ran)
    return ran

"""What thread pools forget: `ThreadPoolExecutor.submit` leaves context variables behind.

One function of the standard library is replaced, once, when a server is instrumented. Work that
is submitted for a request that asked for its timings stays part of that request, also by way of
`loop.run_in_executor`; all other work is submitted as ever. `asyncio.to_thread` and anyio copy
the context themselves.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, ContextVar
from typing import Any, Final

from server_middleware.scope import carried, get_current

starting: Final[ContextVar[Callable[[], object] | None]] = ContextVar(
    "server_middleware_starting", default=None
)
"""In a context that a pool is going to run: what to call when a thread has taken it up."""

_submit = ThreadPoolExecutor.submit


def follow_threads() -> None:
    """From now on requests are followed into thread pools."""
    ThreadPoolExecutor.submit = _following  # type: ignore[method-assign,assignment] # that is the point


def _following(
    self: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Future[Any]:
    if get_current() is not None:
        return _submit(self, carried(function), *args, **kwargs)
    context = getattr(function, "__self__", None)
    if type(context) is Context and (started := context.get(starting)) is not None:
        return _submit(self, _announced, started, function, *args, **kwargs)
    return _submit(self, function, *args, **kwargs)


def _announced(
    started: Callable[[], object], function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    started()
    return function(*args, **kwargs)

"""Carries requests into threads, which the standard library starts without context variables.

The functions that start work in threads are replaced when a server is instrumented. Work started
for a request stays part of it, also via `loop.run_in_executor`, timers, and the greenlets that
`gevent.monkey` substitutes for threads; other work starts as before. `asyncio.to_thread` and anyio
copy the context themselves.
"""

import concurrent.futures.thread
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from functools import partial, wraps
from multiprocessing.pool import ThreadPool
from threading import Thread
from typing import Any, Final

from opentelemetry import trace

from server_middleware.context.outside_requests import Passing, get_passing, set_passing
from server_middleware.context.scope import Scope, carried, get_current, set_current

starting: Final[ContextVar[Callable[[], object] | None]] = ContextVar(
    "server_middleware_starting", default=None
)
"""In a context that a pool will run: the callback for when a thread picks it up."""

_Function = Callable[..., Any]
_POOL_WORKER: Final = getattr(concurrent.futures.thread, "_worker", None)
"""The target of a pool's threads, whose work items each have their own request."""
_PICKLING: Final = getattr(concurrent.futures, "InterpreterPoolExecutor", ())
"""Executors that subclass thread pools, but pickle their work."""


_put_back_by: Final[dict[object, Callable[[], None]]] = {}
"""Replacement of a function → callback that undoes it."""


def follow_threads() -> None:
    """Follow requests into threads from now on."""
    for kind, name, follow in _FOLLOWED:
        if not hasattr(getattr(kind, name), "follows"):
            _follow(kind, name, follow)


def leave_threads() -> None:
    """Undo `follow_threads`, except for functions that other code has replaced since."""
    for kind, name, _ in _FOLLOWED:
        if (put_back := _put_back_by.pop(vars(kind).get(name), None)) is not None:
            put_back()


def _follow(kind: type, name: str, follow: Callable[[_Function], _Function]) -> None:
    before: _Function = getattr(kind, name)
    own = name in vars(kind)
    replacing: Any = wraps(before)(follow(before))
    replacing.follows = True  # wrappers by other code copy this attribute
    put_back = partial(setattr, kind, name, before) if own else partial(delattr, kind, name)
    _put_back_by[replacing] = put_back
    setattr(kind, name, replacing)


def _carrying(before: _Function) -> _Function:
    """For methods of pools whose first argument is the function to run in a thread."""

    def carry(self: Any, func: _Function, *args: Any, **kwargs: Any) -> Any:
        return before(self, _elsewhere(func), *args, **kwargs)

    return carry


def _submitting(submit: _Function) -> _Function:
    """For `submit`, which also reports when a thread has picked up a gRPC call."""

    def follow(self: Any, fn: _Function, /, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, _PICKLING):
            return submit(self, fn, *args, **kwargs)
        context = getattr(fn, "__self__", None)
        if type(context) is not Context or get_current() is not None:
            return submit(self, _elsewhere(fn), *args, **kwargs)
        if (started := context.get(starting)) is not None:
            return submit(self, _announced, started, fn, *args, **kwargs)
        return submit(self, fn, *args, **kwargs)

    return follow


def _announced(
    started: Callable[[], object], function: _Function, *args: Any, **kwargs: Any
) -> Any:
    started()
    return function(*args, **kwargs)


def _elsewhere(function: _Function) -> _Function:
    """The function, wrapped to run in a thread for the current request."""
    if get_current() is not None:
        return carried(function)
    request = get_passing()
    if request is None or request.over:
        return function
    return partial(_passing, request, function)


def _passing(request: Passing, function: _Function, *args: Any, **kwargs: Any) -> Any:
    before = get_passing()
    set_passing(request)
    try:
        return function(*args, **kwargs)
    finally:
        set_passing(before)


def _starting(start: _Function) -> _Function:
    """For `Thread.start`.

    A thread may outlive the request. So it does not get OpenTelemetry's context, in which other
    code would go on making spans, and its components stop counting when the request ends.
    """

    def follow(self: Thread) -> None:
        scope, request = get_current(), get_passing()
        if (scope or request) is None or getattr(self, "_target", None) is _POOL_WORKER:
            start(self)
            return
        own = vars(self).get("run")
        vars(self)["run"] = partial(_run, self, own, _beside(scope), request)
        try:
            start(self)
        except BaseException:
            _put_back(self, own)
            raise

    return follow


def _run(thread: Thread, own: _Function | None, scope: Scope | None, request: Any) -> None:
    _put_back(thread, own)
    set_current(scope)
    set_passing(request)
    thread.run()


def _put_back(thread: Thread, own: _Function | None) -> None:
    del vars(thread)["run"]
    if own is not None:
        vars(thread)["run"] = own


def _beside(scope: Scope | None) -> Scope | None:
    """A copy of the scope for a new thread, which holds the current span without a context."""
    if scope is None:
        return None
    beside = Scope(scope.recorder, scope.tracer, scope.depth, scope.name)
    beside.span = trace.get_current_span()
    return beside


_FOLLOWED: Final[tuple[tuple[type, str, Callable[[_Function], _Function]], ...]] = (
    (ThreadPoolExecutor, "submit", _submitting),
    (Thread, "start", _starting),
    (ThreadPool, "apply_async", _carrying),
    (ThreadPool, "map", _carrying),
    (ThreadPool, "map_async", _carrying),
    (ThreadPool, "starmap", _carrying),
    (ThreadPool, "starmap_async", _carrying),
    (ThreadPool, "imap", _carrying),
    (ThreadPool, "imap_unordered", _carrying),
)

"""`component("inference")`: a context manager and a decorator around one part of the work."""

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, TypeVar, cast

from opentelemetry import trace

from server_middleware.names import checked
from server_middleware.opened import Opened, for_many, for_nobody
from server_middleware.scope import Handle, get_context, get_current

_Function = TypeVar("_Function", bound=Callable[..., Any])


class component:  # noqa: N801 - it reads like a keyword where it is used
    """Time a part of the work; where the request is traced, also as a span.

    It costs next to nothing where nobody asked for timings. It may be used at any depth, in
    threads and in coroutines; an exception marks the span and passes through unchanged.

    Args:
        name: `preprocessing`, `inference`, `postprocessing` or `queue`, or a name of your own:
            a letter, then up to 63 letters, digits, and `_`, `.` or `-`.
        requests: what `this_request()` gave in each of the requests that the work is done for,
            where these are not the one that is worked for here: a batch. The span is linked to
            each of them, and the time counts in each.

    Raises:
        ValueError: the name is none.
        TypeError: it decorates a generator function (time the steps inside it), or names requests
            though it decorates: the calls of a function are not all for the same ones.
    """

    __slots__ = ("_name", "_open", "_requests")

    def __init__(self, name: str, *, requests: Iterable[Handle | None] = ()) -> None:
        self._name = checked(name)
        self._requests = tuple(requests)
        self._open: list[Opened | None] = []

    def __enter__(self) -> None:
        scope, context = get_current(), get_context()
        if scope is not None and scope.context is context:
            span = scope.span
        else:
            span = trace.get_current_span(context)
        parent = span if span is not None and span.is_recording() else None
        opened = None
        if self._requests and (handles := [one for one in self._requests if one is not None]):
            opened = for_many(self._name, handles)
        elif scope is not None:
            opened = Opened(self._name, scope, context, parent)
        elif parent is not None:
            opened = for_nobody(self._name, context, parent)
        self._open.append(opened)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        opened = self._open.pop(0) if len(self._open) == 1 else self._mine()
        if opened is not None:
            opened.close(error)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: _Function) -> _Function:
        """Decorate a function or a coroutine function: each call is such a part."""
        if self._requests:
            raise TypeError(f"{function.__name__} is decorated: name requests in a `with` instead")
        if isgeneratorfunction(function) or isasyncgenfunction(function):
            raise TypeError(
                f"{function.__name__} is a generator: use `with component(…)` inside it"
            )
        wrapper = self._around_coroutine if iscoroutinefunction(function) else self._around
        return cast(_Function, wraps(function)(wrapper(function)))

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with component(self._name):
                return function(*args, **kwargs)

        return timed

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def timed(*args: Any, **kwargs: Any) -> Any:
            with component(self._name):
                return await function(*args, **kwargs)

        return timed

    def _mine(self) -> Opened | None:
        """What was entered here: several requests may use one object at once.

        It is what is current; where that is none of these, whoever entered was not timed.
        """
        found, entered = get_current(), list(self._open)
        if not isinstance(found, Opened) or found not in entered:
            found = None if None in entered else entered[-1]
        self._open.remove(found)
        return found

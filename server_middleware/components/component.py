"""`component("inference")`: a context manager and a decorator around one part of the work."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import TracebackType
from typing import Any, TypeVar, cast

from server_middleware.components.running import RunningComponent, begin_here, begin_in, for_many
from server_middleware.components.wrapped import called, decorated
from server_middleware.context.outside_requests import get_passing
from server_middleware.context.scope import Handle, get_current
from server_middleware.otel_internals import get_context
from server_middleware.vocabulary import OUTSIDE, SERVER_PROCESSING, UNLISTED

# Valid component names: each is a token in `Server-Timing`, a JSON key and a span's name.

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_TAKEN = frozenset({OUTSIDE, SERVER_PROCESSING, UNLISTED, "total", "trace"})


def is_name(name: object) -> bool:
    """Whether it is a valid component name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and name not in _TAKEN


@lru_cache(maxsize=256)
def checked(name: str) -> str:
    """Return the name if it is valid.

    Raises:
        ValueError: it is not a letter followed by at most 63 letters, digits, `_`, `.` or `-`, or
            it is reserved in the mirror.
    """
    if not is_name(name):
        raise ValueError(
            f"{name!r} is not a valid component name: use letters, digits, '_', '.' and '-', at "
            f"most 64, a letter first; {', '.join(sorted(_TAKEN))} are reserved"
        )
    return name


# `component("inference")`: a context manager and a decorator around one part of the work.

_Function = TypeVar("_Function", bound=Callable[..., Any])


class component:  # noqa: N801 - it reads like a keyword where it is used
    """Time a part of the work; if the request is traced, also as a span.

    It costs next to nothing for requests that did not ask for timings. It may be nested, and used
    in threads and coroutines; an exception marks the span and propagates unchanged.

    Args:
        name: `preprocessing`, `inference`, `postprocessing` or `queue`, or a custom name: a letter,
            then up to 63 letters, digits, and `_`, `.` or `-`.
        requests: for a batch, the results of `this_request()` in each of the requests that it
            works for. The span is linked to each of them, and the time counts in each.

    Raises:
        ValueError: the name is invalid.
        TypeError: it decorates a generator function (time the steps inside it), or decorates with
            `requests` given: not all calls of a function are for the same ones.
    """

    __slots__ = ("_name", "_open", "_requests")

    def __init__(self, name: str, *, requests: Iterable[Handle | None] | None = None) -> None:
        self._name = checked(name)
        self._requests = None if requests is None else tuple(requests)
        self._open: list[RunningComponent | None] = []

    def __enter__(self) -> None:
        opened = None
        if self._requests is not None:
            opened = for_many(self._name, self._requests)
        elif (scope := get_current()) is not None and not scope.recorder.over:
            opened = begin_in(scope, self._name)
        elif scope is not None or get_context() or (it := get_passing()) is None or it.over:
            opened = begin_here(self._name)  # else this request does not ask: fast path
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
        """Decorate any callable: each call is timed until its result is available.

        A coroutine or other awaitable is timed while it is awaited; a future or a task until it is
        done.
        """
        if self._requests is not None:
            raise TypeError(f"{called(function)} is decorated: give `requests` in a `with` instead")
        return cast(_Function, decorated(self._name, function))

    def _mine(self) -> RunningComponent | None:
        """The component entered here: several requests may use this object at once.

        It is the current one; if that is not among those entered, the caller was not timed.
        """
        found, entered = get_current(), list(self._open)
        if not isinstance(found, RunningComponent) or found not in entered:
            found = None if None in entered else entered[-1]
        self._open.remove(found)
        return found

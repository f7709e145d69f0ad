"""Results of calls whose work is not done yet: coroutines, futures and other awaitables.

Each is passed on as what it is: a future is the same object, a coroutine is a coroutine of the same
name, and any other awaitable keeps its methods. One that is never awaited is never timed.
"""

import logging
from collections.abc import Awaitable, Callable, Generator
from functools import lru_cache, partial
from inspect import CO_ITERABLE_COROUTINE
from sys import getrefcount
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Final

from server_middleware.components.running import RunningComponent, begin_here
from server_middleware.harmless import complain

_logger = logging.getLogger("server_middleware")
_ONLY_OURS: Final = 2
"""The reference count of a coroutine that only `_Kept.__del__` still refers to."""


def handed_on(name: str, opened: RunningComponent, result: Any) -> Any:
    """End a component whose call has returned, or keep it open while its result is pending.

    Args:
        name: the name of the component.
        opened: the component.
        result: what the call returned.

    Returns:
        The result, or a coroutine in its place, which is timed while it is awaited.
    """
    kind = type(result)
    if hasattr(kind, "add_done_callback"):
        return _until_done(opened, result)
    opened.close(None)
    if kind is CoroutineType or _is_coroutine_by_decorator(result):
        return _renamed(_awaiting(name, _Kept(result)), result)
    if kind in (GeneratorType, AsyncGeneratorType):
        _warn_of_generator(name)
    elif hasattr(kind, "__await__"):
        _time_awaits(name, result)
    return result


def _is_coroutine_by_decorator(result: Any) -> bool:
    """Whether it is a generator-based coroutine made by `types.coroutine`."""
    return type(result) is GeneratorType and bool(result.gi_code.co_flags & CO_ITERABLE_COROUTINE)


def _until_done(opened: RunningComponent, future: Any) -> Any:
    """Keep a component open until a future of any kind (asyncio's, gRPC's …) is done."""
    opened.stand_aside()
    try:
        if future.done():
            _end(opened, future)
        else:
            future.add_done_callback(partial(_end, opened))
    except Exception:
        complain("following a future")
        opened.close(None)
    return future


def _end(opened: RunningComponent, future: Any) -> None:
    """End it with the future's error, read without marking the exception as retrieved."""
    opened.close(getattr(future, "_exception", None))


class _Kept:
    """A coroutine that a wrapping coroutine is going to await.

    If that never happens, Python warns about the wrapper, which has the same name: once is enough.
    """

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Any) -> None:
        self.coroutine = coroutine

    def __await__(self) -> Any:
        return self.coroutine.__await__()

    def __del__(self) -> None:
        coroutine = self.coroutine
        del self.coroutine
        if getrefcount(coroutine) == _ONLY_OURS:
            coroutine.close()


async def _awaiting(name: str, awaitable: Awaitable[Any]) -> Any:
    opened = begin_here(name)
    try:
        result = await awaitable
    except BaseException as error:
        if opened is not None:
            opened.close(error)
        raise
    if opened is not None:
        opened.close(None)
    return result


def _renamed(coroutine: Any, like: Any) -> Any:
    coroutine.__name__, coroutine.__qualname__ = like.__name__, like.__qualname__
    return coroutine


def _time_awaits(name: str, awaitable: Any) -> None:
    """Time each await of a custom awaitable, by changing its class to a timed subclass."""
    kind = type(awaitable)
    try:
        if not issubclass(kind, _Timed):
            awaitable.__class__ = _timed_kind(name, kind)  # type: ignore[arg-type] # types are hashable
    except Exception:
        _warn_once(
            f"component {name!r} decorates a function that returns an awaitable "
            f"{kind.__qualname__}, which cannot be observed, so it is timed only until that is "
            "returned; use `async with component(…)` around the await"
        )


class _Timed:
    """An awaitable whose awaits are timed."""

    __slots__ = ()


@lru_cache(maxsize=256)
def _timed_kind(name: str, kind: type[Any]) -> Any:
    """A subclass that times `await` and `async with`, which in such classes awaits the same."""

    def awaiting(self: Any) -> Generator[Any, Any, Any]:
        return _awaiting(name, _ByHand(kind.__await__, self)).__await__()

    async def entering(self: Any) -> Any:
        return await _awaiting(name, kind.__aenter__(self))

    methods: dict[str, Any] = {"__slots__": (), "__await__": awaiting}
    if hasattr(kind, "__aenter__"):
        methods["__aenter__"] = entering
    metaclass: Any = type(kind)
    return metaclass(kind.__name__, (kind, _Timed), methods)


class _ByHand:
    """Awaits an object by its own class's `__await__`."""

    __slots__ = ("_awaitable", "_own")

    def __init__(self, own: Callable[[Any], Any], awaitable: Any) -> None:
        self._own, self._awaitable = own, awaitable

    def __await__(self) -> Any:
        return self._own(self._awaitable)


def _warn_of_generator(name: str) -> None:
    _warn_once(
        f"component {name!r} decorates a function that returns a generator, so it is timed only "
        "until that is returned; use `with component(…)` inside the generator"
    )


@lru_cache(maxsize=256)
def _warn_once(message: str) -> None:
    _logger.warning(message)

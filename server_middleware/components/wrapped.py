"""`component()` around callables: functions, methods, coroutine functions, objects.

The result is of the same kind as what was decorated, because frameworks inspect it: a coroutine
function stays one, a class method stays one, and an object keeps its other methods.
"""

from collections.abc import Callable
from functools import cached_property, partial, update_wrapper
from inspect import (
    isasyncgenfunction,
    isbuiltin,
    isclass,
    iscoroutinefunction,
    isfunction,
    isgeneratorfunction,
    ismethod,
)
from typing import Any, Final

from server_middleware.components.awaited import handed_on
from server_middleware.components.running import begin_here

_Callable = Callable[..., Any]
_BEHIND: Final = {staticmethod: "__func__", classmethod: "__func__", cached_property: "func"}
"""Descriptors that wrap functions in a class, and the attribute that holds the function."""


def decorated(name: str, function: Any) -> Any:
    """Time each call as a component.

    Args:
        name: the name of the component.
        function: any callable, or a descriptor around a function.

    Raises:
        TypeError: it is not callable, or it is a generator function: the time between two of its
            values is the consumer's.
    """
    if (behind := _BEHIND.get(type(function))) is not None:
        return type(function)(decorated(name, getattr(function, behind)))
    if type(function) is property:
        getter = function.fget and decorated(name, function.fget)
        return property(getter, function.fset, function.fdel, function.__doc__)
    if not callable(function):
        raise TypeError(
            f"{function!r} cannot be called: decorate the function itself, below other decorators"
        )
    if _either(isgeneratorfunction, function) or _either(isasyncgenfunction, function):
        raise TypeError(f"{called(function)} is a generator: use `with component(…)` inside it")
    if _is_object(function):
        if iscoroutinefunction(type(function).__call__):
            return _AsyncCallable(name, _around_coroutine(name, function), function)
        kind = _TimedMethod if hasattr(type(function), "__get__") else _TimedCallable
        return kind(name, _around(name, function), function)
    around = _around_coroutine if iscoroutinefunction(function) else _around
    return update_wrapper(around(name, function), function)


def called(function: Any) -> str:
    """The name of a function, or the repr of another object."""
    return str(getattr(function, "__name__", None) or repr(function))


def _either(is_kind: Callable[[Any], bool], function: Any) -> bool:
    """Whether a function, or an object's `__call__`, is of a kind."""
    return is_kind(function) or (_is_object(function) and is_kind(type(function).__call__))


def _is_object(function: Any) -> bool:
    """Whether it may have its own methods: it is neither a plain function nor a class."""
    plain = isfunction(function) or ismethod(function) or isbuiltin(function) or isclass(function)
    return not plain and not isinstance(function, partial)


class _TimedCallable:
    """A proxy that times an object's calls, and delegates everything else to it."""

    __slots__ = ("__wrapped__", "_component", "_timed")

    def __init__(self, name: str, timed: _Callable, wrapped: Any) -> None:
        object.__setattr__(self, "__wrapped__", wrapped)
        object.__setattr__(self, "_component", name)
        object.__setattr__(self, "_timed", timed)

    @property  # type: ignore[misc] # never set
    def __class__(self) -> Any:
        """The class that `isinstance` sees."""
        return type(self.__wrapped__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._timed(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__wrapped__, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle the object, so that the copy is timed too."""
        return decorated, (self._component, self.__wrapped__)


class _TimedMethod(_TimedCallable):
    """A proxy that binds as a method in a class, like the result of `functools.lru_cache`."""

    __slots__ = ()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return decorated(self._component, self.__wrapped__.__get__(instance, owner))


class _AsyncCallable(_TimedCallable):
    """A proxy whose `__call__` is a coroutine function, which frameworks check."""

    __slots__ = ()

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return await self._timed(*args, **kwargs)


def _around(name: str, function: _Callable) -> _Callable:
    def timed(*args: Any, **kwargs: Any) -> Any:
        opened = begin_here(name)
        if opened is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            opened.close(error)
            raise
        return handed_on(name, opened, result)

    return timed


def _around_coroutine(name: str, function: _Callable) -> _Callable:
    async def timed(*args: Any, **kwargs: Any) -> Any:
        opened = begin_here(name)
        if opened is None:
            return await function(*args, **kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            opened.close(error)
            raise
        opened.close(None)
        return result

    return timed

"""A timed `wsgi.input`: how long the app waited for the request's body."""

from collections.abc import Callable
from functools import lru_cache, partial
from time import perf_counter_ns
from typing import Any, Final

from server_middleware.http import conventions
from server_middleware.request import Attributes

_READS: Final = frozenset({"read", "read1", "readinto", "readline", "readlines", "__next__"})
_SPECIAL: Final = (
    *("__iter__", "__next__", "__enter__", "__exit__", "__len__", "__bool__", "__repr__"),
    *("__contains__", "__getitem__", "__fspath__"),
)
"""Python looks these up on the class, not the object; each is defined if the stream has it."""


def timed_input(stream: Any) -> "TimedInput":
    """The stream, timed; to the app it looks like the stream's own class, with all its methods."""
    kind: Any = type(stream)
    return _timed_as(kind)(stream)


class TimedInput:
    """A proxy for a stream that times each read."""

    def __init__(self, stream: Any) -> None:
        for name, value in (("_stream", stream), ("_spent_ns", 0), ("_size", 0)):
            object.__setattr__(self, name, value)

    @property  # type: ignore[misc] # for isinstance
    def __class__(self) -> type:
        """The class of the stream."""
        return type(self._stream)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return partial(self._timed, found) if name in _READS else found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._stream, name, value)

    def _timed(self, read: Callable[..., Any], *given: Any, **named: Any) -> Any:
        began_ns = perf_counter_ns()
        data = read(*given, **named)
        spent_ns = self._spent_ns + perf_counter_ns() - began_ns
        object.__setattr__(self, "_spent_ns", spent_ns)
        object.__setattr__(self, "_size", self._size + _size(data))
        return data

    def seen(self) -> Attributes:
        """What was read, as attributes of the request's span."""
        return conventions.body_attributes(self._size, self._spent_ns) if self._size else {}


@lru_cache(maxsize=64)
def _timed_as(kind: Any) -> type[TimedInput]:
    methods: dict[str, Any] = {name: _passed_on(name) for name in _SPECIAL if hasattr(kind, name)}
    if "__next__" in methods:
        methods["__iter__"] = lambda self: self
    return type(kind.__name__, (TimedInput,), methods)


def _passed_on(name: str) -> Callable[..., Any]:
    def special(self: TimedInput, *given: Any) -> Any:
        method = getattr(self._stream, name)
        return self._timed(method, *given) if name in _READS else method(*given)

    return special


def _size(data: Any) -> int:
    """The size of a read's result: bytes, lines, or the number of bytes put into a buffer."""
    if isinstance(data, list):
        return sum(map(len, data))
    return data if isinstance(data, int) else len(data or b"")

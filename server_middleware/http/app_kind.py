"""Determine what kind of app a callable is, by its parameters."""

from collections.abc import Callable
from functools import partial
from inspect import Parameter, isclass, iscoroutinefunction, signature
from typing import Any, Final, Literal, NamedTuple, TypeAlias

Shape: TypeAlias = Literal["wsgi", "asgi", "asgi2"]

_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def shape_of(app: Any) -> Shape | None:
    """WSGI, ASGI, or ASGI 2: functions, methods, partials, callable objects and classes.

    WSGI is called with two arguments, ASGI with three; an ASGI 2 app takes a scope, and returns a
    callable that takes the other two. A class is an app if each instance serves one request.

    Returns:
        None if it is none of these, or if its parameters, such as `*args`, do not show which.
    """
    if isclass(app):
        return _shape_of_class(app)
    taken = _Taken.by(app)
    if taken is None:
        return None
    if _is_coroutine_function(app):
        return "asgi" if taken.accepts(3) else None
    if taken.least == 1:
        return "asgi2" if taken.names == ("scope",) else None
    return _BY_COUNT.get(taken.least)


_BY_COUNT: Final[dict[int, Shape]] = {2: "wsgi", 3: "asgi"}


def _shape_of_class(app: type) -> Shape | None:
    """WSGI instances are iterated, ASGI instances awaited, and ASGI 2 instances called."""
    taken = _Taken.by(app)
    if taken is None:
        return None
    if hasattr(app, "__iter__") and taken.least == 2:
        return "wsgi"
    if hasattr(app, "__await__") and taken.least == 3:
        return "asgi"
    call = app.__dict__.get("__call__")
    return "asgi2" if taken.names == ("scope",) and iscoroutinefunction(call) else None


class _Taken(NamedTuple):
    """The positional arguments that a callable takes."""

    least: int
    names: tuple[str, ...]
    any_more: bool

    @classmethod
    def by(cls, app: Any) -> "_Taken | None":
        try:
            parameters = signature(app).parameters.values()
        except (TypeError, ValueError):  # C functions may have no signature
            return None
        positional = [one for one in parameters if one.kind in _POSITIONAL]
        least = sum(one.default is Parameter.empty for one in positional)
        any_more = any(one.kind is Parameter.VAR_POSITIONAL for one in parameters)
        return cls(least, tuple(one.name for one in positional), any_more)

    def accepts(self, count: int) -> bool:
        return self.least <= count and (self.any_more or count <= len(self.names))


def _is_coroutine_function(app: Any) -> bool:
    while isinstance(app, partial):
        app = app.func
    call: Callable[..., Any] | None = getattr(app, "__call__", None)  # noqa: B004 - its kind
    return iscoroutinefunction(app) or iscoroutinefunction(call)

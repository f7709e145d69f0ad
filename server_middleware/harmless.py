"""The guarantee that measuring never breaks what it measures."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_logger = logging.getLogger("server_middleware")


def complain(what: str) -> None:
    """Log the current exception."""
    _logger.warning("%s failed; the request goes on", what, exc_info=True)


def harmless(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result | None]:
    """Log exceptions in the function, and return None instead.

    What can fail is third-party code called from here: samplers, id generators, span processors,
    propagators.
    """

    @wraps(function)
    def guarded(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result | None:
        try:
            return function(*args, **kwargs)
        except Exception:
            complain(function.__name__)
            return None

    return guarded

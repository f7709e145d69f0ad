"""What a component may be called: a token in `Server-Timing`, a key in JSON, a span's name."""

import re
from functools import lru_cache

from server_middleware.vocabulary import OUTSIDE, SERVER_PROCESSING, UNLISTED

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_TAKEN = frozenset({OUTSIDE, SERVER_PROCESSING, UNLISTED, "total", "trace"})


def is_name(name: object) -> bool:
    """Whether it can be a component's."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and name not in _TAKEN


@lru_cache(maxsize=256)
def checked(name: str) -> str:
    """Return the name, if it is one.

    Raises:
        ValueError: it is not a letter followed by at most 63 letters, digits, `_`, `.` or `-`, or
            it means something else in the mirror.
    """
    if not is_name(name):
        raise ValueError(
            f"{name!r} is no name for a component: use letters, digits, '_', '.' and '-', at most "
            f"64, a letter first; {', '.join(sorted(_TAKEN))} have a meaning of their own"
        )
    return name

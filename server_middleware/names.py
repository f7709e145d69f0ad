"""What a component may be called: a token in `Server-Timing`, a key in JSON, a span's name."""

import re
from functools import lru_cache

from tracebench.vocabulary import SERVER_PROCESSING

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_TAKEN = frozenset({SERVER_PROCESSING, "total", "trace"})


@lru_cache(maxsize=256)
def checked(name: str) -> str:
    """Return the name, if it is one.

    Raises:
        ValueError: it is not a letter followed by at most 63 letters, digits, `_`, `.` or `-`, or
            it means something else in the mirror.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no component name: use letters, digits, '_', '.', '-'")
    if name in _TAKEN:
        raise ValueError(f"{name!r} is no component name: the mirror uses it for the whole request")
    return name

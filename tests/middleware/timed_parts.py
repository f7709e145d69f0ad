"""Parts of known length that a test server also times by itself, without the middleware."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter

from server_middleware import component

SECONDS = {"preprocessing": 0.001, "inference": 0.003, "postprocessing": 0.0005}

_spent_s = dict.fromkeys(SECONDS, 0.0)
_count = dict.fromkeys(SECONDS, 0)
_lock = Lock()


@contextmanager
def timed(name: str) -> Iterator[None]:
    """An independent reading of a part, from inside it."""
    with component(name):
        began_s = perf_counter()
        yield
        spent_s = perf_counter() - began_s
    with _lock:
        _spent_s[name] += spent_s
        _count[name] += 1


def readings() -> dict[str, float]:
    """The mean of each part in ms since the last call."""
    with _lock:
        means = {name: 1e3 * _spent_s[name] / max(_count[name], 1) for name in SECONDS}
        for name in SECONDS:
            _spent_s[name] = _count[name] = 0
    return means

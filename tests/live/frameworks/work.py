"""What every server does, whatever its framework; its handlers also take the time by themselves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter, sleep

from server_middleware import component

SECONDS = {"preprocessing": 0.001, "inference": 0.003, "postprocessing": 0.0005}
ENDLESS = 2_000
"""So many tokens has the stream that its client does not wait for; that is bounded by itself."""

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


def predict(body: bytes) -> bytes:
    """Answer a request."""
    for name, seconds in SECONDS.items():
        with timed(name):
            sleep(seconds)
    return b"%d bytes of espresso" % len(body)


async def predict_async(body: bytes) -> bytes:
    """The same in a coroutine."""
    for name, seconds in SECONDS.items():
        with timed(name):
            await asyncio.sleep(seconds)
    return b"%d bytes of espresso" % len(body)


def tokens(count: int = 3) -> Iterator[bytes]:
    """Stream."""
    for number in range(count):
        with component("inference"):
            sleep(0.001)
        yield b"token %d " % number


async def tokens_async(count: int = 3) -> AsyncIterator[bytes]:
    """The same for a coroutine."""
    for number in range(count):
        with component("inference"):
            await asyncio.sleep(0.001)
        yield b"token %d " % number


def breaking() -> Iterator[bytes]:
    """Fail after the start of the body."""
    yield from tokens()
    raise RuntimeError("out of memory")


async def breaking_async() -> AsyncIterator[bytes]:
    """The same for a coroutine."""
    async for token in tokens_async():
        yield token
    raise RuntimeError("out of memory")


def fail() -> bytes:
    """Fail before the start of the body."""
    with component("inference"):
        raise RuntimeError("out of memory")

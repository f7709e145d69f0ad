"""What every server does, whatever its framework; its handlers also take the time by themselves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from time import sleep

from server_middleware import component
from tests.middleware.timed_parts import SECONDS, timed

ENDLESS = 2_000
"""So many tokens has the stream that its client does not wait for; that is bounded by itself."""


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

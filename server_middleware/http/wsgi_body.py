"""What goes through a WSGI app: the request's body, and the response's."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter_ns
from typing import Any, Final

from server_middleware.http import conventions
from server_middleware.request import Attributes, Request
from server_middleware.scope import Entered, Inside

_READS: Final = frozenset({"read", "read1", "readinto", "readline", "readlines"})


def length_of(fields: Iterable[tuple[str, str]]) -> int | None:
    """The Content-Length among the header fields of a response."""
    for name, value in fields:
        if name.lower() == "content-length":
            return int(value) if value.strip().isdecimal() else None
    return None


class Body:
    """A response's body, on its way out: the server span ends when the last of it is handed over.

    Where a length was announced, that is before the last chunk is given to the server, because
    the client may have it before the server comes back. Else it is when the app has no more.

    Args:
        chunks: what the app returned.
        request: it belongs to.
        inside: what was current when the app returned them.
        expected: tells the announced length, once the app has announced it.
        finish: what to call when all is over.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        request: Request,
        inside: Inside,
        expected: Callable[[], int | None],
        finish: Callable[[BaseException | None], None],
    ) -> None:
        self._chunks, self._iterator = chunks, iter(chunks)
        self._request, self._inside = request, inside
        self._expected, self._finish = expected, finish
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        entered = Entered(*self._inside)
        try:
            chunk = next(self._iterator)
        except StopIteration:
            self._finish(None)
            raise
        except BaseException as error:
            self._finish(error)
            raise
        finally:
            self._inside = entered.pause()
        self._sent += len(chunk)
        if self._sent == self._expected():
            self._request.handed_over()
        return chunk

    def close(self) -> None:
        """The server wants no more: all is sent, or the client is gone."""
        entered = Entered(*self._inside)
        try:
            if (close := getattr(self._chunks, "close", None)) is not None:
                close()
        finally:
            self._inside = entered.pause()
            self._finish(None)


class TimedInput:
    """`wsgi.input`, with a clock: how long the app waited for the request's body."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._spent_ns = self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return partial(self._timed, found) if name in _READS else found

    def _timed(self, read: Callable[..., Any], *arguments: Any) -> Any:
        began_ns = perf_counter_ns()
        data = read(*arguments)
        self._spent_ns += perf_counter_ns() - began_ns
        self._size += _size(data)
        return data

    def seen(self) -> Attributes:
        """What was read, as attributes of the request's span."""
        return conventions.body_attributes(self._size, self._spent_ns) if self._size else {}


def _size(data: Any) -> int:
    """Of what a stream gave: bytes, lines, or the number of bytes put into a buffer."""
    if isinstance(data, list):
        return sum(map(len, data))
    return data if isinstance(data, int) else len(data or b"")

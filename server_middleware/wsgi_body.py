"""What goes through a WSGI app: the request's body, and the response's."""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter_ns
from typing import Any

from server_middleware import http
from server_middleware.request import Attributes, Request


def length_of(fields: Iterable[tuple[str, str]]) -> int | None:
    """The Content-Length among the header fields of a response."""
    for name, value in fields:
        if name.lower() == "content-length":
            return int(value)
    return None


class Body:
    """A response's body, on its way out: the server span ends when the last of it is handed over.

    Where a length was announced, that is before the last chunk is given to the server, because
    the client may have it before the server comes back. Else it is when the app has no more.

    Args:
        chunks: what the app returned.
        request: it belongs to.
        expected: tells the announced length, once the app has announced it.
        finish: what to call when all is over.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        request: Request,
        expected: Callable[[], int | None],
        finish: Callable[[BaseException | None], None],
    ) -> None:
        self._chunks, self._iterator = chunks, iter(chunks)
        self._request, self._expected, self._finish = request, expected, finish
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        entered = self._request.enter()
        try:
            chunk = next(self._iterator)
        except StopIteration:
            self._finish(None)
            raise
        except BaseException as error:
            self._finish(error)
            raise
        finally:
            entered.leave()
        self._sent += len(chunk)
        if self._sent == self._expected():
            self._request.handed_over()
        return chunk

    def close(self) -> None:
        """The server wants no more: all is sent, or the client is gone."""
        entered = self._request.enter()
        try:
            if (close := getattr(self._chunks, "close", None)) is not None:
                close()
        finally:
            entered.leave()
            self._finish(None)


class TimedInput:
    """`wsgi.input`, with a clock: how long the app waited for the request's body."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._spent_ns = self._ended_ns = self._size = 0

    def read(self, *size: int) -> bytes:
        """Read as the stream does."""
        return self._timed(self._stream.read, *size)

    def readline(self, *size: int) -> bytes:
        """Read a line as the stream does."""
        return self._timed(self._stream.readline, *size)

    def readlines(self, *hint: int) -> list[bytes]:
        """Read lines as the stream does."""
        return list(self) if not hint else self._stream.readlines(*hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _timed(self, read: Callable[..., bytes], *arguments: int) -> bytes:
        began_ns = perf_counter_ns()
        data = read(*arguments)
        self._ended_ns = perf_counter_ns()
        self._spent_ns += self._ended_ns - began_ns
        self._size += len(data)
        return data

    def note(self, request: Request) -> None:
        """Put what was read on the request's span."""
        if self._ended_ns:
            spent: Attributes = {"duration_ms": self._spent_ns / 1e6, "size": self._size}
            request.note(http.BODY_READ, self._ended_ns, spent)

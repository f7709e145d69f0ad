"""A WSGI response's body, on its way out."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from server_middleware.context.scope import Entered, Inside
from server_middleware.http.wsgi_head import Head
from server_middleware.request import Request


class Body:
    """A response's body, on its way out: the server span ends when the last of it is handed over.

    Where a length was announced, that is before the last chunk is given to the server, because
    the client may have it before the server comes back. Else it is when the app has no more.

    Args:
        chunks: what the app returned.
        request: it belongs to.
        inside: what was current when the app returned them.
        head: of the response; the app may begin it with its first chunk.
        finish: what to call when all is over.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        request: Request,
        inside: Inside,
        head: Head,
        finish: Callable[[BaseException | None], None],
    ) -> None:
        self._chunks: Any = chunks
        self._iterator: Iterator[bytes] | None = None
        self._request, self._inside = request, inside
        self._head, self._finish = head, finish
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chunks, name)

    def __next__(self) -> bytes:
        entered, head = Entered(*self._inside), self._head
        try:
            if self._iterator is None:  # only now: the server closes what it began to iterate
                self._iterator = iter(self._chunks)
            chunk = next(self._iterator)
            if chunk != b"":  # a server sends no head before there is something to send after it
                head.release()
        except StopIteration:
            head.release()
            self._finish(None)
            raise
        except BaseException as error:
            self._finish(error)
            raise
        finally:
            self._inside = entered.pause()
        if isinstance(chunk, bytes):  # anything else is the server's affair
            self._sent += len(chunk)
            if self._sent == head.expected:
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
            self._request.over()


class _Sized(Body):
    """One whose chunks are counted: servers may announce the length of an only one."""

    def __len__(self) -> int:
        return len(self._chunks)


def body_of(chunks: Iterable[bytes], *more: Any) -> Body:
    """The body that an app returned; the arguments are those of `Body`."""
    return (_Sized if hasattr(type(chunks), "__len__") else Body)(chunks, *more)

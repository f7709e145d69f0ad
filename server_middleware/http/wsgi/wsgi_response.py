"""A WSGI response being sent: its head, with the mirror in it, and its body."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, Protocol

from server_middleware.context.scope import Inside, swapped
from server_middleware.harmless import complain
from server_middleware.http.event_stream import comments, takes_comments
from server_middleware.recording.stream import Stream
from server_middleware.request import Request
from server_middleware.vocabulary import TIMING_HEADER

# The head of a WSGI response, and the mirror in it.

StartResponse = Callable[..., Any]
Fields = Collection[tuple[str, str]]

_TIMING: Final = TIMING_HEADER.lower()


class Framework(Protocol):
    """What a framework knows that WSGI does not."""

    starts_last: bool
    """Whether a response of known length is complete when `start_response` is called."""

    def route(self) -> str | None:
        """The template that the path of the current request matched."""

    def traced(self) -> bool:
        """Whether other instrumentation will make a server span inside this middleware."""


class PlainWsgi:
    """No framework, or an unknown one."""

    starts_last = False

    def route(self) -> str | None:
        """Unknown."""
        return None

    def traced(self) -> bool:
        """No: nothing inside is known to make server spans; spans outside are detected anyway."""
        return False


class Head:
    """The `start_response` that an app is given.

    Apps may call it before they do their work, and servers send nothing until they have a chunk, so
    the first call is delayed until the server is given something: the mirror then covers all that
    happened before.

    Args:
        start_response: the server's.
        request: the request to be mirrored.
        framework: what else is known about the app.
    """

    __slots__ = (
        "_begun",
        "_by_hand",
        "_framework",
        "_kept",
        "_request",
        "_start",
        "_write",
        "expected",
        "fields",
        "route",
        "status",
    )

    def __init__(
        self, start_response: StartResponse, request: Request, framework: Framework
    ) -> None:
        self._start, self._request, self._framework = start_response, request, framework
        self._begun = self._by_hand = False
        self._kept: tuple[Any, ...] | None = None
        self._write: Callable[[bytes], object] | None = None
        self.status: int | None = None
        self.route: str | None = None
        self.expected: int | None = None
        """The Content-Length; None if there is none."""
        self.fields: Fields = ()
        """The app's headers; empty if it uses the legacy `write` callable, which is not timed."""

    def __call__(self, status: str, headers: Fields, *exc_info: Any, **named: Any) -> Any:
        """Begin the response; the third argument may also be passed by name."""
        again, self._begun = self._begun, True
        if self._kept is not None:
            self.release()  # the server must see both heads
        if type(headers) is not list and not isinstance(headers, Collection):
            headers = list(headers)
        try:
            self._look_at(headers)
            self.status, self.route = int(status[:3]), self._framework.route()
        except Exception:
            complain("noting a response's status")
        self._kept, self.fields = (status, headers, exc_info, named), headers
        done = self._framework.starts_last and self.expected is not None
        if again or exc_info or named or done:
            self.release()
            return self._write
        self._request.look_around()
        return self._written

    def release(self) -> None:
        """The server is about to be given something: pass the delayed call on to it."""
        if self._kept is None:
            return
        (status, fields, exc_info, named), self._kept = self._kept, None
        if not self._by_hand:
            try:
                fields = [*fields, *self._request.mirrored()]
            except Exception:
                complain("mirroring a request's timings")
        self._write = self._start(status, fields, *exc_info, **named)

    def _look_at(self, fields: Fields) -> None:
        self.expected, self._by_hand = None, False
        for name, value in fields:
            known = name.lower()
            if known == "content-length":
                self.expected = int(value) if value.strip().isdecimal() else None
            elif known == _TIMING:
                self._by_hand = True  # written by hand, in the older style

    def _written(self, data: bytes) -> object:
        """The legacy `write` callable that `start_response` returns."""
        self.release()
        self.fields = ()
        return None if self._write is None else self._write(data)


# The body of a WSGI response being sent.


class _Chunks:
    """The chunks of a response: the server span ends when the last is handed over.

    With a Content-Length, that is before the last chunk is given to the server, because the client
    may have it before the server calls back. Otherwise it is when the app has no more chunks.

    Args:
        chunks: what the app returned.
        request: the request that it belongs to.
        inside: what was current when the app returned them.
        head: the head of the response; the app may begin it with its first chunk.
        finish: called at the end.
        tells: comments may follow it, if its media type allows them.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        request: Request,
        inside: Inside,
        head: Head,
        finish: Callable[[BaseException | None], None],
        tells: bool,
    ) -> None:
        self._chunks: Any = chunks
        self._iterator: Iterator[bytes] | None = None
        self._request, self._inside = request, inside
        self._head, self._finish = head, finish
        self._tells = tells
        self._tail = b""
        self._sent = 0
        self._over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if (stream := self._request.stream) is not None:
            stream.come_back()
        if self._over:
            self._finish(None)
            raise StopIteration
        before, head = swapped(self._inside), self._head
        try:
            if self._iterator is None:  # only now: the server closes what it began to iterate
                self._iterator = iter(self._chunks)
            chunk = next(self._iterator)
            if chunk != b"":  # servers send the head with the first non-empty chunk
                head.release()
        except StopIteration:
            head.release()
            if stream is not None and (told := self._told(stream)):
                return told
            self._finish(None)
            raise
        except BaseException as error:
            self._finish(error)
            raise
        finally:
            self._inside = swapped(before)
        if isinstance(chunk, bytes):  # anything else is left to the server
            self._seen(chunk, stream)
        return chunk

    def _seen(self, chunk: bytes, stream: Stream | None) -> None:
        """Note a chunk that is about to be given to the server."""
        head = self._head
        if head.expected is not None:  # a reply of known length does not stream
            self._sent += len(chunk)
            if self._sent == head.expected:
                self._request.handed_over()
            return
        if chunk:
            stream, self._tail = stream or self._request.begin_stream("bytes"), chunk
        if stream is not None:
            stream.hand_over(len(chunk))

    def _told(self, stream: Stream) -> bytes:
        """A final chunk with the body's timings, if allowed; the span ends before it."""
        head = self._head
        if not self._tells or not takes_comments(head.status, head.fields):
            if stream.count == 1:
                self._request.stream = None  # of unknown length, but in one chunk
            return b""
        self._request.handed_over()
        self._over = True
        return comments(self._request, self._tail)

    def close(self) -> None:
        """The server is done: all is sent, or the client disconnected."""
        if (stream := self._request.stream) is not None:
            stream.come_back()
        before = swapped(self._inside)
        try:
            if (close := getattr(self._chunks, "close", None)) is not None:
                close()
        finally:
            self._inside = swapped(before)
            self._finish(None)
            self._request.over()


class ResponseBody:
    """The body of a response, as the server sees it: with all that the app's own can do.

    Its chunks are another object, as a class that defines `__getattr__` has slow attributes, which
    would cost a request 2 µs.

    Args:
        theirs: what the app returned.
        chunks: made from it.
    """

    __slots__ = ("_chunks", "_theirs")

    def __init__(self, theirs: Iterable[bytes], chunks: _Chunks) -> None:
        self._theirs, self._chunks = theirs, chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def __next__(self) -> bytes:
        return next(self._chunks)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._theirs, name)

    def close(self) -> None:
        """The server is done; see `_Chunks.close`."""
        self._chunks.close()


class _Sized(ResponseBody):
    """A body with a length: servers may add a Content-Length if there is only one chunk."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._theirs)  # type: ignore[arg-type] # it has one


def body_of(
    theirs: Iterable[bytes],
    request: Request,
    inside: Inside,
    head: Head,
    finish: Callable[[BaseException | None], None],
    tells: bool,
) -> ResponseBody:
    """The body that an app returned; the arguments are those of `_Chunks`."""
    sized = hasattr(type(theirs), "__len__")
    chunks = _Chunks(theirs, request, inside, head, finish, tells and not sized)
    return (_Sized if sized else ResponseBody)(theirs, chunks)

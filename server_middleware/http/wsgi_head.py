"""The head of a WSGI response, and the mirror in it."""

from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

from server_middleware.harmless import complain
from server_middleware.request import Request
from server_middleware.vocabulary import TIMING_HEADER

StartResponse = Callable[..., Any]
Fields = Collection[tuple[str, str]]

_TIMING: Final = TIMING_HEADER.lower()


class Framework(Protocol):
    """What a framework knows better than WSGI does."""

    starts_last: bool
    """Whether it calls `start_response` when the work is done of which the length is known."""

    def route(self) -> str | None:
        """The template that the path of the current request matched."""

    def traced(self) -> bool:
        """Whether somebody else will make a server span inside this middleware."""


class PlainWsgi:
    """No framework, or none that is known."""

    starts_last = False

    def route(self) -> str | None:
        """Unknown."""
        return None

    def traced(self) -> bool:
        """What is inside is not known to make server spans; what is outside is found anyway."""
        return False


class Head:
    """What an app calls for `start_response`.

    Apps may call it before they work, and servers send nothing before they have a chunk: so it
    waits with the first call until the server is given something, and the mirror tells of all that
    happened until then.

    Args:
        start_response: the server's.
        request: to be mirrored.
        framework: what else is known of the app.
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
        """The length that was announced."""

    def __call__(self, status: str, headers: Fields, *exc_info: Any, **named: Any) -> Any:
        """Begin the response; the third argument is given by its name as well."""
        again, self._begun = self._begun, True
        if self._kept is not None:
            self.release()  # of two heads the server must see both
        if type(headers) is not list and not isinstance(headers, Collection):
            headers = list(headers)
        try:
            self._look_at(headers)
            self.status, self.route = int(status[:3]), self._framework.route()
        except Exception:
            complain("noting a response's status")
        self._kept = status, headers, exc_info, named
        done = self._framework.starts_last and self.expected is not None
        if again or exc_info or named or done:
            self.release()
            return self._write
        self._request.look_around()
        return self._written

    def release(self) -> None:
        """The server is about to be given something: begin the response there."""
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
                self._by_hand = True  # it was written by hand, in the older style

    def _written(self, data: bytes) -> object:
        """Write in the way of old, by what `start_response` returns."""
        self.release()
        return None if self._write is None else self._write(data)

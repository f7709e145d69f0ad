"""Server-sent events: a stream carries its own timings, in comments after the last event.

Headers cannot report what happens after them; comments reach clients that read the raw body, and
event parsers ignore them (https://html.spec.whatwg.org/multipage/server-sent-events.html). They are
written only for a caller that sent `X-Benchmark`: production traffic has only a `traceparent`.
"""

from collections.abc import Iterable
from typing import Final

from server_middleware.harmless import complain, harmless
from server_middleware.request import Request
from server_middleware.vocabulary import TIMING_HEADER

_MEDIA_TYPE: Final = "text/event-stream"
_OK: Final = 200  # the only status that such a stream may have
_TELLING: Final = frozenset({"content-length", "content-encoding", TIMING_HEADER.lower()})
"""Headers of bodies to which nothing is added: of fixed length, compressed, or with timings set by
hand."""
_LINE_ENDS: Final = (b"\n", b"\r")


@harmless
def takes_comments(status: int | None, fields: Iterable[tuple[str, str]]) -> bool:
    """Whether comments may follow the body of a reply.

    Args:
        status: the status of the reply.
        fields: the headers of the reply, without those that the middleware adds.
    """
    media_type = None
    for name, value in fields:
        known = name.lower()
        if known in _TELLING:
            return False
        if known == "content-type":
            media_type = value.partition(";")[0].strip().lower()
    return media_type == _MEDIA_TYPE and status == _OK


def comments(request: Request, last: bytes) -> bytes:
    """The comments with the timings so far; empty if that fails.

    Args:
        request: the request, whose reply has been handed over except for the comments.
        last: the last non-empty chunk of the body; the comments begin on a new line.
    """
    try:
        told = request.mirrored()
        if request.stream is not None:
            told = [*request.stream.mirrored(), *told]
        lines = "".join(f": {name}: {value}\n" for name, value in told).encode()
        on_new_line = not last or last[-1:] in _LINE_ENDS
        return (b"" if on_new_line else b"\n") + lines + b"\n"
    except Exception:
        complain("reporting a stream's timings")
        return b""

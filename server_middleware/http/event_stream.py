"""Server-sent events: a stream of them tells its timings itself, in comments behind the last one.

A head cannot tell what comes after it; comments reach whoever reads the raw body, and parsers of
events drop them (https://html.spec.whatwg.org/multipage/server-sent-events.html). They are written
only for a caller who sent `X-Benchmark`: a `traceparent` alone is what production sends.
"""

from collections.abc import Iterable
from typing import Final

from server_middleware.harmless import complain, harmless
from server_middleware.request import Request
from server_middleware.vocabulary import TIMING_HEADER

_MEDIA_TYPE: Final = "text/event-stream"
_OK: Final = 200  # the only status that such a stream may have
_TELLING: Final = frozenset({"content-length", "content-encoding", TIMING_HEADER.lower()})
"""The body is of that length, or packed, or tells its timings by hand: nothing is added to it."""
_LINE_ENDS: Final = (b"\n", b"\r")


@harmless
def takes_comments(status: int | None, fields: Iterable[tuple[str, str]]) -> bool:
    """Whether comments may follow the body of a reply.

    Args:
        status: of the reply.
        fields: its headers, without those that the middleware adds.
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
    """The comments that tell the timings up to now; empty where that fails.

    Args:
        request: whose reply has been handed over but for them.
        last: the last chunk of the body that was not empty; they begin on a line of their own.
    """
    try:
        told = request.mirrored()
        if request.stream is not None:
            told = [*request.stream.mirrored(), *told]
        lines = "".join(f": {name}: {value}\n" for name, value in told).encode()
        on_new_line = not last or last[-1:] in _LINE_ENDS
        return (b"" if on_new_line else b"\n") + lines + b"\n"
    except Exception:
        complain("telling a stream's timings")
        return b""

"""Requests that asked, without a server."""

from collections.abc import Iterator
from contextlib import contextmanager

from server_middleware.recording.recorder import RequestRecorder
from server_middleware.request import Request
from tests.middleware.span_samples import PARENT_ID
from tests.middleware.wsgi_client import GETTER


@contextmanager
def request(*, traced: bool = False) -> Iterator[RequestRecorder]:
    """A request that asked, worked for in the block."""
    one = Request(RequestRecorder())
    if traced:
        one.trace("GET", {}, {"traceparent": f"00-{1:032x}-{PARENT_ID:016x}-01"}, GETTER)
    entered = one.enter()
    try:
        yield one.recorder
    finally:
        entered.leave()
        one.finish({})


def parts(recorder: RequestRecorder) -> dict[str, int]:
    return recorder.report()[1]

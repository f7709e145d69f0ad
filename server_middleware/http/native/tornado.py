"""Tornado: hooks around the execution of handlers, and where response headers are written."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from server_middleware.context.outside_requests import Passing, set_passing
from server_middleware.http.native.native_exchange import Line, NativeExchange, asks

_EXCHANGE: Final = "server_middleware_exchange"
_PASSING: Final = "server_middleware_passing"


def hook(app: Any, proxy_shares_clock: bool) -> None:
    """Let the app's delegates begin exchanges, and its last transform write the mirror."""
    if _mirror in app.transforms:
        return
    delegates = app.get_handler_delegate

    def get_handler_delegate(request: Any, *given: Any, **named: Any) -> Any:
        delegate = delegates(request, *given, **named)
        if asks(request.headers):
            delegate.execute = _executing(delegate.execute, request, proxy_shares_clock)
        else:
            set_passing(passing := Passing())  # the handler's task copies it
            setattr(request, _PASSING, passing)
        return delegate

    app.get_handler_delegate = get_handler_delegate
    app.transforms.append(_mirror)


def _executing(
    execute: Callable[[], Any], request: Any, proxy_shares_clock: bool
) -> Callable[[], Any]:
    def executing() -> Any:
        exchange = NativeExchange(request.headers, lambda: _line(request), proxy_shares_clock)
        setattr(request, _EXCHANGE, exchange)
        entered = exchange.enter()
        try:
            return execute()  # the handler's task copies what is current
        finally:
            entered.leave()

    return executing


def _mirror(request: Any) -> "_Mirror":
    return _Mirror(getattr(request, _EXCHANGE, None), getattr(request, _PASSING, None))


class _Mirror:
    """An `OutputTransform`: writes the mirror when the headers are written, if there is one.

    The exchange ends with the last chunk.
    """

    def __init__(self, exchange: NativeExchange | None, passing: Passing | None) -> None:
        self._exchange, self._passing = exchange, passing

    def _over(self) -> None:
        if self._exchange is not None:
            self._exchange.over()
        if self._passing is not None:
            self._passing.over = True

    def transform_first_chunk(
        self, status_code: int, headers: Any, chunk: bytes, finishing: bool
    ) -> tuple[int, Any, bytes]:
        """Inspect the head and first chunk about to be sent."""
        if self._exchange is not None:
            self._exchange.answer(status_code, headers, whole=False)
        return status_code, headers, self.transform_chunk(chunk, finishing)

    def transform_chunk(self, chunk: bytes, finishing: bool) -> bytes:
        """Inspect a chunk about to be sent."""
        if finishing and self._exchange is not None:
            self._exchange.finish()
        if finishing:
            asyncio.get_running_loop().call_soon(self._over)  # `on_finish` runs before
        return chunk


def _line(request: Any) -> Line:
    version = request.version.removeprefix("HTTP/")
    return Line(
        request.method or "",
        request.protocol,
        request.path,
        request.query,
        version,
        request.remote_ip,
    )

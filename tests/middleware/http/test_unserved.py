"""A wrapped app that was not assigned is noticed when it goes."""

import asyncio
import gc
from typing import Any

import pytest
from flask import Flask

from server_middleware import instrument
from tests.middleware.wsgi_client import call, environ


def wsgi(given: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b""]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    pass


def asgi2(scope: Any) -> Any:
    async def serve(receive: Any, send: Any) -> None:
        pass

    return serve


@pytest.mark.parametrize("app", [wsgi, asgi, asgi2])
def test_a_statement_is_not_enough(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    instrument(app)
    gc.collect()
    (record,) = caplog.records
    assert f"instrument({app!r})" in record.getMessage()
    assert "write `app = instrument(app)`" in record.getMessage()


async def unused(*_: object) -> Any:
    raise AssertionError("nothing is received or sent")


def test_one_that_has_served_may_go(caplog: pytest.LogCaptureFixture) -> None:
    call(instrument(wsgi), environ({}))
    asyncio.run(instrument(asgi)({"type": "lifespan"}, unused, unused))
    asyncio.run(instrument(asgi2)({"type": "lifespan"})(unused, unused))
    gc.collect()
    assert not caplog.records


def test_an_app_that_stays_itself_needs_no_assignment(caplog: pytest.LogCaptureFixture) -> None:
    instrument(Flask("model"))
    gc.collect()
    assert not caplog.records

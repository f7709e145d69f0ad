"""Nothing is left behind by requests: no memory, no context, no open component.

The full count of 200,000 requests on each adapter is `python -m benchmarks.leaks`.
"""

import gc
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise

import pytest
from opentelemetry import context as otel

from benchmarks import middleware as benchmark
from server_middleware import instrument
from server_middleware.context.scope import current
from tests.middleware import grpc_service
from tests.middleware.clock import Clock
from tests.middleware.http import token_streams
from tests.middleware.span_samples import Spans
from tests.middleware.wsgi_client import call, environ
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse

CALLS = 400
MOST_BYTES_PER_CALL = 4


def growth_bytes(call: Callable[[], object]) -> int:
    """What is kept after many calls and was not kept before.

    Of two times the smaller: a leak grows each time, the interpreter's table of interned strings
    once in a long while, by megabytes.
    """
    for _ in range(CALLS):
        call()
    tracemalloc.start()
    try:
        for _ in range(20):
            call()
        kept = [_kept_bytes()]
        for _ in range(2):
            for _ in range(CALLS):
                call()
            kept.append(_kept_bytes())
    finally:
        tracemalloc.stop()
    return min(after - before for before, after in pairwise(kept))


def _kept_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("name", ["flask", "wsgi", "asgi", "grpc", "grpc.aio"])
def test_memory_does_not_grow(request: pytest.FixtureRequest, name: str, traced: bool) -> None:
    spans: Spans | None = request.getfixturevalue("spans") if traced else None
    once = benchmark.variants()[name]["asked"]

    def call_and_forget() -> None:
        once()
        if spans is not None:
            spans.forget()

    assert growth_bytes(call_and_forget) < MOST_BYTES_PER_CALL * CALLS
    assert current.get() is None
    assert otel.get_current() == otel.Context()


@pytest.mark.parametrize("name", ["wsgi", "asgi"])
@pytest.mark.parametrize("whole", [True, False])
def test_memory_does_not_grow_by_streams(clock: Clock, name: str, whole: bool) -> None:
    make, stream = {
        "wsgi": (token_streams.wsgi, token_streams.slow_wsgi),
        "asgi": (token_streams.asgi, token_streams.slow_asgi),
    }[name]
    events = [("Content-Type", token_streams.EVENTS)]
    app = instrument(make(clock, [token_streams.TOKEN] * 3, events))

    def given_up() -> None:
        if name == "wsgi":
            call(app, environ(token_streams.BENCHMARK), most=1)
        else:
            with suppress(OSError):
                token_streams.broken_off(app)

    streamed = partial(stream, clock, app, token_streams.BENCHMARK)
    most_bytes = 64 if name == "asgi" else MOST_BYTES_PER_CALL  # `asyncio.run` keeps some itself
    assert growth_bytes(streamed if whole else given_up) < most_bytes * CALLS
    assert current.get() is None


@pytest.mark.slow
@pytest.mark.parametrize("serving", [grpc_service.in_threads, grpc_service.in_coroutines])
def test_memory_of_grpc_servers_does_not_grow(serving: grpc_service.Serving) -> None:
    with serving() as channel:
        method = channel.unary_unary(
            f"/{grpc_service.SERVICE}/Predict",
            PredictRequest.SerializeToString,
            PredictResponse.FromString,
        )
        grown = growth_bytes(lambda: method(PredictRequest(), metadata=grpc_service.ASKING))
    assert grown < 64 * CALLS

"""gRPC, in threads and in coroutines: what asks, and what is mirrored."""

import gc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from time import monotonic, sleep
from typing import Any

import grpc
import pytest

import server_middleware
from server_middleware.grpc.call import TimedCall
from tests.middleware.grpc_service import (
    ASKING,
    CODING,
    EVERY,
    QUEUED,
    SERVICE,
    Serving,
    adding,
    by_loop,
    by_threads,
    gathered,
    in_coroutines,
    in_threads,
    infer,
    predict,
    replies,
    trailers,
)
from tests.middleware.serving import grpc_serving
from tests.middleware.span_samples import UNSAMPLED, mirrored
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse


@pytest.mark.parametrize("serving", EVERY)
@pytest.mark.parametrize("how", [b"abort", b"raise", b"set"])
def test_calls_that_fail_are_mirrored(serving: Serving, how: bytes) -> None:
    with serving() as channel:
        _, error = predict(channel, PredictRequest(image_data=how), ASKING)
    assert error.code() is not grpc.StatusCode.OK
    assert mirrored(trailers(error))["server_processing"] > 0
    names = [name for name, _ in error.trailing_metadata()]
    assert names.count("x-timing-info") == 1
    assert ("model" in names) is (how != b"abort")


def test_what_abort_is_given_is_sent_with_the_mirror() -> None:
    with in_coroutines() as channel:
        _, error = predict(channel, PredictRequest(image_data=b"abort and say"), ASKING)
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no model")
    names = [name for name, _ in error.trailing_metadata()]
    assert names == ["model", "x-timing-info", "server-timing"]


@pytest.mark.parametrize("serving", EVERY)
@pytest.mark.parametrize(
    ("metadata", "in_message", "asked"),
    [
        ((), False, False),
        ((("traceparent", UNSAMPLED),), False, False),
        (ASKING, False, True),
        ((("x-benchmark", "1"),), False, True),
        ((), True, True),
        (ASKING, True, True),
    ],
)
def test_only_a_call_that_asks_is_answered(
    serving: Serving, metadata: Any, in_message: bool, asked: bool
) -> None:
    with serving() as channel:
        reply, call = predict(channel, PredictRequest(enable_timing=in_message), metadata)
    assert reply.result == "espresso"
    times = mirrored(trailers(call))
    assert ("inference" in times) is asked
    assert ("server-timing" in trailers(call)) is asked
    assert trailers(call)["model"] == "lite0"
    told = {entry.component: entry.duration_ms / 1e3 for entry in reply.timing_info}
    assert ("inference" in told) is in_message
    if in_message:
        assert told["inference"] == pytest.approx(times["inference"], abs=1e-9)
        assert told["server_processing"] <= times["server_processing"]


def test_the_wait_for_a_thread_is_the_queue() -> None:
    def slowly(request: PredictRequest, context: Any) -> PredictResponse:
        sleep(0.05)
        return infer(request, context)

    add = adding(slowly, replies, gathered, replies)
    with grpc_serving(add, server_middleware.grpc.interceptors(), threads=1) as channel:
        method = channel.unary_unary(f"/{SERVICE}/Predict", *CODING)
        calls = [method.future(PredictRequest(), metadata=ASKING) for _ in range(3)]
        times = sorted((mirrored(trailers(call)) for call in calls), key=lambda one: one["queue"])
    assert [set(one) for one in times] == [QUEUED] * 3
    waited_s = [one["queue"] for one in times]
    assert all(later - earlier > 0.03 for earlier, later in pairwise(waited_s))


class Model:
    """A handler that is an object, and can be no key of a dictionary."""

    __hash__ = None  # type: ignore[assignment] # that is the point

    def __call__(self, request: PredictRequest, context: Any) -> PredictResponse:
        return infer(request, context)


@pytest.mark.parametrize("handler", [Model(), partial(infer)])
@pytest.mark.parametrize("served", [by_threads, by_loop])
@pytest.mark.parametrize("metadata", [(), ASKING])
def test_handlers_may_be_any_callable(handler: Any, served: Any, metadata: Any) -> None:
    with served(handler, replies, gathered, replies) as channel:
        reply, call = predict(channel, PredictRequest(), metadata)
    assert reply.result == "espresso"
    assert ("x-timing-info" in trailers(call)) is bool(metadata)


def test_a_call_needs_no_collector_to_be_forgotten() -> None:
    with in_threads() as channel:
        predict(channel, PredictRequest(), ASKING)
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                predict(channel, PredictRequest(), ASKING)
            deadline_s = monotonic() + 10  # the server may still be busy with the last one
            while any(isinstance(one, TimedCall) for one in gc.get_objects()):
                assert monotonic() < deadline_s
                sleep(0.01)
        finally:
            gc.enable()


def test_a_method_that_is_not_served_is_left_alone() -> None:
    for serving in (in_threads, in_coroutines):
        with serving() as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/{SERVICE}/Nothing", *CODING)(PredictRequest(), metadata=ASKING)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_module_is_imported_when_it_is_used() -> None:
    assert server_middleware.grpc.interceptors()
    with pytest.raises(AttributeError, match="no attribute 'thrift'"):
        server_middleware.thrift  # noqa: B018 - that it is looked up is the test


def test_pools_are_left_alone_by_other_work() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(sum, (1, 2)).result() == 3

"""`component` as a decorator: of whatever can be called, until what it gives is there."""

import asyncio
import copy
import functools
import gc
import inspect
import logging
import pickle
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future as PoolFuture
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from time import sleep
from types import TracebackType
from typing import Any

import grpc
import pytest
from opentelemetry.trace import StatusCode

from server_middleware import component
from server_middleware.recording.recorder import RequestRecorder
from tests.middleware.grpc_service import adding
from tests.middleware.requests import parts, request
from tests.middleware.span_samples import Spans, duration_ns, parent_id, span_id
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse
from tracebench.protos.inference_pb2_grpc import InferenceServiceStub

WORK_NS = 20_000_000


async def work(x: int) -> int:
    await asyncio.sleep(WORK_NS / 1e9)
    return x


class Model:
    """Its call is a coroutine."""

    async def __call__(self, x: int) -> int:
        return await work(x)


class Client:
    """Its call gives a coroutine, as those of many clients do."""

    timeout_s = 3.0

    def __call__(self, x: int) -> Coroutine[Any, Any, int]:
        return work(x)

    def close(self) -> str:
        return "closed"


class Lazily:
    """Awaitable, and a context manager, as what HTTP clients give; it may be awaited again."""

    __slots__ = ("_x",)

    def __init__(self, x: int) -> None:
        self._x = x

    def __await__(self) -> Generator[Any, None, int]:
        return work(self._x).__await__()

    async def __aenter__(self) -> int:
        return await self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Methods:
    @component("inference")
    async def plain(self, x: int) -> int:
        return await work(x)

    @component("inference")
    @classmethod
    async def of_class(cls, x: int) -> int:
        assert cls is Methods
        return await work(x)

    @classmethod
    @component("inference")
    def of_class_inside(cls, x: int) -> Coroutine[Any, Any, int]:
        assert cls is Methods
        return work(x)

    @component("inference")
    @staticmethod
    def static(x: int) -> Coroutine[Any, Any, int]:
        return work(x)

    @component("inference")  # type: ignore[prop-decorator] # to be seen
    @property
    def answer(self) -> Coroutine[Any, Any, int]:
        return work(1)

    @component("inference")  # type: ignore[prop-decorator] # to be seen
    @functools.cached_property
    def once(self) -> Coroutine[Any, Any, int]:
        return work(1)


@functools.lru_cache
def cached(x: int) -> Lazily:
    return Lazily(x)


def giving(x: int) -> Coroutine[Any, Any, int]:
    return work(x)


def started(x: int) -> "asyncio.Task[int]":
    return asyncio.get_running_loop().create_task(work(x))


@contextmanager
def listening(seconds: float) -> Iterator[str]:
    """The address of a gRPC server that takes so long."""

    def predict(_request: PredictRequest, _context: Any) -> PredictResponse:
        sleep(seconds)
        return PredictResponse()

    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        adding(predict, predict, predict, predict)(server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait(10)


AWAITABLES: dict[str, Callable[[int], Awaitable[Any]]] = {
    "coroutine function": work,
    "partial of one": functools.partial(work),
    "object with an async call": Model(),
    "bound method of it": Model().__call__,
    "object that gives a coroutine": Client(),
    "function that gives a coroutine": giving,
    "function that gives a task": started,
    "function that gives a gathering": lambda x: asyncio.gather(work(x)),
    "class of awaitables": Lazily,
    "cached awaitable": cached,
}


@pytest.mark.parametrize("kind", AWAITABLES)
def test_what_is_awaited_is_timed_while_it_is(kind: str) -> None:
    timed = component("inference")(AWAITABLES[kind])

    async def main() -> RequestRecorder:
        with request() as recorder:
            result: Any = await timed(1)
            assert result in (1, [1])
        return recorder

    assert parts(asyncio.run(main()))["inference"] >= 0.9 * WORK_NS


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Methods().plain(1),
        lambda: Methods.of_class(1),
        lambda: Methods().of_class_inside(1),
        lambda: Methods.static(1),
        lambda: Methods().answer,
        lambda: Methods().once,
    ],
    ids=["method", "classmethod", "below classmethod", "staticmethod", "property", "cached"],
)
def test_what_is_in_a_class_stays_what_it_is(ask: Callable[[], Awaitable[int]]) -> None:
    async def main() -> RequestRecorder:
        with request() as recorder:
            assert await ask() == 1
        return recorder

    assert parts(asyncio.run(main()))["inference"] >= 0.9 * WORK_NS


def test_the_time_between_the_call_and_the_await_is_not_its_own() -> None:
    timed = component("inference")(giving)

    async def main() -> dict[str, int]:
        with request() as recorder:
            later = timed(1)
            with component("queue"):
                await asyncio.sleep(2 * WORK_NS / 1e9)
            await later
            return parts(recorder)

    found = asyncio.run(main())
    assert found["queue"] >= 1.9 * WORK_NS
    assert 0.9 * WORK_NS <= found["inference"] < found["queue"]


def test_a_task_is_under_way_until_it_is_done_and_others_go_on(spans: Spans) -> None:
    timed = component("inference")(started)

    async def main() -> None:
        with request(traced=True) as recorder:
            task = timed(1)
            assert type(task) is asyncio.Task
            with component("postprocessing"):
                assert await asyncio.shield(task) == 1
            assert recorder._open == []

    asyncio.run(main())
    inner, inference, server = sorted(
        spans.wait(3), key=lambda span: ["postprocessing", "inference", "GET"].index(span.name)
    )
    assert parent_id(inner) == parent_id(inference) == span_id(server)
    assert duration_ns(inference) >= 0.9 * WORK_NS


def test_a_task_can_still_be_cancelled_and_watched() -> None:
    timed = component("inference")(started)

    async def main() -> None:
        with request() as recorder:
            task, seen = timed(1), list[object]()
            task.add_done_callback(seen.append)
            assert recorder._open != []
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert seen == [task]
            assert recorder._open == []

    asyncio.run(main())


def test_a_future_that_is_done_is_the_end() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_result(7)
        with request() as recorder:
            assert component("inference")(lambda: future)() is future
            assert recorder._open == []

    asyncio.run(main())


def test_an_error_of_a_task_marks_the_span_and_is_still_unretrieved(spans: Spans) -> None:
    complaints: list[dict[str, Any]] = []

    async def fail() -> None:
        raise ValueError("no image")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        with request(traced=True):
            component("inference")(lambda: loop.create_task(fail()))()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            gc.collect()

    asyncio.run(main())
    assert [one["message"] for one in complaints] == ["Task exception was never retrieved"]
    span = spans.wait(2)[0]
    assert span.status.status_code is StatusCode.ERROR


def test_a_future_of_a_pool_is_the_same_object_and_counts_until_it_is_done() -> None:
    go_on = Event()
    with ThreadPoolExecutor(1) as pool, request() as recorder:
        future = component("inference")(lambda: pool.submit(go_on.wait, 10))()
        assert type(future) is PoolFuture
        assert len(recorder._open) == 1
        go_on.set()
        assert future.result(10)
        pool.shutdown()
        assert recorder._open == []


def test_calls_of_grpc_aio_are_timed_and_stay_calls() -> None:
    async def main() -> dict[str, int]:
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = InferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            predict = component("inference")(stub.Predict)
            assert isinstance(predict, grpc.aio.UnaryUnaryMultiCallable)
            with request() as recorder:
                call = predict(PredictRequest())
                assert isinstance(call, grpc.aio.UnaryUnaryCall)
                await call
                assert await call.code() is grpc.StatusCode.OK
                assert recorder._open == []
                return parts(recorder)

    with listening(seconds=WORK_NS / 1e9) as address:
        assert asyncio.run(main())["inference"] >= 0.9 * WORK_NS


def test_other_methods_of_a_grpc_stub_are_still_there() -> None:
    with listening(seconds=0) as address, grpc.insecure_channel(address) as channel:
        stub: Any = InferenceServiceStub(channel)  # type: ignore[no-untyped-call]
        predict = component("inference")(stub.Predict)
        with request() as recorder:
            predict(PredictRequest())
            assert list(parts(recorder)) == ["inference"]
            assert predict.with_call(PredictRequest())[1].code() is grpc.StatusCode.OK


def test_an_object_stays_what_it_was_but_for_its_calls() -> None:
    client = Client()
    timed = component("inference")(client)
    assert isinstance(timed, Client)
    assert (timed.close(), timed.timeout_s, repr(timed)) == ("closed", 3.0, repr(client))
    timed.timeout_s = 1.0
    assert client.timeout_s == 1.0
    del timed.timeout_s
    assert client.timeout_s == 3.0


def test_an_object_can_be_copied_and_pickled() -> None:
    timed = component("inference")(Client())
    timed.timeout_s = 1.0
    for one in (copy.copy(timed), copy.deepcopy(timed), pickle.loads(pickle.dumps(timed))):
        assert (one.timeout_s, type(one)) == (1.0, type(timed))
    assert inspect.unwrap(copy.deepcopy(timed)) is not inspect.unwrap(timed)


def test_what_caches_is_a_method_and_keeps_its_own() -> None:
    class Model:
        @component("preprocessing")
        @functools.lru_cache  # noqa: B019 - it lives as long as the test
        def tokens(self, text: str) -> list[str]:
            return text.split()

    model = Model()
    with request() as recorder:
        assert model.tokens("a b") is model.tokens("a b")
        assert list(parts(recorder)) == ["preprocessing"]
    assert Model.tokens.cache_info().hits == 1
    timed = component("preprocessing")(cached)
    assert timed.cache_info() == cached.cache_info()


def test_frameworks_see_what_they_saw() -> None:
    def is_async(one: Any) -> bool:  # as Starlette asks
        return inspect.iscoroutinefunction(one) or inspect.iscoroutinefunction(one.__call__)

    for kind in (work, functools.partial(work), Model(), Client(), started, Methods().plain):
        timed = component("inference")(kind)
        assert is_async(timed) == is_async(kind), kind
        assert inspect.signature(timed) == inspect.signature(kind)
    timed_work = component("inference")(work)
    assert (timed_work.__name__, timed_work.__module__) == ("work", __name__)
    assert inspect.unwrap(timed_work) is work


def test_an_awaitable_may_be_awaited_again_and_entered() -> None:
    async def main() -> None:
        lazily = component("inference")(Lazily)
        with request() as recorder:
            one = lazily(1)
            assert isinstance(one, Lazily)
            assert (await one, await one) == (1, 1)
            async with one as entered:
                assert entered == 1
            assert parts(recorder)["inference"] >= 2.9 * WORK_NS

    asyncio.run(main())


def test_a_coroutine_cannot_be_awaited_again() -> None:
    async def main() -> None:
        with request():
            coroutine = component("inference")(lambda: work(1))()
            assert inspect.iscoroutine(coroutine)
            await coroutine
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await coroutine

    asyncio.run(main())


@pytest.mark.parametrize("function", [work, giving, Client()])
def test_what_is_never_awaited_is_warned_of_once_and_leaves_nothing(function: Any) -> None:
    with request() as recorder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        component("inference")(function)(1)
        gc.collect()
        assert recorder._open == []
    assert [str(one.message) for one in caught] == ["coroutine 'work' was never awaited"]


def test_a_coroutine_that_others_hold_as_well_is_left_to_them() -> None:
    held = []

    def give() -> Coroutine[Any, Any, int]:
        held.append(work(1))
        return held[0]

    async def main() -> None:
        with request(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            ours: Any = component("inference")(give)()
            del ours
            gc.collect()
            assert await held[0] == 1

    asyncio.run(main())


def test_where_nobody_asked_the_result_is_untouched() -> None:
    coroutine, lazily = work(1), Lazily(1)
    assert component("inference")(lambda: coroutine)() is coroutine
    assert component("inference")(lambda: lazily)() is lazily
    assert type(lazily) is Lazily
    coroutine.close()


def test_generators_are_refused_however_they_are_called() -> None:
    class Tokens:
        def __call__(self) -> Iterator[int]:
            yield 1

    class AsyncTokens:
        async def __call__(self) -> AsyncIterator[int]:
            yield 1

    for kind in (Tokens(), AsyncTokens(), Tokens().__call__, functools.partial(Tokens.__call__)):
        with pytest.raises(TypeError, match="is a generator: use `with component"):
            component("inference")(kind)


def test_a_generator_that_comes_back_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    def numbers() -> Iterator[int]:
        return (number for number in (1, 2))

    timed = component("tokens-of-a-generator")(numbers)
    with request():
        caplog.set_level(logging.WARNING, "server_middleware")
        assert [list(timed()), list(timed())] == [[1, 2], [1, 2]]
    (record,) = caplog.records
    assert "'tokens-of-a-generator' decorates a function that returns a generator" in (
        record.getMessage()
    )


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be called: decorate the function itself"):
        component("inference")(functools.partialmethod(Methods.plain))  # type: ignore[type-var] # that is the point

"""Requests are followed into threads of every kind; what outlives them works for nobody."""

import asyncio
import contextvars
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from threading import Event, Thread, Timer
from typing import Any

import anyio.to_thread
import pytest
from opentelemetry import context as otel
from opentelemetry import trace

from server_middleware import component, this_request
from server_middleware.context.outside_requests import Passing, get_passing, set_passing, strays
from server_middleware.context.scope import current
from server_middleware.context.threads import follow_threads, leave_threads
from tests.middleware.requests import parts, request
from tests.middleware.span_samples import Spans, parent_id, span_id


@pytest.fixture(autouse=True)
def followed() -> Iterator[None]:
    follow_threads()
    yield
    leave_threads()


@component("inference")
def infer(_: object = None) -> None: ...


def by_hand(kind: Callable[..., Thread]) -> Callable[[], None]:
    def run() -> None:
        thread = kind(target=infer)
        thread.start()
        thread.join(10)

    return run


class Running(Thread):
    """One with a `run` of its own."""

    def __init__(self, target: Callable[[], None]) -> None:
        super().__init__()
        self._infer = target

    def run(self) -> None:
        self._infer()


def with_own_run(target: Callable[[], None]) -> Thread:
    thread = Thread()
    thread.run = target  # type: ignore[method-assign] # people do
    return thread


def in_loop(work: Callable[[], Any]) -> Callable[[], None]:
    return lambda: asyncio.run(work())


def threadsafe_of_loop() -> None:
    """A loop in another thread is given a coroutine."""

    async def coroutine() -> None:
        infer()

    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    contextvars.Context().run(thread.start)
    asyncio.run_coroutine_threadsafe(coroutine(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def in_pool(use: Callable[[ThreadPool], object]) -> Callable[[], None]:
    def run() -> None:
        pool = contextvars.Context().run(ThreadPool, 1)
        try:
            use(pool)
        finally:
            pool.close()
            pool.join()

    return run


async def in_executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, infer)


WAYS: dict[str, Callable[[], None]] = {
    "Thread": by_hand(Thread),
    "Thread with a run of its own": by_hand(Running),
    "Thread whose run was replaced": by_hand(with_own_run),
    "Timer": by_hand(lambda target: Timer(0, target)),
    "to_thread": in_loop(lambda: asyncio.to_thread(infer)),
    "anyio": in_loop(lambda: anyio.to_thread.run_sync(infer)),
    "run_in_executor": in_loop(in_executor),
    "run_coroutine_threadsafe": threadsafe_of_loop,
    "apply": in_pool(lambda pool: pool.apply(infer)),
    "apply_async": in_pool(lambda pool: pool.apply_async(infer).get(10)),
    "map": in_pool(lambda pool: pool.map(infer, [1])),
    "starmap_async": in_pool(lambda pool: pool.starmap_async(infer, [(1,)]).get(10)),
    "imap": in_pool(lambda pool: list(pool.imap(func=infer, iterable=[1]))),
    "imap_unordered": in_pool(lambda pool: list(pool.imap_unordered(infer, [1]))),
}


@pytest.mark.parametrize("way", WAYS)
def test_work_in_a_thread_belongs_to_the_request_that_started_it(way: str, spans: Spans) -> None:
    before = strays.count
    with request(traced=True) as recorder:
        WAYS[way]()
        assert list(parts(recorder)) == ["inference"]
    inference, server = spans.wait(2)
    assert parent_id(inference) == span_id(server)
    assert strays.count == before


def test_a_thread_started_in_a_component_is_a_part_of_that(spans: Spans) -> None:
    with request(traced=True) as recorder:
        with component("preprocessing"):
            WAYS["Thread"]()
        assert recorder._open == []
    inference, preprocessing, _ = spans.wait(3)
    assert parent_id(inference) == span_id(preprocessing)


def test_a_thread_by_hand_makes_no_spans_of_others_in_the_request(spans: Spans) -> None:
    seen: list[Any] = []
    with request(traced=True):
        thread = Thread(target=lambda: seen.append((otel.get_current(), this_request())))
        thread.start()
        thread.join(10)
        here = this_request()
    ((context, there),) = seen
    assert context == otel.Context()
    assert here is not None
    assert there.span is here.span


def test_a_thread_that_outlives_the_request_works_for_nobody(spans: Spans) -> None:
    over = Event()

    def work() -> None:
        infer()
        over.wait(10)
        infer()

    with request(traced=True) as recorder:
        thread = Thread(target=work)
        thread.start()
        while "inference" not in parts(recorder):
            pass
    recorder.over = True
    spent_ns, before = recorder.report()[1], strays.count
    over.set()
    thread.join(10)
    assert strays.count == before + 1
    assert recorder.report()[1] == spent_ns
    spans.wait(2)


def test_threads_of_a_pool_keep_nothing_of_the_request_that_they_were_started_in() -> None:
    with ThreadPoolExecutor(1) as pool:
        with request():
            pool.submit(infer).result(10)
        assert pool.submit(current.get).result(10) is None


def test_a_request_that_does_not_ask_is_followed_as_well() -> None:
    set_passing(passing := Passing())
    seen: list[Passing | None] = []
    try:
        thread = Thread(target=lambda: seen.append(get_passing()))
        thread.start()
        thread.join(10)
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(get_passing).result(10))
            passing.over = True
            seen.append(pool.submit(get_passing).result(10))
        assert seen == [passing, passing, None]
    finally:
        set_passing(None)


def test_a_thread_that_cannot_be_started_stays_as_it_was() -> None:
    thread = Thread(target=infer)
    with request():
        thread.start()
        thread.join(10)
        with pytest.raises(RuntimeError, match="once"):
            thread.start()
    assert "run" not in vars(thread)


def test_who_replaced_the_same_functions_is_called_and_not_undone() -> None:
    leave_threads()
    pools: Any = ThreadPoolExecutor
    plain, calls = pools.submit, list[object]()

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return plain(self, *args, **kwargs)

    pools.submit = counting
    try:
        follow_threads()
        with ThreadPoolExecutor(1) as pool, request() as recorder:
            pool.submit(infer).result(10)
            assert list(parts(recorder)) == ["inference"]
        assert len(calls) == 1
        leave_threads()
        assert pools.submit is counting
    finally:
        pools.submit = plain


def test_who_wrapped_them_since_is_not_undone() -> None:
    threads: Any = Thread
    ours = threads.start
    plain = ours.__wrapped__
    threads.start = functools.wraps(ours)(lambda self: ours(self))
    wrapped = threads.start
    try:
        follow_threads()
        assert threads.start is wrapped
        leave_threads()
        assert threads.start is wrapped
    finally:
        threads.start = plain


def test_all_can_be_left_as_it_was() -> None:
    leave_threads()
    plain = (ThreadPoolExecutor.submit, Thread.start, ThreadPool.map)
    follow_threads()
    follow_threads()
    assert (ThreadPoolExecutor.submit, Thread.start, ThreadPool.map) != plain
    leave_threads()
    assert (ThreadPoolExecutor.submit, Thread.start, ThreadPool.map) == plain
    assert "map" not in vars(ThreadPool)


def test_where_no_request_is_they_are_started_as_ever() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(trace.get_current_span).result(10) is trace.INVALID_SPAN
    WAYS["Thread"]()

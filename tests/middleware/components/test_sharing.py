"""Work that several threads do for one request, or one thread for several requests."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

from opentelemetry import context as otel

from server_middleware import Handle, component, this_request
from server_middleware.context.scope import current
from server_middleware.context.threads import follow_threads
from server_middleware.recording.recorder import RequestRecorder
from server_middleware.request import Request
from tests.middleware.requests import parts, request
from tests.middleware.span_samples import ASKING, PARENT_ID, Spans, parent_id, span_id
from tests.middleware.wsgi_client import GETTER


def test_work_in_a_pool_belongs_to_the_request_that_submitted_it(spans: Spans) -> None:
    follow_threads()

    def infer() -> None:
        with component("inference"):
            pass

    with ThreadPoolExecutor(2) as pool:
        with request(traced=True) as recorder:
            pool.submit(infer).result()
            list(pool.map(lambda _: infer(), range(3)))
            assert list(parts(recorder)) == ["inference"]
        assert pool.submit(current.get).result() is None
        assert pool.submit(otel.get_current).result() == otel.Context()
    *inner, server = spans.wait(5)
    assert {parent_id(span) for span in inner} == {span_id(server)}


def test_run_in_executor_belongs_to_the_request() -> None:
    follow_threads()

    def infer() -> None:
        with component("inference"):
            pass

    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, infer)
        await asyncio.to_thread(infer)

    with request() as recorder:
        asyncio.run(main())
        assert list(parts(recorder)) == ["inference"]


def test_following_threads_twice_is_following_them_once() -> None:
    follow_threads()
    once = ThreadPoolExecutor.submit
    follow_threads()
    assert ThreadPoolExecutor.submit is once


def test_64_threads_use_one_object_at_once() -> None:
    shared = component("inference")
    barrier = Barrier(64)

    def work() -> int:
        with request() as recorder:
            for _ in range(20):
                barrier.wait(10)
                with shared:
                    barrier.wait(10)
            assert recorder._open == []
            return len(parts(recorder))

    with ThreadPoolExecutor(64) as pool:
        assert [one.result() for one in [pool.submit(work) for _ in range(64)]] == [1] * 64
    assert shared._open == []


def test_who_is_not_timed_leaves_the_time_of_others_alone() -> None:
    shared = component("inference")

    def untimed() -> None:
        with shared:
            pass

    with request(traced=True) as recorder, shared:
        scope = current.get()
        thread = Thread(target=untimed)
        thread.start()
        thread.join()
        assert current.get() is scope
        assert recorder._open == [scope]
    assert shared._open == []


def test_who_is_timed_leaves_nothing_to_those_who_are_not() -> None:
    shared = component("inference")
    entered, left = Event(), Event()

    def untimed() -> object:
        with shared:
            entered.set()
            left.wait(10)
        return current.get()

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(untimed)
        entered.wait(10)
        with request() as recorder:
            with shared:
                pass
            assert recorder._open == []
            left.set()
            assert other.result() is None
            assert list(parts(recorder)) == ["inference"]
    assert shared._open == []


def batch_of(count: int, *, traced: bool = True) -> tuple[list[Request], list[Handle | None]]:
    requests, handles = [], []
    for number in range(1, count + 1):
        one = Request(RequestRecorder())
        if traced:
            carrier = {"traceparent": f"00-{number:032x}-{PARENT_ID:016x}-01"}
            one.trace("GET", {}, carrier, GETTER)
        entered = one.enter()
        handles.append(this_request())
        entered.leave()
        requests.append(one)
    return requests, handles


def test_a_batch_is_one_span_linked_to_each_request(spans: Spans) -> None:
    requests, handles = batch_of(3)
    with component("inference", requests=[*handles, None]), component("copy"):
        pass
    for one in requests:
        assert list(parts(one.recorder)) == ["inference", "copy"]
        one.finish({})
    copy, inference, *servers = spans.wait(5)
    assert [link.context.span_id for link in inference.links] == [span_id(one) for one in servers]
    assert parent_id(inference) == span_id(servers[0])
    assert parent_id(copy) == span_id(inference)
    assert len({span.get_span_context().trace_id for span in servers}) == 3  # type: ignore[union-attr]


def test_a_batch_may_be_of_requests_that_were_named_in_components(spans: Spans) -> None:
    one = Request(RequestRecorder())
    one.trace("GET", {}, ASKING, GETTER)
    entered = one.enter()
    with component("preprocessing"):
        handle = this_request()
    entered.leave()
    with component("inference", requests=[handle]):
        pass
    one.finish({})
    preprocessing, inference, _ = spans.wait(3)
    assert parent_id(inference) == span_id(preprocessing)
    assert [link.context.span_id for link in inference.links] == [span_id(preprocessing)]


def test_a_batch_without_spans_is_timed_in_each_request(spans: Spans) -> None:
    requests, handles = batch_of(2, traced=False)
    with component("inference", requests=handles):
        pass
    assert [list(parts(one.recorder)) for one in requests] == [["inference"], ["inference"]]
    assert spans.none()


def test_the_spans_of_a_batch_have_the_clock_of_the_request_above_them(spans: Spans) -> None:
    (untraced,), (bare,) = batch_of(1, traced=False)
    requests, handles = batch_of(2)
    for number, one in enumerate((untraced, *requests)):
        one.recorder._to_epoch_ns = number * 10**18
    with component("inference", requests=[bare, *handles]):
        pass
    (span,) = spans.wait(1)
    assert 10**18 <= (span.start_time or 0) <= (span.end_time or 0) < 2 * 10**18


def test_a_batch_that_nobody_asked_about_is_nothing(spans: Spans) -> None:
    with component("inference", requests=[None, None]):
        assert current.get() is None
    assert spans.none()

"""`component` where the work is: in functions, coroutines and generators; errors, cancellation."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from server_middleware import component, this_request
from server_middleware.context.scope import current
from tests.middleware.requests import parts, request
from tests.middleware.span_samples import Spans, duration_ns, parent_id, span_id


def test_nothing_happens_where_nobody_asked(spans: Spans) -> None:
    with component("inference"):
        assert current.get() is None
        assert this_request() is None
    assert spans.none()


def test_depths_add_up() -> None:
    with request() as recorder:
        with component("inference"), component("inference"), component("tokenise"):
            pass
        total_ns, found = recorder.report()
    assert list(found) == ["inference", "tokenise"]
    assert 0 < sum(found.values()) <= total_ns


def test_spans_are_children_with_the_stamps_of_the_mirror(spans: Spans) -> None:
    decoding = trace.get_tracer("user").start_as_current_span("decode")
    with (
        request(traced=True) as recorder,
        component("preprocessing"),
        decoding,
        component("inference"),
    ):
        pass
    inner, decode, outer, server = spans.wait(4)
    assert [span.name for span in (inner, decode, outer)] == [
        "inference",
        "decode",
        "preprocessing",
    ]
    assert [parent_id(span) for span in (inner, decode, outer)] == [
        span_id(decode),
        span_id(outer),
        span_id(server),
    ]
    assert dict(inner.attributes or {}) == {"tracebench.component": "inference"}
    assert parts(recorder) == {
        "preprocessing": duration_ns(outer) - duration_ns(inner),
        "inference": duration_ns(inner),
    }


def test_a_span_of_others_is_enough_for_a_span(spans: Spans) -> None:
    with trace.get_tracer("user").start_as_current_span("official"), component("inference"):
        pass
    inner, outer = spans.wait(2)
    assert (inner.name, parent_id(inner)) == ("inference", span_id(outer))


def test_an_exception_marks_the_span_and_passes_unchanged(spans: Spans) -> None:
    error = ValueError("no image")
    with request(traced=True) as recorder:
        with pytest.raises(ValueError, match="no image") as caught, component("preprocessing"):
            raise error
        assert list(parts(recorder)) == ["preprocessing"]
    assert caught.value is error
    span, _ = spans.wait(2)
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError: no image"
    assert [event.name for event in span.events] == ["exception"]


def test_it_decorates_functions() -> None:
    @component("inference")
    def double(number: int) -> int:
        """Twice as much."""
        return 2 * number

    with request() as recorder:
        assert double(21) == 42
        assert list(parts(recorder)) == ["inference"]
    assert double.__doc__ == "Twice as much."


def test_it_decorates_coroutine_functions(spans: Spans) -> None:
    @component("inference")
    async def infer(order: list[str], name: str) -> str:
        order.append(f"{name} begins")
        await asyncio.sleep(0)
        order.append(f"{name} ends")
        return name

    async def main() -> list[str]:
        order: list[str] = []
        assert tuple(await asyncio.gather(infer(order, "a"), infer(order, "b"))) == ("a", "b")
        return order

    with request(traced=True):
        assert asyncio.run(main()) == ["a begins", "b begins", "a ends", "b ends"]
    first, second, server = spans.wait(3)
    assert parent_id(first) == parent_id(second) == span_id(server)


def test_async_with_works_as_well() -> None:
    async def main() -> None:
        async with component("inference"):
            pass

    with request() as recorder:
        asyncio.run(main())
        assert list(parts(recorder)) == ["inference"]


def test_generator_functions_are_refused_when_they_are_decorated() -> None:
    with pytest.raises(TypeError, match="stream is a generator"):

        @component("inference")
        def stream() -> Iterator[int]:
            yield 1

    with pytest.raises(TypeError, match="astream is a generator"):

        @component("inference")
        async def astream() -> AsyncIterator[int]:
            yield 1


def test_a_decorated_function_is_not_always_for_the_same_requests() -> None:
    with request():
        here = this_request()
    with pytest.raises(TypeError, match="infer is decorated"):

        @component("inference", requests=[here])
        def infer() -> None: ...


@pytest.mark.parametrize(
    "name",
    ["", "1st", "a b", 'a"', "a;b", "a,b", "x" * 65, "é", "server_processing", "total", "trace"],
)
def test_names_that_would_break_the_mirror_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid component name"):
        component(name)


def test_cancellation_ends_the_component(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    async def infer() -> None:
        with component("inference"):
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(infer())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with request(traced=True) as recorder:
        asyncio.run(main())
        assert recorder._open == []
    assert [span.name for span in spans.wait(2)] == ["inference", "GET"]
    assert not caplog.records


def test_a_generator_may_be_closed_in_another_context(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    async def tokens() -> AsyncIterator[int]:
        with component("inference"):
            yield 1
            yield 2

    async def main() -> None:
        stream = tokens()
        assert await anext(stream) == 1
        await asyncio.create_task(stream.aclose())  # type: ignore[attr-defined] # it is a generator

    with request(traced=True) as recorder:
        asyncio.run(main())
        gc.collect()
        assert recorder._open == []
    assert [span.name for span in spans.wait(2)] == ["inference", "GET"]
    assert not caplog.records
    assert current.get() is None

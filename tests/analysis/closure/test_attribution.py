"""Spans to exclusive times: tables, and a search of every instant as the oracle."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_middleware.vocabulary import REPORTED_PARTS
from tracebench.analysis.closure.attribution import attribute
from tracebench.model.record.exchange import ServerSpan, Timing, Undecomposed


def span(
    name: str,
    start_ns: int,
    end_ns: int,
    component: str | None = None,
    parent: str = "entry",
    links: tuple[str, ...] = (),
) -> ServerSpan:
    return ServerSpan(name, parent, name, start_ns, end_ns, component, links)


ENTRY = span("entry", 100, 200, parent="client")


def parts(*spans: ServerSpan, entry: ServerSpan = ENTRY) -> dict[str, int]:
    timing = attribute(entry, [entry, *spans])
    assert isinstance(timing, Timing)
    assert timing.total_ns == entry.end_ns - entry.start_ns
    assert timing.source == "otlp"
    return dict(timing.parts_ns)


def test_an_entry_span_alone() -> None:
    assert parts() == {}


def test_one_after_the_other() -> None:
    found = parts(span("p", 100, 120, "preprocessing"), span("i", 120, 180, "inference"))
    assert found == {"preprocessing": 20, "inference": 60}


def test_the_deepest_span_takes_the_instant() -> None:
    found = parts(
        span("p", 110, 190, "preprocessing"), span("i", 130, 150, "inference", parent="p")
    )
    assert found == {"preprocessing": 60, "inference": 20}


def test_among_parallel_spans_the_latest_started_takes_it() -> None:
    found = parts(span("q", 110, 150, "queue"), span("i", 130, 140, "inference"))
    assert found == {"queue": 30, "inference": 10}


def test_spans_that_overlap() -> None:
    found = parts(span("p", 110, 150, "preprocessing"), span("i", 140, 170, "inference"))
    assert found == {"preprocessing": 30, "inference": 30}


def test_spans_are_clipped_to_the_entry_span() -> None:
    found = parts(span("q", 50, 110, "queue"), span("o", 190, 900, "postprocessing"))
    assert found == {"queue": 10, "postprocessing": 10}


def test_what_lies_outside_the_entry_span_was_not_reported_of_it() -> None:
    assert parts(span("late", 201, 300, "postprocessing"), span("e", 10, 99, "queue")) == {}


def test_an_instantaneous_component_was_reported() -> None:
    assert parts(span("q", 150, 150, "queue")) == {"queue": 0}


def test_a_hidden_component_was_reported() -> None:
    found = parts(span("p", 110, 120, "queue"), span("i", 110, 120, "inference", parent="p"))
    assert found == {"queue": 0, "inference": 10}


def test_a_span_without_a_component_gives_to_the_one_above() -> None:
    found = parts(
        span("p", 110, 150, "preprocessing"),
        span("http", 115, 145, None, parent="p"),
        span("dns", 120, 130, None, parent="http"),
        span("loose", 160, 170, None),
    )
    assert found == {"preprocessing": 40}


def test_names_of_the_author_s_own_have_their_exclusive_times() -> None:
    found = parts(
        span("p", 110, 150, "preprocessing"),
        span("t", 120, 130, "tokenize", "p"),
        span("v", 122, 126, "vocabulary", "t"),
        span("t2", 160, 165, "tokenize"),
    )
    assert found == {"preprocessing": 30, "tokenize": 11, "vocabulary": 4}


def test_an_entry_span_may_be_a_component() -> None:
    entry = ENTRY._replace(component="inference")
    assert parts(span("p", 100, 130, "preprocessing"), entry=entry) == {
        "inference": 70,
        "preprocessing": 30,
    }


def test_a_linked_batch_span_counts_as_a_child() -> None:
    batch = span("batch", 90, 180, "inference", parent="elsewhere", links=("other", "q"))
    assert parts(span("q", 110, 190, "queue"), batch) == {"queue": 10, "inference": 80}


def test_a_parent_that_is_known_goes_before_a_link() -> None:
    found = parts(
        span("p", 110, 150, "preprocessing"),
        span("step", 110, 150, "queue", parent="p"),
        span("i", 120, 130, "inference", parent="step", links=("entry",)),
    )
    assert found == {"preprocessing": 0, "queue": 30, "inference": 10}


@pytest.mark.parametrize(
    "stray",
    [
        span("sibling", 110, 150, "inference", parent="client"),
        span("orphan", 110, 150, "inference", parent="unknown"),
        span("itself", 110, 150, "inference", parent="itself"),
    ],
)
def test_what_does_not_hang_below_the_entry_span_is_ignored(stray: ServerSpan) -> None:
    assert parts(stray) == {}


def test_a_circle_of_spans_is_ignored() -> None:
    assert parts(span("a", 110, 120, "queue", "b"), span("b", 110, 120, "queue", "a")) == {}


def test_a_span_that_came_twice_counts_once() -> None:
    one = span("i", 110, 120, "inference")
    assert parts(one, one) == {"inference": 10}


def test_an_entry_span_that_ends_before_it_starts() -> None:
    assert attribute(ENTRY._replace(end_ns=99), []) is Undecomposed.MALFORMED


COMPONENTS = st.sampled_from([None, *REPORTED_PARTS, "server_other", "tokenize"])


@st.composite
def trees(draw: st.DrawFn) -> list[ServerSpan]:
    """Up to eight spans below an entry span; some parallel, nested, clipped, linked, or stray."""
    spans: list[ServerSpan] = []
    for index in range(draw(st.integers(0, 8))):
        above = draw(st.sampled_from(["entry", "stray", *(one.span_id for one in spans)]))
        linked = draw(st.booleans())
        start_ns = draw(st.integers(90, 205))
        spans.append(
            ServerSpan(
                span_id=f"s{index}",
                parent_id="another trace's" if linked else above,
                name="any",
                start_ns=start_ns,
                end_ns=start_ns + draw(st.integers(-2, 60)),
                component=draw(COMPONENTS),
                links=("a third trace's", above) if linked else (),
            )
        )
    return draw(st.permutations(spans))


def way_up(one: ServerSpan, spans: Sequence[ServerSpan]) -> list[ServerSpan] | None:
    """The spans from this one up to the entry span; None where it does not hang below it."""
    by_id = {other.span_id: other for other in [ENTRY, *spans]}
    way = [one]
    while way[-1] is not ENTRY:
        above = [by_id[i] for i in (way[-1].parent_id, *way[-1].links) if i in by_id]
        if not above:
            return None
        way.append(above[0])
    return way


def owner(instant_ns: int, spans: Sequence[ServerSpan]) -> str:
    """Whose an instant is, by looking at every span."""
    ways = [way for one in [ENTRY, *spans] if (way := way_up(one, spans))]
    covering = [way for way in ways if way[0].start_ns <= instant_ns < way[0].end_ns]
    depth = max(map(len, covering))
    deepest = [way for way in covering if len(way) == depth]
    latest_ns = max(way[0].start_ns for way in deepest)
    way = min(
        (way for way in deepest if way[0].start_ns == latest_ns), key=lambda way: way[0].span_id
    )
    return next((one.component for one in way if one.component), "server_other")


@given(trees())
def test_every_instant_goes_to_its_owner(spans: list[ServerSpan]) -> None:
    owners = [owner(instant_ns, spans) for instant_ns in range(100, 200)]
    found = parts(*spans)
    assert {part: ns for part, ns in found.items() if ns} == {
        part: owners.count(part) for part in (*REPORTED_PARTS, "tokenize") if part in owners
    }


@given(trees())
def test_the_order_of_arrival_does_not_matter(spans: list[ServerSpan]) -> None:
    assert parts(*reversed(spans)) == parts(*spans)


@given(trees(), st.integers(-(10**18), 10**18))
def test_the_server_s_clock_does_not_matter(spans: list[ServerSpan], shift_ns: int) -> None:
    def shifted(one: ServerSpan) -> ServerSpan:
        return one._replace(start_ns=one.start_ns + shift_ns, end_ns=one.end_ns + shift_ns)

    assert parts(*map(shifted, spans), entry=shifted(ENTRY)) == parts(*spans)

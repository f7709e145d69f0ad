"""Server spans by request: links, duplicates, cycles, missing parents; and the entry span."""

from tracebench.model.record.span import Event, Link, Span
from tracebench.tracing.join.server_spans import ServerSpans, entry_of

ROOT = "c" * 16


def span(span_id: str, parent_id: str, trace_id: str = "a", *links: Link) -> Span:
    return Span(trace_id, span_id, parent_id, span_id, "INTERNAL", 10, 20, links=links)


def kept(*spans: Span) -> ServerSpans:
    store = ServerSpans()
    for one in spans:
        store.add(one)
    return store


def ids(store: ServerSpans, trace_id: str) -> list[str]:
    return [one.span_id for one in store.of(trace_id)]


def test_a_span_that_comes_twice_counts_once() -> None:
    assert ids(kept(span("1", ROOT), span("2", "1"), span("1", ROOT)), "a") == ["1", "2"]


def test_a_linked_batch_brings_what_lies_below_it_and_nothing_else() -> None:
    batch = span("batch", "worker", "b", Link("a", "1"), Link("a2", "7"))
    store = kept(
        span("worker", "", "b"),
        batch,
        span("forward", "batch", "b"),
        span("kernel", "forward", "b"),
        span("other", "worker", "b"),
        span("1", ROOT),
    )
    assert ids(store, "a") == ["1", "batch", "forward", "kernel"]
    assert ids(store, "a2") == ["batch", "forward", "kernel"]


def test_what_comes_after_the_first_question_is_found_as_well() -> None:
    store = kept(span("batch", "", "b", Link("a", "1")))
    assert ids(store, "a") == ["batch"]
    store.add(span("forward", "batch", "b"))
    assert ids(store, "a") == ["batch", "forward"]


def test_a_link_within_the_trace_files_a_span_once() -> None:
    assert ids(kept(span("1", ROOT), span("2", "", "a", Link("a", "1"))), "a") == ["1", "2"]


def test_a_cycle_below_a_batch_ends() -> None:
    store = kept(span("x", "y", "b", Link("a", "1")), span("y", "x", "b"))
    assert ids(store, "a") == ["x", "y"]


def test_an_id_that_another_trace_has_too_stays_the_trace_s_own() -> None:
    own = span("1", ROOT)
    store = kept(span("1", "", "b", Link("a", "1")), own)
    assert store.of("a") == [own]


def test_an_unknown_trace_has_no_spans() -> None:
    assert ServerSpans().of("f") == []


def test_the_entry_is_a_server_span_before_all_and_then_the_first() -> None:
    proxy = span("1", ROOT)._replace(start_ns=1)
    late = span("2", ROOT)._replace(kind="SERVER", start_ns=5)
    early = span("3", ROOT)._replace(kind="SERVER", start_ns=4, events=(Event("e", 4),))
    assert entry_of([proxy, late, early], ROOT) is early
    assert entry_of([proxy], ROOT) is proxy


def test_a_remote_parent_that_is_not_our_root_makes_no_entry() -> None:
    assert entry_of([span("1", "d" * 16)._replace(kind="SERVER", flags=0x301)], ROOT) is None

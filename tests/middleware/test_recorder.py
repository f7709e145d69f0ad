"""Exclusive times, on a clock of the test's own."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_middleware.context.scope import Scope
from server_middleware.recording import recorder as module
from server_middleware.recording.recorder import RequestRecorder, Together
from server_middleware.vocabulary import REPORTED_PARTS
from tracebench.analysis.closure.attribution import attribute
from tracebench.model.record.exchange import ServerSpan, Timing


class Clock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "perf_counter_ns", clock)
    monkeypatch.setattr(module, "time_ns", lambda: clock.now_ns + 1_000_000)
    return clock


class Component(NamedTuple):
    name: str
    depth: int
    start_ns: int
    end_ns: int


def play(clock: Clock, components: Sequence[Component], end_ns: int) -> tuple[int, dict[str, int]]:
    """Let the components happen, and report when all is over."""
    clock.now_ns = 0
    recorder = RequestRecorder()
    scopes = [Scope(Together(), None, one.depth, one.name) for one in components]
    edges = [(one.start_ns, 1, index) for index, one in enumerate(components)]
    edges += [(one.end_ns, 2, index) for index, one in enumerate(components)]
    for clock.now_ns, kind, index in sorted(edges):
        (recorder.enter if kind == 1 else recorder.leave)(scopes[index])
    clock.now_ns = end_ns
    return recorder.report()


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ([], {}),
        ([("inference", 1, 2, 7)], {"inference": 5}),
        (
            [("preprocessing", 1, 0, 3), ("inference", 1, 3, 9), ("postprocessing", 1, 9, 10)],
            {"preprocessing": 3, "inference": 6, "postprocessing": 1},
        ),
        ([("inference", 1, 0, 10), ("queue", 2, 2, 5)], {"inference": 7, "queue": 3}),
        ([("inference", 1, 0, 6), ("queue", 1, 4, 9)], {"inference": 4, "queue": 5}),
        ([("queue", 2, 0, 6), ("inference", 1, 1, 8)], {"queue": 6, "inference": 2}),
        ([("inference", 1, 0, 2), ("inference", 1, 4, 7)], {"inference": 5}),
        ([("inference", 1, 4, 4)], {"inference": 0}),
    ],
)
def test_an_instant_belongs_to_the_deepest_component_then_to_the_latest(
    clock: Clock, components: list[tuple[str, int, int, int]], expected: dict[str, int]
) -> None:
    assert play(clock, [Component(*one) for one in components], 10) == (10, expected)


def test_what_is_still_open_counts_up_to_the_report(clock: Clock) -> None:
    recorder = RequestRecorder()
    clock.now_ns = 3
    recorder.enter(Scope(Together(), None, 1, "inference"))
    clock.now_ns = 8
    assert recorder.report() == (8, {"inference": 5})


def test_waiting_before_the_work_is_the_queue(clock: Clock) -> None:
    clock.now_ns = 100
    recorder = RequestRecorder(waited_ns=40)
    clock.now_ns = 110
    assert recorder.began_ns == 1_000_060
    assert recorder.report() == (50, {"queue": 40})


@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [(False, {"inference": 4, "serialization": 3}), (True, {"inference": 2, "serialization": 5})],
)
def test_what_is_done_alone_is_taken_from_what_was_under_way(
    clock: Clock, meanwhile: bool, expected: dict[str, int]
) -> None:
    recorder = RequestRecorder()
    queue, inference = (Scope(Together(), None, 1, name) for name in ("queue", "inference"))

    def others() -> None:
        clock.now_ns = 2
        recorder.enter(inference)
        clock.now_ns = 4
        recorder.enter(queue)
        recorder.leave(queue)

    def serialize(message: str) -> str:
        if meanwhile:
            others()
        clock.now_ns = 9
        return message

    if not meanwhile:
        others()
        clock.now_ns = 6
    assert recorder.apply(serialize, "espresso", "serialization") == "espresso"
    assert recorder.report() == (9, {**expected, "queue": 0})


def test_a_component_that_is_used_without_end_takes_no_memory(clock: Clock) -> None:
    recorder = RequestRecorder()
    for clock.now_ns in range(1_000):
        scope = Scope(Together(), None, 1, "inference")
        recorder.enter(scope)
        recorder.leave(scope)
    assert recorder._open == []
    assert recorder.report() == (999, {"inference": 0})


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[ServerSpan], list[Component]]:
    """Spans of components below an entry span from 0 to 1000, and the same as components.

    Starts are distinct: among equals spans are told apart by their ids, which a server that is
    at work does not know yet.
    """
    count = draw(st.integers(0, 12))
    starts = draw(st.lists(st.integers(0, 900), min_size=count, max_size=count, unique=True))
    spans, components = [], []
    depths = {"entry": 0}
    for index, start_ns in enumerate(starts):
        parent = draw(st.sampled_from(sorted(depths)))
        end_ns = draw(st.integers(start_ns, 1_000))
        name = draw(st.sampled_from(REPORTED_PARTS))
        spans.append(ServerSpan(f"s{index}", parent, name, start_ns, end_ns, name))
        depths[f"s{index}"] = depths[parent] + 1
        components.append(Component(name, depths[f"s{index}"], start_ns, end_ns))
    return spans, components


def test_it_agrees_with_the_attribution_of_spans(clock: Clock) -> None:
    @given(trees())
    def agrees(tree: tuple[list[ServerSpan], list[Component]]) -> None:
        spans, components = tree
        entry = ServerSpan("entry", "", "POST /predict", 0, 1_000, None)
        timing = attribute(entry, spans)
        assert isinstance(timing, Timing)
        assert play(clock, components, 1_000) == (timing.total_ns, timing.parts_ns)

    agrees()

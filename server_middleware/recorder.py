"""One request's component timings, and which request a piece of code works for."""

from contextvars import ContextVar
from itertools import pairwise
from time import perf_counter_ns
from typing import NamedTuple


class Interval(NamedTuple):
    """A component that has ended; `depth` counts the components around it."""

    name: str
    start_ns: int
    end_ns: int
    depth: int


class Recorder:
    """Collects the intervals of one request; safe to use from several threads."""

    __slots__ = ("_began_ns", "_intervals", "traced")

    def __init__(self, *, traced: bool) -> None:
        self.traced = traced
        """Components are spans as well."""
        self._began_ns = perf_counter_ns()
        self._intervals: list[Interval] = []

    def add(self, interval: Interval) -> None:
        """Note a component that has ended."""
        self._intervals.append(interval)

    def exclusive_ns(self) -> tuple[int, dict[str, int]]:
        """The time since the request began, and each component's exclusive part of it.

        Every instant belongs to the deepest component that covers it, among equals to the one
        that began last.
        """
        ended_ns = perf_counter_ns()
        edges = sorted({edge for one in self._intervals for edge in one[1:3]})
        parts_ns: dict[str, int] = {one.name: 0 for one in self._intervals}
        for start_ns, end_ns in pairwise(edges):
            covering = [
                one for one in self._intervals if one.start_ns <= start_ns and end_ns <= one.end_ns
            ]
            if covering:
                owner = max(covering, key=lambda one: (one.depth, one.start_ns))
                parts_ns[owner.name] += end_ns - start_ns
        return ended_ns - self._began_ns, parts_ns


current: ContextVar[tuple[Recorder, int] | None] = ContextVar("server_middleware", default=None)
"""The request that is worked for, and how many components are open; None: nobody asked."""

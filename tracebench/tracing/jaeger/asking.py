"""Asking for traces: many at once where a search can find them, else each by its id."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Final

from tracebench.model.span import Span
from tracebench.tracing.jaeger.query import QueryApi, UnreadableError
from tracebench.tracing.roots.attributes import SERVICE


class Asking:
    """Jaeger finds many traces by service and time at a quarter of what it takes to ask for each.

    That works where root spans are in the same store, of which we know when they began. What a
    search does not find is asked for by its id, and so is what is asked for again: those left
    are few, and far between.

    Args:
        api: where to ask.
        pool: where to wait for several answers.
        starts_ns: trace id → when its root span began (epoch); empty where none was exported.
    """

    def __init__(self, api: QueryApi, pool: Executor, starts_ns: Mapping[str, int]) -> None:
        self._api: Final = api
        self._pool: Final = pool
        self._starts_ns = dict(starts_ns)

    def __call__(self, trace_ids: Sequence[str]) -> Iterator[list[Span]]:
        """The spans of each trace so far, as they come.

        Raises:
            UnreadableError: the backend did not answer, or not as it should.
        """
        found = self._searched(trace_ids)
        rest = self._pool.map(self._api.spans, [one for one in trace_ids if one not in found])
        for one in trace_ids:
            yield found[one] if one in found else next(rest)

    def _searched(self, trace_ids: Sequence[str]) -> dict[str, list[Span]]:
        starts_ns = [self._starts_ns.pop(one) for one in trace_ids if one in self._starts_ns]
        if len(starts_ns) < len(trace_ids):
            return {}
        found: dict[str, list[Span]] = defaultdict(list)
        try:
            # Others may use it at the same time.
            most = 2 * len(trace_ids)
            for span in self._api.search(SERVICE, min(starts_ns), max(starts_ns), most):
                found[span.trace_id].append(span)
        except UnreadableError:
            found.clear()  # too many spans at once, or worse: their ids will show
        ours = {one: found[one] for one in trace_ids if one in found}
        if not ours:
            self._starts_ns.clear()
        return ours

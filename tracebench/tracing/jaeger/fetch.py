"""Reading spans back from Jaeger: a run's traces when they are whole, and what came instead."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final

from tracebench.analysis.missing_spans import NOTHING, OtherSpans, other_spans
from tracebench.model.span import Span
from tracebench.tracing.jaeger.query_api import CONNECTIONS, QueryApi, UnreadableError
from tracebench.tracing.roots.attributes import SERVICE

# Asking for traces: many at once where a search can find them, else each by its id.


class TraceQueries:
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


# Reading a run's server spans back: each trace when it is whole, and not for ever.

_AT_ONCE: Final = 256
"""Traces that are asked for in one go: some MB."""
NOT_EXPORTED: Final[Mapping[str, int]] = MappingProxyType({})
_NO_ENTRY: Final = "no span of the server's in them is a child of tracebench's"


@dataclass(frozen=True, slots=True)
class Waits:
    """How long to wait for what, in seconds."""

    settle_s: float = 6.0
    """Before the first look: exporters send every 5 s, each process of a server has one, and a
    trace in which the spans of one are missing does not look unfinished."""
    quiet_s: float = 8.0
    """For more, when nothing more comes: time for one more turn of exporter, collector, store."""
    longest_s: float = 120.0
    pause_s: float = 0.5
    """Between two looks at the same trace."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What came of it."""

    asked: int
    missing: int
    """Traces without the server's entry span."""
    reason: str
    """Why some are missing; empty where none is."""


def read_back(
    api: QueryApi,
    roots: Mapping[str, str],
    take: Callable[[Iterable[Span]], None],
    waits: Waits,
    *,
    starts_ns: Mapping[str, int] = NOT_EXPORTED,
    on_wait: Callable[[int], object] = lambda missing: None,
) -> ReadBack:
    """Read the spans of traces; an interrupt (SIGINT) ends it.

    A trace is whole when our root span has a child in it: a server's entry span ends, and so is
    exported, after those inside it.

    Args:
        api: where to ask.
        roots: trace id → id of our root span in it, in the order in which the requests ended.
        take: is given the spans of each trace that is whole, once.
        waits: how long to wait.
        starts_ns: trace id → when our root span in it began (epoch), if they were exported.
        on_wait: is told now and then how many are missing yet.
    """
    # The newest first: it is the oldest that a store with a limit has already thrown away.
    missing = dict(reversed(list(roots.items())))
    pool = ThreadPoolExecutor(CONNECTIONS, "read-back")
    try:
        on_wait(len(missing))
        time.sleep(waits.settle_s if missing else 0)
        reason = _take_whole(TraceQueries(api, pool, starts_ns), missing, take, waits, on_wait)
    except UnreadableError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "the reading was interrupted"
    finally:
        pool.shutdown(cancel_futures=True)
    return ReadBack(len(roots), len(missing), reason if missing else "")


def _take_whole(
    ask: Callable[[Sequence[str]], Iterable[list[Span]]],
    missing: dict[str, str],
    take: Callable[[Iterable[Span]], None],
    waits: Waits,
    on_wait: Callable[[int], object],
) -> str:
    """Ask for traces until none is missing; returns why it was given up before."""
    begun_s = news_s = time.monotonic()
    in_vain = 0
    while missing:
        some = list(islice(missing, _AT_ONCE))
        for trace_id, spans in zip(some, ask(some), strict=True):
            root_id = missing.pop(trace_id)
            if any(span.parent_id == root_id for span in spans):
                take(spans)
                news_s, in_vain = time.monotonic(), 0
            else:
                missing[trace_id] = root_id  # to be asked for again after all others
                in_vain += 1
        on_wait(len(missing))
        if time.monotonic() - begun_s > waits.longest_s:
            return f"reading them took more than {waits.longest_s:g} s"
        if time.monotonic() - news_s > waits.quiet_s:
            break
        if in_vain >= len(missing) > 0:
            time.sleep(waits.pause_s)
            in_vain = 0
    return _NO_ENTRY


# What a trace backend has of the time of a run, where it lacks the run's own traces.

_MOST_SERVICES: Final = 5
_MOST_TRACES: Final = 100
"""Of each service: enough to tell what it does with the context of requests."""


def traces_of_servers(
    api: QueryApi, ours: Collection[str], start_ns: int, end_ns: int
) -> OtherSpans:
    """Look for traces that servers began by themselves in a stretch of time (epoch).

    Args:
        api: where to ask.
        ours: the traces of the run.
        start_ns: its begin.
        end_ns: its end.

    Returns:
        Nothing where the backend does not tell.
    """
    found: list[Span] = []
    try:
        services = [name for name in api.services() if name != SERVICE]
        for service in services[:_MOST_SERVICES]:
            found += api.search(service, start_ns, end_ns, _MOST_TRACES)
    except UnreadableError:
        return NOTHING
    return other_spans(found, ours, ())

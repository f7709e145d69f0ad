"""Read spans back from Jaeger: a run's traces once complete, and other traces of its servers."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final

from tracebench.analysis.closure.missing_spans import NOTHING, OtherSpans, other_spans
from tracebench.model.record.span import Span
from tracebench.tracing.jaeger.query_api import CONNECTIONS, QueryApi, UnreadableError
from tracebench.tracing.roots.attributes import SERVICE

# Queries for traces: in bulk if a search can find them, otherwise one by one by id.


class TraceQueries:
    """Queries traces, in bulk where possible, which costs Jaeger a quarter of querying each.

    A search by service and time works if the root spans are in the same store, since their start
    times are known. Traces that it does not find, or that are queried again, are queried by id:
    they are few, and far between.

    Args:
        api: the API to query.
        pool: runs several queries at once.
        starts_ns: trace id → start of its root span, in ns since the epoch; empty if none was
            exported.
    """

    def __init__(self, api: QueryApi, pool: Executor, starts_ns: Mapping[str, int]) -> None:
        self._api: Final = api
        self._pool: Final = pool
        self._starts_ns = dict(starts_ns)

    def __call__(self, trace_ids: Sequence[str]) -> Iterator[list[Span]]:
        """The spans stored so far of each trace, in order.

        Raises:
            UnreadableError: the backend did not answer, or gave an invalid answer.
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
            # Other runs may use the service at the same time.
            most = 2 * len(trace_ids)
            for span in self._api.search(SERVICE, min(starts_ns), max(starts_ns), most):
                found[span.trace_id].append(span)
        except UnreadableError:
            found.clear()  # too many spans at once, or worse, which the queries by id will show
        ours = {one: found[one] for one in trace_ids if one in found}
        if not ours:
            self._starts_ns.clear()
        return ours


# Reading a run's server spans back: each trace once it is complete, within time limits.

_AT_ONCE: Final = 256
"""How many traces are queried at once: some MB."""
NOT_EXPORTED: Final[Mapping[str, int]] = MappingProxyType({})
_NO_ENTRY: Final = "they hold no span of the server that is a child of tracebench's"


@dataclass(frozen=True, slots=True)
class Waits:
    """How long to wait, in seconds."""

    settle_s: float = 6.0
    """Wait before the first query: each process of a server exports every 5 s, and a trace that
    lacks the spans of one of them does not look incomplete."""
    quiet_s: float = 8.0
    """Wait for further traces after the last one: enough for one more cycle of exporter, collector
    and store."""
    longest_s: float = 120.0
    pause_s: float = 0.5
    """Pause between two queries for the same trace."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """The outcome of reading traces back."""

    asked: int
    missing: int
    """Traces without the server's entry span."""
    reason: str
    """Why some are missing; empty if none is."""


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

    A trace is complete once our root span has a child in it: a server's entry span ends, and so is
    exported, after the spans inside it.

    Args:
        api: the API to query.
        roots: trace id → id of our root span in it, in the order in which the requests ended.
        take: called once with the spans of each complete trace.
        waits: how long to wait.
        starts_ns: trace id → start of our root span, in ns since the epoch; empty if not exported.
        on_wait: called from time to time with how many are still missing.
    """
    # Newest first: a store with a limit drops the oldest traces first.
    missing = dict(reversed(list(roots.items())))
    pool = ThreadPoolExecutor(CONNECTIONS, "read-back")
    try:
        on_wait(len(missing))
        time.sleep(waits.settle_s if missing else 0)
        reason = _take_whole(TraceQueries(api, pool, starts_ns), missing, take, waits, on_wait)
    except UnreadableError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "reading was interrupted"
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
    """Query traces until none is missing; returns why it stopped early."""
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
                missing[trace_id] = root_id  # to be queried again after all others
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


# Other traces in the backend from the time of a run, if the run's own are missing.

_MOST_SERVICES: Final = 5
_MOST_TRACES: Final = 100
"""Limit per service, which is enough to show whether it uses the trace context of requests."""


def traces_of_servers(
    api: QueryApi, ours: Collection[str], start_ns: int, end_ns: int
) -> OtherSpans:
    """Find traces that servers began by themselves in a period of time.

    Args:
        api: the API to query.
        ours: ids of the run's traces.
        start_ns: start of the period, in ns since the epoch.
        end_ns: end of the period, in ns since the epoch.

    Returns:
        `NOTHING` if the backend does not answer.
    """
    found: list[Span] = []
    try:
        services = [name for name in api.services() if name != SERVICE]
        for service in services[:_MOST_SERVICES]:
            found += api.search(service, start_ns, end_ns, _MOST_TRACES)
    except UnreadableError:
        return NOTHING
    return other_spans(found, ours, ())

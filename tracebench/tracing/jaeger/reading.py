"""Reading a run's server spans back: each trace when it is whole, and not for ever."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final

from tracebench.model.span import Span
from tracebench.tracing.jaeger.asking import Asking
from tracebench.tracing.jaeger.query import CONNECTIONS, QueryApi, UnreadableError

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
class Reading:
    """What came of it."""

    asked: int
    missing: int
    """Traces without the server's entry span."""
    reason: str
    """Why some are missing; empty where none is."""


def read(
    api: QueryApi,
    roots: Mapping[str, str],
    take: Callable[[Iterable[Span]], None],
    waits: Waits,
    *,
    starts_ns: Mapping[str, int] = NOT_EXPORTED,
    on_wait: Callable[[int], object] = lambda missing: None,
) -> Reading:
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
        reason = _take_whole(Asking(api, pool, starts_ns), missing, take, waits, on_wait)
    except UnreadableError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "the reading was interrupted"
    finally:
        pool.shutdown(cancel_futures=True)
    return Reading(len(roots), len(missing), reason if missing else "")


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

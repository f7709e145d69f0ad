"""A worker: a process of its own that makes one shard of the load, as it is told over a pipe.

It has a whole interpreter to itself, so that neither the head nor a cluster's own threads delay its
event loop. It ends when its pipe is closed, or when no order has come for long.
"""

import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from multiprocessing.connection import Connection as Pipe
from time import perf_counter_ns, sleep
from typing import Any, Final

from tracebench.load.engine.engine import no_garbage_collection
from tracebench.load.engine.pacing import OpenLoop, Part
from tracebench.load.fleet.orders import (
    MOST_LOOKED_AT,
    PAGES_AT_ONCE,
    Due,
    Ended,
    Order,
    Recipe,
    Refused,
    Returned,
    Said,
    StoredPage,
    Urgent,
    Woken,
)
from tracebench.load.measuring.measure import (
    UnderLoad,
    allow_connections,
    channel_count,
    under_load,
)
from tracebench.load.progress import Watcher
from tracebench.model.errors import TracebenchError
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Workload
from tracebench.model.progress import Progress
from tracebench.model.record.columns import Columns
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.shards import Shard
from tracebench.system.redaction import Secrets
from tracebench.tracing.roots.trace_ids import IdSource

PATIENCE_S: Final = 600.0
"""Without an order for this long, the head is considered gone."""
_SPIN_NS: Final = 300_000
"""The last part of the wait for the common start, which a sleep would miss by its slack."""


def main(descriptor: int) -> None:
    """Follow orders until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the head handles Ctrl-C, and tells us
    pipe = Pipe(descriptor)
    with suppress(EOFError, OSError), ExitStack() as opened:
        _Worker(pipe, opened).serve()


class _Worker:
    def __init__(self, pipe: Pipe, opened: ExitStack) -> None:
        self._pipe, self._opened = pipe, opened
        self._targets: dict[str, UnderLoad] = {}
        self._measured: dict[str, Measurement] = {}
        self._secrets: Sequence[Secrets] = ()
        self._halted = self._enough = False
        self._under_load: UnderLoad | None = None

    def serve(self) -> None:
        """Carry out orders, one after the other."""
        while self._pipe.poll(PATIENCE_S):
            message = self._pipe.recv()
            if isinstance(message, Order):
                self._pipe.send(Said("done", self._carried_out(message)))
            else:
                self._heed(message)

    def _carried_out(self, order: Order) -> Any:
        try:
            return getattr(self, order.name)(*order.arguments)
        except TracebenchError as error:
            return Refused(type(error).__name__, self._hide(str(error)))
        except (EOFError, BrokenPipeError, ConnectionResetError):  # the head is gone
            raise
        except Exception as error:  # whatever it is, the head must hear of it
            return Refused("", self._hide(f"{type(error).__name__}: {error}"))

    def _hide(self, text: str) -> str:
        for secrets in self._secrets:
            text = secrets.hide(text)
        return text

    # ── orders ───────────────────────────────────────────────────────────────────────────────

    def connect(
        self, recipes: Mapping[str, Recipe], load: Workload, shard: Shard, detailed: bool
    ) -> None:
        """Make the targets, and open this shard's connections to them."""
        shared = load.connections and shard.share(load.connections)
        own = replace(load, concurrency=shard.share(load.concurrency), connections=shared)
        self._secrets = [one.prepared.secrets for one in recipes.values()]
        made = {name: recipe.made(shard) for name, recipe in recipes.items()}
        allow_connections(sum(channel_count(one, own) for one in made.values()))
        for name, one in made.items():
            ids = IdSource(recipes[name].ids_key, shard.number)
            target = self._opened.enter_context(under_load(one, own, shard, ids, detailed=detailed))
            self._targets[name] = target
        # Now, for until we leave: a collection before each window would delay the common start.
        self._opened.enter_context(no_garbage_collection())

    def warm_up(self, name: str) -> bool:
        """Send the warm-up requests; returns whether the run may go on."""
        target = self._targets[name]
        with target.observer.observing():
            return not self._halted and target.warm_up()

    def try_out(self, name: str, least: int, within_ns: int) -> Nanoseconds | None:
        """See `UnderLoad.try_out`."""
        return None if self._halted else self._targets[name].try_out(least, within_ns)

    def wake(self, name: str) -> Woken:
        """See `UnderLoad.wake`."""
        target = self._targets[name]
        with target.observer.observing():
            ready = not self._halted and target.wake()
        return Woken(ready, target.gave_up)

    def window(self, name: str, part: Part | None, start_ns: int) -> Ended:
        """Send one block, or all of this shard's load if `part` is None, from `start_ns` on."""
        target = self._under_load = self._targets[name]
        if self._halted or target.gave_up:
            return Ended(0, len(target.seen), target.gave_up)
        self._enough = False
        with target.observer.observing():
            late_ns = _wait_until(start_ns)
            if part is None:
                self._whole(target)
            else:
                target.send(part, self._tell)
        return Ended(late_ns, len(target.seen), target.gave_up)

    def look(self, name: str) -> Nanoseconds:
        """The latencies so far, between two windows."""
        return self._targets[name].seen.latencies_ns(MOST_LOOKED_AT)

    def leave(self) -> None:
        """Close all connections."""
        for target in self._targets.values():
            target.leave()
        self._opened.close()

    def measured(self, name: str) -> Returned:
        """Read the record of a target."""
        target = self._targets[name]
        load = self._measured[name] = target.measurement(Watcher())
        without = replace(
            load,
            requests=replace(load.requests, columns=Columns()),
            times=replace(load.times, columns=Columns()),
        )
        count = load.requests.page_count
        first = self.pages(name, 0, min(PAGES_AT_ONCE, count))
        return Returned(without, count, first, tuple(target.states), _due(target.pacing))

    def pages(self, name: str, first: int, end: int) -> list[StoredPage]:
        """Some pages of a record that was read."""
        load, found = self._measured[name], []
        for place in range(first, end):
            requests, rows = load.requests.columns.stored(place)
            found.append(StoredPage(requests, load.times.columns.stored(place)[0], rows))
        return found

    # ── in the window ────────────────────────────────────────────────────────────────────────

    def _whole(self, target: UnderLoad) -> None:
        recording = target.record()
        target.engine.extend(recording, target.pacing, self._tell, lambda _record: self._enough)

    def _tell(self, progress: Progress) -> None:
        """Called ten times a second: tell the head, and hear from it."""
        self._pipe.send(Said("progress", progress))
        while self._pipe.poll():
            self._heed(self._pipe.recv())

    def _heed(self, urgent: Urgent) -> None:
        if urgent == "halt":
            self._halted = True
            for target in self._targets.values():
                target.interrupt()
        elif urgent == "enough":
            self._enough = True
        elif self._under_load is not None:
            latencies_ns = self._under_load.seen.latencies_ns(MOST_LOOKED_AT)
            self._pipe.send(Said("latencies", latencies_ns))


def _wait_until(start_ns: int) -> int:
    """Wait for the common start; returns how late it is, in ns."""
    while (left_ns := start_ns - perf_counter_ns()) > 0:
        if left_ns > _SPIN_NS:
            sleep((left_ns - _SPIN_NS) / 1e9)
    return -left_ns


def _due(pacing: object) -> Due | None:
    if not isinstance(pacing, OpenLoop):
        return None
    at_ns = pacing.arrivals_ns
    return Due(len(at_ns), at_ns[0], at_ns[-1]) if at_ns else Due(0, 0, 0)

"""Measure several targets in short alternating blocks, so that drift affects all of them alike.

A round has one block for each target. Only one target is loaded at a time, and its last replies are
awaited before the next block. Before each block, dead connections are reopened and requests that do
not count wake the server up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from random import Random
from typing import Protocol

import numpy as np

from tracebench.load.engine.engine import no_garbage_collection
from tracebench.load.engine.pacing import Pacing, Part, block_ns, in_parts
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measuring.measure import (
    allow_connections,
    channel_count,
    under_load,
)
from tracebench.load.measuring.until_stable import Latencies, UntilStable
from tracebench.load.progress import Watcher
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Workload
from tracebench.model.progress import Progress
from tracebench.model.record.exchange import Nanoseconds
from tracebench.system.interrupt import interruptible

_TRIED, _TRIED_NS = 5, 1_000_000_000
"""Fewest trial requests per target and their time limit, to estimate its latency before the run;
they do not count."""


def measure_by_turns(
    prepared: Mapping[str, PreparedTarget], load: Workload, watcher: Watcher
) -> dict[str, Measurement]:
    """Load each target as planned, in alternating blocks; each gets the whole load.

    An interrupt (SIGINT) ends the run early; the measurements so far are returned. A target that
    no longer answers is skipped from then on, and its measurement says so.

    Raises:
        TargetError: not all connections can be opened.
        UsageError: this system does not allow that many connections.
    """
    allow_connections(sum(channel_count(one, load) for one in prepared.values()))
    with ExitStack() as opened:
        targets = {
            name: opened.enter_context(under_load(one, load, detailed=watcher.detailed))
            for name, one in prepared.items()
        }
        with no_garbage_collection():
            take_turns(targets, load, watcher)
        for target in targets.values():
            target.leave()
    return {name: target.measurement(watcher) for name, target in targets.items()}


class Loaded(Protocol):
    """A target that is connected, whether one process loads it or several; see `UnderLoad`."""

    @property
    def pacing(self) -> Pacing:
        """Of the whole run."""

    @property
    def gave_up(self) -> str:
        """Why nothing more is sent; empty while the target answers."""

    @property
    def seen(self) -> Latencies:
        """What was measured so far."""

    def interrupt(self) -> None:
        """End the run soon; exchanges in flight are cancelled."""

    def end_as_stable(self) -> None:
        """Note that the run ends because its latency is precise enough."""

    def try_out(self, least: int, within_ns: int) -> Nanoseconds | None:
        """Warm up, then send trial requests; returns their latencies in ns, None without any."""

    def block(self, part: Part, on_progress: Callable[[Progress], None]) -> None:
        """Wake the target up, and send one block."""


def take_turns(targets: Mapping[str, Loaded], load: Workload, watcher: Watcher) -> None:
    """Load targets that are connected; an interrupt (SIGINT) ends the run early."""
    turns = _Turns(targets, load, watcher)
    with interruptible(turns.interrupt):
        turns.run()


def orders(names: Sequence[str], seed: int) -> Iterator[tuple[str, ...]]:
    """Yield the order of the targets for each round, endlessly.

    Orders are random, but over as many rounds as there are targets, each has every place once.
    """
    random, count = Random(f"rounds {seed}"), len(names)
    while True:
        drawn = random.sample(list(names), count)
        for shift in random.sample(range(count), count):
            yield (*drawn[shift:], *drawn[:shift])


class _Turns:
    """Runs the rounds."""

    def __init__(self, targets: Mapping[str, Loaded], load: Workload, watcher: Watcher) -> None:
        self._targets, self._load, self._watcher = targets, load, watcher
        self._interrupted = False

    def interrupt(self) -> None:
        """End the run soon; exchanges in flight are cancelled."""
        self._interrupted = True
        for target in self._targets.values():
            target.interrupt()

    def run(self) -> None:
        """Warm up, then repeat rounds until each target has had its whole load, or enough of it."""
        medians_ns = {name: self._tried(one) for name, one in self._targets.items()}
        parts = self._parts([one for one in medians_ns.values() if one is not None])
        unstable = self._unstable()
        rounds = islice(orders(list(self._targets), self._load.seed), len(parts))
        for part, order in zip(parts, rounds, strict=True):
            for name in order:
                if self._interrupted:
                    return
                if not self._targets[name].gave_up:
                    self._watcher.turn(name)
                    self._targets[name].block(part, self._watcher.progress)
            unstable = [still for still in unstable if not still()]
            if self._load.until_stable is not None and not unstable:
                for target in self._targets.values():
                    target.end_as_stable()
                return

    def _unstable(self) -> list[Callable[[], bool]]:
        """For each target, a function that tells whether its latency is precise enough."""
        asked = self._load.until_stable
        if asked is None:
            return []
        answering = [one for one in self._targets.values() if not one.gave_up]
        return [partial(UntilStable(asked), one.seen) for one in answering]

    def _tried(self, target: Loaded) -> float | None:
        """Warm a target up; returns its median latency in ns, or None if it does not answer."""
        if self._interrupted:
            return None
        latencies_ns = target.try_out(_TRIED, _TRIED_NS)
        return None if latencies_ns is None else float(np.median(latencies_ns))

    def _parts(self, medians_ns: Sequence[float]) -> Sequence[Part]:
        if not medians_ns:
            return ()
        most_rps = self._load.concurrency / max(min(medians_ns), 1.0) * 1e9
        whole = next(iter(self._targets.values())).pacing  # the same for all
        return in_parts(whole, block_ns(medians_ns), most_rps)

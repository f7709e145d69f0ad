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
from typing import Final

import numpy as np

from tracebench.load.engine.engine import no_garbage_collection
from tracebench.load.engine.pacing import ClosedLoop, Part, block_ns, in_parts
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measure import (
    UnderLoad,
    UntilStable,
    allow_connections,
    channel_count,
    under_load,
)
from tracebench.load.progress import Watcher
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Workload
from tracebench.system.interrupt import interruptible

_TRIED, _TRIED_NS = 5, 1_000_000_000
"""Fewest trial requests per target and their time limit, to estimate its latency before the run;
they do not count."""
_LOOKED_AT: Final = 1_000


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
            name: opened.enter_context(under_load(one, load)) for name, one in prepared.items()
        }
        for target in targets.values():
            target.detailed = watcher.detailed
        turns = _Turns(targets, load, watcher)
        with interruptible(turns.interrupt), no_garbage_collection():
            turns.run()
        for target in targets.values():
            target.leave()
    return {name: target.measurement(watcher) for name, target in targets.items()}


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

    def __init__(self, targets: Mapping[str, UnderLoad], load: Workload, watcher: Watcher) -> None:
        self._targets, self._load, self._watcher = targets, load, watcher
        self._interrupted = False

    def interrupt(self) -> None:
        """End the run soon; exchanges in flight are cancelled."""
        self._interrupted = True
        for target in self._targets.values():
            target.engine.interrupt()

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
                if not self._targets[name].record().gave_up:
                    self._watcher.turn(name)
                    self._block(self._targets[name], part)
            unstable = [still for still in unstable if not still()]
            if self._load.until_stable is not None and not unstable:
                for target in self._targets.values():
                    target.record().had_enough = True
                return

    def _unstable(self) -> list[Callable[[], bool]]:
        """For each target, a function that tells whether its latency is precise enough."""
        asked = self._load.until_stable
        if asked is None:
            return []
        records = [one.record() for one in self._targets.values()]
        return [partial(UntilStable(asked), one.recorder) for one in records if not one.gave_up]

    def _tried(self, target: UnderLoad) -> float | None:
        """Warm a target up; returns its median latency in ns, or None if it does not answer."""
        if self._interrupted or not target.warm_up():
            return None
        tried = target.engine.record()
        count = max(_TRIED, self._most(target))
        target.engine.extend(tried, ClosedLoop(count, _TRIED_NS), lambda _progress: None)
        target.record().gave_up = tried.gave_up
        latencies_ns = tried.recorder.latencies_ns(_LOOKED_AT)
        return float(np.median(latencies_ns)) if len(latencies_ns) else None

    def _parts(self, medians_ns: Sequence[float]) -> Sequence[Part]:
        if not medians_ns:
            return ()
        most_rps = self._load.concurrency / max(min(medians_ns), 1.0) * 1e9
        whole = next(iter(self._targets.values())).pacing  # the same for all
        return in_parts(whole, block_ns(medians_ns), most_rps)

    def _most(self, target: UnderLoad) -> int:
        """How many requests wake a target up: one per slot, or per connection in an open loop."""
        channels = target.engine.channels
        if self._load.is_open:
            return sum(one.was_opened for one in channels)
        return self._load.concurrency

    def _block(self, target: UnderLoad, part: Part) -> None:
        engine, recording = target.engine, target.record()
        with target.observer.observing():
            if not engine.refresh(self._most(target)) and not self._interrupted:
                limit_s = target.prepared.timeout_s
                recording.gave_up = f"between two blocks no reply came within {limit_s:g} s"
            if self._interrupted or recording.gave_up:
                return
            engine.extend(recording, part.pacing, self._watcher.progress)
        recording.lasted_ns[-1] = max(recording.lasted_ns[-1], part.lasts_ns)

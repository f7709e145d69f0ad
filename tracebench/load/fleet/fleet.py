"""Measures targets with several processes: the same functions as for one, and the same results.

The head sends nothing itself. Workers make their shards of the load, start each window at one
instant, and keep their records until it is over; the head brings those in, page by page, and merges
them.
"""

from collections.abc import Callable, Mapping

import numpy as np

from tracebench.load.engine.pacing import Pacing, Part, pacing
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.fleet.bring_in import bring_in
from tracebench.load.fleet.crew import Crew, crew, in_turn
from tracebench.load.fleet.orders import Ended, Order, Woken
from tracebench.load.measuring.by_turns import measure_by_turns as by_turns_here
from tracebench.load.measuring.by_turns import take_turns
from tracebench.load.measuring.measure import measure as measure_here
from tracebench.load.measuring.until_stable import UntilStable
from tracebench.load.progress import Watcher
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Workload
from tracebench.model.progress import Progress
from tracebench.model.record.exchange import Nanoseconds
from tracebench.system.interrupt import interruptible


def measure(prepared: PreparedTarget, load: Workload, watcher: Watcher) -> Measurement:
    """Load the target as planned, with as many processes as the load asks for.

    An interrupt (SIGINT) ends the run early; the measurements so far are returned. A worker that
    dies costs its own results only, and the measurement says so.

    Raises:
        TracebenchError: not all workers can be started, or connect.
    """
    if not load.is_divided:
        return measure_here(prepared, load, watcher)
    with crew(load) as workers:
        target = _Target("", workers, load)
        with interruptible(workers.interrupt):
            workers.connect({"": prepared}, load, detailed=watcher.detailed)
            if target.warm_up():
                target.window(watcher.progress)
            workers.all(lambda _one: Order("leave"))
        return bring_in(workers, "", prepared, load, watcher, stable=target.stable)


def measure_by_turns(
    prepared: Mapping[str, PreparedTarget], load: Workload, watcher: Watcher
) -> dict[str, Measurement]:
    """Load each target as planned, in alternating blocks that all workers begin together.

    Raises:
        TracebenchError: not all workers can be started, or connect.
    """
    if not load.is_divided:
        return by_turns_here(prepared, load, watcher)
    with crew(load) as workers:
        targets = {name: _Target(name, workers, load) for name in prepared}
        with interruptible(workers.interrupt):
            workers.connect(prepared, load, detailed=watcher.detailed)
        take_turns(targets, load, watcher)
        workers.all(lambda _one: Order("leave"))
        return {
            name: bring_in(workers, name, prepared[name], load, watcher, stable=one.stable)
            for name, one in targets.items()
        }


class _Target:
    """One target, loaded by all workers; see `by_turns.Loaded`."""

    def __init__(self, name: str, workers: Crew, load: Workload) -> None:
        self._name, self._crew, self._load = name, workers, load
        self.gave_up = ""
        self.stable = False
        self._dealt = load.warmup_requests
        """How many requests the workers have been told to send so far."""
        self._rows: dict[int, int] = {}

    # ── one target ───────────────────────────────────────────────────────────────────────────

    def warm_up(self) -> bool:
        """Send the warm-up requests; returns whether the run may go on."""
        went_well = self._crew.all(lambda _one: Order("warm_up", (self._name,)))
        return any(went_well.values()) and not self._crew.interrupted

    def window(self, on_progress: Callable[[Progress], None]) -> None:
        """Send the whole load in one window, or until its latency is known well enough."""
        look = None
        if self._load.until_stable is not None:
            look = UntilStable(self._load.until_stable)
        finished = 0
        view = _Seen(lambda: finished, self._crew.latencies_ns)

        def tick() -> None:
            nonlocal finished
            if (progress := self._crew.glance()) is None:
                return
            finished = progress.finished
            on_progress(progress)
            if look is not None and not self.stable and look(view):
                self.stable = True
                self._crew.urge("enough")

        self._send(lambda _one: None, tick, on_progress)

    # ── several targets by turns ─────────────────────────────────────────────────────────────

    @property
    def pacing(self) -> Pacing:
        """Of all workers together."""
        return pacing(self._load)

    @property
    def seen(self) -> "_Seen":
        """What was measured so far."""
        return _Seen(lambda: sum(self._rows.values()), self._looked_at)

    def _looked_at(self) -> Nanoseconds:
        found = self._crew.all(lambda _one: Order("look", (self._name,)))
        return in_turn(list(found.values()))

    def interrupt(self) -> None:
        """End the run soon; exchanges in flight are cancelled."""
        self._crew.interrupt()

    def end_as_stable(self) -> None:
        """Note that the run ends because its latency is precise enough."""
        self.stable = True

    def try_out(self, least: int, within_ns: int) -> Nanoseconds | None:
        """Warm up, then send trial requests; returns their latencies in ns, None without any."""
        each = -(-least // len(self._crew.members))
        found = self._crew.all(lambda _one: Order("try_out", (self._name, each, within_ns)))
        some = [one for one in found.values() if one is not None]
        return np.concatenate(some) if some else None

    def block(self, part: Part, on_progress: Callable[[Progress], None]) -> None:
        """Wake the target up from all workers; once all are ready, send one block."""
        woken: dict[int, Woken] = self._crew.all(lambda _one: Order("wake", (self._name,)))
        self.gave_up = next((one.gave_up for one in woken.values() if one.gave_up), "")
        if self._crew.interrupted or self.gave_up or not woken:
            return
        before, self._dealt = self._dealt, self._dealt + part.requests

        def tick() -> None:
            if (progress := self._crew.glance()) is not None:
                on_progress(progress)

        self._send(
            lambda number: part.dealt(self._crew.members[number].shard, before), tick, on_progress
        )

    def _send(
        self,
        part_of: Callable[[int], Part | None],
        tick: Callable[[], None],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._crew.forget()
        start_ns = self._crew.start_ns()
        ended: dict[int, Ended] = self._crew.all(
            lambda one: Order(
                "window",
                (self._name, part_of(one.shard.number), start_ns + one.clock.offset_ns),
            ),
            tick,
        )
        self._crew.look_again()
        if (last := self._crew.glance()) is not None:
            on_progress(last)
        self._crew.note_start(ended)
        self._rows |= {number: one.rows for number, one in ended.items()}
        self.gave_up = next((one.gave_up for one in ended.values() if one.gave_up), "")


class _Seen:
    """The latencies of all workers so far; see `Latencies`.

    Args:
        count: returns how many there are.
        look: asks workers for theirs.
    """

    def __init__(self, count: Callable[[], int], look: Callable[[], Nanoseconds]) -> None:
        self._count, self._look = count, look

    def __len__(self) -> int:
        return self._count()

    def latencies_ns(self, most: int) -> Nanoseconds:
        """About `most` of them, evenly spaced."""
        found = self._look()
        return found[:: max(-(-len(found) // most), 1)]

"""The head of a fleet: hands out orders to workers, waits for all of them, and keeps count."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from secrets import token_bytes, token_hex
from time import monotonic, perf_counter_ns, sleep
from typing import Any, Final

import numpy as np

import tracebench
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.fleet import conductor
from tracebench.load.fleet.orders import Ended, Glance, Hello, Lost, Order, Recipe, Refused, Urgent
from tracebench.load.fleet.places import ClockAhead, Place, places
from tracebench.model import errors
from tracebench.model.errors import TargetError, TracebenchError
from tracebench.model.plan import Workload
from tracebench.model.progress import Progress
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.shards import Shard

_TICK_S: Final = 0.05
_LOOK_S: Final = 2.0
"""How long latencies of workers that were asked for theirs are waited for."""
_KEY_BYTES: Final = 16


@dataclass(slots=True)
class Member:
    """One worker, as the head knows it."""

    place: Place
    run: str
    """What its worker is found by there."""
    shard: Shard
    hello: Hello
    clock: ClockAhead
    lost: str = ""
    """Why it is no longer there; empty while it is."""
    late_ns: int = 0
    """How late it began, at the most."""
    seen: Glance = field(default_factory=lambda: Glance(None, 0, None))
    glanced_s: float = 0.0

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.place.name} on {self.hello.host}"


class Crew:
    """The workers of one run.

    Args:
        members: all of them.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = members
        self._tell: list[Urgent] = []
        self.interrupted = False

    @property
    def at_work(self) -> list[Member]:
        """The members that are still there."""
        return [one for one in self.members if not one.lost]

    def interrupt(self) -> None:
        """End the run soon: workers cancel what is in flight."""
        self.interrupted = True
        self._tell.append("halt")

    def connect(
        self, prepared: Mapping[str, PreparedTarget], load: Workload, *, detailed: bool
    ) -> None:
        """Let all workers connect; `detailed` as in `Watcher`.

        Raises:
            TracebenchError: a worker cannot, or none is left.
        """
        recipes = {name: Recipe.of(one, token_bytes(_KEY_BYTES)) for name, one in prepared.items()}
        self.all(lambda one: Order("connect", (recipes, load, one.shard, detailed)))

    def all(
        self, order_of: Callable[[Member], Order], on_tick: Callable[[], object] = lambda: None
    ) -> dict[int, Any]:
        """Have all workers carry out an order; one that dies meanwhile is lost.

        Args:
            order_of: the order of each.
            on_tick: called repeatedly while they are at it.

        Returns:
            Number of a shard → what its worker returned.

        Raises:
            TracebenchError: a worker refuses.
        """
        waiting = {self._submitted(one, order_of(one)): one for one in self.at_work}
        found: dict[int, Any] = {}
        while waiting:
            done, _ = wait(waiting, timeout=_TICK_S)
            for future in done:
                self._note(waiting.pop(future), future, found)
            for future, one in list(waiting.items()):
                if why := one.place.gone():
                    one.lost = why
                    del waiting[future]
            self._urge(waiting.values())
            on_tick()
        return found

    def start_ns(self) -> int:
        """A start that all workers hear of in time, on the head's clock."""
        return perf_counter_ns() + max((one.place.lead_ns for one in self.at_work), default=0)

    def note_start(self, ended: Mapping[int, Ended]) -> None:
        """Remember how late workers began."""
        for one in self.members:
            if one.shard.number in ended:
                one.late_ns = max(one.late_ns, ended[one.shard.number].late_ns)

    def urge(self, urgent: Urgent) -> None:
        """Tell all workers something, in the middle of their work."""
        self._tell.append(urgent)

    def forget(self) -> None:
        """Drop what was seen of an earlier window, and look again at once."""
        for one in self.members:
            one.seen, one.glanced_s = Glance(None, one.seen.looks, None), 0.0

    def look_again(self) -> None:
        """Let the next glance look at once: a window has ended, and its last words are exact."""
        for one in self.members:
            one.glanced_s = 0.0

    def glance(self) -> Progress | None:
        """The progress of all; None before the first."""
        now_s = monotonic()
        for one in self.at_work:
            if now_s - one.glanced_s >= one.place.glances_s:
                one.glanced_s = now_s
                self._glance(one)
        told = [one.seen.progress for one in self.members if one.seen.progress is not None]
        return _together(told, len(self.at_work), len(self.members)) if told else None

    def latencies_ns(self) -> Nanoseconds:
        """Ask workers in the middle of their work for their latencies so far, in order of time."""
        before = {one.shard.number: one.seen.looks for one in self.at_work}
        self._say("look", self.at_work)
        until_s = monotonic() + _LOOK_S
        waiting = self.at_work
        while waiting and monotonic() < until_s:
            sleep(_TICK_S / 5)
            for one in waiting:
                self._glance(one)
            waiting = [one for one in waiting if one.seen.looks == before[one.shard.number]]
        return in_turn([one.seen.latencies_ns for one in self.at_work])

    def _glance(self, one: Member) -> None:
        with suppress(Exception):  # whatever it is that makes it unreachable: `gone` says it
            one.seen = one.place.at_once(conductor.glance, one.run)

    def _submitted(self, one: Member, order: Order) -> "Future[Any]":
        return one.place.executor.submit(conductor.command, one.run, order)

    def _note(self, one: Member, future: "Future[Any]", found: dict[int, Any]) -> None:
        try:
            value = future.result()
        except (CancelledError, Exception) as error:
            value = Lost(one.place.gone() or f"{type(error).__name__}: {error}")
        if isinstance(value, Lost):
            one.lost = one.place.gone() or value.text
        elif isinstance(value, Refused):
            raise _error(one, value)
        else:
            found[one.shard.number] = value

    def _urge(self, members: Iterable[Member]) -> None:
        said, self._tell = self._tell, []
        for urgent in said:
            self._say(urgent, members)

    def _say(self, urgent: Urgent, members: Iterable[Member]) -> None:
        for one in members:
            with suppress(Exception):  # as above
                one.place.at_once(conductor.tell, one.run, urgent)


@contextmanager
def crew(load: Workload) -> Iterator[Crew]:
    """Start the workers for a load; they end with the block.

    Raises:
        TracebenchError: they cannot be started, or do not run this program.
    """
    run, most = token_hex(8), load.most_processes
    with places(load, min(most, load.processes or most)) as found:
        runs = [f"{run} {number}" for number in range(len(found))]  # those here share a process
        try:
            enlisting = [
                place.executor.submit(conductor.enlist, name)
                for place, name in zip(found, runs, strict=True)
            ]
            hellos = [_introduced(*one) for one in zip(found, enlisting, strict=True)]
            shards = [Shard(number, len(found)) for number in range(len(found))]
            clocks = [place.clock() for place in found]
            yield Crew(list(map(Member, found, runs, shards, hellos, clocks)))
        finally:
            for place, name in zip(found, runs, strict=True):
                if not place.gone():
                    with suppress(Exception):  # whatever makes it unreachable: it is over
                        place.at_once(conductor.dismiss, name)


def _introduced(place: Place, future: "Future[Any]") -> Hello:
    try:
        hello: Hello = future.result()
    except Exception as error:
        raise TargetError(
            f"the worker {place.name} cannot run tracebench ({error}): install version "
            f"{tracebench.__version__} there"
        ) from None
    ours = tracebench.__version__
    if (hello.version, hello.sources) != (ours, conductor.sources()):
        theirs = hello.version if hello.version != ours else f"other sources of {ours}"
        raise TargetError(
            f"the worker {place.name} on {hello.host} runs {theirs}, the head {ours}: install "
            "the same version on both"
        )
    return hello


def _error(one: Member, refused: Refused) -> TracebenchError:
    kind = getattr(errors, refused.kind, None)
    text = f"{one.title}: {refused.text}"
    return kind(text) if kind is not None else TargetError(text)


def _together(told: Sequence[Progress], at_work: int, of: int) -> Progress:
    return replace(reduce(add, told), workers=f"{at_work} of {of} workers")


def in_turn(series: Sequence[Nanoseconds | None]) -> Nanoseconds:
    """Merge evenly spaced values of the same period, in the order of time."""
    known = [one for one in series if one is not None and len(one)]
    if not known:
        return np.zeros(0, np.int64)
    when = np.concatenate([(np.arange(len(one)) + 0.5) / len(one) for one in known])
    return np.asarray(np.concatenate(known)[np.argsort(when, kind="stable")])

"""Where one request's time goes, while it runs."""

from bisect import insort
from operator import attrgetter
from threading import Lock
from time import perf_counter_ns, time_ns
from typing import Final, Protocol

from tracebench.vocabulary import QUEUE

_DEPTH: Final = attrgetter("depth")


class Part(Protocol):
    """A component under way."""

    @property
    def name(self) -> str:
        """Of the component."""

    @property
    def depth(self) -> int:
        """How many components are around it."""


class Recorder:
    """Divides a request's time among its components: every instant belongs to exactly one.

    Its owner is the deepest component under way, among equals the one that began last: the same
    rule by which spans are attributed. At each entry and exit the time since the last one is
    given to its owner, so memory does not grow with the number of components. All times are in
    ns on the monotonic clock. Safe to use from several threads.

    Args:
        waited_ns: for so long the request had been waiting for a worker.
    """

    __slots__ = ("_lock", "_open", "_settled_ns", "_spent_ns", "began_ns", "to_epoch_ns")

    def __init__(self, waited_ns: int = 0) -> None:
        now_ns = perf_counter_ns()
        self.began_ns = self._settled_ns = now_ns - waited_ns
        self.to_epoch_ns = time_ns() - now_ns
        """What to add for the wall clock, as it went when the request began."""
        self._spent_ns: dict[str, int] = {}
        self._open: list[Part] = []
        self._lock = Lock()
        if waited_ns:
            self.queued()

    def enter(self, part: Part) -> int:
        """Begin a component; returns when."""
        with self._lock:
            now_ns = self._settle()
            if not self._open or self._open[-1].depth <= part.depth:
                self._open.append(part)
            else:
                insort(self._open, part, key=_DEPTH)
            self._spent_ns.setdefault(part.name, 0)
            return now_ns

    def leave(self, part: Part) -> int:
        """End a component; returns when."""
        with self._lock:
            now_ns = self._settle()
            if self._open[-1] is part:
                self._open.pop()
            else:
                self._open.remove(part)
            return now_ns

    def queued(self) -> int:
        """Everything up to now was waiting for a worker; returns when that ended."""
        with self._lock:
            since_ns = self._settled_ns
            now_ns = self._settle()
            self._spent_ns[QUEUE] = now_ns - since_ns
            return now_ns

    def report(self) -> tuple[int, dict[str, int]]:
        """The time since the request began, and each component's exclusive part of it."""
        with self._lock:
            return self._settle() - self.began_ns, dict(self._spent_ns)

    def _settle(self) -> int:
        now_ns = perf_counter_ns()
        if self._open:
            self._spent_ns[self._open[-1].name] += now_ns - self._settled_ns
        self._settled_ns = now_ns
        return now_ns

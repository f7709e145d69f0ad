"""Where one request's time goes, while it runs."""

from bisect import insort
from threading import Lock
from time import perf_counter_ns, time_ns
from typing import NamedTuple

from tracebench.vocabulary import QUEUE


class Part(NamedTuple):
    """A component under way. The greatest of several owns the present instant."""

    depth: int
    start_ns: int
    name: str


class Recorder:
    """Divides a request's time among its components: every instant belongs to exactly one.

    Its owner is the deepest component under way, among equals the one that began last: the same
    rule by which spans are attributed. At each entry and exit the time since the last one is
    given to its owner, so memory does not grow with the number of components. All times are in
    ns on the monotonic clock. Safe to use from several threads.
    """

    __slots__ = ("_lock", "_open", "_settled_ns", "_spent_ns", "_to_epoch_ns", "began_ns")

    def __init__(self, waited_ns: int = 0) -> None:
        self.began_ns = perf_counter_ns() - waited_ns
        self._to_epoch_ns = time_ns() - waited_ns - self.began_ns
        self._settled_ns = self.began_ns
        self._spent_ns: dict[str, int] = {}
        self._open: list[Part] = []
        self._lock = Lock()
        if waited_ns:
            self.queued()

    def enter(self, name: str, depth: int) -> Part:
        """Begin a component; `depth` counts the components around it."""
        with self._lock:
            part = Part(depth, self._settle(), name)
            insort(self._open, part)
            self._spent_ns.setdefault(name, 0)
        return part

    def leave(self, part: Part) -> int:
        """End a component; returns when."""
        with self._lock:
            now_ns = self._settle()
            self._open.remove(part)
        return now_ns

    def queued(self) -> int:
        """Everything up to now was waiting for a worker; returns when it ended."""
        with self._lock:
            since_ns = self._settled_ns
            now_ns = self._settle()
            self._spent_ns[QUEUE] = now_ns - since_ns
        return now_ns

    def report(self) -> tuple[int, dict[str, int]]:
        """The time since the request began, and each component's exclusive part of it."""
        with self._lock:
            return self._settle() - self.began_ns, dict(self._spent_ns)

    def epoch_ns(self, monotonic_ns: int) -> int:
        """The same instant on the wall clock, as it went when the request began."""
        return monotonic_ns + self._to_epoch_ns

    def _settle(self) -> int:
        now_ns = perf_counter_ns()
        if self._open:
            self._spent_ns[self._open[-1].name] += now_ns - self._settled_ns
        self._settled_ns = now_ns
        return now_ns

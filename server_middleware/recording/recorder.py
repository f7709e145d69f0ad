"""Records where one request's time goes, while it runs."""

from collections.abc import Callable
from operator import attrgetter
from threading import Lock
from time import perf_counter_ns, time_ns
from typing import Final, Protocol, TypeVar

from server_middleware.vocabulary import PART_NS, QUEUE

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_DEPTH: Final = attrgetter("depth")
this_process: Final = [object()]
"""Identifies the process; a forked child replaces it. `os.getpid()` takes ten times as long."""


class RunningPart(Protocol):
    """A running component."""

    @property
    def name(self) -> str:
        """The name of the component."""

    @property
    def depth(self) -> int:
        """How many components are around it."""


class RequestRecorder:
    """Divides a request's time among its components: every instant belongs to exactly one.

    Its owner is the deepest running component, among equals the one that began last: the same rule
    by which spans are attributed. At each entry and exit the time since the previous one is given
    to its owner, so memory does not grow with the number of components. Times are in ns since the
    epoch, by a clock that is set when the request begins, and monotonic from then on. Thread-safe.

    Args:
        waited_ns: how long the request had been waiting for a worker.
    """

    __slots__ = (
        "_lock",
        "_open",
        "_process",
        "_settled_ns",
        "_spent_ns",
        "_to_epoch_ns",
        "began_ns",
        "over",
        "queued_until_ns",
        "spanless_ns",
    )

    def __init__(self, waited_ns: int = 0) -> None:
        now_ns = time_ns()
        self._to_epoch_ns = now_ns - perf_counter_ns()
        self.began_ns = self._settled_ns = now_ns - waited_ns
        self._spent_ns: dict[str, int] = {}
        self._open: list[RunningPart] = []
        self._lock = Lock()
        self._process = this_process[0]
        self.over = False
        """The request is over: code still running in its context no longer counts."""
        self.queued_until_ns = 0
        """When its wait for a worker ended; 0 if it is not known to have waited."""
        self.spanless_ns: dict[str, int] = {}
        """Time that `apply` gave to components, as server span attributes, as no span shows it."""
        if waited_ns:
            self.taken_up()

    def taken_up(self) -> None:
        """A worker picks up the request, which has been waiting since it began."""
        self._spend(QUEUE, self.began_ns)
        self.queued_until_ns = self._settled_ns  # nothing else runs for the request yet

    def now_ns(self) -> int:
        """The current time by its clock; inlined in the hot paths below, to save the call."""
        return perf_counter_ns() + self._to_epoch_ns

    def inherited(self) -> bool:
        """Whether this is a forked child's copy of its parent's recorder."""
        return self._process is not this_process[0]

    def enter(self, part: RunningPart) -> int:
        """Begin a component; returns when."""
        with self._lock:
            now_ns = perf_counter_ns() + self._to_epoch_ns
            under_way = self._open
            self._spent_ns.setdefault(part.name, 0)
            if under_way:
                self._spent_ns[under_way[-1].name] += now_ns - self._settled_ns
                under_way.append(part)
                under_way.sort(key=_DEPTH)
            else:
                under_way.append(part)
            self._settled_ns = now_ns
        return now_ns

    def leave(self, part: RunningPart) -> int:
        """End a component; returns when."""
        with self._lock:
            now_ns = perf_counter_ns() + self._to_epoch_ns
            under_way = self._open
            owner = under_way[-1]
            self._spent_ns[owner.name] += now_ns - self._settled_ns
            self._settled_ns = now_ns
            if owner is part:
                under_way.pop()
            else:
                under_way.remove(part)
        return now_ns

    def apply(self, function: Callable[[_Given], _Made], given: _Given, name: str) -> _Made:
        """Call a function and count its time as a component's, with no depth and no span."""
        since_ns = perf_counter_ns() + self._to_epoch_ns
        made = function(given)
        self.spanless_ns[PART_NS + name] = self._spend(name, since_ns)
        return made

    def _spend(self, name: str, since_ns: int) -> int:
        """Give a name the time since `since_ns`, except what is already settled; returns it."""
        with self._lock:
            now_ns = perf_counter_ns() + self._to_epoch_ns
            spent_ns, settled_ns = self._spent_ns, self._settled_ns
            if since_ns < settled_ns:
                since_ns = settled_ns
            if self._open:
                spent_ns[self._open[-1].name] += since_ns - settled_ns
            spent_ns[name] = spent_ns.get(name, 0) + now_ns - since_ns
            self._settled_ns = now_ns
        return now_ns - since_ns

    def report(self) -> tuple[int, dict[str, int]]:
        """The time since the request began, and each component's exclusive part of it, in ns."""
        with self._lock:
            now_ns = perf_counter_ns() + self._to_epoch_ns
            parts_ns = self._spent_ns.copy()
            if self._open:
                parts_ns[self._open[-1].name] += now_ns - self._settled_ns
        return now_ns - self.began_ns, parts_ns


class Together(tuple[RequestRecorder, ...]):
    """The recorders of the requests that one component works for: one, several, or none."""

    __slots__ = ()
    over = False
    """They were named explicitly, so the work counts even if they are over."""

    def inherited(self) -> bool:
        """Whether any is a forked child's copy of its parent's recorder."""
        return any(recorder.inherited() for recorder in self)

    def enter(self, part: RunningPart) -> int:
        """Begin a component in each; returns when, by the clock of the first."""
        stamps = [recorder.enter(part) for recorder in self]
        return stamps[0] if stamps else time_ns()

    def leave(self, part: RunningPart) -> int:
        """End a component in each; returns when, by the clock of the first."""
        stamps = [recorder.leave(part) for recorder in self]
        return stamps[0] if stamps else time_ns()

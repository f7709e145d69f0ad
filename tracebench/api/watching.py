"""Keeps the requests of a run for `samples`, and reports its progress where that is asked for."""

from collections.abc import Callable
from typing import TypeAlias

from tracebench.cli.output.progress_line import Live
from tracebench.load.progress import SweepWatcher, Watcher
from tracebench.model.measurement import Record
from tracebench.model.plan import Workload
from tracebench.model.progress import Progress

ShowProgress: TypeAlias = bool | Callable[[str, Progress], object]
"""True: draw a line on standard error; a function: called with a target's name and its progress."""
Records: TypeAlias = list[tuple[str, Record]]
"""Pairs of target and record; a target measured in several pieces has several records."""


class Kept(Watcher):
    """Keeps the records of a run, and forwards its progress to another watcher."""

    def __init__(self, told: Watcher) -> None:
        self._told, self.detailed = told, told.detailed
        self.records: Records = []

    def begins(self, target: str, address: str, answer: str) -> None:
        """Forwarded."""
        self._told.begins(target, address, answer)

    def turn(self, target: str) -> None:
        """Forwarded."""
        self._told.turn(target)

    def progress(self, progress: Progress) -> None:
        """Forwarded."""
        self._told.progress(progress)

    def waits(self, for_what: str) -> None:
        """Forwarded."""
        self._told.waits(for_what)

    def measured(self, target: str, record: Record) -> None:
        """Keep the record."""
        self.records.append((target, record))

    def ends(self) -> None:
        """Forwarded."""
        self._told.ends()


class _Calling(Watcher):
    """Calls a function with the progress of each target."""

    detailed = True

    def __init__(self, function: Callable[[str, Progress], object]) -> None:
        self._function, self._target = function, ""

    def begins(self, target: str, address: str, answer: str) -> None:
        self._target = target

    def turn(self, target: str) -> None:
        self._target = target

    def progress(self, progress: Progress) -> None:
        self._function(self._target, progress)


def watcher_of(progress: ShowProgress, load: Workload | None) -> Kept:
    """A watcher that keeps all records, and reports progress if asked to.

    Args:
        progress: whether, or whom, to tell.
        load: what is planned, for the share that is done; None: unknown.
    """
    if callable(progress):
        return Kept(_Calling(progress))
    if not progress:
        return Kept(Watcher())
    requests, duration_s = (load.requests, load.duration_s) if load is not None else (None, None)
    return Kept(Live(requests, duration_s, tells_answer=False, shown=True))


class EachStep(SweepWatcher):
    """Keeps the records of each step of a sweep or a search."""

    def __init__(self, progress: ShowProgress, load: Workload | None) -> None:
        self._progress, self._load = progress, load
        self.records: list[Records] = []
        """The records of each step, in the order in which they were measured."""

    def begins(self, load: float) -> Watcher:
        """Keep the records of one more step."""
        watcher = watcher_of(self._progress, self._load)
        self.records.append(watcher.records)
        return watcher

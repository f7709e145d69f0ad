"""How far a run has come, and who is told."""

from typing import NamedTuple

from tracebench.model.result import Result


class Progress(NamedTuple):
    """A look at a run under way."""

    started: int
    finished: int
    elapsed_s: float
    recent_ms: float
    """Median end-to-end time of the last requests; 0 before the first."""
    tokens: int = 0
    """Of the streams that have been read."""


class Watcher:
    """Who is told how a run goes; this one does not care."""

    def begins(self, target: str, address: str, answer: str) -> None:
        """The target answered its preflight, and is measured from now on."""

    def progress(self, progress: Progress) -> None:
        """Called ten times a second, inside the window: be quick."""

    def waits(self, for_what: str) -> None:
        """Called now and then while the load is over, and not all that belongs to it is there."""

    def ends(self) -> None:
        """The target was measured, and its spans have come."""


class SweepWatcher:
    """Who is told how a sweep goes; this one does not care."""

    def begins(self, load: float) -> Watcher:
        """A step begins; gives who is told of its run."""
        return Watcher()

    def ends(self, load: float, result: Result) -> None:
        """The step was measured."""

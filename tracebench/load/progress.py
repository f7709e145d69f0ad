"""How far a run has come, and who is told."""

from typing import NamedTuple

from tracebench.load.recording.recorder import Recorder
from tracebench.model.result import Result

RECENT = 100


class Progress(NamedTuple):
    """A look at a run under way."""

    started: int
    finished: int
    elapsed_s: float
    recent_ms: float
    """Median end-to-end time of the last requests; 0 before the first."""


def progress(started: int, recorder: Recorder, elapsed_ns: int) -> Progress:
    """Sum up the rows so far; costs some 20 µs, inside the window."""
    recent_ns = sorted(recorder.recent_ns(RECENT).tolist())
    middle_ms = recent_ns[len(recent_ns) // 2] / 1e6 if recent_ns else 0.0
    return Progress(started, len(recorder), elapsed_ns / 1e9, middle_ms)


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

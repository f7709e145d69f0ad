"""The progress of a run, and the callbacks that report it."""

from typing import TYPE_CHECKING, NamedTuple

from tracebench.model.results.result import Result

if TYPE_CHECKING:
    from tracebench.model.measurement import Record  # numpy: not for --help


class Progress(NamedTuple):
    """A snapshot of a run in progress."""

    finished: int
    elapsed_s: float
    recent_ms: float
    """Median end-to-end time of the latest requests; 0 before the first."""
    tokens: int = 0
    """Number of tokens in the streams read so far."""
    workers: str = ""
    """The state of the processes that share the load, as "3 of 4 workers"; empty if it is one."""


class Watcher:
    """Callbacks on the progress of a run; these do nothing."""

    def begins(self, target: str, address: str, answer: str) -> None:
        """The target passed its preflight; measurement starts now."""

    def turn(self, target: str) -> None:
        """Of several targets that are measured by turns, this one's block begins."""

    def progress(self, progress: Progress) -> None:
        """Called ten times a second, inside the window: be quick."""

    def waits(self, for_what: str) -> None:
        """Called repeatedly after the load, while some of its data is still awaited."""

    def measured(self, target: str, record: "Record") -> None:
        """Told of all requests of a target, perhaps in several pieces, once all is known of each.

        Keeping a record keeps its columns: 30-70 bytes a request, in memory or spilled.
        """

    def ends(self) -> None:
        """The target was measured, and its spans have arrived."""


class SweepWatcher:
    """Callbacks on the progress of a sweep; these do nothing."""

    def begins(self, load: float) -> Watcher:
        """A step begins; returns the watcher of its run."""
        return Watcher()

    def ends(self, load: float, result: Result) -> None:
        """The step was measured."""

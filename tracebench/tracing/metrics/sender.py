"""The engine's side: starts the process that exports metrics, and hands it a sample a second."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic, time_ns
from typing import Final

from tracebench.analysis.findings.client.own_metrics import metrics_lost, metrics_not_taken
from tracebench.model.progress import Progress
from tracebench.model.results.result import Finding
from tracebench.system.child_process import Child
from tracebench.system.redaction import redacted
from tracebench.tracing.metrics.messages import Delivered, Sample, Setup
from tracebench.tracing.metrics.settings import PERIOD_S

_START_S: Final = 15.0
_END_S: Final = 2.0
_LAST_S: Final = 8.0
"""How long to wait until the totals have been sent: an export may take 3 s, and two may be due."""
_POLL_S: Final = 0.1
_DIED: Final = Delivered(failed=1, reason="the process that exports them ended")


class Sender:
    """Sends samples of a run's progress to the exporting process; never blocks the loop.

    Args:
        setup: where to export what.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._child = Child("tracebench.tracing.metrics.process", _END_S)
        self._pipe = self._child.pipe
        self._progress: dict[str, Progress] = {}
        self._state = Delivered()
        self._owed = False
        """The process has not answered the last message yet."""
        self._due_s = 0.0
        self._send(setup)

    def ready(self) -> None:
        """Wait until the process has started, so that its start does not disturb the load."""
        self._await(_START_S, lambda: False)

    def tell(self, target: str, progress: Progress) -> None:
        """Take a target's progress; once a second, what all targets are at is sent.

        A sample is left out while the process still has the last one to take: counts are totals, so
        the next sample makes up for it. Costs 60 µs where it sends.
        """
        self._progress[target] = progress
        now_s = monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + PERIOD_S
        if self._owed:
            self._receive(0.0)
        if not self._owed:
            self._send(Sample(time_ns(), dict(self._progress)))

    def finish(
        self,
        errors: Mapping[str, Mapping[str, int]],
        stopped: Callable[[], bool] = lambda: False,
    ) -> Finding | None:
        """Send the totals of the run, and wait until they are; the finding, if some were not.

        Args:
            errors: target → type of error → count, by the result.
            stopped: whether to wait no longer; called ten times a second.
        """
        unheard = errors.keys() - self._progress.keys()
        self._progress |= {name: Progress(0, 0.0) for name in unheard}
        ended = {name: replace(one, in_flight=0) for name, one in self._progress.items()}
        self._await(_LAST_S, stopped)
        if not self._owed:
            self._send(Sample(time_ns(), ended, errors, last=True))
            self._await(_LAST_S, stopped)
        state = self._state
        if self._owed:
            late = "the wait was interrupted" if stopped() else f"no answer within {_LAST_S:.0f} s"
            state = replace(state, failed=state.failed + 1, reason=late)
        if state.refused:
            return metrics_not_taken(redacted(self._setup.endpoint), state.reason)
        return metrics_lost(state.failed, state.exported + state.failed, state.reason)

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def _send(self, message: Setup | Sample) -> None:
        try:
            self._pipe.send(message)
            self._owed = True
        except (OSError, ValueError):
            self._state = _DIED

    def _await(self, patience_s: float, stopped: Callable[[], bool]) -> None:
        """Wait for the answer that the process owes, if it does."""
        until_s = monotonic() + patience_s
        while self._owed and monotonic() < until_s and not stopped():
            self._receive(_POLL_S)

    def _receive(self, patience_s: float) -> None:
        """Take the answer to the last message, if it comes in time."""
        try:
            if self._pipe.poll(patience_s):
                self._state = self._pipe.recv()
                self._owed = False
        except (EOFError, OSError):
            self._state, self._owed = _DIED, False

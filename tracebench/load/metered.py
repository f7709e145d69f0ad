"""A run whose progress is also exported as OTLP metrics, with its totals at the end."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from threading import Event
from time import time_ns

from tracebench import __version__
from tracebench.analysis.summary.failures import error_types
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.progress import Watcher
from tracebench.model.measurement import Measurement, Record
from tracebench.model.plan import Plan
from tracebench.model.progress import Progress
from tracebench.model.results.result import Finding
from tracebench.system.interrupt import interruptible
from tracebench.tracing.metrics.messages import Measured, Setup
from tracebench.tracing.metrics.sender import Sender
from tracebench.tracing.metrics.settings import metrics_url


class Metered(Watcher):
    """Passes everything on to another watcher, and the progress to the exporter as well.

    Args:
        watcher: the other one.
        sender: exports; None: nothing is exported.
    """

    def __init__(self, watcher: Watcher, sender: Sender | None) -> None:
        self._watcher, self._sender = watcher, sender
        self.detailed = watcher.detailed or sender is not None
        self._target = ""
        self._errors: dict[str, Mapping[str, int]] = {}

    def begins(self, target: str, address: str, answer: str) -> None:
        """The target's load begins."""
        self._target = target
        self._watcher.begins(target, address, answer)
        if self._sender is not None:
            self._sender.ready()

    def turn(self, target: str) -> None:
        """Its block begins."""
        self._target = target
        self._watcher.turn(target)

    def progress(self, progress: Progress) -> None:
        """Inside the window."""
        if self._sender is not None:
            self._sender.tell(self._target, progress)
        self._watcher.progress(progress)

    def waits(self, for_what: str) -> None:
        """After the load."""
        self._watcher.waits(for_what)

    def measured(self, target: str, record: Record) -> None:
        """All is known of a target's requests."""
        self._watcher.measured(target, record)

    def ends(self) -> None:
        """The target was measured."""
        self._watcher.ends()

    def loaded(self, target: str, load: Measurement) -> None:
        """Take what the result will count of a target, and of the warm-up cut from its record."""
        if self._sender is not None:
            found = error_types(load.requests)
            if load.left_out is not None:
                found += error_types(load.left_out)
            self._errors[target] = found

    def finish(self) -> Finding | None:
        """Export the totals; returns a finding if something was not exported.

        Ctrl-C ends the wait for that, and loses nothing of the result.
        """
        if self._sender is None:
            return None
        self._watcher.waits("sending the run's metrics")
        enough = Event()
        with interruptible(enough.set):
            return self._sender.finish(self._errors, enough.is_set)


@contextmanager
def metered(
    watcher: Watcher, plan: Plan, prepared: Mapping[str, PreparedTarget], run_id: str
) -> Iterator[Metered]:
    """Export the metrics of a plan's run, if it asks for that, until the context ends."""
    endpoint = plan.traces.otlp_endpoint
    if endpoint is None or not plan.traces.otlp_metrics or not metrics_url(endpoint):
        yield Metered(watcher, None)
        return
    targets = {
        name: Measured(one.described.protocol, dict(one.described.attributes))
        for name, one in prepared.items()
    }
    setup = Setup(endpoint, run_id, plan.naming.label, __version__, targets, time_ns())
    with closing(Sender(setup)) as sender:
        yield Metered(watcher, sender)

"""The process that exports the run's metrics, so that the engine's loop does no part of it.

It ends when its connection to the engine does.
"""

import signal
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection as Pipe

from tracebench.tracing.metrics.encode import metrics_of
from tracebench.tracing.metrics.exporter import Delivery, exporter_for
from tracebench.tracing.metrics.messages import Sample, Setup


def main(descriptor: int) -> None:
    """Export until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the engine
    pipe = Pipe(descriptor)
    with suppress(EOFError, OSError):
        _serve(pipe, pipe.recv())


def _serve(pipe: Pipe, setup: Setup) -> None:
    """Answer each sample at once, so that the engine never waits; the last one when it is sent."""
    delivery = Delivery(exporter_for(setup.endpoint))
    pipe.send(delivery.state)
    while True:
        sample: Sample = pipe.recv()
        if not sample.last:
            pipe.send(delivery.state)
        delivery(partial(metrics_of, setup, sample))
        if sample.last:
            pipe.send(delivery.state)

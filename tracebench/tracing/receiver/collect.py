"""Collect the spans received for a run's requests, and report what is missing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Event
from typing import Final

import numpy as np

from tracebench.analysis.findings.server.otlp_spans import (
    low_join_share,
    spans_lost,
    spans_refused,
    unusable_spans,
)
from tracebench.model.errors import UsageError
from tracebench.model.plan import SpanRoutes
from tracebench.model.record.columns import ABSENT
from tracebench.model.record.requests import Requests
from tracebench.model.record.server_times import PROBLEM, ServerTimes
from tracebench.model.results.result import Finding
from tracebench.system.interrupt import interruptible
from tracebench.tracing.otlp.destination import destination_of
from tracebench.tracing.receiver.client import Received, Receiver, Waiting
from tracebench.tracing.receiver.completeness import Roots
from tracebench.tracing.receiver.settings import bind_of

_NS_PER_S: Final = 1e9


def check_receiver(routes: SpanRoutes) -> None:
    """Check that a receiver fits the other options.

    Raises:
        UsageError: it does not.
    """
    if routes.receive_otlp is not None:
        bind_of(routes.receive_otlp)
    if routes.forward_otlp is not None:
        destination_of(routes.forward_otlp)
        if routes.receive_otlp is None:
            raise UsageError(
                f"--forward-otlp {routes.forward_otlp!r} has nothing to forward: add --receive-otlp"
            )


def collect(
    receiver: Receiver, of_targets: Sequence[Requests], on_wait: Callable[[str], object]
) -> list[Received]:
    """Wait for the entry span of every success; Ctrl-C ends the wait, and loses nothing.

    Args:
        receiver: the receiver, which must have been listening since before the run.
        of_targets: the requests of each target since the last call.
        on_wait: called from time to time with what is awaited.

    Returns:
        What was received for each target.
    """
    each = [Roots.of_successes(requests) for requests in of_targets]
    roots = Roots.together(each) if len(each) > 1 else each[0]
    begins_ns = [requests.due_ns[0] for requests in of_targets if len(requests)]
    began_s = min(begins_ns, default=0) / _NS_PER_S
    interrupted = Event()

    def tell(waiting: Waiting) -> None:
        if waiting.read:
            on_wait(f"reading spans: {waiting.read:,} so far")
            return
        what = f"spans of {waiting.missing:,} of {len(roots):,} requests"
        if not waiting.missing:
            what = "other processes' spans of the same requests"
        on_wait(f"waiting for {what}, {waiting.left_s:.0f} s more unless some arrive")

    with interruptible(interrupted.set):
        received = receiver.collect(roots, began_s, interrupted.is_set, tell)
    return [received] if len(each) == 1 else list(_parted(received, roots, each))


def _parted(received: Received, roots: Roots, each: Sequence[Roots]) -> Iterator[Received]:
    """What belongs to each target; traces of none of them may have to do with any."""
    spans, missing = received.spans, received.missing
    places = roots.index.places(spans.trace_high, spans.trace_low)
    end = 0
    for one in each:
        first, end = end, end + len(one)
        own = (places < 0) | ((places >= first) & (places < end))
        untold = missing[(missing >= first) & (missing < end)] - first
        yield replace(received, spans=spans.take(own), wanted=len(one), missing=untold)


def doubts(received: Received, requests: Requests, times: ServerTimes) -> list[Finding]:
    """Findings on the spans that arrived, and on those that did not."""
    uncovered = _uncovered(received, requests, times) if len(received.missing) else 0
    refused = {
        **received.refused,
        "spans beyond the memory for one target": received.dropped,
    }
    found = [
        low_join_share(
            len(received.missing),
            uncovered,
            received.wanted,
            received.ended_by,
            received.instead,
        ),
        spans_refused(refused),
        unusable_spans(received.rejected, received.received, received.problem),
    ]
    if received.forward_failed:
        found.append(spans_lost(received.forward_failed, "they could not be forwarded"))
    return [finding for finding in found if finding is not None]


def _uncovered(received: Received, requests: Requests, times: ServerTimes) -> int:
    """How many requests have neither an entry span nor a mirror."""
    answered = requests.places(lambda rows: rows.succeeded)  # as the roots are
    problems = np.concatenate([told[PROBLEM] for told in times.pages()])
    return int(np.count_nonzero(problems[answered[received.missing]] != ABSENT))

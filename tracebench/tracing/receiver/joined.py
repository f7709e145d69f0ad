"""From a run's requests to the spans that were received for them, and to what that tells."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Final

from tracebench.analysis.judge_spans import low_join_share, spans_refused, unusable_spans
from tracebench.analysis.verdict import spans_lost
from tracebench.errors import UsageError
from tracebench.interrupt import interruptible
from tracebench.model.exchange import Exchange, Outcome, Timing, Undecomposed
from tracebench.model.plan import Plan
from tracebench.model.result import Finding
from tracebench.tracing.otlp import endpoint_of
from tracebench.tracing.receiver.bind import bind_of
from tracebench.tracing.receiver.client import Received, Receiver, Waiting

_NS_PER_S: Final = 1e9


def check(plan: Plan) -> None:
    """See that a plan's receiver can be meant.

    Raises:
        UsageError: it cannot.
    """
    if plan.receive_otlp is not None:
        bind_of(plan.receive_otlp)
    if plan.forward_otlp is not None:
        endpoint_of(plan.forward_otlp)
        if plan.receive_otlp is None:
            raise UsageError(
                f"--forward-otlp {plan.forward_otlp!r} has nothing to pass on: add --receive-otlp"
            )


def collect(
    receiver: Receiver, exchanges: Sequence[Exchange], on_wait: Callable[[str], object]
) -> Received:
    """Wait for the entry span of every success; Ctrl-C ends the waiting, and loses nothing.

    Args:
        receiver: has been listening since before the run.
        exchanges: of one target.
        on_wait: is told now and then what is waited for.
    """
    roots = {one.trace_id: one.span_id for one in exchanges if one.outcome is Outcome.SUCCEEDED}
    began_s = min((one.scheduled_ns for one in exchanges), default=0) / _NS_PER_S
    interrupted = Event()

    def tell(waiting: Waiting) -> None:
        what = f"spans of {waiting.missing:,} of {len(roots):,} requests"
        if not waiting.missing:
            what = "other processes' spans of the same requests"
        on_wait(f"waiting for {what}, {waiting.left_s:.0f} s more unless some come")

    with interruptible(interrupted.set):
        return receiver.collect(roots, began_s, interrupted.is_set, tell)


def doubts(
    received: Received, exchanges: Sequence[Exchange], timings: Sequence[Timing | Undecomposed]
) -> list[Finding]:
    """What is to be said of what came, and of what did not."""
    uncovered = sum(
        exchange.trace_id in received.missing and isinstance(timing, Undecomposed)
        for exchange, timing in zip(exchanges, timings, strict=True)
    )
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
        found.append(spans_lost(received.forward_failed, "they could not be passed on"))
    return [finding for finding in found if finding is not None]

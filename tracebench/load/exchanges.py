"""From the engine's rows to exchanges: here, after the window, replies are read."""

import sys
from collections.abc import Callable

from tracebench.load.ledger import Row
from tracebench.load.slot import RawReply
from tracebench.model.exchange import Exchange, Outcome, Reply

_NO_REPLY = Reply("", {}, b"")
_TRACE_DIGITS = 32

Read = Callable[[RawReply], tuple[Reply, str]]


def exchange(row: Row, read: Read, timeout_ns: int = sys.maxsize) -> Exchange:
    """Read one row.

    Args:
        row: what the engine wrote.
        read: the protocol's reader of kept replies.
        timeout_ns: what fails after this long has timed out, whoever noticed it first.
    """
    ids, scheduled, connect, ready, sent, first, arrived, done, lag = row[:9]
    stamp, outcome, raw, error = row[9:]
    reply, reason = (_NO_REPLY, error) if raw is None else read(raw)
    if outcome is None:
        outcome = _outcome(reply, reason)
    if outcome is Outcome.FAILED and sent and done - sent >= timeout_ns:
        outcome = Outcome.TIMED_OUT
    if not sent and outcome is Outcome.FAILED:
        reason = f"cannot connect: {reason}"
    text = ids.decode()
    return Exchange(
        trace_id=text[:_TRACE_DIGITS],
        span_id=text[_TRACE_DIGITS + 1 :],
        scheduled_ns=scheduled,
        connect_ns=connect,
        ready_ns=ready,
        sent_ns=sent,
        first_byte_ns=first,
        arrived_ns=arrived,
        done_ns=done,
        write_lag_ns=lag,
        outcome=outcome,
        stamp=stamp,
        reply=reply,
        reason=reason,
    )


def _outcome(reply: Reply, reason: str) -> Outcome:
    if not reason:
        return Outcome.SUCCEEDED
    if reply.status == "DEADLINE_EXCEEDED":  # the server saw the time-out before the client did
        return Outcome.TIMED_OUT
    return Outcome.FAILED

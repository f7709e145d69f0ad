"""From the engine's rows to exchanges: here, after the window, replies are read."""

import sys
from collections.abc import Callable

from tracebench.load.ledger import FullRow, PlainRow, read_row
from tracebench.load.slot import RawReply
from tracebench.model.exchange import Exchange, Outcome, Reply
from tracebench.redaction import NO_SECRETS, Secrets

_NO_REPLY = Reply("", {}, b"")
_TRACE_DIGITS = 32

Read = Callable[[RawReply], tuple[Reply, str]]


def exchange(
    row: PlainRow | FullRow,
    read: Read,
    timeout_ns: int = sys.maxsize,
    secrets: Secrets = NO_SECRETS,
) -> Exchange:
    """Read one row.

    Args:
        row: what the engine wrote.
        read: the protocol's reader of kept replies.
        timeout_ns: what fails after this long has timed out, whoever noticed it first.
        secrets: are hidden where a failed reply, or its reason, repeats them.
    """
    one = read_row(row)
    reply, reason = (_NO_REPLY, one.error) if one.reply is None else read(one.reply)
    outcome = one.outcome or _outcome(reply, reason)
    if outcome is Outcome.FAILED and one.sent_ns and one.done_ns - one.sent_ns >= timeout_ns:
        outcome = Outcome.TIMED_OUT
    if not one.sent_ns and outcome is Outcome.FAILED:
        reason = f"cannot connect: {reason}"
    if reason:
        reply, reason = _hidden(reply, secrets), secrets.hide(reason)
    ids = one.ids.decode()
    return Exchange(
        trace_id=ids[:_TRACE_DIGITS],
        span_id=ids[_TRACE_DIGITS + 1 :],
        scheduled_ns=one.scheduled_ns,
        connect_ns=one.connect_ns,
        ready_ns=one.ready_ns,
        sent_ns=one.sent_ns,
        first_byte_ns=one.first_byte_ns,
        arrived_ns=one.arrived_ns,
        done_ns=one.done_ns,
        write_lag_ns=one.write_lag_ns,
        outcome=outcome,
        stamp=one.stamp,
        reply=reply,
        reason=reason,
        variant=one.variant,
        lost=one.lost,
    )


def _hidden(reply: Reply, secrets: Secrets) -> Reply:
    headers = {name: secrets.hide(value) for name, value in reply.headers.items()}
    return Reply(reply.status, headers, secrets.hide_bytes(reply.body))


def _outcome(reply: Reply, reason: str) -> Outcome:
    if not reason:
        return Outcome.SUCCEEDED
    if reply.status == "DEADLINE_EXCEEDED":  # the server saw the time-out before the client did
        return Outcome.TIMED_OUT
    return Outcome.FAILED

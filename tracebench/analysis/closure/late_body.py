"""What passes between the begin of a reply and its end, and who may be said to have taken it.

A timing that came with the head of a reply was written before the rest was made: it says nothing of
what followed. That time is `body`: neither the wire's nor the server's, as far as anyone knows.
"""

from typing import Final, NamedTuple

import numpy as np

from tracebench.model.exchange import Nanoseconds

_LEAST_NS: Final = 1_000_000
_LEAST_PART: Final = 20
"""One of so many parts of the latency. A body that took less than either is left to `network`."""


class Replies(NamedTuple):
    """One row a request: ns since it was sent, and how long the server says that it took."""

    began_ns: Nanoseconds
    ended_ns: Nanoseconds
    server_ns: Nanoseconds


def body_ns(replies: Replies, end_to_end_ns: Nanoseconds) -> Nanoseconds:
    """The time of each reply's rest, where the server's timing came with its head; else 0.

    The head cannot have left before the time in it had passed: where an interim reply (1xx) was the
    first to arrive, or rounding adds a little, the body begins that much later.
    """
    after_head_ns = replies.ended_ns - np.maximum(replies.began_ns, replies.server_ns)
    counts = (after_head_ns > _LEAST_NS) & (after_head_ns * _LEAST_PART > end_to_end_ns)
    return np.where(counts, after_head_ns, 0)


def network_before_reply_ns(replies: Replies, network_ns: Nanoseconds) -> Nanoseconds:
    """How much of the network time passed before the first byte of the reply, at least.

    Only that can be waiting for the server's span to begin. A span that fits in before the first
    byte may have ended by then; a longer one goes on behind it, and leaves all to the time before.
    """
    may_have_ended = replies.server_ns <= replies.began_ns
    before_ns = np.where(may_have_ended, replies.began_ns - replies.server_ns, replies.began_ns)
    return np.minimum(before_ns, network_ns)

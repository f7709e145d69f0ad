"""Whether a payload is answered faster when it comes again, as a cache would."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from tracebench.model.exchange import Exchange, Outcome

_FEWEST: Final = 6
"""Payloads: that chance makes the second reply the faster one for all has then less than 2 %."""
_MOST_SHARE: Final = 0.9


class FirstAndSecond(NamedTuple):
    """Median latencies of the first and of the second reply to a payload."""

    first_ns: float
    second_ns: float
    payloads: int


def first_and_second(exchanges: Sequence[Exchange]) -> FirstAndSecond | None:
    """Compare the first with the second reply only: a warm-up takes longer than that to pass.

    Returns:
        None where fewer than six payloads were answered twice, or not nine in ten were faster.
    """
    if not any(one.variant for one in exchanges):
        return None  # a single payload, as in most runs
    answers: defaultdict[int, list[int]] = defaultdict(list)
    for one in sorted(exchanges, key=lambda one: one.scheduled_ns):
        if one.outcome is Outcome.SUCCEEDED and len(answers[one.variant]) < 2:
            answers[one.variant].append(one.done_ns - one.sent_ns)
    twice = [pair for pair in answers.values() if len(pair) == 2]
    faster = sum(second < first for first, second in twice)
    if len(twice) < _FEWEST or faster < _MOST_SHARE * len(twice):
        return None
    return FirstAndSecond(
        median(first for first, _ in twice), median(second for _, second in twice), len(twice)
    )

"""Whether a payload is answered faster when it comes again, as a cache would."""

from typing import Final, NamedTuple

import numpy as np

from tracebench.analysis.closure.closure import service_time, successes
from tracebench.model.requests import VARIANT, Requests

_FEWEST: Final = 6
"""Payloads: that chance makes the second reply the faster one for all has then less than 2 %."""
_MOST_SHARE: Final = 0.9


class FirstAndSecond(NamedTuple):
    """Median latencies of the first and of the second reply to a payload."""

    first_ns: float
    second_ns: float
    payloads: int


def first_and_second(requests: Requests) -> FirstAndSecond | None:
    """Compare the first with the second reply only: a warm-up takes longer than that to pass.

    Returns:
        None where fewer than six payloads were answered twice, or not nine in ten were faster.
    """
    if not any(rows[VARIANT].any() for rows in requests.pages()):
        return None  # a single payload, as in most runs
    chosen = successes(requests)
    variants = chosen.column(lambda part: part.request(VARIANT))
    order = np.argsort(variants, kind="stable")
    _, starts, counts = np.unique(variants[order], return_index=True, return_counts=True)
    starts = starts[counts > 1]
    took_ns = chosen.column(service_time)
    first_ns, second_ns = took_ns[order[starts]], took_ns[order[starts + 1]]
    faster = int(np.count_nonzero(second_ns < first_ns))
    if len(starts) < _FEWEST or faster < _MOST_SHARE * len(starts):
        return None
    return FirstAndSecond(float(np.median(first_ns)), float(np.median(second_ns)), len(starts))

"""`X-Stream-Timing`: when a server handed over the first parts of a streamed reply."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from server_middleware.vocabulary import STREAM_CHUNKS, STREAM_TIMING_HEADER
from tracebench.model.record.exchange import HandedOver, StreamTiming

STREAM_TIMING_KEY: Final = STREAM_TIMING_HEADER.lower()
_NS_PER_S: Final = 1e9
_LONGEST_S: Final = 1e9
"""31 years; anything longer is refused."""
_LARGEST: Final = 2**62


def read_stream_timing(text: str) -> StreamTiming | None:
    """Read the header's value; `STREAM_TIMING_HEADER` documents its format.

    Args:
        text: any text; it is not trusted.

    Returns:
        None if any part of it is invalid; the timing itself, which is separate, is still used.
    """
    try:
        told = json.loads(text)
        chunks, waited_s = told.get("chunks", []), told.get("waited", 0)
        handed_over = tuple(_handed_over(*one) for one in chunks[:STREAM_CHUNKS])
        waited_ns = _nanoseconds(waited_s)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return StreamTiming(handed_over, waited_ns=waited_ns) if _in_order(handed_over) else None


def _handed_over(size: object, at_s: object) -> HandedOver:
    if type(size) is not int or not 0 <= size <= _LARGEST:
        raise ValueError(f"{size!r} is not a size")
    return HandedOver(size, _nanoseconds(at_s))


def _nanoseconds(seconds: object) -> int:
    if isinstance(seconds, int | float) and 0 <= seconds <= _LONGEST_S:
        return round(seconds * _NS_PER_S)
    raise ValueError(f"{seconds!r} is not a duration")


def _in_order(parts: Sequence[HandedOver]) -> bool:
    return all(a.size <= b.size and a.at_ns <= b.at_ns for a, b in pairwise(parts))

"""The mirror: a request's timings, written into its reply."""

from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate
from typing import Final

from opentelemetry import trace

from server_middleware.vocabulary import (
    LONGEST_NAME,
    MOST_OWN_NAMES,
    OUTSIDE,
    REPORTED_PARTS,
    SERVER_PROCESSING,
    SERVER_TIMING_HEADER,
    TIMING_HEADER,
    UNLISTED,
)

MOST_NAMES: Final = MOST_OWN_NAMES + len(REPORTED_PARTS)
"""How many components are mirrored at most: the standard ones, then those that took the most time;
the others are counted."""
_MOST_BYTES: Final = 1_900
"""Limit per header: both must stay below the 4 KiB that a proxy may buffer of a reply's headers."""
_AROUND_A_NAME: Final = 20
_SECOND_NS: Final = 1_000_000_000
_SURELY_FIT: Final = _MOST_BYTES // (LONGEST_NAME + _AROUND_A_NAME)


def headers(
    total_ns: int,
    parts_ns: Mapping[str, int],
    span: trace.Span | None = None,
    ran_outside: int = 0,
    known: trace.SpanContext | None = None,
) -> list[tuple[str, str]]:
    """The reply headers that carry the timings, in ASCII.

    Args:
        total_ns: since the request began.
        parts_ns: exclusive times by component; the names are valid.
        span: the request's span, whose ids are added if it is recording.
        ran_outside: how many components ran outside any request meanwhile.
        known: the context of a recorded span that has ended, named if `span` is not recording.
    """
    of_all = len(parts_ns)
    parts_ns = _foremost(parts_ns)
    times_ns = (*parts_ns.values(), total_ns)
    in_seconds, below_a_second, in_ms, in_ms_of_span = _forms(tuple(parts_ns))
    if max(times_ns) < _SECOND_NS:
        seconds = below_a_second % times_ns  # formats integers, which costs less
    else:
        seconds = in_seconds % tuple([ns / 1e9 for ns in times_ns])
    times_ms = [ns / 1e6 for ns in times_ns]
    if span is not None and span.is_recording():
        known = span.get_span_context()
    if known is not None:
        ms = in_ms_of_span % (*times_ms, known.trace_id, known.span_id, known.trace_flags)
    else:
        ms = in_ms % tuple(times_ms)
    if len(parts_ns) < of_all:
        ms += f', {UNLISTED};desc="{of_all - len(parts_ns)}"'
    if ran_outside:
        ms += f', {OUTSIDE};desc="{ran_outside}"'
    return [(TIMING_HEADER, seconds), (SERVER_TIMING_HEADER, ms)]


_TRACE: Final = ', trace;desc="00-%032x-%016x-%02x"'


@lru_cache(maxsize=256)
def _forms(names: tuple[str, ...]) -> tuple[str, str, str, str]:
    """Templates of the headers, to be filled in with `%`, which valid names never contain.

    Two of the first, for times in s and for times in ns that are all below a second; and two of the
    second, without and with a span.
    """
    names = (*names, SERVER_PROCESSING)
    seconds = ", ".join(f'"{name}": %.9f' for name in names)
    in_seconds, in_ms = f"{{{seconds}}}", ", ".join(f"{name};dur=%.6f" for name in names)
    return in_seconds, in_seconds.replace("%.9f", "0.%09d"), in_ms, in_ms + _TRACE


def timings(total_ns: int, parts_ns: Mapping[str, int]) -> dict[str, int]:
    """What is mirrored: component → ns, the total last."""
    return {**_foremost(parts_ns), SERVER_PROCESSING: total_ns}


def _foremost(parts_ns: Mapping[str, int]) -> Mapping[str, int]:
    if len(parts_ns) <= _SURELY_FIT:
        return parts_ns
    first = sorted(parts_ns, key=lambda name: (name not in REPORTED_PARTS, -parts_ns[name]))
    ends = accumulate(len(name) + _AROUND_A_NAME for name in first)
    fit = {one for one, end in zip(first[:MOST_NAMES], ends, strict=False) if end <= _MOST_BYTES}
    return {name: parts_ns[name] for name in parts_ns if name in fit}  # in a stable order

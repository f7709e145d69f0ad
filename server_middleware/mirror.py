"""The mirror: a request's timings, written into its reply."""

from collections.abc import Mapping
from typing import Final

from opentelemetry import trace

from tracebench.vocabulary import (
    REPORTED_PARTS,
    SERVER_PROCESSING,
    SERVER_TIMING_HEADER,
    TIMING_HEADER,
)

MOST_NAMES: Final = 16
"""So many components are mirrored at most, the standard ones first: headers stay below 4 KiB."""


def headers(
    total_ns: int, parts_ns: Mapping[str, int], span: trace.Span | None = None
) -> list[tuple[str, str]]:
    """The reply headers that carry the timings, in ASCII.

    Args:
        total_ns: since the request began.
        parts_ns: exclusive times by component; the names are valid ones.
        span: to be named as the request's, where it is recorded.
    """
    times_ns = timings(total_ns, parts_ns)
    seconds = ", ".join([f'"{name}": {ns / 1e9!r}' for name, ns in times_ns.items()])
    entries = [f"{name};dur={ns / 1e6:.6f}" for name, ns in times_ns.items()]
    if span is not None and span.is_recording():
        context = span.get_span_context()
        ids = f"{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        entries.append(f'trace;desc="00-{ids}"')
    return [(TIMING_HEADER, f"{{{seconds}}}"), (SERVER_TIMING_HEADER, ", ".join(entries))]


def timings(total_ns: int, parts_ns: Mapping[str, int]) -> dict[str, int]:
    """What is mirrored: component → ns, the total last."""
    if len(parts_ns) > MOST_NAMES:
        first = sorted(parts_ns, key=lambda name: name not in REPORTED_PARTS)[:MOST_NAMES]
        parts_ns = {name: parts_ns[name] for name in first}
    return {**parts_ns, SERVER_PROCESSING: total_ns}

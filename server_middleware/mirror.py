"""The mirror: a request's timings, written into its reply."""

import json
from collections.abc import Mapping

from opentelemetry import trace

from tracebench.vocabulary import SERVER_PROCESSING, SERVER_TIMING_HEADER, TIMING_HEADER


def headers(total_ns: int, parts_ns: Mapping[str, int]) -> list[tuple[str, str]]:
    """The reply headers that carry the timings.

    Args:
        total_ns: since the request began.
        parts_ns: exclusive times by component.
    """
    times_ns = {**parts_ns, SERVER_PROCESSING: total_ns}
    timing_info = json.dumps({name: ns / 1e9 for name, ns in times_ns.items()})
    entries = [f"{name};dur={ns / 1e6:.6f}" for name, ns in times_ns.items()]
    context = trace.get_current_span().get_span_context()
    if context.is_valid and not context.is_remote:
        ids = f"{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
        entries.append(f'trace;desc="00-{ids}"')
    return [(TIMING_HEADER, timing_info), (SERVER_TIMING_HEADER, ", ".join(entries))]

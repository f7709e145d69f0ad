"""One request's timing: from its server's spans, or else from the mirror."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from tracebench.model.exchange import Exchange, Timing, Undecomposed
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.server_spans import ServerSpans, entry_of

Source: TypeAlias = Literal["otlp", "backend"]


def join(
    exchange: Exchange,
    mirror: Timing | Undecomposed,
    kept: Mapping[Source, ServerSpans],
    mapper: Mapper,
) -> Timing | Undecomposed:
    """Find out what the server says of a request.

    Args:
        exchange: the request.
        mirror: what the reply says; it counts where no spans do. Its names are still the server's.
        kept: server spans by source; the first that has the request's entry span counts.
        mapper: says which spans are which component.
    """
    for source, spans in kept.items():
        of_trace = spans.of(exchange.trace_id)
        if (entry := entry_of(of_trace, exchange.span_id)) is not None:
            waited_ns = exchange.arrived_ns - exchange.sent_ns
            timing = mapper.timing(entry, of_trace, waited_ns, spans.trust)
            if isinstance(timing, Timing):
                return timing._replace(source=source, started_ns=entry.start_ns)
            return timing
    return mapper.renamed(mirror)

"""One request's timing: from its server's spans, or else from the mirror."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from tracebench.analysis.sources import differences
from tracebench.model.exchange import Exchange, Timing, Undecomposed
from tracebench.model.span import Span
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.server_spans import ServerSpans, entry_of
from tracebench.vocabulary import OUTSIDE_ATTRIBUTE

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
            if isinstance(timing, Undecomposed):
                return timing
            timing = timing._replace(source=source, started_ns=entry.start_ns)
            return _beside(mapper.renamed(mirror), timing, _strays(entry, mirror))
    return mapper.renamed(mirror)


def _beside(mirror: Timing | Undecomposed, spans: Timing, strays: int) -> Timing:
    """What the spans tell, and whether the reply told the same."""
    if isinstance(mirror, Undecomposed):
        return spans._replace(strays=strays)
    return spans._replace(strays=strays, differs_ns=differences(mirror, spans))


def _strays(entry: Span, mirror: Timing | Undecomposed) -> int:
    """How many components ran outside any request, by its span or its mirror: each may be late."""
    told = entry.attributes.get(OUTSIDE_ATTRIBUTE)
    mirrored = mirror.strays if isinstance(mirror, Timing) else 0
    return max(told, mirrored) if isinstance(told, int) else mirrored

"""What servers said of requests: in their spans, or else in the mirror."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from tracebench.analysis.sources import differences
from tracebench.model.columns import ABSENT, Columns, Int64, PageView
from tracebench.model.exchange import Exchange, Timing, Undecomposed
from tracebench.model.requests import Requests
from tracebench.model.server_times import PART, PartNames, ServerTimes, TimesPage
from tracebench.model.span import Span
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.server_spans import ServerSpans, entry_of
from tracebench.vocabulary import OUTSIDE_ATTRIBUTE, SERVER_OTHER

Source: TypeAlias = Literal["otlp", "backend"]


def join(
    requests: Requests,
    mirrors: ServerTimes,
    kept: Mapping[Source, ServerSpans],
    mapper: Mapper,
) -> ServerTimes:
    """Find out what the servers say of each request.

    Args:
        requests: the requests.
        mirrors: what the replies say, by the servers' own names; it counts where no spans do.
        kept: server spans by source; the first that has the request's entry span counts.
        mapper: says which spans are which component.
    """
    mirrors = renamed(mirrors, mapper)
    if not any(kept.values()):
        return mirrors
    columns, names = Columns(mirrors.columns.keep), PartNames()
    for rows in requests.pages():
        page = TimesPage(rows.count, names)
        for row in range(rows.count):
            at = rows.start + row
            timing = _timing(requests.exchange(at), mirrors.timing(at), kept, mapper)
            if timing is not None:
                page.put_one(row, timing)
        columns.append(page.columns, rows.count)
    return mirrors.overlaid(ServerTimes(columns, names.unlisted))


def renamed(mirrors: ServerTimes, mapper: Mapper) -> ServerTimes:
    """Mirrors with their parts as the user's rules name them: each is as a span of its name."""
    spellings: dict[str, list[str]] = {}
    for name in mirrors.parts:
        spellings.setdefault(mapper.name_of(name), []).append(name)
    if all(those == [name] for name, those in spellings.items()):
        return mirrors
    spellings.pop(SERVER_OTHER, None)
    columns = Columns(mirrors.columns.keep)
    others = [name for name in mirrors.columns.names if not name.startswith(PART)]
    for page in mirrors.pages():
        told = {name: page[name] for name in others}
        told |= {PART + name: _together(page, those) for name, those in spellings.items()}
        columns.append(told, page.rows)
    return replace(mirrors, columns=columns)


def _together(page: PageView, names: Sequence[str]) -> Int64:
    told = np.array([page[PART + name] for name in names])
    return np.where((told == ABSENT).all(0), ABSENT, np.where(told == ABSENT, 0, told).sum(0))


def _timing(
    exchange: Exchange,
    mirror: Timing | Undecomposed,
    kept: Mapping[Source, ServerSpans],
    mapper: Mapper,
) -> Timing | Undecomposed | None:
    for source, spans in kept.items():
        of_trace = spans.of(exchange.trace_id)
        if (entry := entry_of(of_trace, exchange.span_id)) is not None:
            waited_ns = exchange.arrived_ns - exchange.sent_ns
            timing = mapper.timing(entry, of_trace, waited_ns, spans.trust)
            if isinstance(timing, Undecomposed):
                return timing
            timing = timing._replace(source=source, started_ns=entry.start_ns)
            return _beside(mirror, timing, _strays(entry, mirror))
    return None


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

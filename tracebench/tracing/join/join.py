"""Combine what servers report about requests: their spans, or else the mirror."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from server_middleware.vocabulary import SERVER_OTHER
from tracebench.model.record.columns import Columns, summed
from tracebench.model.record.requests import TRACED, Requests
from tracebench.model.record.server_times import (
    NO_TIMING,
    NOT_TRACED,
    PART,
    PROBLEM,
    PartNames,
    ServerTimes,
    TimesPage,
)
from tracebench.model.record.span_columns import TraceIndex, Words
from tracebench.tracing.join.server_spans import KeptSpans
from tracebench.tracing.join.span_join import Sheet, SpanJoin
from tracebench.tracing.mapping.mapper import Mapper

Source: TypeAlias = Literal["otlp", "backend"]


def join(
    requests: Requests,
    mirrors: ServerTimes,
    kept: Mapping[Source, KeptSpans],
    mapper: Mapper,
    on_page: Callable[[int], object] = lambda _done: None,
) -> ServerTimes:
    """Determine what the servers report about each request.

    Args:
        requests: the requests.
        mirrors: timings from the replies, with the servers' own names; used for requests without
            spans.
        kept: server spans by source; the first source that has a request's entry span is used.
        mapper: maps spans to components.
        on_page: called after each page with how many requests are done.
    """
    mirrors = renamed(mirrors, mapper)
    if not any(kept.values()):
        return mirrors
    index, roots = _ids(requests)
    joins = [SpanJoin(index, roots, spans, source, mapper) for source, spans in kept.items()]
    columns, names = Columns(mirrors.columns.keep), PartNames()
    for rows, mirror in zip(requests.pages(), mirrors.pages(), strict=True):
        page = TimesPage(rows.count, names)
        sheet = Sheet(requests, rows, mirror, mirrors, page, rows.all)
        for one in joins:
            one.fill(sheet)
        if requests.partly_traced:
            silent = (page.columns[PROBLEM] == NO_TIMING) & (mirror[PROBLEM] == NO_TIMING)
            page.columns[PROBLEM][silent & (rows[TRACED] == 0)] = NOT_TRACED
        columns.append(page.columns, rows.count)
        on_page(rows.start + rows.count)
    return mirrors.overlaid(ServerTimes(columns, names.unlisted))


def _ids(requests: Requests) -> tuple[TraceIndex, Words]:
    try:
        high, low, roots = requests.words()
    except ValueError:  # ids of another client, of another form
        return TraceIndex.blind(len(requests)), np.zeros(len(requests), np.uint64)
    return TraceIndex(high, low), roots


def renamed(mirrors: ServerTimes, mapper: Mapper) -> ServerTimes:
    """Rename the parts of mirrors by the user's rules, which treat each part like a span."""
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
        told |= {
            PART + name: summed([page[PART + one] for one in those])
            for name, those in spellings.items()
        }
        columns.append(told, page.rows)
    return replace(mirrors, columns=columns)

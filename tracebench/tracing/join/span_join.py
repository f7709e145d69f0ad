"""Join the spans of one source: traces of the same shape together, others one by one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from server_middleware.vocabulary import OUTSIDE_ATTRIBUTE
from tracebench.analysis.closure.bulk_attribution import TraceShape, attribute_in_bulk
from tracebench.analysis.closure.source_agreement import (
    EXACT_NS,
    Told,
    differences,
    differences_alike,
)
from tracebench.model.record.columns import ABSENT, Int64, PageView
from tracebench.model.record.exchange import Exchange, Timing, Undecomposed
from tracebench.model.record.requests import ARRIVED, SENT, Flags, Requests, Rows
from tracebench.model.record.server_times import (
    PART,
    PROBLEM,
    STRAYS,
    TOTAL,
    ServerTimes,
    Source,
    TimesPage,
)
from tracebench.model.record.span import Span
from tracebench.model.record.span_columns import TraceIndex, Words
from tracebench.tracing.join.irregular import Oddities
from tracebench.tracing.join.server_spans import KeptSpans, entry_of
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.mapping.trace_shapes import BELOW_ROOT, UNKNOWN, Apart, ShapePlan, SpanKinds

FEWEST: Final = 8
"""Least number of traces of one shape on a page; fewer are as fast one by one."""
_MOST_SPANS: Final = 64
"""Limit on the spans of a trace; a larger trace is joined on its own."""
_MIX: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of requests, and what has been found about it."""

    requests: Requests
    rows: Rows
    mirror: PageView
    mirrors: ServerTimes
    times: TimesPage
    left: Flags
    """Which requests no source has reported on yet."""


class _Traces(NamedTuple):
    """Traces with the same number of spans: one row per trace, one column per span."""

    rows: Int64
    """Indices on the page of requests."""
    ids: Words
    kinds: Int64
    parents: Int64
    """Indices in the trace."""
    start: Int64
    end: Int64
    strays: Int64

    def take(self, some: Flags) -> "_Traces":
        return _Traces(
            self.rows[some],
            self.ids[some],
            self.kinds[some],
            self.parents[some],
            self.start[some],
            self.end[some],
            self.strays[some],
        )


class SpanJoin:
    """Joins the spans of one source with requests.

    Args:
        index: finds requests by their trace ids.
        roots: the ids of their root spans.
        kept: the spans.
        source: where they come from.
        mapper: maps spans to components.
        fewest: how many traces of one shape a page must have for them to be divided together.
    """

    def __init__(
        self,
        index: TraceIndex,
        roots: Words,
        kept: KeptSpans,
        source: Source,
        mapper: Mapper,
        fewest: int = FEWEST,
    ) -> None:
        self._roots, self._source, self._mapper, self._fewest = roots, source, mapper, fewest
        self._spans, self._trust = kept.columns(), kept.trust()
        rows = index.places(self._spans.trace_high, self._spans.trace_low)
        self._oddities = Oddities(index, kept, rows)
        self._kinds = SpanKinds(mapper, self._trust)
        numbers = map(self._kinds.number, self._spans.templates)
        self._kind_of = np.array([*numbers, 0])
        self._strays_of = np.array([*map(_strays_told, self._spans.templates), 0])
        kinds = self._kind_of[self._spans.said]
        plain = np.flatnonzero(rows >= 0)
        plain = plain[~self._oddities.is_odd[rows[plain]]]
        self._order = plain[np.lexsort((self._spans.start[plain], kinds[plain], rows[plain]))]
        self._rows = rows[self._order]

    def fill(self, sheet: Sheet) -> None:
        """Enter what the spans report about the requests on a page."""
        start, count = sheet.rows.start, sheet.rows.count
        odd = self._oddities.is_odd[start : start + count] & sheet.left
        for traces in self._traces(sheet):
            done = self._fill_alike(sheet, traces)
            odd[traces.rows[~done]] = True
        self._fill_one_by_one(sheet, np.flatnonzero(odd & sheet.left))

    # ── traces of the same shape ──────────────────────────────────────────────────────────────────

    def _traces(self, sheet: Sheet) -> Iterator[_Traces]:
        """The traces of regular requests, grouped by the number of their spans."""
        start = sheet.rows.start
        low, high = np.searchsorted(self._rows, [start, start + sheet.rows.count])
        of_row, here = self._rows[low:high] - start, self._order[low:high]
        found, first, counts = np.unique(of_row, return_index=True, return_counts=True)
        for count in np.unique(counts).tolist():
            some = (counts == count) & sheet.left[found]
            places = first[some][:, None] + np.arange(count)
            yield self._matrix(found[some], here[places], self._roots[found[some] + start])

    def _matrix(self, rows: Int64, at: Int64, roots: Words) -> _Traces:
        spans = self._spans
        ids, above, said = spans.span[at], spans.parent[at], spans.said[at]
        parents = np.where(above == roots[:, None], BELOW_ROOT, UNKNOWN)
        if at.shape[1] <= _MOST_SPANS:
            for place in range(at.shape[1]):
                parents[above == ids[:, [place]]] = place
        parents[above == 0] = UNKNOWN
        kinds, strays = self._kind_of[said], self._strays_of[said]
        return _Traces(rows, ids, kinds, parents, spans.start[at], spans.end[at], strays)

    def _fill_alike(self, sheet: Sheet, traces: _Traces) -> Flags:
        """Divide traces of common shapes; returns which traces are done."""
        done = np.zeros(len(traces.rows), np.bool_)
        if not len(done) or traces.ids.shape[1] > _MOST_SPANS:
            return done
        usual = _usual(traces, self._roots[traces.rows + sheet.rows.start])
        usual &= sheet.mirror[TOTAL][traces.rows] < EXACT_NS
        for example, alike in _by_form(traces, usual, self._fewest):
            form = (tuple(one[example].tolist()) for one in (traces.kinds, traces.parents))
            plan = self._kinds.plan(*form)
            if plan is not None and plan.form is not None:
                alike[alike] = ~_strange(traces.take(alike), plan.apart)
                self._divide(sheet, plan.form, _ended(sheet.rows, traces.take(alike), plan))
            if plan is not None:
                done |= alike
        return done

    def _divide(self, sheet: Sheet, form: TraceShape, traces: _Traces) -> None:
        rows, mirror = traces.rows, sheet.mirror
        parts_ns = attribute_in_bulk(form, traces.start, traces.end, traces.ids)
        started_ns = traces.start[:, form.entry]
        total_ns = traces.end[:, form.entry] - started_ns
        sheet.times.put_spans(rows, total_ns, parts_ns, started_ns, self._source)
        strays = np.maximum(traces.strays[:, form.entry], np.maximum(mirror[STRAYS][rows], 0))
        has_mirror = mirror[PROBLEM][rows] == ABSENT
        differs_ns: Mapping[str, Int64] = {}
        if has_mirror.any():
            told = _mirrored(mirror, rows[has_mirror])
            found = Told(total_ns, parts_ns).take(has_mirror)
            differs_ns = differences_alike(told, found)
        sheet.times.compare(rows, strays, has_mirror, differs_ns)
        sheet.left[rows] = False

    # ── one by one ───────────────────────────────────────────────────────────────────────────

    def _fill_one_by_one(self, sheet: Sheet, rows: Int64) -> None:
        if not len(rows):
            return
        store = self._oddities.store(rows + sheet.rows.start)
        for row in rows.tolist():
            at = sheet.rows.start + row
            exchange = sheet.requests.exchange(at)
            timing = self._timing(exchange, sheet.mirrors.timing(at), store.of(exchange.trace_id))
            if timing is not None:
                sheet.times.put_one(row, timing)
                sheet.left[row] = False

    def _timing(
        self, exchange: Exchange, mirror: Timing | Undecomposed, of_trace: Sequence[Span]
    ) -> Timing | Undecomposed | None:
        if (entry := entry_of(of_trace, exchange.span_id)) is None:
            return None
        waited_ns = exchange.arrived_ns - exchange.sent_ns
        timing = self._mapper.timing(entry, of_trace, waited_ns, self._trust)
        if isinstance(timing, Undecomposed):
            return timing
        timing = timing._replace(source=self._source, started_ns=entry.start_ns)
        return _beside(mirror, timing, _strays(entry, mirror))


def _by_form(traces: _Traces, usual: Flags, fewest: int) -> Iterator[tuple[int, Flags]]:
    """For each shape with at least `fewest` traces: the index of an example, and a mask."""
    codes = np.zeros(len(traces.rows), np.uint64)
    for kinds, parents in zip(traces.kinds.T, traces.parents.T, strict=True):
        said = (kinds * (_MOST_SPANS + 3) + parents + 3).astype(np.uint64)
        codes = (codes * _MIX[0]) ^ ((said + (codes >> np.uint64(29))) * _MIX[1])
    found, examples, counts = np.unique(codes[usual], return_index=True, return_counts=True)
    common, places = counts >= fewest, np.flatnonzero(usual)
    for code, example in zip(found[common], places[examples[common]].tolist(), strict=True):
        alike = usual & (codes == code)
        alike[alike] = (
            (traces.kinds[alike] == traces.kinds[example])
            & (traces.parents[alike] == traces.parents[example])
        ).all(axis=1)
        yield example, alike


def _usual(traces: _Traces, roots: Words) -> Flags:
    """Traces whose ids are all distinct, and whose times are within bounds."""
    ordered = np.sort(np.column_stack([traces.ids, roots]), axis=1)
    lasting = traces.end - traces.start
    is_plain = (traces.start >= 0) & (lasting >= 0) & (lasting < EXACT_NS)
    distinct = (ordered[:, 1:] != ordered[:, :-1]).all(axis=1) & (ordered[:, 0] != 0)
    return np.asarray(distinct & is_plain.all(axis=1))


def _strange(traces: _Traces, pairs: Sequence[Apart]) -> Flags:
    """Traces with a process whose clock cannot be its parent's, by the rules of `on_one_clock`."""
    strange = np.zeros(len(traces.rows), np.bool_)
    for span, parent, asked in pairs:
        start, end = traces.start[:, span], traces.end[:, span]
        first, last = traces.start[:, parent], traces.end[:, parent]
        outside = (start < first) | (start > last) | (asked & (end > last))
        strange |= outside & (end - start <= last - first)
    return strange


def _ended(requests: Rows, traces: _Traces, plan: ShapePlan) -> _Traces:
    """The traces, with entry spans that end where the server's part of the request does."""
    if plan.form is None or not (plan.last or plan.last_if_outlived):
        return traces
    sent, arrived = (_reached(requests, one)[traces.rows] for one in (SENT, ARRIVED))
    end, start = traces.end.copy(), traces.start[:, plan.form.entry]
    for places, outlived in ((plan.last, False), (plan.last_if_outlived, True)):
        until = end[:, plan.form.entry]
        last = traces.end[:, list(places)].max(axis=1, initial=-1)
        counts = (last >= start) & (not outlived or until - start > arrived - sent)
        end[:, plan.form.entry] = np.where(counts, last, until)
    return traces._replace(end=end)


def _reached(requests: Rows, stamp: str) -> Int64:
    at = requests.at(stamp)
    return np.where(at == ABSENT, 0, at)


def _mirrored(mirror: PageView, rows: Int64) -> Told:
    names = [one for one in mirror.names if one.startswith(PART)]
    parts_ns = {name.removeprefix(PART): mirror[name][rows] for name in names}
    return Told(mirror[TOTAL][rows], parts_ns)


def _strays_told(span: Span) -> int:
    told = span.attributes.get(OUTSIDE_ATTRIBUTE)
    return told if isinstance(told, int) else 0


def _beside(mirror: Timing | Undecomposed, spans: Timing, strays: int) -> Timing:
    """The timing from spans, with how it differs from the reply's."""
    if isinstance(mirror, Undecomposed):
        return spans._replace(strays=strays)
    return spans._replace(strays=strays, differs_ns=differences(mirror, spans))


def _strays(entry: Span, mirror: Timing | Undecomposed) -> int:
    """How many components ran outside any request: the greater count, as either may lag."""
    told = entry.attributes.get(OUTSIDE_ATTRIBUTE)
    mirrored = mirror.strays if isinstance(mirror, Timing) else 0
    return max(told, mirrored) if isinstance(told, int) else mirrored

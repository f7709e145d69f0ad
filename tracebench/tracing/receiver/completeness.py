"""Whether all spans of a target have arrived, and how long to wait for late ones."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from tracebench.analysis.closure.missing_spans import NOTHING, OtherSpans, other_spans
from tracebench.model.record.columns import Int64
from tracebench.model.record.requests import Requests
from tracebench.model.record.span_columns import (
    Spans,
    TraceIndex,
    Words,
    span_words,
    together,
    trace_words,
)
from tracebench.tracing.receiver.store import Digest

# How long to wait for late spans: pure, so that its tests need no clock.

FLUSH_S: Final = 5.0
"""BatchSpanProcessor's default: a partial batch is sent this long after the previous one."""
MARGIN_S: Final = 1.0
LONGEST_QUIET_S: Final = 20.0
LONGEST_S: Final = 60.0


class Patience:
    """Waits until everything has arrived, or nothing new for longer than exporters take to flush.

    Args:
        arrivals_s: when batches arrived during the run; the longest pause between two of them is
            taken as the flush interval.
        load_began_s: the start of the load, and so of the spans.
        now_s: when the wait begins; all on one clock.
    """

    def __init__(self, arrivals_s: Sequence[float], load_began_s: float, now_s: float) -> None:
        pauses_s = [b - a for a, b in pairwise(sorted(arrivals_s))]
        self.quiet_s = min(max([FLUSH_S, *pauses_s]) + MARGIN_S, LONGEST_QUIET_S)
        self._load_began_s = load_began_s
        self._began_s = self._new_s = now_s

    def came(self, now_s: float) -> None:
        """Note that an awaited span has arrived."""
        self._new_s = now_s

    def knows_all(self, now_s: float) -> bool:
        """Whether every exporter must have sent by now: a short run ends before they flush."""
        return now_s - self._load_began_s > FLUSH_S + MARGIN_S

    def is_over(self, now_s: float) -> bool:
        """Whether nothing more is expected."""
        return now_s - self._new_s > self.quiet_s or now_s - self._began_s > LONGEST_S

    def left_s(self, now_s: float) -> float:
        """How long it will wait if nothing comes."""
        until_s = min(self._new_s + self.quiet_s, self._began_s + LONGEST_S)
        return max(until_s - now_s, 0.0)


# What was fetched for one target: the spans of its requests, and which entry spans are missing.

_NO_SPAN: Final = np.uint64(0)


class Roots:
    """The client's root spans, one per request: trace id and span id, as words."""

    def __init__(self, high: Words, low: Words, span: Words) -> None:
        self._high, self._low, self.span = high, low, span
        self.index = TraceIndex(high, low)

    @classmethod
    def of(cls, roots: Mapping[str, str]) -> "Roots":
        """Convert them from text.

        Args:
            roots: trace id → id of the root span, in hexadecimal.
        """
        return cls(*trace_words(roots), span_words(roots.values()))

    @classmethod
    def of_successes(cls, requests: Requests) -> "Roots":
        """The roots of all requests that were answered."""
        return cls(*requests.words(requests.places(lambda rows: rows.succeeded)))

    @classmethod
    def together(cls, parts: Sequence["Roots"]) -> "Roots":
        """Those of several targets, one after the other."""
        words = [(one._high, one._low, one.span) for one in parts]
        return cls(*(np.concatenate(column) for column in zip(*words, strict=True)))

    def __len__(self) -> int:
        return len(self.span)

    def trace_ids(self, rows: npt.NDArray[np.bool_]) -> list[str]:
        """The trace ids of the given rows, in hexadecimal."""
        pairs = zip(self._high[rows].tolist(), self._low[rows].tolist(), strict=True)
        return [f"{high:016x}{low:016x}" for high, low in pairs]


class Gathering:
    """The spans of one run, and what is still missing.

    Its `spans` are those of its traces, and of traces in which some span links to one of them: a
    batch that a server processed for many requests.

    Args:
        roots: the root span of every request.
        most_bytes: how much may be held, in bytes as received; `dropped` counts spans beyond it.
    """

    def __init__(self, roots: Roots, most_bytes: int) -> None:
        self.missing = len(roots)
        """Requests without an entry span."""
        self.dropped = 0
        self.room_bytes = most_bytes
        self._roots = roots
        self._is_missing = np.ones(len(roots), np.bool_)
        self._linked: set[str] = set()
        self._held: list[Spans] = []
        self._heard_ns: dict[str, int] = {}

    def add(self, come: Digest) -> None:
        """Add spans."""
        self.dropped += come.dropped
        self.room_bytes -= come.size_bytes
        spans = come.spans
        self._held.append(spans)
        rows = self._roots.index.places(spans.trace_high, spans.trace_low)
        ours = rows >= 0
        rows, parents = rows[ours], spans.parent[ours]
        is_entry = (parents != _NO_SPAN) & (parents == self._roots.span[rows])
        self._is_missing[rows[is_entry]] = False
        self.missing = int(np.count_nonzero(self._is_missing))
        self._hear(spans.take(ours), np.repeat(come.arrivals_ns, come.counts)[ours])
        self._link(spans)

    @property
    def held(self) -> int:
        """How many spans have arrived so far, whichever traces they belong to."""
        return sum(map(len, self._held))

    def is_whole(self, load_ended_ns: int) -> bool:
        """Whether each request has its entry span, and no process may have more to send.

        An entry span is the last of its trace that its process sends. If several processes worked
        on the run, each must have sent something since the load ended.
        """
        heard_ns = self._heard_ns.values()
        return not self.missing and (len(heard_ns) < 2 or min(heard_ns) >= load_ended_ns)

    def missing_places(self) -> Int64:
        """The indices of the roots without an entry span."""
        return np.flatnonzero(self._is_missing)

    def missing_traces(self) -> list[str]:
        """The trace ids of the requests without an entry span."""
        return self._roots.trace_ids(self._is_missing)

    def instead(self) -> OtherSpans:
        """What arrived in place of missing entry spans; not computed if none is missing."""
        if not self.missing:
            return NOTHING
        ours = {*self._roots.trace_ids(np.ones_like(self._is_missing)), *self._linked}
        return other_spans(together(self._held), ours, set(self.missing_traces()))

    def spans(self) -> Spans:
        """The spans related to the requests, in order of arrival."""
        linked = TraceIndex.of(sorted(self._linked))
        return together([one.take(self._belong(one, linked)) for one in self._held])

    def _belong(self, spans: Spans, linked: TraceIndex) -> npt.NDArray[np.bool_]:
        traces = (spans.trace_high, spans.trace_low)
        return (self._roots.index.places(*traces) >= 0) | (linked.places(*traces) >= 0)

    def _hear(self, spans: Spans, arrivals_ns: npt.NDArray[np.int64]) -> None:
        """Note when each process last sent; each has its own resource."""
        last_ns = np.zeros(len(spans.templates), np.int64)
        np.maximum.at(last_ns, spans.said, arrivals_ns)
        of_process: dict[int, tuple[str, int]] = {}
        for number in np.unique(spans.said).tolist():
            resource, at_ns = spans.templates[number].resource, int(last_ns[number])
            name, known_ns = of_process.get(id(resource)) or (str(resource), 0)
            of_process[id(resource)] = name, max(at_ns, known_ns)
        for name, at_ns in of_process.values():
            self._heard_ns[name] = max(at_ns, self._heard_ns.get(name, 0))

    def _link(self, spans: Spans) -> None:
        """Note other traces in which a span links to one of the run's."""
        for span in spans.linking():
            if any(self._is_known(link.trace_id) for link in span.links):
                self._linked.add(span.trace_id)

    def _is_known(self, trace_id: str) -> bool:
        if trace_id in self._linked:
            return True
        try:
            return bool(self._roots.index.places(*trace_words([trace_id]))[0] >= 0)
        except ValueError:  # a link's id may be invalid
            return False

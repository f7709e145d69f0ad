"""What was fetched for one target: whose entry span is there, and the spans on demand."""

from collections.abc import Iterator, Mapping

from tracebench.analysis.instead import NOTHING, Instead, came_instead
from tracebench.model.span import Span
from tracebench.tracing.otlp_json import read_json
from tracebench.tracing.otlp_protobuf import Headline, headlines, parse, read_protobuf
from tracebench.tracing.receiver.store import Batch


class Gathering:
    """Batches of one run; iterating over it reads the spans that have to do with its requests.

    Those are the spans of its traces, and of traces in which some span is linked to one of them:
    a batch that a server worked on for many requests. They are read each time, since records take
    five times the memory of what they are read from.

    Args:
        roots: trace id → id of the client's root span, for every request.
        most_bytes: what may be held; `dropped` counts spans beyond it.
    """

    def __init__(self, roots: Mapping[str, str], most_bytes: int) -> None:
        self.missing = dict(roots)
        self.dropped = 0
        self._traces = set(roots)
        self._room_bytes = most_bytes
        self._batches: list[Batch] = []
        self._heard_ns: dict[int, int] = {}

    def add(self, batch: Batch) -> int:
        """Take a batch; returns how many requests it brought the entry span of."""
        if len(batch.body) > self._room_bytes:
            self.dropped += batch.spans
            return 0
        self._room_bytes -= len(batch.body)
        self._batches.append(batch)
        before = len(self.missing)
        for one in _headlines(batch):
            if one.parent_id and self.missing.get(one.trace_id) == one.parent_id:
                del self.missing[one.trace_id]
            if one.trace_id in self._traces:
                self._heard_ns[one.resource] = batch.arrived_ns
            if not self._traces.isdisjoint(one.linked):
                self._traces.add(one.trace_id)
        return before - len(self.missing)

    def is_whole(self, load_ended_ns: int) -> bool:
        """Whether each request has its entry span, and nobody may have more to send.

        An entry span is the last of its trace that its process sends. Where several processes
        worked on the run, each must have sent something since the load ended.
        """
        heard_ns = self._heard_ns.values()
        return not self.missing and (len(heard_ns) < 2 or min(heard_ns) >= load_ended_ns)

    def instead(self) -> Instead:
        """What came where an entry span did not; where none is missing, nobody asks."""
        if not self.missing:
            return NOTHING
        return came_instead(self._all(), self._traces, self.missing)

    def __iter__(self) -> Iterator[Span]:
        return (span for span in self._all() if span.trace_id in self._traces)

    def _all(self) -> Iterator[Span]:
        for batch in self._batches:
            yield from (read_json if batch.encoding == "json" else read_protobuf)(batch.body)


def _headlines(batch: Batch) -> Iterator[Headline]:
    if batch.encoding == "protobuf":
        return headlines(parse(batch.body))
    spans = read_json(batch.body)
    return (
        Headline(
            hash(str(span.resource)),
            span.trace_id,
            span.parent_id,
            tuple(link.trace_id for link in span.links),
        )
        for span in spans
    )

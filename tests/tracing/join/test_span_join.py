"""Traces of one form are divided together: to the nanosecond as one by one."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracing.otlp_samples import RECORDED
from tests.tracing.samples import MIRROR, SUCCESS
from tracebench.model.record.columns import Columns
from tracebench.model.record.exchange import Exchange, Timing, Undecomposed
from tracebench.model.record.requests import Requests
from tracebench.model.record.server_times import PartNames, ServerTimes, TimesPage
from tracebench.model.record.span import Event, Kind, Link, Span
from tracebench.model.record.span_columns import TraceIndex
from tracebench.tracing.join.server_spans import KeptSpans
from tracebench.tracing.join.span_join import Sheet, SpanJoin
from tracebench.tracing.mapping.mapper import Mapper, mapper_of
from tracebench.tracing.otlp.read_json import read_json
from tracebench.tracing.otlp.read_protobuf import read_protobuf

EPOCH_NS = 1_795_000_000 * 10**9
ALIKE, NEVER = 2, 10**9
NAMES = (
    "inference",
    "preprocessing",
    "queue",
    "prefill_forward",
    "forward",
    "tokenize",
    "fastapi.endpoint",
    "fastapi.serialization",
    "POST / http send",
    "http",
)
ATTRIBUTES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"tracebench.component": "inference"},
    {"tracebench.component": "prefill"},
    {"tracebench.component": "my own"},
    {"tracebench.components_outside_requests": 3},
    {"url.path": "/predict"},
)
ODD: tuple[dict[str, Any], ...] = (
    {"attributes": {"tracebench.part_ns.inference": 40}},
    {"events": (Event("begin", EPOCH_NS),)},
    {"events": (Event("tracebench.chunk", EPOCH_NS, {"tracebench.chunk.bytes": 120}),)},
    {"links": (Link(f"{1:032x}", f"{7:016x}"),)},
    {"span_id": f"{1:016x}"},
    {"parent_id": "elsewhere"},
)
MAPPERS = (Mapper(), mapper_of(["postprocessing=tokenize", "queue=http*"], None))


class Shape:
    """A form of traces: names, parents, and about when each span is."""

    def __init__(self, random: Random, spans: int) -> None:
        kinds: tuple[Kind, ...] = ("INTERNAL", "INTERNAL", "SERVER", "CLIENT")
        self.spans = [
            Span(
                "",
                "",
                "",
                random.choice(NAMES),
                "SERVER" if not place else random.choice(kinds),
                0,
                0,
                random.choice(ATTRIBUTES),
                resource={"service.name": random.choice(("model", "model", "store"))},
                scope=random.choice(("", "", "fastapi", "opentelemetry.instrumentation.asgi")),
            )
            for place in range(spans)
        ]
        self.parents = [random.randrange(-1, place) if place else -1 for place in range(spans)]
        self.unit_ns = random.choice((1, 1, 7_919, 10**7))
        self.other_root = random.random() < 0.1

    def trace(self, random: Random, trace_id: str, root: str) -> list[Span]:
        """One of them; few are not of the form in the end."""
        ids = [f"{random.getrandbits(64) | 1:016x}" for _ in self.spans]
        found = []
        for place, (span, parent) in enumerate(zip(self.spans, self.parents, strict=True)):
            above = ids[parent] if parent >= 0 else root
            if parent < 0 and place and not self.other_root:
                above = ids[0]
            start_ns = EPOCH_NS + self.unit_ns * (random.randrange(60) if place else 20)
            end_ns = start_ns + self.unit_ns * random.randrange(60 if place else 100)
            moved = span._replace(trace_id=trace_id, span_id=ids[place], parent_id=above)
            found.append(moved._replace(start_ns=start_ns, end_ns=end_ns))
        if random.random() < 0.03:
            at = random.randrange(len(found))
            found[at] = found[at]._replace(**random.choice(ODD))
        if random.random() < 0.03:
            found.append(random.choice(found))
        return found


def told(random: Random) -> Timing | Undecomposed:
    """What a reply says: nothing, nearly what the spans do, or anything."""
    if random.random() < 0.3:
        return random.choice((Undecomposed.NO_TIMING, Undecomposed.MALFORMED))
    digit = 10 ** random.randrange(5)
    parts = {name: digit * random.randrange(4000) for name in random.sample(NAMES, 3)}
    return MIRROR._replace(
        total_ns=digit * random.randrange(2_000_000), parts_ns=parts, strays=random.choice((0, 2))
    )


class Counting(TimesPage):
    """Counts what is noted one by one."""

    alone = 0

    def put_one(self, row: int, timing: Timing | Undecomposed) -> None:
        """See there."""
        self.alone += 1
        super().put_one(row, timing)


def filled(
    exchanges: Sequence[Exchange],
    mirrors: ServerTimes,
    spans: Sequence[Span],
    fewest: int,
    rules: Mapper,
) -> tuple[list[Timing | Undecomposed], int]:
    """What the join notes of each request, and how many of them one by one."""
    requests, kept = Requests.of(exchanges), KeptSpans()
    for span in spans:
        kept.add(span)
    high, low, roots = requests.words()
    join = SpanJoin(TraceIndex(high, low), roots, kept, "otlp", rules, fewest)
    [rows], [mirror] = requests.pages(), mirrors.pages()
    page = Counting(rows.count, PartNames())
    join.fill(Sheet(requests, rows, mirror, mirrors, page, rows.all))
    columns = Columns()
    columns.append(page.columns, rows.count)
    return list(ServerTimes(columns)), page.alone


def requests_of(count: int, random: Random) -> list[Exchange]:
    return [
        SUCCESS._replace(
            trace_id=f"{random.getrandbits(128):032x}",
            span_id=f"{random.getrandbits(64) | 1:016x}",
            arrived_ns=SUCCESS.sent_ns + random.choice((20, 70, 10**6)),
        )
        for _ in range(count)
    ]


def traces_of(shapes: Sequence[Shape], exchanges: Sequence[Exchange], random: Random) -> list[Span]:
    """In any order; few requests have none."""
    traced = [one for one in exchanges if random.random() < 0.95]
    spans = [
        span
        for one in traced
        for span in random.choice(shapes).trace(random, one.trace_id, one.span_id)
    ]
    random.shuffle(spans)
    return spans


def check(
    exchanges: Sequence[Exchange], spans: Sequence[Span], random: Random, rules: Mapper
) -> float:
    """Divide traces both ways; returns the share of those that were divided together."""
    mirrors = ServerTimes.of([told(random) for _ in exchanges])
    together, alone = filled(exchanges, mirrors, spans, ALIKE, rules)
    one_by_one, all_alone = filled(exchanges, mirrors, spans, NEVER, rules)
    assert together == one_by_one
    return 1 - alone / all_alone


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 7), st.sampled_from(MAPPERS))
def test_both_ways_say_the_same(seed: int, most: int, rules: Mapper) -> None:
    random = Random(seed)
    shapes = [Shape(random, random.randint(1, most)) for _ in range(4)]
    exchanges = requests_of(60, random)
    check(exchanges, traces_of(shapes, exchanges, random), random, rules)


def test_most_traces_are_divided_together() -> None:
    random = Random(12)
    shapes = [Shape(random, spans) for spans in (1, 3, 4, 5, 6)]
    exchanges = requests_of(3_000, random)
    assert check(exchanges, traces_of(shapes, exchanges, random), random, Mapper()) > 0.5


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*-*")), ids=lambda path: str(path.name))
def test_recorded_traces_with_other_ids_and_times(path: Path) -> None:
    random = Random(path.name)
    read = read_json if path.suffix == ".json" else read_protobuf
    recorded = read(path.read_bytes())
    roots = {one.parent_id for one in recorded} - {one.span_id for one in recorded} - {""}
    exchanges, spans = requests_of(20, random), list[Span]()
    for one in exchanges:
        root = random.choice(sorted(roots))
        shift_ns, key = random.randrange(10**12), random.getrandbits(64)
        for span in recorded:
            spans.append(renewed(span, one, root, key, shift_ns))
    check(exchanges, spans, random, Mapper())


def renewed(span: Span, request: Exchange, root: str, key: int, shift_ns: int) -> Span:
    """A span as if it was one of another request."""

    def other(span_id: str) -> str:
        return span_id and f"{int(span_id, 16) ^ key:016x}"

    return span._replace(
        trace_id=request.trace_id,
        span_id=other(span.span_id),
        parent_id=request.span_id if span.parent_id == root else other(span.parent_id),
        start_ns=span.start_ns + shift_ns,
        end_ns=span.end_ns + shift_ns,
        events=tuple(one._replace(time_ns=one.time_ns + shift_ns) for one in span.events),
        links=(),
    )

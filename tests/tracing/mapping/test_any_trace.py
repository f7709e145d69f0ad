"""Whatever servers send: a timing that adds up, or a reason; an inventory that can be shown."""

from hypothesis import given
from hypothesis import strategies as st

from tests.tracing.mapping.samples import ROOT
from tracebench.model.record.exchange import Timing, Undecomposed
from tracebench.model.record.span import KINDS, Event, Kind, Link, Span
from tracebench.model.results.inventory import Inventory
from tracebench.report.tables.inventory_table import render
from tracebench.tracing.join.server_spans import ServerSpans, entry_of
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.mapping.rule_files import built_in, read_rules
from tracebench.tracing.span_inventory import take_stock

EVENTS = ["QUEUE_START", "COMPUTE_START", "COMPUTE_INPUT_END", "COMPUTE_END", "HTTP_SEND_END", "x"]
NAMES = [
    "InferRequest",
    "compute",
    "llm_request",
    "Req 1234abcd9",
    "tokenize",
    "generate",
    "queued",
    "fastapi.endpoint",
    "fastapi.serialization",
    "POST / http send",
    "proxy_http_request",
    "inference",
    "\x1b[31m\n",
]
DURATIONS = ["gen_ai.latency.time_in_queue", "gen_ai.latency.time_in_model_inference", "queue_time"]
MAPPER = Mapper()
ids = st.sampled_from(["1", "2", "3", "4", "5", ROOT, ""])
times = st.integers(0, 40)
attributes = st.dictionaries(
    st.sampled_from([*DURATIONS, "tracebench.component", "asgi.event.type"]),
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["3ns", "queue"]),
    max_size=3,
)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    kind: Kind = draw(st.sampled_from(KINDS))
    return Span(
        draw(st.sampled_from(["a", "b"])),
        draw(ids),
        draw(ids),
        draw(st.sampled_from(NAMES) | st.text(max_size=3)),
        kind,
        draw(times),
        draw(times),
        draw(attributes),
        tuple(
            draw(
                st.lists(st.builds(Event, st.sampled_from(EVENTS), times, st.just({})), max_size=4)
            )
        ),
        tuple(draw(st.lists(st.builds(Link, st.sampled_from(["a", "b"]), ids), max_size=2))),
        {"service.name": draw(st.sampled_from(["mlserver", "any"]))},
        draw(
            st.sampled_from(["triton-server", "fastapi", "opentelemetry.instrumentation.asgi", ""])
        ),
    )


@given(st.lists(spans(), max_size=12), times)
def test_a_timing_adds_up_or_says_why_not(some: list[Span], longest_ns: int) -> None:
    kept = ServerSpans()
    for one in some:
        kept.add(one)
    of_trace = kept.of("a")
    if (entry := entry_of(of_trace, ROOT)) is None:
        return
    found = MAPPER.timing(entry, of_trace, longest_ns)
    if isinstance(found, Timing):
        assert all(part_ns >= 0 for part_ns in found.parts_ns.values())
        assert sum(found.parts_ns.values()) <= found.total_ns
    else:
        assert found in (Undecomposed.MALFORMED, Undecomposed.EXCESS)


@given(st.lists(spans(), max_size=12))
def test_an_inventory_can_be_shown_and_its_rules_pasted(some: list[Span]) -> None:
    services = take_stock(some, MAPPER)
    text = render(Inventory(services))
    assert "\x1b" not in text
    for row in (row for service in services for row in service.rows if row.rule):
        assert read_rules(row.rule, "pasted").rules
    assert len(built_in()) == 9

"""Taking stock: what servers emit, what it is mapped to, and rules for the rest."""

from collections.abc import Iterable

from tests.tracing.mapping.samples import ROOT, span
from tests.tracing.mapping.test_recorded import recording
from tests.tracing.otlp_samples import RECORDED
from tests.tracing.samples import SUCCESS, spans_of
from tracebench.model.record.span import Link, Span
from tracebench.model.results.inventory import Inventory, Row, Service
from tracebench.report.tables.inventory_table import render
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.mapping.rule_files import read_rules
from tracebench.tracing.otlp.sdk_spans import from_sdk
from tracebench.tracing.span_inventory import take_stock

MAPPER = Mapper()
OURS = {"service.name": "ours"}


def one_service(spans: Iterable[Span], mapper: Mapper = MAPPER) -> Service:
    [service] = take_stock(spans, mapper)
    return service


def facts(service: Service) -> list[tuple[str, str, int, str | None]]:
    return [(row.span, row.name, row.count, row.component) for row in service.rows]


def test_triton_s_recordings() -> None:
    service = one_service(recording(RECORDED / "triton-1.json"))
    assert (service.name, service.profiles) == ("triton-cpu", ("triton",))
    assert (service.spans, service.traces, service.orphans) == (3, 1, 0)
    assert facts(service) == [
        ("InferRequest", "", 1, "server_processing"),
        ("InferRequest", "begin → HTTP_SEND_END", 1, "server_processing"),
        ("InferRequest", "HTTP_RECV_START", 1, None),
        ("InferRequest", "HTTP_RECV_END", 1, None),
        ("InferRequest", "INFER_RESPONSE_COMPLETE", 1, None),
        ("InferRequest", "HTTP_SEND_START", 1, None),
        ("compute", "", 1, "server_other"),
        ("compute", "COMPUTE_START → COMPUTE_INPUT_END", 1, "preprocessing"),
        ("compute", "COMPUTE_INPUT_END → COMPUTE_OUTPUT_START", 1, "inference"),
        ("compute", "COMPUTE_OUTPUT_START → COMPUTE_END", 1, "postprocessing"),
        ("linear", "", 1, "server_other"),
        ("linear", "QUEUE_START → COMPUTE_START", 1, "queue"),
        ("linear", "REQUEST_START", 1, None),
        ("linear", "REQUEST_END", 1, None),
    ]
    assert not [row.rule for row in service.rows if row.rule]


def own_server() -> list[Span]:
    """A server that no profile knows, with each thing that can be mapped."""
    return [
        span("entry", 0, 20, kind="SERVER", resource=OURS),
        span("wait_for_gpu", 1, 4, "entry", resource=OURS),
        span('forward "x" 12345678', 4, 9, "entry", resource=OURS, span_id="f1"),
        span('forward "x" 87654321', 9, 12, "entry", resource=OURS, span_id="f2"),
        span("handler", 12, 18, "entry", resource=OURS, events={"begun": 13, "serialized": 15}),
        span("llm", 18, 19, "entry", resource=OURS, attributes={"decode_ms": 0.5, "timeout": 3.0}),
        span("stray", 1, 2, "lost", resource=OURS),
    ]


def test_what_is_unmapped_gets_a_rule_that_maps_it() -> None:
    service = one_service(own_server())
    assert (service.profiles, service.orphans) == ((), 1)
    forward = next(row for row in service.rows if row.span.startswith("forward"))
    assert (forward.span, forward.count, forward.median_ms) == ('forward "x" *', 2, 4)
    rules = [row.rule for row in service.rows if row.rule]
    assert [tuple(rule.splitlines()[1:]) for rule in rules] == [
        ('span = "wait_for_gpu"', 'component = "queue"'),
        ('span = "forward \\"x\\" *"', 'component = "inference"'),
        ('span = "handler"', 'component = "inference"'),
        (
            'span = "handler"',
            'from = "begun"',
            'to = "serialized"',
            'component = "postprocessing"',
        ),
        ('span = "llm"', 'component = "inference"'),
        ('span = "llm"', 'duration = "decode_ms"', 'unit = "ms"', 'component = "inference"'),
        ('span = "stray"', 'component = "inference"'),
    ]
    ours = Mapper(profiles=[read_rules("\n".join(rules), "pasted")])
    mapped = one_service(own_server(), ours)
    assert not [row.rule for row in mapped.rows if row.rule]


def test_a_batch_counts_once_however_many_it_is_linked_to() -> None:
    entries = [
        span("entry", 0, 9, kind="SERVER", resource=OURS, span_id=f"{at}")._replace(
            trace_id=f"{at}"
        )
        for at in range(3)
    ]
    links = tuple(Link(entry.trace_id, entry.span_id) for entry in entries)
    batch = span("inference", 1, 2, "", links=links, resource=OURS)
    service = one_service([batch, *entries])
    assert facts(service) == [
        ("entry", "", 3, "server_processing"),
        ("inference", "", 1, "inference"),
    ]
    assert service.orphans == 0


def test_our_own_root_spans_are_no_server_s() -> None:
    assert take_stock(map(from_sdk, spans_of([SUCCESS])), MAPPER) == ()


def test_two_servers_behind_one_client_are_told_apart() -> None:
    client = span("POST", 0, 30, "", kind="CLIENT", span_id=ROOT)
    spans = [client, *own_server(), span("db", 1, 2, "entry", resource={"service.name": "db"})]
    assert [one.name for one in take_stock(spans, MAPPER)] == ["ours", "db"]


def test_the_table_fits_a_terminal() -> None:
    long = Row("POST /" + "x" * 90 + "/send", "span", "", 1_234_567, 12_345.6, None, "")
    service = one_service(own_server())
    wide = Service("s", ("triton",), 1, 1, 1, (long, *service.rows))
    text = render(Inventory((wide,), 3, "line 7"))
    assert max(map(len, text.splitlines())) <= 80
    table = [line.split() for line in text.splitlines()]
    assert ["POST", f"/{'x' * 12}…{'x' * 13}/send", "1,234,567", "12,346", "–"] in table
    assert ["decode_ms", "1", "0.50", "unmapped"] in table
    assert "3 could not be read: line 7" in text
    assert '[[rule]]\nspan = "wait_for_gpu"\ncomponent = "queue"' in text
    assert "not counted: 1 span without a parent" in text
    assert "\x1b[" not in text
    assert "\x1b[" in render(Inventory((wide,)), color=True)


def test_of_many_rules_the_first_are_shown() -> None:
    spans = [
        span("entry", 0, 1, kind="SERVER"),
        *(span(f"s{at}", 0, 1, "entry") for at in range(20)),
    ]
    text = render(Inventory(take_stock(spans, MAPPER)))
    assert text.count("[[rule]]") == 12
    assert "and 8 more such rules" in text

"""What an author or the user says of components goes before what a profile guesses."""

from collections.abc import Sequence

import pytest

from tests.records import record
from tests.tracing.mapping.samples import ROOT, at, span, split
from tests.tracing.mapping.test_profiles import infer_request, llm_request, triton_model
from tests.tracing.samples import SUCCESS
from tracebench.model.record.exchange import Timing
from tracebench.model.record.span import Link, Span, Value
from tracebench.tracing.join.join import join
from tracebench.tracing.join.server_spans import KeptSpans
from tracebench.tracing.mapping.mapper import Mapper, mapper_of
from tracebench.tracing.mapping.rule_files import built_in, read_rules
from tracebench.tracing.span_inventory import take_stock

MAPPER = Mapper()
FASTAPI = "POST /predict"


def fastapi(*, resource: dict[str, Value] | None = None) -> list[Span]:
    """A dependency of 25 ms, an endpoint of 60, and 5 of serialisation, in 100."""
    spans = [
        span(FASTAPI, 0, 100, kind="SERVER", scope="fastapi"),
        span("fastapi.dependencies", 5, 30, FASTAPI, scope="fastapi"),
        span("fastapi.endpoint", 30, 90, FASTAPI, scope="fastapi"),
        span("fastapi.serialization", 90, 95, FASTAPI, scope="fastapi"),
    ]
    return [one._replace(resource=resource or {}) for one in spans]


def component(name: str, start_ms: float, end_ms: float, parent: str) -> Span:
    """As `component()` makes it."""
    told = {"tracebench.component": name}
    return span(name, start_ms, end_ms, parent, scope="server_middleware", attributes=told)


TGI = {"validation_time": "1.5ms", "queue_time": "250µs", "inference_time": "90ms"}
ASGI = "opentelemetry.instrumentation.asgi"
SERVERS: dict[str, tuple[Sequence[Span], str]] = {
    "fastapi": (fastapi(), "fastapi.endpoint"),
    "triton": ([*triton_model("resnet", "InferRequest", 1), infer_request(100)], "InferRequest"),
    "vllm": ([llm_request(time_in_queue=0.01, time_in_model_inference=0.07)], "llm_request"),
    "tgi": ([span("generate", 0, 100, kind="SERVER", attributes=TGI)], "generate"),
    "sglang": (
        [
            span("Req 1", 0, 100, kind="SERVER", span_id="req"),
            span("tokenize", 1, 4, "req"),
            span("prefill_waiting", 5, 15, "req"),
            span("decode_loop", 15, 90, "req"),
        ],
        "decode_loop",
    ),
    "ray_serve": (
        [
            span("proxy_http_request", 0, 100, kind="SERVER"),
            span("replica_handle_request", 10, 90, "proxy_http_request"),
        ],
        "replica_handle_request",
    ),
    "bentoml": (
        [
            span("POST /predict", 0, 100, kind="SERVER", scope=ASGI),
            span("POST /predict http send", 99, 100, "POST /predict", scope=ASGI),
        ],
        "POST /predict",
    ),
    "mlserver": (
        [span("/inference.GRPCInferenceService/ModelInfer", 0, 100, kind="SERVER", span_id="m")],
        "m",
    ),
}


def test_every_server_of_a_profile_is_here() -> None:
    assert SERVERS.keys() == {one.name for one in built_in() if one.when}


@pytest.mark.parametrize(("spans", "parent"), SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("name", ["inference", "retrieval"])
def test_component_goes_before_every_profile(name: str, spans: Sequence[Span], parent: str) -> None:
    found = split(MAPPER, *spans, component(name, 40, 60, parent))
    assert found == {"server_processing": 100, name: 20}


def test_a_span_within_a_component_is_that_component_s() -> None:
    """A gateway says that it asks Triton for an embedding."""
    model = [
        *triton_model("resnet", "InferRequest", 41),
        infer_request(60)._replace(parent_id="retrieval", start_ns=at(40)),
    ]
    gateway = span("gateway", 0, 100, kind="SERVER")
    spans = [gateway, component("retrieval", 40, 60, "gateway"), *model]
    assert split(MAPPER, *spans) == {"server_processing": 100, "retrieval": 20}


def test_a_profile_still_says_where_the_request_ends() -> None:
    spans = [
        span("POST /predict", 0, 500, kind="SERVER", scope=ASGI),
        span("POST /predict http send", 8, 10, "POST /predict", scope=ASGI),
        component("postprocessing", 2, 5, "POST /predict"),
        component("cleanup", 11, 400, "POST /predict"),
    ]
    assert split(MAPPER, *spans) == {"server_processing": 10, "postprocessing": 3}


def test_a_batch_that_says_what_it_is_counts_as_said() -> None:
    batch = component("inference", 50, 80, "worker")
    linked = batch._replace(trace_id="b" * 32, links=(Link("a" * 32, "fastapi.endpoint"),))
    assert split(MAPPER, *fastapi(), linked) == {"server_processing": 100, "inference": 30}


def test_a_span_by_a_component_s_name_goes_before_guesses() -> None:
    spans = [*fastapi(), span("inference", 40, 60, "fastapi.endpoint")]
    assert split(MAPPER, *spans) == {"server_processing": 100, "inference": 20}


def test_a_span_by_a_component_s_name_leaves_what_a_server_measures() -> None:
    spans = [
        span("proxy_http_request", 0, 100, kind="SERVER"),
        span("replica_handle_request", 10, 90, "proxy_http_request"),
        span("inference", 40, 60, "replica_handle_request"),
    ]
    assert split(MAPPER, *spans) == {"server_processing": 100, "queue": 100 - 20, "inference": 20}


def test_the_user_goes_before_the_author() -> None:
    spans = [*fastapi(), component("inference", 40, 60, "fastapi.endpoint")]
    mapper = mapper_of(["preprocessing=fastapi.dependencies", "queue=inference"], None)
    expected = {"server_processing": 100, "preprocessing": 25, "queue": 20}
    assert split(mapper, *spans) == expected


def test_the_user_s_rules_go_before_guesses() -> None:
    spans = [*fastapi(), span("model.forward", 40, 60, "fastapi.endpoint")]
    mapper = mapper_of(["inference=model.*"], None)
    assert split(mapper, *spans) == {"server_processing": 100, "inference": 20}
    unused = mapper_of(["inference=torch.*"], None)
    assert split(unused, *spans) == split(MAPPER, *spans)


def test_the_user_s_rules_leave_what_a_server_measures() -> None:
    server = [*triton_model("resnet", "InferRequest", 1), infer_request(100)]
    mapper = mapper_of(["postprocessing=render"], None)
    found = split(mapper, *server, span("render", 50, 60, "InferRequest"))
    assert found == {**split(MAPPER, *server), "postprocessing": 1 + 10}


def test_a_file_of_the_user_s_is_no_guess() -> None:
    text = 'when=[{scope="fastapi"}]\nrule=[{span="fastapi.endpoint",component="postprocessing"}]'
    mapper = Mapper((), (read_rules(text, "ours.toml"), *built_in()))
    spans = [*fastapi(), component("inference", 40, 60, "fastapi.endpoint")]
    expected = {"server_processing": 100, "postprocessing": 40, "inference": 20}
    assert split(mapper, *spans) == expected


def joined(trace_id: str, kept: KeptSpans) -> Timing:
    exchange = SUCCESS._replace(trace_id=trace_id, span_id=ROOT)
    found = join(*record([exchange]), {"otlp": kept}, MAPPER).timing(0)
    assert isinstance(found, Timing)
    return found


@pytest.mark.parametrize("said", ["component", "name"])
def test_a_request_without_components_is_of_a_server_that_names_them(said: str) -> None:
    """A reply from a cache has none; its endpoint is no inference for that."""
    ours: dict[str, Value] = {"service.name": "ours"}
    inner = component("inference", 40, 60, "fastapi.endpoint")
    if said == "name":
        inner = inner._replace(attributes={})
    kept = KeptSpans()
    for one in [*fastapi(resource=ours), inner._replace(resource=ours)]:
        kept.add(one)
    theirs: dict[str, Value] = {"service.name": "other"}
    for trace, resource in (("b" * 32, ours), ("c" * 32, theirs)):
        for one in fastapi(resource=resource):
            kept.add(one._replace(trace_id=trace))
    assert joined("b" * 32, kept).parts_ns == {}
    assert joined("c" * 32, kept).parts_ns.keys() == {
        "preprocessing",
        "inference",
        "postprocessing",
    }
    services = {one.name: one for one in take_stock(list(kept), MAPPER)}
    mapped = {
        name: {row.span for row in service.rows if row.component}
        for name, service in services.items()
    }
    assert "fastapi.endpoint" not in mapped["ours"]
    assert "fastapi.endpoint" in mapped["other"]

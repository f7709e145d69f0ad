"""What each built-in profile makes of its server's spans."""

from typing import Any

import pytest

from tests.tracing.mapping.samples import MS, at, span, split, timing
from tools.house import ROOT as ROOT_FOLDER
from tools.profile_table import table
from tracebench.model.record.exchange import HandedOver, StreamTiming, Timing, Undecomposed
from tracebench.model.record.span import Event, Link, Span
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.mapping.rule_files import built_in, read_rules

MAPPER = Mapper()


def triton_model(name: str, parent: str, start_ms: float) -> list[Span]:
    """A model that waits 1 ms, reads for 1, computes for 2 and writes for 1."""
    scope = "triton-server"
    queued = {"REQUEST_START": start_ms, "QUEUE_START": start_ms + 0.5}
    stages = {
        "COMPUTE_START": start_ms + 1.5,
        "COMPUTE_INPUT_END": start_ms + 2.5,
        "COMPUTE_OUTPUT_START": start_ms + 4.5,
        "COMPUTE_END": start_ms + 5.5,
    }
    model = span(name, start_ms, start_ms + 6, parent, events=queued, scope=scope, kind="SERVER")
    compute = span(
        "compute",
        start_ms + 1.5,
        start_ms + 5.5,
        name,
        events=stages,
        scope=scope,
        kind="SERVER",
        span_id=f"compute {name}",
    )
    return [compute, model]


def infer_request(end_ms: float, **events: float) -> Span:
    scope = "triton-server"
    return span("InferRequest", 0, end_ms, scope=scope, kind="SERVER", events=events)


def test_triton_tells_its_stages_as_events() -> None:
    spans = [*triton_model("resnet", "InferRequest", 1), infer_request(8)]
    assert split(MAPPER, *spans) == {
        "server_processing": 8,
        "queue": 1,
        "preprocessing": 1,
        "inference": 2,
        "postprocessing": 1,
    }


def test_triton_s_ensembles_add_up_their_steps() -> None:
    whole = span(
        "ensemble", 1, 15, "InferRequest", scope="triton-server", events={"QUEUE_START": 1}
    )
    steps = [*triton_model("decode", "ensemble", 2), *triton_model("resnet", "ensemble", 8)]
    assert split(MAPPER, *steps, whole, infer_request(16)) == {
        "server_processing": 16,
        "queue": 2,
        "preprocessing": 2,
        "inference": 4,
        "postprocessing": 2,
    }


@pytest.mark.parametrize(
    ("events", "total"),
    [
        ({"GRPC_SEND_END": 19.0, "INFER_RESPONSE_COMPLETE": 7.5}, 7.5),
        ({"INFER_RESPONSE_COMPLETE": 7.5, "HTTP_SEND_END": 7.75}, 7.75),
        ({"GRPC_WAITREAD_START": -600.0}, 20),
    ],
)
def test_triton_s_request_ends_with_its_response(events: dict[str, float], total: float) -> None:
    spans = [*triton_model("resnet", "InferRequest", 1), infer_request(20, **events)]
    assert split(MAPPER, *spans)["server_processing"] == total
    assert split(MAPPER, *spans)["inference"] == 2


def llm_request(**attributes: float | str) -> Span:
    named = {f"gen_ai.latency.{name}": value for name, value in attributes.items()}
    return span("llm_request", 0, 100, kind="SERVER", attributes=named)


def test_vllm_tells_its_stages_as_attributes_in_seconds() -> None:
    told = llm_request(
        time_in_queue=0.0105,
        time_in_model_prefill=0.02,
        time_in_model_decode=0.05,
        time_in_model_inference=0.07,
        e2e=0.099,
    )
    expected = {"server_processing": 100, "queue": 10.5, "prefill": 20, "decode": 50}
    assert split(MAPPER, told) == expected


def test_vllm_s_older_versions_tell_of_inference_as_a_whole() -> None:
    told = llm_request(time_in_queue=0.0105, time_in_model_inference=0.07)
    assert split(MAPPER, told) == {"server_processing": 100, "queue": 10.5, "inference": 70}


def test_vllm_tells_when_the_first_token_was_there() -> None:
    found = timing(MAPPER, llm_request(time_to_first_token=0.0305, time_in_model_decode=0.05))
    assert isinstance(found, Timing)
    assert found.stream == StreamTiming(first_ns=30_500_000)
    assert found.parts_ns == {"decode": 50 * MS}
    odd = timing(MAPPER, llm_request(time_to_first_token="soon", time_in_queue=0.01))
    assert isinstance(odd, Timing)
    assert odd.stream is None, "it stands in no sum: the rest counts"


def test_a_first_token_from_before_the_request_is_none() -> None:
    entry = span("POST /chat", 50, 100, kind="SERVER")
    early = llm_request(time_to_first_token=0.03)._replace(parent_id="POST /chat")
    found = timing(MAPPER, entry, early)
    assert isinstance(found, Timing)
    assert found.stream is None


def test_a_stream_s_total_lasts_until_its_last_message_has_left() -> None:
    sends = {"GRPC_SEND_START": (3.0, 6.0, 9.0), "GRPC_SEND_END": (3.5, 6.5, 9.5)}
    events = [Event(name, at(ms)) for name, each in sends.items() for ms in each]
    once = infer_request(20, INFER_RESPONSE_COMPLETE=2.75)
    whole = once._replace(events=(*once.events, *events))
    found = timing(MAPPER, *triton_model("resnet", "InferRequest", 1), whole)
    assert isinstance(found, Timing)
    assert found.total_ns == 9.5 * MS
    handed_over = (HandedOver(1, 3 * MS), HandedOver(2, 6 * MS), HandedOver(3, 9 * MS))
    assert found.stream == StreamTiming(handed_over)


def test_our_middleware_s_chunks_are_events_of_its_span() -> None:
    def chunk(ms: float, size: object) -> Event:
        said: Any = {"tracebench.chunk.bytes": size}
        return Event("tracebench.chunk", at(ms), said)

    entry = span("POST /chat", 0, 100, kind="SERVER")
    odd = [chunk(-1, 60), chunk(51, "odd"), chunk(51, -1), chunk(51, 2**70), chunk(51, True)]
    chunks = [chunk(2, 120), chunk(50, 240), *odd]
    below = llm_request(time_to_first_token=0.049)._replace(parent_id="POST /chat")
    found = timing(MAPPER, entry._replace(events=tuple(chunks)), below)
    assert isinstance(found, Timing)
    assert found.stream == StreamTiming(
        (HandedOver(120, 2 * MS), HandedOver(240, 50 * MS)), 49 * MS
    ), "the engine's own word counts where no chunk tells"


@pytest.mark.parametrize("told", [-0.001, float("nan"), float("inf"), "soon", 1e30])
def test_what_is_no_duration_is_malformed(told: float | str) -> None:
    assert timing(MAPPER, llm_request(time_in_queue=told)) is Undecomposed.MALFORMED


def test_durations_that_exceed_their_span_are_an_excess() -> None:
    found = timing(MAPPER, llm_request(time_in_queue=0.05, time_in_model_inference=0.0502))
    assert found is Undecomposed.EXCESS


def test_durations_that_exceed_their_span_by_rounding_are_clipped() -> None:
    told = llm_request(time_in_queue=0.05, time_in_model_inference=0.05005)
    assert split(MAPPER, told) == {"server_processing": 100, "queue": 50, "inference": 50}


def test_sglang() -> None:
    spans = [
        span(" Req 1f00", 0, 100, kind="SERVER", span_id="req"),
        span("tokenizer thread", 0, 100, "req", span_id="thread"),
        span("tokenize", 1, 4, "thread"),
        span("dispatch", 4, 5, "thread"),
        span("prefill_waiting", 5, 15, "thread"),
        span("prefill_forward", 15, 40, "thread"),
        span("decode_loop", 40, 90, "thread"),
    ]
    expected = {"queue": 10, "preprocessing": 3, "prefill": 25, "decode": 50}
    assert split(MAPPER, *spans) == {"server_processing": 100, **expected}


def test_tgi_tells_its_stages_as_text() -> None:
    told = {"validation_time": "1.5ms", "queue_time": "250µs", "inference_time": "90ms"}
    generate = span("generate", 0, 100, attributes={**told, "total_time": "99.8ms"})
    expected = {"server_processing": 100, "preprocessing": 1.5, "queue": 0.25, "inference": 90}
    assert split(MAPPER, generate) == expected


def test_tgi_s_spans_are_believed_before_what_it_tells() -> None:
    told = {"queue_time": "9ms", "inference_time": "90ms"}
    spans = [
        span("generate", 0, 100, attributes=told),
        span("queued", 1, 11, "generate"),
        span("infer", 11, 100, "generate"),
    ]
    assert split(MAPPER, *spans) == {"server_processing": 100, "queue": 10, "inference": 89}
    stages = [span("prefill", 11, 31, "infer"), span("decode", 31, 99, "infer")]
    expected = {"queue": 10, "prefill": 20, "decode": 68, "inference": 1}
    assert split(MAPPER, *spans, *stages) == {"server_processing": 100, **expected}
    directly = [one._replace(parent_id="generate") for one in stages]
    expected = {"queue": 10, "prefill": 20, "decode": 68}
    assert split(MAPPER, *spans[:2], *directly) == {"server_processing": 100, **expected}


def test_fastapi_s_own_spans() -> None:
    spans = [
        span("POST /predict", 0, 10, kind="SERVER", scope="fastapi"),
        span("fastapi.dependencies", 1, 2, "POST /predict", scope="fastapi"),
        span("fastapi.endpoint", 3, 8, "POST /predict", scope="fastapi"),
        span("fastapi.serialization", 8, 9.5, "POST /predict", scope="fastapi"),
        span("SELECT", 3, 4, "fastapi.endpoint"),
    ]
    assert split(MAPPER, *spans) == {
        "server_processing": 10,
        "preprocessing": 1,
        "inference": 5,
        "postprocessing": 1.5,
    }


@pytest.mark.parametrize(("waited_ms", "total"), [(600, 500), (500, 500), (499, 9.5), (9, 9.5)])
def test_fastapi_s_span_is_cut_where_it_outlives_the_exchange(
    waited_ms: float, total: float
) -> None:
    spans = [
        span("POST /predict", 0, 500, kind="SERVER", scope="fastapi"),
        span("fastapi.endpoint", 3, 8, "POST /predict", scope="fastapi"),
        span("fastapi.serialization", 8, 9.5, "POST /predict", scope="fastapi"),
        span("postprocessing", 9, 400, "POST /predict"),
    ]
    found = MAPPER.timing(spans[0], spans, round(waited_ms * MS))
    assert isinstance(found, Timing)
    assert found.total_ns == total * MS
    assert sum(found.parts_ns.values()) <= found.total_ns


def test_ray_serve() -> None:
    spans = [
        span("proxy_http_request", 0, 10, kind="SERVER"),
        span("route_to_replica", 2, 9, "proxy_http_request"),
        span("replica_handle_request Model __call__", 4, 8, "route_to_replica", kind="SERVER"),
    ]
    assert split(MAPPER, *spans) == {"server_processing": 10, "queue": 6, "inference": 4}


@pytest.mark.parametrize("scope", ["opentelemetry.instrumentation.asgi", "mlserver's"])
def test_servers_that_tell_their_total_alone(scope: str) -> None:
    resource = {"service.name": "mlserver"} if scope == "mlserver's" else {}
    spans = [
        span("POST /predict", 0, 10, kind="SERVER", scope=scope, resource=resource),
        span(
            "POST /predict http receive", 1, 2, "POST /predict", attributes={"asgi.event.type": "x"}
        ),
    ]
    assert split(MAPPER, *spans) == {"server_processing": 10}
    whole, receive = MAPPER.map(spans)
    assert whole.profiles == ("mlserver" if resource else "bentoml",)
    assert receive.component == "server_other"


def test_background_tasks_of_asgi_servers_are_not_the_reply() -> None:
    scope = "opentelemetry.instrumentation.asgi"
    spans = [
        span("POST /predict", 0, 500, kind="SERVER", scope=scope),
        span("POST /predict http send", 8, 9, "POST /predict", scope=scope),
        span("POST /predict http send", 9, 10, "POST /predict", scope=scope, span_id="body"),
        span("inference", 2, 6, "POST /predict"),
        span("postprocessing", 9.5, 400, "POST /predict"),
    ]
    expected = {"server_processing": 10, "inference": 4, "postprocessing": 0.5}
    assert split(MAPPER, *spans) == expected


def test_of_several_replies_the_last_ends_the_request() -> None:
    first = infer_request(20, INFER_RESPONSE_COMPLETE=7.5)
    later = first.events[0]._replace(time_ns=at(9.5))
    streamed = first._replace(events=(*first.events, later))
    assert split(MAPPER, streamed) == {"server_processing": 9.5}


def test_the_middleware_says_it_itself() -> None:
    spans = [
        span("POST /predict", 0, 10, kind="SERVER"),
        span("forward", 2, 5, "POST /predict", attributes={"tracebench.component": "inference"}),
        span("queue", 1, 2, "POST /predict"),
        span("postprocessing", 6, 7, "POST /predict", attributes={"tracebench.component": "queue"}),
    ]
    assert split(MAPPER, *spans) == {"server_processing": 10, "queue": 2, "inference": 3}


def test_a_batch_in_another_trace_counts_for_those_it_is_linked_to() -> None:
    spans = [
        span("proxy_http_request", 0, 10, kind="SERVER"),
        span("batch", 3, 9, "worker", links=(Link("a" * 32, "proxy_http_request"),)),
        span("inference", 4, 8, "batch"),
    ]
    assert split(MAPPER, *spans) == {"server_processing": 10, "queue": 6, "inference": 4}


def test_spans_whose_parent_is_missing_or_in_a_circle_are_not_guessed_at() -> None:
    spans = [
        span("entry", 0, 10, kind="SERVER"),
        span("inference", 1, 2, "lost"),
        span("queue", 1, 2, "postprocessing"),
        span("postprocessing", 1, 2, "queue"),
    ]
    assert timing(MAPPER, *spans) == Timing(10 * MS, {}, "otlp")


def test_several_profiles_apply_where_servers_stand_one_behind_the_other() -> None:
    spans = [
        span("proxy_http_request", 0, 200, kind="SERVER"),
        span("replica_handle_request", 50, 190, "proxy_http_request"),
        llm_request(time_in_queue=0.03, time_in_model_inference=0.05)._replace(
            parent_id="replica_handle_request", start_ns=at(60), end_ns=at(160)
        ),
    ]
    told = [one.profiles for one in MAPPER.map(spans)]
    assert told == [("ray_serve",), ("ray_serve",), ("vllm",)]
    assert split(MAPPER, *spans) == {"server_processing": 200, "queue": 90, "inference": 110}


def test_every_profile_is_about_a_server() -> None:
    assert {profile.name for profile in built_in()} == {
        "triton",
        "vllm",
        "sglang",
        "tgi",
        "fastapi",
        "mlserver",
        "bentoml",
        "ray_serve",
        "middleware",
    }
    assert all(profile.about and profile.rules for profile in built_in())


def test_the_table_in_the_paper_is_true() -> None:
    paper = (ROOT_FOLDER / "docs" / "mapping.md").read_text()
    assert table() in paper
    assert len(paper.splitlines()) <= 120


def test_the_rules_in_the_paper_can_be_pasted() -> None:
    paper = (ROOT_FOLDER / "docs" / "mapping.md").read_text()
    [example] = [part.partition("```")[0] for part in paper.split("```toml\n")[1:]]
    assert len(read_rules(example, "paper").rules) == 4

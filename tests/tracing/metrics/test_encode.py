"""Progress as OTLP metrics: names, attributes, and histograms that lose no request."""

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.semconv._incubating.metrics import rpc_metrics
from opentelemetry.semconv.metrics import http_metrics

from tests.model.test_progress import latencies
from tests.tracing.metrics.otlp_metrics import Taken, told
from tracebench.model.progress import SUCCEEDED, Progress
from tracebench.tracing.metrics import encode
from tracebench.tracing.metrics.messages import Measured, Sample, Setup
from tracebench.tracing.roots import target_attributes

MS = 1_000_000
REST = target_attributes.rest("POST", "http://user:secret@h:5000/predict?key=secret")
RPC = target_attributes.grpc("h", 50051, "inference.InferenceService/Predict")
LLM = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


def setup(**more: Any) -> Setup:
    targets = {
        "rest": Measured("rest", REST.attributes),
        "grpc": Measured("grpc", RPC.attributes),
        "llm": Measured("rest", {**REST.attributes, **LLM}),
    }
    return Setup("h:4317", "79e9", "nightly", "1.0", targets, began_ns=1_000, **more)


def encoded(progress: dict[str, Progress], **more: Any) -> Taken:
    taken = Taken()
    taken.requests.append(
        encode_metrics(encode.metrics_of(setup(), Sample(2_000, progress, **more)))
    )
    return taken


def test_names_are_those_of_the_conventions_where_there_are_any() -> None:
    assert encode.HTTP_DURATION == http_metrics.HTTP_CLIENT_REQUEST_DURATION
    assert encode.RPC_DURATION == rpc_metrics.RPC_CLIENT_CALL_DURATION
    own = [name for name in encode.UNITS if not name.startswith(("http.", "rpc.", "gen_ai."))]
    assert all(name.startswith("tracebench.") for name in own)


def test_each_latency_is_in_one_exported_bucket_and_sums_are_exact() -> None:
    values_ns = [1_000, 99_000, 100_000, 100_001, 3 * MS, 10**11, 10**11 + 1, 10**13]
    progress = Progress(9, 1.0, 0, 0, {SUCCEEDED: latencies(values_ns), "503": latencies([MS])})
    found = encoded({"rest": progress}).histograms(encode.HTTP_DURATION)
    one = found["rest", ""]
    assert sum(one.bucket_counts) == one.count == len(values_ns)
    assert one.sum == pytest.approx(sum(values_ns) / 1e9)
    bounds = list(one.explicit_bounds)
    assert (bounds[0], bounds[-1]) == (1e-4, 100.0)
    assert len(one.bucket_counts) == len(bounds) + 1
    for place, bound_s in enumerate(bounds):
        below = sum(value_ns <= round(bound_s * 1e9) for value_ns in values_ns)
        assert sum(one.bucket_counts[: place + 1]) == below
    assert found["rest", "503"].count == 1
    assert not one.HasField("min")
    assert (one.start_time_unix_nano, one.time_unix_nano) == (1_000, 2_000)


def test_points_have_the_attributes_of_the_conventions_and_of_the_run() -> None:
    progress = Progress(2, 1.0, 0, 1, {SUCCEEDED: latencies([MS]), "503": latencies([MS])})
    taken = encoded({"rest": progress, "grpc": progress})
    found = {
        key: told(one.attributes) for key, one in taken.histograms(encode.HTTP_DURATION).items()
    }
    assert found["rest", ""] == {
        "http.request.method": "POST",
        "server.address": "h",
        "server.port": "5000",
        "network.protocol.version": "1.1",
        "tracebench.run.id": "79e9",
        "tracebench.target": "rest",
        "tracebench.protocol": "rest",
        "tracebench.label": "nightly",
    }
    more = {"error.type": "503", "http.response.status_code": "503"}
    assert found["rest", "503"] == found["rest", ""] | more
    assert set(taken.histograms(encode.RPC_DURATION)) == {("grpc", ""), ("grpc", "503")}
    assert "secret" not in str(taken.requests[-1])
    resource = taken.resource()
    assert (resource["service.name"], resource["service.instance.id"]) == ("tracebench", "79e9")
    assert resource["tracebench.label"] == "nightly"


def test_counters_and_the_gauge() -> None:
    progress = Progress(5, 1.0, 40, 2, {SUCCEEDED: latencies([MS] * 3), "503": latencies([MS])})
    taken = encoded({"rest": progress})
    metrics = taken.latest()
    assert taken.numbers(encode.REQUESTS) == {("rest", ""): 5}
    assert taken.numbers(encode.ERRORS) == {("rest", "503"): 1}
    assert taken.numbers(encode.IN_FLIGHT) == {("rest", ""): 2}
    assert taken.numbers(encode.TOKENS) == {("rest", ""): 40}
    assert all(metrics[name].sum.is_monotonic for name in (encode.REQUESTS, encode.ERRORS))
    assert all(metrics[name].sum.aggregation_temporality == 2 for name in (encode.REQUESTS,))
    assert {name: one.unit for name, one in metrics.items()}.items() <= encode.UNITS.items()


def test_the_result_knows_more_of_errors_than_the_progress() -> None:
    progress = Progress(5, 1.0, 0, 0, {SUCCEEDED: latencies([MS] * 5)})
    taken = encoded({"rest": progress}, errors={"rest": {"failed": 2}}, last=True)
    assert taken.numbers(encode.ERRORS) == {("rest", "failed"): 2}


def test_language_models_have_their_own_histogram_as_well() -> None:
    progress = Progress(1, 1.0, 40, 0, {SUCCEEDED: latencies([MS])})
    taken = encoded({"llm": progress})
    (one,) = taken.histograms(encode.GEN_AI_DURATION).values()
    assert told(one.attributes)["gen_ai.request.model"] == "m"
    (plain,) = taken.histograms(encode.HTTP_DURATION).values()
    assert "gen_ai.request.model" not in told(plain.attributes)


def test_before_the_first_request_there_is_a_histogram_of_none() -> None:
    """So that rates are known from the first request on."""
    (one,) = encoded({"rest": Progress(0, 0.0)}).histograms(encode.HTTP_DURATION).values()
    assert one.count == 0

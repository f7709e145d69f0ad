"""Archives give the result again: of the run that wrote them, and of other clients."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.old_servers import old_grpc, old_rest
from tests.end_to_end.test_receive_otlp import exporting
from tests.plans import plan_of
from tests.servers import answering, free_ports, reply, serving
from tests.tracing import otlp_samples
from tests.tracing.otlp_samples import RECORDED
from tracebench.archive import analyze
from tracebench.benchmark import run
from tracebench.model.errors import UsageError
from tracebench.model.plan import (
    Calls,
    MappingRules,
    Payload,
    Payloads,
    Plan,
    SpanRoutes,
    Target,
    Targets,
    Workload,
)
from tracebench.model.results.result import Result
from tracebench.report.files.result_file import dumps

REQUESTS = 40
PAYLOAD = Payload(b"\x89PNG" * 500, "image/png", "x.png", "image")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Result, Path]]:
    path = tmp_path_factory.mktemp("archive") / "traces.jsonl"
    with old_rest() as url, old_grpc() as address:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=url, grpc_server=address),
            load=Workload(requests=REQUESTS, concurrency=3),
            traces=SpanRoutes(output_traces=str(path)),
        )
        yield run(plan), path


@pytest.mark.slow
def test_an_archive_tells_which_request_belongs_to_which_block(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with old_rest() as old, old_rest() as new:
        named = tuple(
            Target(name, "rest", url, "--target") for name, url in (("old", old), ("new-2", new))
        )
        options = {"requests": None, "duration_s": 4.0, "output_traces": str(path)}
        result = run(plan_of(PAYLOAD, named=named, **options))
    assert result.comparison is not None
    assert result.comparison.pairs == 8
    assert result.comparison.components["inference"]["p50_ms"].ci95 is not None
    assert json.loads(dumps(analyze([str(path)]))) == json.loads(dumps(result))


def test_an_archive_gives_the_run_s_result_to_the_digit(written: tuple[Result, Path]) -> None:
    result, path = written
    assert result.targets["rest"].decomposed == result.targets["grpc"].decomposed == REQUESTS
    assert json.loads(dumps(analyze([str(path)]))) == json.loads(dumps(result))


def test_an_archive_without_the_untraced_requests_says_so(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with old_rest() as url:
        options = {"requests": 40, "observer_effect": True, "output_traces": str(path)}
        ran = run(plan_of(PAYLOAD, rest_url=url, **options)).targets["rest"]
    found = analyze([str(path)]).targets["rest"]
    assert 0 < found.requests.succeeded < ran.requests.succeeded == 40
    assert all(one.trace_id in path.read_text() for one in ran.exemplars)
    assert "untraced_missing" in {one.code for one in found.verdict.findings}


def test_a_compressed_archive_and_one_that_is_given_twice(
    written: tuple[Result, Path], tmp_path: Path
) -> None:
    result, path = written
    packed = tmp_path / "traces.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert analyze([str(packed), str(path)]).targets == result.targets


def test_failures_are_counted_as_in_the_run(tmp_path: Path) -> None:
    path = str(tmp_path / "traces.jsonl")
    replies = [reply(b"ok"), reply(b"ok"), reply(b"no", "503 Busy")]
    with serving(answering(*replies)) as port:
        url = f"http://127.0.0.1:{port}"
        result = run(
            Plan(
                Payloads(PAYLOAD),
                Targets(rest_url=url),
                load=Workload(requests=12),
                traces=SpanRoutes(output_traces=path),
            )
        )
    found = analyze([path]).targets["rest"]
    expected = result.targets["rest"]
    assert found.errors[0].reason == expected.errors[0].reason
    assert replace(found, errors=()) == replace(expected, errors=())


def test_no_secret_stands_in_a_result_or_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with serving(answering(reply(b"ok"))) as port:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://me:s3cret@127.0.0.1:{port}"),
            calls=Calls(
                headers=(("X-Api-Key", "s3cret"), ("My-Token", "s3cret"), ("Accept", "*/*"))
            ),
            load=Workload(requests=3),
            traces=SpanRoutes(output_traces=str(path)),
        )
        result = run(plan)
    assert result.targets["rest"].address == f"http://REDACTED:REDACTED@127.0.0.1:{port}/predict"
    assert result.plan["headers"][2] == ["Accept", "*/*"]
    assert "s3cret" not in dumps(result) + path.read_text()


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rewritten(path: Path, requests: list[Any], more: bytes = b"") -> str:
    text = "".join(json.dumps(one) + "\n" for one in requests)
    path.write_bytes(text.encode() + more)
    return str(path)


def test_what_cannot_be_read_is_counted(written: tuple[Result, Path], tmp_path: Path) -> None:
    result, path = written
    broken = rewritten(tmp_path / "broken.jsonl", lines(path), b'{"resourceSpans": [{"sco\n\n[]\n')
    found = analyze([broken]).targets["rest"]
    assert found.components == result.targets["rest"].components
    [finding] = [one for one in found.verdict.findings if one.code == "unreadable_archive"]
    assert finding.severity == "warning"
    assert finding.message.startswith("2 lines or spans of the archive cannot be read: ")
    assert "broken.jsonl:3: not OTLP JSON" in finding.message


def test_a_compressed_archive_that_ends_in_the_middle(
    written: tuple[Result, Path], tmp_path: Path
) -> None:
    whole = gzip.compress(written[1].read_bytes(), 0)
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    found = analyze([str(cut)]).targets["rest"]
    assert "is cut short" in str(found.verdict.findings)


def test_without_the_run_s_facts_the_components_are_the_same(
    written: tuple[Result, Path], tmp_path: Path
) -> None:
    result, path = written
    requests = lines(path)
    for request in requests:
        for of_resource in request["resourceSpans"]:
            of_resource["resource"] = {}
    found = analyze([rewritten(tmp_path / "bare.jsonl", requests)])
    assert found.targets["grpc"].components == result.targets["grpc"].components
    assert "no_run_facts" in {one.code for one in found.targets["grpc"].verdict.findings}
    assert found.comparison is not None  # which row belongs to which block stood in the facts
    assert found.comparison.pairs == 0
    assert "of which the archive does not tell" in found.comparison.caveat


def _own_trace(number: int) -> dict[str, Any]:
    span = otlp_samples.span(traceId=f"{number:032x}", parentSpanId="")
    return otlp_samples.request(span)


def test_traces_of_the_server_s_own_in_an_archive_are_told(
    written: tuple[Result, Path], tmp_path: Path
) -> None:
    _, path = written
    found = analyze([str(path)]).targets["rest"]
    assert "low_join_share" not in {one.code for one in found.verdict.findings}
    own = tmp_path / "server.jsonl"
    lines = [json.dumps(_own_trace(n + 1)) for n in range(9)]
    own.write_text("\n".join(lines))
    found = analyze([str(path), str(own)]).targets["rest"]
    [finding] = [one for one in found.verdict.findings if one.code == "low_join_share"]
    assert finding.severity == "warning"  # the mirror tells of all
    assert "'POST /predict' of model (9)" in finding.message
    assert "OTEL_PROPAGATORS" in finding.hint


def test_two_runs_are_told_apart(written: tuple[Result, Path], tmp_path: Path) -> None:
    result, path = written
    text = path.read_text().replace(result.tool["run_id"], "other")
    other = tmp_path / "other.jsonl"
    other.write_text(_moved(text))
    found = analyze([str(path), str(other)])
    run_id = result.tool["run_id"]
    assert set(found.targets) == {f"rest {run_id}", f"grpc {run_id}", "rest other", "grpc other"}
    assert found.targets["rest other"].components == result.targets["rest"].components
    assert found.comparison is None


def _moved(text: str) -> str:
    """The same requests under other trace ids."""
    requests = [json.loads(line) for line in text.splitlines()]
    for request in requests:
        for of_resource in request["resourceSpans"]:
            for of_scope in of_resource["scopeSpans"]:
                for span in of_scope["spans"]:
                    span["traceId"] = span["traceId"][::-1]
    return "".join(json.dumps(one) + "\n" for one in requests)


BEGAN_MS = 1_795_332_947_000


def client_span(trace: str, start_ms: int, end_ms: int, **more: Any) -> dict[str, Any]:
    return {
        "traceId": trace * 32,
        "spanId": "c" * 16,
        "name": "POST",
        "kind": 3,
        "startTimeUnixNano": (BEGAN_MS + start_ms) * 10**6,
        "endTimeUnixNano": (BEGAN_MS + end_ms) * 10**6,
        "attributes": [{"key": "url.full", "value": {"stringValue": "http://model/predict"}}],
        **more,
    }


def server_span(trace: str, name: str, parent: str, start_ms: int, end_ms: int) -> dict[str, Any]:
    return {
        **client_span(trace, start_ms, end_ms),
        "spanId": ("5" if parent == "c" * 16 else "6") * 16,
        "parentSpanId": parent,
        "name": name,
        "kind": 2 if parent == "c" * 16 else 1,
    }


def service(name: str, *spans: dict[str, Any]) -> dict[str, Any]:
    attributes = [{"key": "service.name", "value": {"stringValue": name}}]
    of_scope = {"scope": {"name": "any"}, "spans": list(spans)}
    return {"resource": {"attributes": attributes}, "scopeSpans": [of_scope]}


def test_another_client_s_traces(tmp_path: Path) -> None:
    clients = [client_span("a", 1000, 1010), client_span("b", 1001, 1021)]
    failed = client_span("e", 1000, 1100, status={"code": 2, "message": "timeout"})
    other = {**client_span("d", 0, 5), "name": "SELECT"}
    servers = [
        server_span("a", "POST /predict", "c" * 16, 90_000, 90_008),
        server_span("a", "inference", "5" * 16, 90_001, 90_006),
        server_span("b", "POST /predict", "c" * 16, 80_000, 80_014),
    ]
    requests = [
        {"resourceSpans": [service("model", *servers)]},
        {"resourceSpans": [service("shop", *clients, failed, other)]},
    ]
    result = analyze([rewritten(tmp_path / "theirs.jsonl", requests)])
    found = result.targets["rest"]
    assert found.address == "http://model/predict"
    assert (found.requests.started, found.requests.failed, found.decomposed) == (3, 1, 2)
    assert found.errors[0].reason == "timeout"
    means = {name: found.components[name].mean_ms for name in found.components}
    assert means == {
        "end_to_end": 15,
        "backlog": 0,
        "connect": 0,
        "client": 0,
        "network": 4,
        "server_processing": 11,
        "inference": 5,
        "server_other": 8.5,
    }
    codes = {one.code for one in found.verdict.findings}
    assert "other_client" in codes
    assert "no_kernel_stamps" not in codes
    assert found.duration_s == 0.1


@pytest.mark.slow
def test_the_spans_that_a_server_sent_are_archived_and_mapped_as_in_the_run(
    tmp_path: Path,
) -> None:
    path, port = str(tmp_path / "traces.jsonl"), free_ports()
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nspan = "preprocessing"\ncomponent = "queue"\n')
    endpoint = f"http://127.0.0.1:{port + 1}"
    with exporting("http", endpoint, OTEL_BSP_SCHEDULE_DELAY="200") as url:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=url),
            load=Workload(requests=REQUESTS, concurrency=2),
            traces=SpanRoutes(receive_otlp=f"127.0.0.1:{port}", output_traces=path),
            mapping=MappingRules(
                maps=("postprocessing=inference", "queue=nowhere"), mapping=str(rules)
            ),
        )
        result = run(plan)
    assert result.targets["rest"].server_timing_source["otlp"] == REQUESTS
    assert {"queue", "postprocessing"} <= set(result.targets["rest"].components)
    [unfit] = [one for one in result.targets["rest"].verdict.findings if one.code == "unfit_rules"]
    assert unfit.message.startswith("--map 'queue=nowhere': no span of a request")
    assert json.loads(dumps(analyze([path]))) == json.loads(dumps(result))
    rules.unlink()
    [rest] = analyze([path]).targets.values()
    assert {"preprocessing", "postprocessing"} <= set(rest.components)
    assert "rules.toml', which is missing here" in str(rest.verdict.findings)
    [rest] = analyze([path], maps=["inference=inference"]).targets.values()
    assert "inference" in rest.components
    assert "unfit_rules" not in {one.code for one in rest.verdict.findings}


def test_files_without_requests_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"hello\nworld\n")
    with pytest.raises(UsageError, match=r"no spans in '.*empty': give OTLP JSON lines"):
        analyze([str(tmp_path / "empty")])
    with pytest.raises(UsageError, match=r"no spans in '.*text' \(.*text:1: not OTLP JSON"):
        analyze([str(tmp_path / "text")])
    with pytest.raises(UsageError, match=r"cannot read '.*none' \(No such file or directory\)"):
        analyze([str(tmp_path / "none")])
    with pytest.raises(UsageError, match=r"cannot read '.*' \(it is a directory\)"):
        analyze([str(tmp_path)])
    with pytest.raises(UsageError, match=r"no requests among 9 spans in .*: give the client's"):
        analyze([str(RECORDED / "triton-3.json")])


@pytest.mark.parametrize(
    ("kinds", "ends", "said"),
    [
        ((3,), {}, r"among 1 spans in '[^']*': give the server's spans too"),
        ((2,), {}, r"among 1 spans in '[^']*': give the client's spans too"),
        ((3, 2), {2: "0"}, r"among 1 spans in '.*' \(1 more .*has no end\): give the server's"),
        ((3, 2), {3: "0"}, r"among 1 spans in '.*' \(1 more .*has no end\): give the client's"),
    ],
)
def test_half_of_a_request_is_told_which_half_lacks(
    kinds: tuple[int, ...], ends: dict[int, str], said: str, tmp_path: Path
) -> None:
    ids = {2: {}, 3: {"spanId": otlp_samples.PARENT, "parentSpanId": None}}
    given = {kind: {"endTimeUnixNano": end} for kind, end in ends.items()}
    spans = [otlp_samples.span(kind=kind, **ids[kind], **given.get(kind, {})) for kind in kinds]
    (tmp_path / "t.json").write_text(json.dumps(otlp_samples.request(*spans)))
    with pytest.raises(UsageError, match=said):
        analyze([str(tmp_path / "t.json")])


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root.update(events=[one for one in root["events"] if one["name"] != "sent"]),
        lambda root: root["events"][1].update(timeUnixNano=str(int(root["startTimeUnixNano"]) - 9)),
        lambda root: root["events"][0].update(timeUnixNano=root["endTimeUnixNano"]),
        lambda root: root.update(endTimeUnixNano=root["startTimeUnixNano"]),
        lambda root: root.update(endTimeUnixNano="0"),
        lambda root: root.update(
            attributes=[one for one in root["attributes"] if one["key"] != "tracebench.connect_ns"]
        ),
    ],
)
def test_a_root_span_whose_stamps_are_no_request_s_is_counted(
    written: tuple[Result, Path], tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    result, path = written
    requests = lines(path)
    change(requests[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0])
    found = analyze([rewritten(tmp_path / "odd.jsonl", requests)]).targets["rest"]
    assert found.requests.started == result.targets["rest"].requests.started - 1
    [finding] = [one for one in found.verdict.findings if one.code == "unreadable_archive"]
    assert finding.message.startswith("1 line or span of the archive cannot be read: ")
    for component in found.components.values():
        assert component.min_ms >= 0

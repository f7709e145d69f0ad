"""Streams of real servers, noticed by themselves, in the clear and over TLS, REST and gRPC."""

import gzip
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.load import oip_server
from tests.load.streams.exact_streams import DONE, HEAD, LAST_CHUNK, chunk, delta, event, usage
from tests.load.zoo import PROTO, SERVICE, zoo
from tests.plans import plan_of
from tests.servers import HOST, Script, read_request, serving
from tests.tls import ca_file, context, under_tls
from tracebench.benchmark import run, try_once
from tracebench.cli.dry_run import render
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.plan import Payload
from tracebench.model.results.result import TargetResult
from tracebench.model.results.stream_result import StreamResult

ASKED = {"stream": True, "max_tokens": 8}
PAYLOAD = Payload(json.dumps(ASKED).encode(), "application/json", "chat.json", "json")
QUESTION = Payload(b'{"name": "cat"}', "application/json", "question.json", "json")


def chatting(connection: socket.socket, tokens: int = 8, *, closes: bool = False) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while read_request(connection):
        connection.sendall(HEAD + chunk(delta(role="assistant", content="")))
        for _ in range(tokens):
            time.sleep(0.002)
            connection.sendall(chunk(delta(content=" the")))
        last = delta("length") + usage(tokens) + DONE
        connection.sendall(chunk(last) + LAST_CHUNK)
        if closes:
            return


def closing(connection: socket.socket) -> None:
    """As llama.cpp does: it promises to keep the connection, and closes it behind each stream."""
    chatting(connection, closes=True)


def measured(script: Script, scheme: str = "http", **options: Any) -> TargetResult:
    with serving(script) as port:
        url = f"{scheme}://{HOST}:{port}/v1/chat/completions"
        return run(plan_of(PAYLOAD, rest_url=url, **options)).targets["rest"]


def streams_of(target: TargetResult) -> StreamResult:
    assert target.requests.succeeded == target.requests.started
    assert target.stream is not None
    return target.stream


def codes(target: TargetResult) -> set[str]:
    return {one.code for one in target.verdict.findings}


def test_a_stream_over_http_is_noticed() -> None:
    target = measured(chatting, requests=40, concurrency=4)
    found = streams_of(target)
    assert found.count == 40
    assert found.tokens.source == "usage"
    assert (found.tokens.output, found.tokens.input) == (40 * 8, 40 * 16)
    assert found.ttft is not None
    assert found.ttft.min_ms >= 2
    assert found.itl is not None
    assert found.itl.min_ms > 0
    assert not {"short_outputs", "tokens_unknown"} & codes(target)


def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    script = under_tls(context(authority), chatting)
    found = streams_of(measured(script, "https", requests=10, cacert=ca_file(authority, tmp_path)))
    assert found.count == 10
    assert found.ttft is not None
    assert found.ttft.min_ms >= 2


def test_a_server_that_closes_behind_each_stream() -> None:
    target = measured(closing, requests=30, concurrency=2)
    assert streams_of(target).count == 30
    assert target.tcp is not None
    assert target.tcp.connections >= 30


def test_over_grpc() -> None:
    with zoo() as (address, _):
        plan = plan_of(
            QUESTION,
            grpc_server=address,
            grpc_method=f"{SERVICE}/Watch",
            proto=str(PROTO),
            requests=20,
            concurrency=4,
            connections=2,
        )
        found = streams_of(run(plan).targets["grpc"])
    assert found.count == 20
    assert found.tokens.output == 20 * 8
    assert found.tokens.source == "events"


def test_where_a_grpc_message_has_its_token() -> None:
    with zoo() as (address, _):
        plan = plan_of(
            QUESTION,
            grpc_server=address,
            grpc_method=f"{SERVICE}/Watch",
            requests=5,
            token_path="question.seen_at.seconds",
        )
        target = run(plan).targets["grpc"]
    assert target.stream is not None
    assert (target.stream.count, target.stream.without_tokens) == (0, 5)


def test_model_stream_infer() -> None:
    with oip_server.serving() as served:
        plan = plan_of((), grpc_server=served.grpc_server, oip="sums", stream=True, requests=6)
        found = streams_of(run(plan).targets["grpc"])
    assert found.tokens.output == 6 * 5, "the last response of each is empty"


def test_stream_is_asked_for_with_a_model_only() -> None:
    with pytest.raises(UsageError, match="detected automatically"):
        run(plan_of(PAYLOAD, rest_url="http://127.0.0.1:1/x", stream=True))


def test_root_spans_tell_of_the_tokens(tmp_path: Path) -> None:
    payload = Payload(
        json.dumps(ASKED | {"model": "tiny"}).encode(), "application/json", "chat.json", "json"
    )
    traces = tmp_path / "traces.jsonl"
    with serving(chatting) as port:
        url = f"http://{HOST}:{port}/v1/chat/completions"
        run(plan_of(payload, rest_url=url, requests=3, output_traces=str(traces)))
    spans = [
        span
        for line in traces.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert len(spans) == 3
    for span in spans:
        told = {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}
        assert told["gen_ai.operation.name"] == "chat"
        assert told["gen_ai.request.model"] == "tiny"
        assert told["gen_ai.request.stream"] is True
        assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (
            "16",
            "8",
        )
        at = {one["name"]: int(one["timeUnixNano"]) for one in span["events"]}
        assert at["sent"] < at["first_token"] < at["last_token"] <= at["arrived"]
        waited_s = float(told["gen_ai.response.time_to_first_chunk"])
        assert 0 < waited_s <= (at["first_token"] - at["sent"]) / 1e9


def test_a_dry_run_tells_when_its_tokens_came() -> None:
    with serving(chatting) as port:
        url = f"http://{HOST}:{port}/v1/chat/completions"
        trial = try_once(plan_of(PAYLOAD, rest_url=url))["rest"]
    text = render("rest", trial)
    assert "8 tokens by usage, in 8 events" in text
    assert "a stream: the first token " in text


def test_a_stream_that_errs_is_told_before_the_load() -> None:
    def failing(connection: socket.socket) -> None:
        while read_request(connection):
            said = event({"error": {"message": "engine died"}})
            connection.sendall(HEAD + chunk(said) + LAST_CHUNK)

    with pytest.raises(TargetError, match="broke off with an error: engine died"):
        measured(failing)


def test_a_compressed_stream_is_refused() -> None:
    def compressing(connection: socket.socket) -> None:
        while read_request(connection):
            head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
            connection.sendall(head + chunk(gzip.compress(DONE)) + LAST_CHUNK)

    with pytest.raises(TargetError, match="Accept-Encoding: identity"):
        measured(compressing)

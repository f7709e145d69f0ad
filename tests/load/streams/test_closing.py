"""Servers that end a connection after each stream, having promised to keep it."""

import socket
import time

from tests.load.streams.exact_streams import chat, tokens
from tests.servers import read_request, serving
from tracebench.benchmark import run
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload

REQUESTS, LATE_S = 12, 0.02


def test_no_request_is_sent_into_a_connection_that_ends() -> None:
    """It ends so late that a request that crosses the end would count as failed."""

    def stream_and_close(connection: socket.socket) -> None:
        if read_request(connection):
            connection.sendall(b"".join(part for _, part in chat(tokens(4))))
            time.sleep(LATE_S)

    with serving(stream_and_close) as port:
        plan = Plan(
            Payloads(Payload(b"{}", "application/json", "q.json", "json")),
            Targets(rest_url=f"http://127.0.0.1:{port}/v1/chat/completions"),
            load=Workload(requests=REQUESTS, concurrency=2),
        )
        found = run(plan).targets["rest"]
    assert found.requests.succeeded == REQUESTS
    assert found.requests.sent_again == 0
    assert found.stream is not None
    assert found.stream.count == REQUESTS
    assert "connection_churn" in {one.code for one in found.verdict.findings}

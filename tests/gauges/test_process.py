"""What one process notes of pages that come, come late, or do not come."""

import socket
import time
from pathlib import Path

import pytest
import trustme

from tests.gauges import pages
from tests.servers import HOST, answering, free_ports, read_request, serving
from tests.tls import ca_file, context, under_tls
from tracebench.gauges.known import known, named
from tracebench.gauges.messages import Record, Setup
from tracebench.gauges.process import Source


def read(url: str, times: int = 1, *metrics: str, verify: str | bool = True) -> Record:
    source = Source(Setup(url, known(), named(metrics), verify))
    for _ in range(times):
        source.read()
    return source.record()


def reasons(record: Record) -> list[str]:
    return [why for _, why in record.failures]


def test_values_over_time() -> None:
    later = pages.LLAMACPP.replace("processing 4", "processing 5")
    before_ns = time.monotonic_ns()
    with pages.page(pages.LLAMACPP, later) as url:
        record = read(url, 3)
    running = [one.values["requests_running"] for one in record.readings]
    assert running == [4, 5, 4]
    times = [before_ns, *(one.at_ns for one in record.readings), time.monotonic_ns()]
    assert times == sorted(times)
    assert record.metrics["requests_waiting"] == "llamacpp:requests_deferred"
    assert not record.failures


def test_what_appears_later_is_read_from_then_on() -> None:
    with pages.page("a 1\n", "a 1\nsglang:num_queue_reqs 2\n") as url:
        record = read(url, 2)
    assert [dict(one.values) for one in record.readings] == [{}, {"requests_waiting": 2}]


def test_what_is_named_is_read_too() -> None:
    with pages.page(pages.OTHER) as url:
        record = read(url, 2, "other_3", "nothing")
    assert [dict(one.values) for one in record.readings] == [{"other_3": 3}] * 2
    assert record.on_page == tuple(f"other_{number}" for number in range(9))


def test_a_page_that_goes() -> None:
    with pages.by(answering(pages.told(pages.VLLM), pages.told("", "503 Gone"))) as url:
        record = read(url, 3)
    assert len(record.readings) == 2
    assert reasons(record) == ["status 503"]
    assert len(record.tries_ns) == 3


@pytest.mark.parametrize("text", ["<html></html>", '{"status": "ok"}'])
def test_another_format(text: str) -> None:
    with pages.page(text) as url:
        (why,) = reasons(read(url))
    assert why.startswith("it is not in Prometheus's text format")


def test_a_page_that_becomes_another() -> None:
    with pages.page(pages.VLLM, "<html></html>") as url:
        record = read(url, 2)
    assert len(record.readings) == len(record.failures) == 1


def test_nobody_there() -> None:
    assert reasons(read(f"http://{HOST}:{free_ports()}/metrics")) == ["nobody answers there"]


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(connection: socket.socket) -> None:
        read_request(connection)
        connection.recv(1)

    monkeypatch.setattr("tracebench.gauges.process._PATIENCE_S", 0.1)
    with pages.by(silent) as url:
        (why,) = reasons(read(url))
    assert why.startswith("no answer within")


def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    script = under_tls(context(authority), answering(pages.told(pages.VLLM)))
    with serving(script) as port:
        url = f"https://{HOST}:{port}/metrics"
        assert read(url, verify=ca_file(authority, tmp_path)).readings
        assert reasons(read(url)) == ["its certificate is not trusted"]


def test_an_endless_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracebench.gauges.process._LARGEST_BYTES", 1 << 20)
    with pages.page("a 1\n" * (1 << 19)) as url:
        assert reasons(read(url)) == ["it is larger than 1 MB"]

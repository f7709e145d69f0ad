"""Gauges beside a load: what is in the result, and what is said where they are not."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.gauges import pages
from tests.plans import plan_of
from tests.servers import HOST, Script, answering, free_ports, read_request, reply, serving
from tracebench.archive import analyze
from tracebench.benchmark import run
from tracebench.gauges.messages import Reading, Record
from tracebench.gauges.reader import MOST_POINTS, _between, _gauge, check, watching
from tracebench.model.errors import UsageError
from tracebench.model.plan import Payload, Tls, Watched
from tracebench.model.record.requests import Requests
from tracebench.model.results.result import TargetResult
from tracebench.report.files.result_file import dumps, loads

PAYLOAD = Payload(b"{}", "application/json", "q.json", "json")
LOAD: dict[str, Any] = {"requests": None, "duration_s": 2.5}


def measured(metrics_url: str, *metrics: str, **load: Any) -> TargetResult:
    with serving(answering(reply(), service_s=0.01)) as port:
        options = {"rest_url": f"http://{HOST}:{port}/p", "metrics_url": metrics_url}
        result = run(plan_of(PAYLOAD, metrics=metrics, **options, **(load or LOAD)))
    assert loads(dumps(result)).targets == result.targets
    target = result.targets["rest"]
    assert target.requests.succeeded == target.requests.started > 0
    assert target.verdict.valid
    return target


def said(target: TargetResult) -> dict[str, str]:
    return {
        one.code: f"{one.severity}: {one.message}"
        for one in target.verdict.findings
        if one.code.startswith("gauges_")
    }


def test_gauges_of_the_run() -> None:
    with pages.page(pages.VLLM) as url:
        target = measured(url, 'vllm:prompt_tokens_total{engine="0"}')
    assert list(target.gauges) == [
        "requests_running",
        "requests_waiting",
        "kv_cache_usage",
        'vllm:prompt_tokens_total{engine="0"}',
    ]
    running = target.gauges["requests_running"]
    assert running.metric == "vllm:num_requests_running"
    assert set(running.value) == {running.min, running.median, running.max} == {7}
    assert 2 <= len(running.t_s) <= 3
    assert all(0 <= at_s <= target.duration_s for at_s in running.t_s)
    assert not said(target)


def test_an_archive_keeps_them(tmp_path: Path) -> None:
    archive = str(tmp_path / "traces.jsonl")
    with pages.page(pages.VLLM) as url:
        target = measured(url, **LOAD, output_traces=archive)
    again = analyze([archive]).targets["rest"]
    assert again.gauges == target.gauges
    assert len(again.gauges) == 3


def test_where_nobody_is() -> None:
    url = f"http://{HOST}:{free_ports()}/metrics"
    target = measured(url)
    assert not target.gauges
    (message,) = said(target).values()
    assert message.startswith(f"warning: the server's gauges at {url} could not be read")
    assert message.endswith("nobody answers there")


def test_gauges_that_nobody_knows() -> None:
    with pages.page(pages.OTHER) as url:
        target = measured(url)
    assert said(target) == {
        "gauges_unknown": f"warning: the page at {url} has no gauge that is known (llama.cpp, "
        "SGLang, Triton, vLLM), but 9 others: other_0, other_1, other_2, other_3, other_4, …"
    }


def test_a_metric_that_is_not_there() -> None:
    with pages.page(pages.LLAMACPP) as url:
        target = measured(url, "missing", "llamacpp:requests_deferred")
    assert said(target) == {
        "gauges_absent": f"warning: the page at {url} has no missing, but "
        "llamacpp:requests_processing, llamacpp:requests_deferred"
    }
    assert target.gauges["llamacpp:requests_deferred"].max == 46


def test_a_run_that_is_over_before() -> None:
    with pages.page(pages.VLLM) as url:
        target = measured(url, requests=1)
    assert not target.gauges
    assert set(said(target)) == {"gauges_too_few"}


def test_a_process_that_is_gone() -> None:
    requests = Requests.of([])
    with pages.page(pages.VLLM) as url, watching(Watched(url), Tls()) as gauges:
        assert gauges.during(requests) == ({}, []), "nothing was sent"
        assert gauges._pipe is not None
        gauges._pipe.close()
        assert gauges._record().failures[0][1] == "the process that reads it ended"


def credentials(seen: list[bytes]) -> Script:
    def script(connection: socket.socket) -> None:
        while got := read_request(connection):
            seen.append(got)
            connection.sendall(pages.told("SECRETUSER SECRETPASS"))

    return script


def test_credentials_are_sent_and_never_shown() -> None:
    seen: list[bytes] = []
    with pages.by(credentials(seen)) as url:
        with_secrets = url.replace("http://", "http://SECRETUSER:SECRETPASS@") + "?token=SECRETKEY"
        target = measured(with_secrets)
    assert b"authorization: basic" in seen[0].lower()
    assert b"token=SECRETKEY" in seen[0]
    assert "SECRET" not in str(target)
    assert "gauges_unread" in said(target)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (Watched("localhost:8000/metrics"), "is not a valid URL"),
        (Watched("ftp://host/metrics"), "is not a valid URL"),
        (Watched("http://"), "is not a valid URL"),
        (Watched("http://host:x/"), "is not a valid URL"),
        (Watched(None, ("a",)), "needs the page: add --metrics-url"),
        (Watched("http://h/", ("a b",)), "is not the name of a metric"),
    ],
)
def test_what_cannot_be_read(asked: Watched, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check(asked)


def test_the_password_of_a_bad_url_is_hidden() -> None:
    with pytest.raises(UsageError) as caught:
        check(Watched("ftp://user:SECRET@host/metrics"))
    assert "SECRET" not in str(caught.value)


def test_only_the_run_counts() -> None:
    readings = tuple(Reading(at_ns, {"a": at_ns}) for at_ns in range(10))
    record = Record(readings, {"a": "A"}, tuple(range(10)), ((2, "x"), (9, "y")))
    told = _between(record, 3, 6)
    assert [one.at_ns for one in told.readings] == [3, 4, 5, 6]
    assert (told.tries_ns, told.failures) == ((3, 4, 5, 6), ())


@pytest.mark.parametrize("count", [1, MOST_POINTS, MOST_POINTS + 1, 3 * MOST_POINTS])
def test_a_long_run_is_thinned(count: int) -> None:
    second = 1_000_000_000
    readings = tuple(Reading(number * second, {"a": number}) for number in range(count))
    gauge = _gauge(Record(readings, {"a": "A"}), "a", 0)
    assert gauge is not None
    assert len(gauge.t_s) == len(gauge.value) <= MOST_POINTS
    assert (gauge.min, gauge.max, gauge.median) == (0, count - 1, (count - 1) / 2)
    assert gauge.t_s == gauge.value, "both are means of the same readings"


def test_a_gauge_that_was_never_there() -> None:
    assert _gauge(Record((Reading(1, {"b": 1}),), {"a": "A"}), "a", 0) is None


def test_ctrl_c_is_not_for_the_reader() -> None:
    """A terminal's Ctrl-C reaches all of a session: the reader has one of its own."""
    with pages.page(pages.VLLM) as url, watching(Watched(url), Tls()) as gauges:
        own = os.getsid(0)
        children = _children()
        assert children
        assert all(os.getsid(pid) != own for pid in children)
        for pid in children:
            os.kill(pid, signal.SIGINT)
        assert len(gauges._record().readings) >= 1
    assert not _children() & children


def _children() -> set[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(map(int, file.read().split()))

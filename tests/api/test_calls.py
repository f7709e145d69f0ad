"""`tracebench.run` and its like, against real servers."""

import asyncio
import csv
import json
import os
import signal
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracebench
from tests.cli.test_bad_input import IMAGE
from tests.servers import HOST, answering, keeping, reply, serving

TIMED = reply(b"ok", "200 OK", 'X-Timing-Info: {"inference": 0.0004, "server_processing": 0.0005}')


@pytest.fixture(scope="module")
def url() -> Any:
    with serving(answering(TIMED, service_s=0.001)) as port:
        yield f"http://{HOST}:{port}"


@pytest.fixture(scope="module")
def result(url: str) -> tracebench.RunResult:
    return tracebench.run(rest_url=url, image=IMAGE, requests=40, label="night", concurrency=2)


def test_a_run(result: tracebench.RunResult, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert result.targets["rest"].requests.succeeded == 40
    assert result.data.plan["concurrency"] == 2
    assert "inference" in result.targets["rest"].components
    again = tracebench.run(rest_url=url, image=IMAGE, requests=5)
    assert capfd.readouterr() == ("", "")  # nothing is printed
    assert again.targets["rest"].requests.succeeded == 5


def test_samples_are_those_of_the_file(result: tracebench.RunResult, tmp_path: Path) -> None:
    samples = result.samples
    assert {len(column) for column in samples.values()} == {40}
    assert samples["outcome"].tolist() == ["succeeded"] * 40
    assert samples["end_to_end_ns"].dtype == np.int64
    mean_ms = result.targets["rest"].components["inference"].mean_ms
    assert np.mean(samples["inference_ns"]) / 1e6 == pytest.approx(mean_ms)
    assert result.samples is samples
    path = tmp_path / "s.csv"
    result.to_samples(path)
    with path.open(newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [*rows[0]] == [*samples]
    for name in ("trace_id", "end_to_end_ns", "network_ns"):
        assert [row[name] for row in rows] == [str(one) for one in samples[name]]


def test_what_some_requests_lack_is_nan() -> None:
    with serving(answering(TIMED, reply(b"no", "503 Busy"), service_s=0.002)) as port:
        found = tracebench.run(rest_url=f"http://{HOST}:{port}", image=IMAGE, requests=10)
    inference = found.samples["inference_ns"]
    assert inference.dtype == np.float64
    failed = found.samples["outcome"] == "failed"
    assert failed.sum() == 5
    assert np.isnan(inference).tolist() == failed.tolist()
    assert set(found.samples["reason"]) == {"", "HTTP 503"}


def test_values_instead_of_files() -> None:
    seen: list[bytes] = []
    with serving(keeping(seen)) as port:
        where: Any = {"rest_url": f"http://{HOST}:{port}", "requests": 4, "concurrency": 1}
        tracebench.run(**where, json={"text": "ä"}, header={"X-One": "1", "X-Two": "a: b"})
        assert {one.partition(b"\r\n\r\n")[2] for one in seen} == {b'{"text": "\\u00e4"}'}
        assert b"\r\nX-One: 1\r\n" in seen[-1]
        assert b"\r\nX-Two: a: b\r\n" in seen[-1]
        seen.clear()
        tracebench.run(**where, data=b"\x00\x01", content_type="application/x-thing")
        assert {one.partition(b"\r\n\r\n")[2] for one in seen} == {b"\x00\x01"}
        assert b"application/x-thing" in seen[-1]
        seen.clear()
        tracebench.run(**where, payloads=[{"n": 1}, {"n": 2}])
        assert {one.partition(b"\r\n\r\n")[2] for one in seen} == {b'{"n": 1}', b'{"n": 2}'}


def test_several_targets_by_name(url: str) -> None:
    found = tracebench.run(
        target={"old": url, "new": url}, image=Path(IMAGE), requests=20, sequential=True
    )
    assert [*found.targets] == ["old", "new"]
    assert [(one.a, one.b) for one in found.comparisons] == [("old", "new")]
    assert set(found.samples["target"]) == {"old", "new"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no target: give --rest-url URL, --grpc-server HOST:PORT, or --target NAME=URL"),
        ({"rest_url": "http://127.0.0.1:9"}, "nothing to send: give one of --image"),
        ({"requests": 0}, "Invalid value for '--requests': 0 is not in the range x>=1."),
        ({"requests": "many"}, "Invalid value for '--requests'"),
        ({"rate": "10:200"}, "lacks a duration: write e.g. 10:200/60s"),
        ({"requests": 1, "duration": "5s"}, "--requests and --duration exclude each other"),
        ({"image": "missing.png"}, "missing.png"),
        ({"image": 3}, "image is a int: give a path, or a picture as bytes"),
        ({"image": None, "json": {1, 2}}, "json cannot be written as JSON"),
        ({"json": {}, "image": b"x"}, "give only one of image, data, json and payloads"),
        ({"fail_if": "inference > "}, "inference > "),
        ({"target": ["http://127.0.0.1:9"]}, "write NAME=URL"),
    ],
)
def test_errors_are_the_line_of_the_command(options: Any, said: str) -> None:
    given = {"rest_url": "http://127.0.0.1:9", "image": IMAGE} | options
    if not options or "rest_url" in options:
        given = options
    with pytest.raises(tracebench.UsageError) as error:
        tracebench.run(**given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(tracebench.TargetError, match=r"127\.0\.0\.1:9"):
        tracebench.run(rest_url="http://127.0.0.1:9", image=IMAGE)


@pytest.mark.parametrize("url", ["http://u:hunter22@127.0.0.1:9", "tcp://u:hunter22@127.0.0.1:9"])
def test_no_error_shows_a_password(url: str) -> None:
    for options in ({"rest_url": url}, {"target": {"a b": url}}, {"target": {"a": url}}):
        with pytest.raises(tracebench.TracebenchError) as error:
            tracebench.run(**options, image=IMAGE)
        assert "hunter22" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("conccurrency", "Did you mean 'concurrency'?"),
        ("output_html", "save the result by its method to_html()"),
        ("output_plot", "save the result by its method plot()"),
        ("verbose", "unexpected keyword argument 'verbose'"),
    ],
)
def test_what_is_no_option(name: str, said: str) -> None:
    with pytest.raises(TypeError, match=r"^run\(\) got an unexpected keyword argument") as error:
        tracebench.run(**{name: 8})  # type: ignore[arg-type]
    assert said in str(error.value)


def test_none_and_false_are_as_if_not_given(url: str) -> None:
    found = tracebench.run(
        rest_url=url, image=IMAGE, requests=2, rate=None, floor=False, receive_otlp=False
    )
    assert found.targets["rest"].floor is None


def test_gates_decide_and_do_not_raise(url: str) -> None:
    gates = ["rest.inference.mean_ms > 100", "errors.share > 50%"]
    found = tracebench.run(rest_url=url, image=IMAGE, requests=60, fail_if=gates)
    assert [one.expression for one in found.data.gates] == gates
    assert found.decision != "failed"
    failing = tracebench.run(
        rest_url=url, image=IMAGE, requests=60, fail_if="inference.mean_ms > 0"
    )
    assert failing.decision in ("failed", "broken")


def test_progress_is_told_to_a_function() -> None:
    told: list[tuple[str, tracebench.Progress]] = []
    with serving(answering(reply(), service_s=0.05)) as port:
        tracebench.run(
            rest_url=f"http://{HOST}:{port}",
            image=IMAGE,
            requests=8,
            progress=lambda target, progress: told.append((target, progress)),
        )
    assert {target for target, _ in told} == {"rest"}
    finished = [progress.finished for _, progress in told]
    assert finished == sorted(finished)


def test_progress_as_a_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    tracebench.run(rest_url=url, image=IMAGE, requests=100, progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("\r\033[K")


def test_an_interrupt_returns_what_was_measured(url: str) -> None:
    def interrupt(target: str, progress: tracebench.Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    found = tracebench.run(rest_url=url, image=IMAGE, duration=20, progress=interrupt)
    assert "interrupted" in {one.code for one in found.verdict.findings}
    assert found.targets["rest"].requests.succeeded == len(
        [one for one in found.samples["outcome"] if one == "succeeded"]
    )
    assert "INTERRUPTED" in str(found)


def test_beside_a_running_event_loop_and_in_another_thread(url: str) -> None:
    """A notebook has a loop; a web application calls from threads, where no signal may be set."""

    async def cell() -> tracebench.RunResult:
        return tracebench.run(rest_url=url, image=IMAGE, requests=5)

    assert asyncio.run(cell()).targets["rest"].requests.succeeded == 5
    found: list[tracebench.RunResult] = []
    thread = threading.Thread(
        target=lambda: found.append(tracebench.run(rest_url=url, image=IMAGE, requests=5))
    )
    thread.start()
    thread.join()
    assert found[0].targets["rest"].requests.succeeded == 5


def test_what_the_command_notes_is_a_warning(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.warns(UserWarning, match="ignoring HTTP_PROXY") as noted:
        tracebench.run(rest_url=url, image=IMAGE, requests=2)
    assert noted[0].filename == __file__


def test_a_sweep(url: str) -> None:
    found = tracebench.sweep(rest_url=url, image=IMAGE, concurrency=[1, 2], requests=10)
    assert [*found.runs] == [1, 2]
    assert len(found.runs[2].samples["slot"]) == 10
    assert set(found.runs[2].samples["slot"]) == {0, 1}
    assert found.scaling["rest"].sentence in repr(found).replace("\n", " ")


def test_a_search(url: str) -> None:
    found = tracebench.search(
        slo="latency.p50 < 2s", rest_url=url, image=IMAGE, from_=20, to=20, budget=3
    )
    loads = [load for load, _ in found.runs]
    assert set(loads) == {20.0}
    assert all(len(run.samples["slot"]) for _, run in found.runs)
    assert repr(found) == f"<SearchResult: {found.data.sentence}>"


def test_results_are_compared_from_memory_and_from_files(
    result: tracebench.RunResult, url: str, tmp_path: Path
) -> None:
    other = tracebench.run(rest_url=url, image=IMAGE, requests=40)
    path = tmp_path / "b.json"
    other.to_json(path)
    of_memory, of_file = tracebench.compare(result, other), tracebench.compare(result, path)
    assert of_memory.differences == of_file.differences
    assert of_memory.data.a.files == ("night",)
    assert of_file.data.b.files == (str(path),)
    told = tracebench.compare([result], [f"{path}:rest"], fail_if_slower="p50 500%")
    assert told.decision is not None
    with pytest.raises(tracebench.UsageError, match="the same run"):
        tracebench.compare(result, result)


def test_what_is_read_is_what_was_written(result: tracebench.RunResult, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    text = result.to_json(path)
    assert path.read_text() == text
    again = tracebench.read(path)
    assert isinstance(again, tracebench.RunResult)
    assert again.data == json_again(result)
    assert again.to_json() == text
    with pytest.raises(tracebench.UsageError, match="read from a file"):
        again.samples  # noqa: B018
    with pytest.raises(tracebench.UsageError, match="missing"):
        tracebench.read("missing.json")
    with warnings.catch_warnings():
        assert str(again) == str(result)


def json_again(result: tracebench.RunResult) -> Any:
    """As every result is once it has been a file: tuples, and mappings in the same order."""
    from tracebench.report.files.result_file import loads  # only here

    return loads(json.dumps(json.loads(result.to_json())))


def test_archives_are_analysed(url: str, tmp_path: Path) -> None:
    traces = tmp_path / "t.jsonl"
    measured = tracebench.run(rest_url=url, image=IMAGE, requests=20, output_traces=traces)
    again = tracebench.analyze(traces, label="again")
    assert again.label == "again"
    assert sorted(again.samples["trace_id"]) == sorted(measured.samples["trace_id"])
    with pytest.raises(tracebench.UsageError, match="Missing argument"):
        tracebench.analyze()


def test_where_spans_go_is_checked_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(tracebench.UsageError, match="--output-traces"):
        tracebench.run(rest_url="http://127.0.0.1:9", output_traces=tmp_path / "no" / "t.jsonl")

"""`spans` and `analyze` on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_bad_input import complaint, tracebench
from tests.end_to_end.old_servers import old_rest
from tests.end_to_end.test_receive_otlp import exporting
from tests.servers import free_ports
from tests.tracing.otlp_samples import END_NS, PARENT, RECORDED, SPAN, START_NS, request, span
from tests.tracing.samples import SUCCESS, spans_of
from tracebench.tracing.otlp.json_lines import JsonLinesExporter

IMAGE = "tracebench/example/coffee.png"
TRITON = str(RECORDED / "triton-3.json")


def test_spans_shows_what_triton_emits() -> None:
    done = tracebench("spans", TRITON, str(RECORDED / "mlserver-1.pb"))
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["triton-cpu", "triton"] in lines
    assert ["QUEUE_START", "→", "COMPUTE_START", "3", "0.078", "queue"] in lines
    assert ["mlserver", "mlserver"] in lines


def test_a_rule_of_one_s_own_shows_in_spans() -> None:
    done = tracebench("spans", "--map", "inference=compute", TRITON)
    assert ["compute", "3", "0.60", "inference"] in [x.split() for x in done.stdout.splitlines()]


@pytest.mark.slow
def test_spans_asks_a_server_and_shows_what_it_sends(tmp_path: Path) -> None:
    port = free_ports()
    body = tmp_path / "in.json"
    body.write_text("[1]")
    with exporting("grpc", f"http://127.0.0.1:{port}", OTEL_BSP_SCHEDULE_DELAY="200") as url:
        target = ("--receive-otlp", f"127.0.0.1:{port}", "--rest-url", url, "--json", str(body))
        done = tracebench("spans", *target, "--map", "queue=preprocessing")
    assert done.returncode == 0, done.stderr
    rows = [(*line.split()[:2], line.split()[-1]) for line in done.stdout.splitlines() if line]
    assert ("inference", "20", "inference") in rows
    assert ("preprocessing", "20", "queue") in rows


def test_without_a_server_s_spans_it_says_how_to_get_them(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    exporter = JsonLinesExporter(str(path))
    exporter.export(spans_of([SUCCESS]))
    exporter.shutdown()
    assert "let the server export OTLP" in tracebench("spans", str(path)).stdout


def test_analyze_prints_and_saves_what_run_did(tmp_path: Path) -> None:
    traces, saved, again = (tmp_path / name for name in ("t.jsonl", "run.json", "again.json"))
    with old_rest() as url:
        options = ("--image", IMAGE, "--requests", "30", "--rest-url", url)
        outputs = ("--output-traces", str(traces), "--output-json", str(saved))
        ran = tracebench("run", *options, *outputs)
    assert [f"wrote {file}" in ran.stderr for file in (traces, saved)] == [True, True]
    plot, page = tmp_path / "plot.svg", tmp_path / "page.html"
    files = ("--output-json", str(again), "--output-plot", str(plot), "--output-html", str(page))
    found = tracebench("analyze", str(traces), *files)
    assert found.returncode == ran.returncode, found.stderr
    assert found.stdout == ran.stdout
    assert json.loads(again.read_text()) == json.loads(saved.read_text())
    assert plot.stat().st_size > 0
    drawn = tmp_path / "drawn.html"
    tracebench("report", str(saved), "--output-html", str(drawn))
    assert drawn.read_text() == page.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["spans"], "TRACES.jsonl"),
        (["spans", TRITON, "--rest-url", "http://127.0.0.1:9"], "TRACES.jsonl"),
        (["spans", "--rest-url", "http://127.0.0.1:9", "--image", IMAGE], "--receive-otlp"),
        (["spans", "/no/such"], "/no/such"),
        (["spans", IMAGE], "coffee.png"),
        (["spans", TRITON, "--map", "inference"], "COMPONENT=SPAN"),
        (["spans", TRITON, "--mapping", IMAGE], "coffee.png"),
        (["analyze", "/no/such"], "/no/such"),
        (["analyze", TRITON], "no requests among 9 spans"),
        (["analyze", TRITON], f"`tracebench spans {TRITON}` shows"),
        (["analyze", TRITON, "--output-json", "/no/such/x"], "/no/such/x"),
        (["run", "--image", IMAGE, "--rest-url", "http://127.0.0.1:9", "--map", "x"], "--map 'x'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(options: list[str], said: str) -> None:
    assert said in complaint(tracebench(*options), 2)


def test_spans_without_an_end_are_counted_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"resourceSpans": [of_a_client(20), of_a_server(20)]}))
    analysed, stock = tracebench("analyze", str(path)), tracebench("spans", str(path))
    assert analysed.returncode == stock.returncode == 0
    assert "! 20 lines or spans cannot be read: check that the file is" in analysed.stdout
    assert "'inference' (" in " ".join(stock.stdout.split())
    every = tracebench("analyze", str(path), "-v")
    assert "warning: 20 lines or spans of the archive cannot be read" in every.stdout
    for done in (every, stock):
        assert "has no end" in " ".join(done.stdout.split())
        assert "-1," not in done.stdout


def of_a_client(count: int) -> dict[str, Any]:
    made: dict[str, Any] = request(
        *(
            span(traceId=f"{at:032x}", spanId=PARENT, parentSpanId=None, name="POST", kind=3)
            for at in range(1, count + 1)
        )
    )["resourceSpans"][0]
    return made


def of_a_server(count: int) -> dict[str, Any]:
    """Each with a span of which the end was lost."""
    entry = {"startTimeUnixNano": START_NS + 1_000_000, "endTimeUnixNano": END_NS - 1_000_000}
    made: dict[str, Any] = request(
        *(
            one
            for at in range(1, count + 1)
            for one in (
                span(traceId=f"{at:032x}", **entry),
                span(
                    traceId=f"{at:032x}",
                    spanId="1" * 16,
                    parentSpanId=SPAN,
                    name="inference",
                    kind=1,
                    endTimeUnixNano=None,
                ),
            )
        )
    )["resourceSpans"][0]
    return made

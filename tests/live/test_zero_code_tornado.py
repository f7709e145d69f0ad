"""Tornado under `opentelemetry-instrument`, whose instrumentor asks for headers too early."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from tests.middleware.serving import post, serving_process
from tests.middleware.span_samples import ASKING, mirrored
from tests.servers import free_ports

PROGRAM = Path(__file__).with_name("tornado_traced.py")
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        importlib.util.find_spec("tornado") is None,
        reason="no instrumentor of Tornado: make live installs it",
    ),
]


def test_the_mirror_tells_what_the_handler_did() -> None:
    port = free_ports()
    quiet = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
    program = Path(sys.executable).parent / "opentelemetry-instrument"
    command = [str(program), sys.executable, str(PROGRAM), str(port)]
    with serving_process(command, port, env={**os.environ, **quiet}) as url:
        answers = {name: post(f"{url}/{name}", ASKING) for name in ("predict", "fail", "stream")}
        unasked = post(f"{url}/predict", {})
    assert answers["predict"].text == unasked.text == "espresso"
    assert answers["stream"].text == "token " * 3
    assert answers["fail"].status_code == 500
    assert not mirrored(unasked.headers)
    assert not mirrored(answers["fail"].headers)  # its span ends before the headers are sent
    for answer in (answers["predict"], answers["stream"]):
        times = mirrored(answer.headers)
        assert times["inference"] >= 0.01
        assert times["server_processing"] >= times["inference"] + times.get("preprocessing", 0)
        assert answer.headers.get_list("x-timing-info") == [answer.headers["x-timing-info"]]
    assert mirrored(answers["predict"].headers)["preprocessing"] >= 0.005

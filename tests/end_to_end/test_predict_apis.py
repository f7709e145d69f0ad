"""JSON APIs as people have them: TF-Serving's REST predict, and one's own."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import flask
import pytest
import waitress.server
from click.testing import CliRunner

from tracebench.cli import cli
from tracebench.model.errors import TargetError

TF_REQUEST = {"signature_name": "serving_default", "instances": [[1.0, 2.0], [3.0, 4.0]]}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    app = flask.Flask(__name__)

    @app.post("/v1/models/half_plus_two:predict")
    def tf_serving() -> tuple[flask.Response, int]:
        request = flask.request.get_json()
        if not isinstance(request.get("instances"), list):
            return flask.jsonify(error="Missing 'inputs' or 'instances' key"), 400
        sums = [[value / 2 + 2 for value in row] for row in request["instances"]]
        return flask.jsonify(predictions=sums), 200

    @app.put("/api/classify")
    def own() -> flask.Response:
        return flask.jsonify(label=flask.request.get_json()["text"].upper())

    server = waitress.server.create_server(app, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.trigger.pull_trigger(server.close)  # its own thread must close it
    thread.join(1)


def ran(tmp_path: Path, document: object, *options: str) -> str:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(document))
    done = CliRunner().invoke(
        cli, ["run", "--json", str(file), "--requests", "20", *options], standalone_mode=False
    )
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_tf_serving_predict(base: str, tmp_path: Path) -> None:
    url = f"{base}/v1/models/half_plus_two:predict"
    printed = ran(tmp_path, TF_REQUEST, "--rest-url", url, "--expect-json", "predictions[1][0]=3.5")
    assert " 20 ok · " in printed


def test_tf_serving_says_what_is_wrong(base: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"HTTP 400 Bad Request: .*Missing 'inputs'"):
        ran(tmp_path, {"rows": []}, "--rest-url", f"{base}/v1/models/half_plus_two:predict")


def test_a_json_api_of_ones_own(base: str, tmp_path: Path) -> None:
    options = ("--method", "PUT", "--expect-json", "label=A CAT", "--expect-status", "2xx")
    printed = ran(tmp_path, {"text": "a cat"}, "--rest-url", f"{base}/api/classify", *options)
    assert " 20 ok · " in printed

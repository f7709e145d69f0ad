"""Folders and lines from the command line to a real server, which counts what it gets."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import waitress.server
from click.testing import CliRunner

from tracebench.cli import cli

Server = tuple[str, "Counter[str]"]


@pytest.fixture
def server() -> Iterator[Server]:
    app, counted = flask.Flask(__name__), Counter[str]()

    @app.post("/predict")
    def predict() -> flask.Response:
        sent = flask.request.files.get("image")
        if sent is not None:
            counted[f"{sent.filename} {sent.mimetype} {len(sent.read())}"] += 1
        else:
            counted[flask.request.get_data(as_text=True)] += 1
        return flask.jsonify(ok=True)

    waitress_server = waitress.server.create_server(app, host="127.0.0.1", port=0, threads=1)
    thread = threading.Thread(target=waitress_server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{waitress_server.effective_port}", counted
    waitress_server.trigger.pull_trigger(waitress_server.close)  # its own thread must close it
    thread.join(1)


def ran(url: str, folder: Path, *options: str) -> dict[str, Any]:
    """Run; gives the plan that the result tells of."""
    result = folder / "result.json"
    command = ["run", "--rest-url", url, "--output-json", str(result), *options]
    done = CliRunner().invoke(cli, command, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    plan: dict[str, Any] = json.loads(result.read_text())["plan"]
    return plan


def test_a_folder_of_images(server: Server, tmp_path: Path) -> None:
    url, counted = server
    images = tmp_path / "images"
    images.mkdir()
    for name, size in (("a.png", 10), ("b.jpg", 40_000), ("notes.txt", 5)):
        (images / name).write_bytes(bytes(size))
    plan = ran(url, tmp_path, "--image", str(images), "--requests", "40", "--concurrency", "3")
    assert counted == {"a.png image/png 10": 21, "b.jpg image/jpeg 40000": 21}
    assert plan["payload"]["count"] == plan["sent"]["rest"]["count"] == 2
    assert plan["payload"]["bytes"] == 40_010
    assert plan["sent"]["rest"]["smallest_bytes"] < 1_000
    assert plan["sent"]["rest"]["largest_bytes"] > 40_000


def test_lines_in_random_order(server: Server, tmp_path: Path) -> None:
    url, counted = server
    lines = [json.dumps({"text": f"number {n}"}) for n in range(4)]
    file = tmp_path / "requests.jsonl"
    file.write_text("\n".join(lines))
    options = ("--payloads", str(file), "--order", "random", "--seed", "3", "--requests", "200")
    plan = ran(url, tmp_path, *options)
    assert set(counted) == set(lines)
    assert counted.total() == 200 + 4
    assert len(set(counted.values())) > 1
    assert (plan["order"], plan["seed"]) == ("random", 3)

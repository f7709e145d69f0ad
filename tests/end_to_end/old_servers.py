"""Servers instrumented by hand with `time.time()`, as people did before OpenTelemetry.

None of our code is in them but the generated gRPC classes: they know a header, a field, no trace.
"""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask
import grpc
import waitress.server

from tracebench.protos import inference_pb2, inference_pb2_grpc

STAGES_S = {"preprocessing": 0.002, "inference": 0.004, "postprocessing": 0.001}


def work() -> dict[str, float]:
    """Sleep through the stages; returns what each took, in seconds, and the whole."""
    began = time.time()
    took = {}
    for stage, pause_s in STAGES_S.items():
        stage_began = time.time()
        time.sleep(pause_s)
        took[stage] = time.time() - stage_began
    took["server_processing"] = time.time() - began
    return took


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)

    @app.post("/predict")
    def predict() -> flask.Response:
        assert flask.request.files["image"].read()
        took = work()
        response = flask.jsonify(label="cat")
        if "X-Benchmark" in flask.request.headers:
            response.headers["X-Timing-Info"] = json.dumps(took)
        return response

    return app


class Servicer(inference_pb2_grpc.InferenceServiceServicer):
    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        assert request.image_data
        took = work()
        response = inference_pb2.PredictResponse(result="cat")
        if request.enable_timing:
            for component, duration_s in took.items():
                response.timing_info.add(component=component, duration_ms=duration_s * 1e3)
        return response


def listening(app: flask.Flask, folder: Path | None) -> Any:
    """waitress on a port of its own, or on a Unix socket in a folder."""
    create = waitress.server.create_server
    if folder is None:
        return create(app, host="127.0.0.1", port=0, threads=4)
    return create(app, unix_socket=f"{folder}/rest.sock", threads=4)


def url_of(server: Any, folder: Path | None) -> str:
    """Where it listens."""
    return f"unix:{folder}/rest.sock" if folder else f"http://127.0.0.1:{server.effective_port}"


@contextmanager
def old_rest(folder: Path | None = None) -> Iterator[str]:
    server = listening(flask_app(), folder)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield url_of(server, folder)
    finally:
        server.trigger.pull_trigger(server.close)  # its own thread must close it
        thread.join(1)


@contextmanager
def old_grpc(folder: Path | None = None, **options: int) -> Iterator[str]:
    given = [(f"grpc.{name}", value) for name, value in options.items()]
    server = grpc.server(ThreadPoolExecutor(4), options=given)
    add = inference_pb2_grpc.add_InferenceServiceServicer_to_server
    add(Servicer(), server)  # type: ignore[no-untyped-call] # generated
    address = f"unix:{folder}/grpc.sock" if folder else "127.0.0.1:0"
    port = server.add_insecure_port(address)
    server.start()
    try:
        yield address if folder else f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()

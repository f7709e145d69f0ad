"""One model behind every kind of server; its handlers also take the time by themselves."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter, sleep
from typing import Any

import flask
from fastapi import FastAPI, Request

from protos.inference_pb2 import PredictRequest, PredictResponse
from protos.inference_pb2_grpc import InferenceServiceServicer
from server_middleware import component, instrument

SECONDS = {"preprocessing": 0.001, "inference": 0.003, "postprocessing": 0.0005}

_spent_s = dict.fromkeys(SECONDS, 0.0)
_count = dict.fromkeys(SECONDS, 0)
_lock = Lock()


@contextmanager
def timed(name: str) -> Iterator[None]:
    """An independent reading of a part, from inside it."""
    with component(name):
        began_s = perf_counter()
        yield
        spent_s = perf_counter() - began_s
    with _lock:
        _spent_s[name] += spent_s
        _count[name] += 1


def readings() -> dict[str, float]:
    """The mean of each part in ms since the last call."""
    with _lock:
        means = {name: 1e3 * _spent_s[name] / max(_count[name], 1) for name in SECONDS}
        for name in SECONDS:
            _spent_s[name] = _count[name] = 0
    return means


def predict() -> str:
    """Do the work."""
    for name, seconds in SECONDS.items():
        with timed(name):
            sleep(seconds)
    return "espresso"


flask_app = instrument(flask.Flask("model"))
flask_app.add_url_rule("/predict", view_func=predict, methods=["POST"], endpoint="predict")
flask_app.add_url_rule("/readings", view_func=readings, endpoint="readings")

fastapi_app = instrument(FastAPI())


@fastapi_app.post("/predict")
def _predict(request: Request) -> str:
    return predict()


@fastapi_app.get("/readings")
def _readings() -> dict[str, float]:
    return readings()


@instrument
def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Without a framework."""
    is_readings = environ["PATH_INFO"] == "/readings"
    body = json.dumps(readings()).encode() if is_readings else predict().encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Servicer(InferenceServiceServicer):
    """For gRPC servers of both kinds."""

    def Predict(self, request: PredictRequest, context: Any) -> PredictResponse:  # noqa: N802 - gRPC's
        """Do the work."""
        return PredictResponse(result=predict())

"""One model behind every kind of server; its handlers also take the time by themselves."""

import json
from collections.abc import Callable, Iterable
from time import sleep
from typing import Any

import flask
from fastapi import FastAPI, Request

from server_middleware import instrument
from tests.middleware.timed_parts import SECONDS, readings, timed
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse
from tracebench.protos.inference_pb2_grpc import InferenceServiceServicer


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

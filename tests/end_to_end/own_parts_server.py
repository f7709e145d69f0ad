"""A model server whose author names steps of their own, with the middleware and an exporter.

Run it with `flask`, `fastapi` or `grpc`; it prints its port. Where its spans go, the environment
says (OTEL_EXPORTER_OTLP_*).
"""

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import grpc
import uvicorn
from fastapi import Depends, FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from waitress.server import create_server

import server_middleware
from server_middleware import component, instrument
from tests.servers import free_ports
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse
from tracebench.protos.inference_pb2_grpc import (
    InferenceServiceServicer,
    add_InferenceServiceServicer_to_server,
)


def work() -> str:
    """5 ms of standard, own and nested components, and half a ms in none."""
    with component("preprocessing"):
        time.sleep(0.001)
        with component("tokenize"):
            time.sleep(0.001)
    with component("tokenize"), component("vocabulary"):
        time.sleep(0.002)
    time.sleep(0.0005)
    with component("inference"):
        time.sleep(0.001)
    return "cat"


def serve_flask(port: int) -> None:
    app = instrument(flask.Flask(__name__))
    app.add_url_rule("/predict", view_func=work, methods=["POST"])
    create_server(app, host="127.0.0.1", port=port, threads=8).run()


async def looked_up() -> None:
    """FastAPI has a span of it that its profile guesses to be preprocessing."""
    await asyncio.sleep(0.0005)


def serve_fastapi(port: int) -> None:
    app = instrument(FastAPI())
    app.post("/predict", dependencies=[Depends(looked_up)])(work)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


class Servicer(InferenceServiceServicer):
    def Predict(self, request: PredictRequest, context: Any) -> PredictResponse:  # noqa: N802 - gRPC's
        return PredictResponse(result=work())


def serve_grpc(port: int) -> None:
    interceptors = server_middleware.grpc.interceptors()
    server = grpc.server(ThreadPoolExecutor(8), interceptors=interceptors)
    add_InferenceServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def main(kind: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    port = free_ports()
    print(port, flush=True)
    {"flask": serve_flask, "fastapi": serve_fastapi, "grpc": serve_grpc}[kind](port)


if __name__ == "__main__":
    main(sys.argv[1])

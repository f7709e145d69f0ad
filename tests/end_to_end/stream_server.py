"""Servers that stream tokens behind our middleware, each in a process of its own.

`python -m tests.end_to_end.stream_server flask|fastapi|grpc`; it prints its port. Each stream sends
the role at once, waits 20 ms for its prompt, then 2 ms for each of eight tokens.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import grpc
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from werkzeug.serving import make_server

from server_middleware import component, instrument
from server_middleware.grpc import interceptors
from tests.servers import free_ports
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse

PREFILL_S, TOKEN_S, TOKENS = 0.020, 0.002, 8


def event(said: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def delta(finish: str | None = None, **said: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": said, "finish_reason": finish}]})


ROLE, TOKEN, LAST = delta(role="assistant", content=""), delta(content=" a"), delta("length")
END = LAST + b"data: [DONE]\n\n"


def answer() -> Iterator[bytes]:
    yield ROLE
    with component("prefill"):
        time.sleep(PREFILL_S)
    with component("decode"):
        for _ in range(TOKENS):
            yield TOKEN
            time.sleep(TOKEN_S)
    yield END


async def answer_later() -> AsyncIterator[bytes]:
    yield ROLE
    with component("prefill"):
        await asyncio.sleep(PREFILL_S)
    with component("decode"):
        for _ in range(TOKENS):
            yield TOKEN
            await asyncio.sleep(TOKEN_S)
    yield END


def messages(_request: Any, _context: Any) -> Iterator[PredictResponse]:
    with component("prefill"):
        time.sleep(PREFILL_S)
    with component("decode"):
        for _ in range(TOKENS):
            yield PredictResponse(result="a")
            time.sleep(TOKEN_S)


def serve_flask(port: int) -> None:
    app = flask.Flask(__name__)

    @app.post("/predict")
    def predict() -> flask.Response:
        return flask.Response(answer(), mimetype="text/event-stream")

    make_server("127.0.0.1", port, instrument(app), threaded=True).serve_forever()


def serve_fastapi(port: int) -> None:
    app = FastAPI()

    @app.post("/predict")
    async def predict() -> StreamingResponse:
        return StreamingResponse(answer_later(), media_type="text/event-stream")

    uvicorn.run(instrument(app), host="127.0.0.1", port=port, log_level="error")


def serve_grpc(port: int) -> None:
    server = grpc.server(ThreadPoolExecutor(8), interceptors=interceptors())
    handler = grpc.unary_stream_rpc_method_handler(
        messages, PredictRequest.FromString, PredictResponse.SerializeToString
    )
    name = "tests.Streams"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(name, {"Predict": handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def main(kind: str) -> None:
    port = free_ports()
    print(port, flush=True)
    {"flask": serve_flask, "fastapi": serve_fastapi, "grpc": serve_grpc}[kind](port)


if __name__ == "__main__":
    main(sys.argv[1])

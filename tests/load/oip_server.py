"""A small Open Inference Protocol v2 server over REST (Flask) and gRPC (grpcio).

Model `sums` has an input of each datatype and answers with the sum of each (of BYTES, the total
length); `mute` tells of no inputs; `asleep` is not ready. What is asked is kept in `seen`.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import flask
import grpc

from tests.end_to_end.old_servers import listening, url_of
from tracebench.protos import open_inference_pb2 as oip

INPUTS = {
    "flags": ("BOOL", [-1, 3]),
    "ids": ("INT64", [-1, 4]),
    "small": ("UINT8", [2, 2]),
    "pixels": ("FP32", [-1, 3, 2, 2]),
    "words": ("BYTES", [-1, 2]),
}
_MODELS = ("sums", "mute", "asleep")


class Served(NamedTuple):
    rest_url: str
    grpc_server: str
    seen: list[Any]
    """JSON requests, and gRPC messages."""


def _app(seen: list[Any]) -> flask.Flask:
    app = flask.Flask(__name__)

    @app.get("/v2/health/live")
    def live() -> str:
        return "{}"

    @app.get("/v2/models/<model>/ready")
    def ready(model: str) -> tuple[dict[str, Any], int]:
        if model not in _MODELS:
            return {"error": f"no model {model}"}, 404
        return {"name": model, "ready": model != "asleep"}, 200

    @app.get("/v2/models/<model>")
    def metadata(model: str) -> dict[str, Any]:
        told = [{"name": n, "datatype": t, "shape": s} for n, (t, s) in INPUTS.items()]
        return {"name": model, "platform": "", "inputs": told if model == "sums" else []}

    @app.post("/v2/models/<model>/infer")
    def infer(model: str) -> dict[str, Any]:
        request = flask.request.get_json()
        seen.append(request)
        outputs = [
            {"name": one["name"], "shape": [1], "datatype": "FP64", "data": [_sum(one["data"])]}
            for one in request["inputs"]
        ]
        return {"model_name": model, "outputs": outputs}

    return app


def _sum(values: Any) -> float:
    if isinstance(values, list):
        return float(sum(map(_sum, values)))
    return float(len(values) if isinstance(values, str | bytes) else values)


def _handlers(seen: list[Any]) -> "grpc.GenericRpcHandler[Any, Any]":
    def ready(request: Any, context: grpc.ServicerContext) -> Any:
        if request.name not in _MODELS:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.name}")
        return oip.ModelReadyResponse(ready=request.name != "asleep")

    def metadata(request: Any, _context: grpc.ServicerContext) -> Any:
        told = [oip.TensorMetadata(name=n, datatype=t, shape=s) for n, (t, s) in INPUTS.items()]
        return oip.ModelMetadataResponse(inputs=told if request.name == "sums" else [])

    def infer(request: Any, _context: grpc.ServicerContext) -> Any:
        seen.append(request)
        reply = oip.ModelInferResponse(model_name=request.model_name)
        for one in request.inputs:
            ((_, values),) = one.contents.ListFields() or ((None, []),)
            output = reply.outputs.add(name=one.name, datatype="FP64", shape=[1])
            output.contents.fp64_contents.append(_sum(list(values)))
        return reply

    def stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        for request in requests:
            for _ in range(5):
                yield oip.ModelStreamInferResponse(infer_response=infer(request, context))
            last = oip.ModelInferResponse(model_name=request.model_name)
            last.parameters["triton_final_response"].bool_param = True
            yield oip.ModelStreamInferResponse(infer_response=last)

    methods: dict[str, Any] = {
        "ModelReady": (ready, oip.ModelReadyRequest),
        "ModelMetadata": (metadata, oip.ModelMetadataRequest),
        "ModelInfer": (infer, oip.ModelInferRequest),
    }
    return grpc.method_handlers_generic_handler(
        "inference.GRPCInferenceService",
        {
            name: grpc.unary_unary_rpc_method_handler(
                method, kind.FromString, lambda reply: reply.SerializeToString()
            )
            for name, (method, kind) in methods.items()
        }
        | {
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(
                stream, oip.ModelInferRequest.FromString, lambda reply: reply.SerializeToString()
            )
        },
    )


@contextmanager
def serving(folder: Path | None = None) -> Iterator[Served]:
    """Run both servers, on Unix sockets where a folder for them is given."""
    seen: list[Any] = []
    rest = listening(_app(seen), folder)
    thread = threading.Thread(target=rest.run, daemon=True)
    thread.start()
    rpc = grpc.server(ThreadPoolExecutor(4))
    rpc.add_generic_rpc_handlers((_handlers(seen),))
    address = f"unix:{folder}/grpc.sock" if folder else "127.0.0.1:0"
    port = rpc.add_insecure_port(address)
    rpc.start()
    try:
        yield Served(url_of(rest, folder), address if folder else f"127.0.0.1:{port}", seen)
    finally:
        rpc.stop(None).wait()
        rest.trigger.pull_trigger(rest.close)  # its own thread must close it
        thread.join(1)

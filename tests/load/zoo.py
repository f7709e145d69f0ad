"""A gRPC server that knows nothing of ours: `zoo.v1.Animals`, perhaps with reflection.

Its descriptors are compiled from tests/peers/zoo, in a pool of their own.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection

from tracebench.load.prepare import grpc_descriptors
from tracebench.load.prepare.grpc_methods import Method, find
from tracebench.protos.reflection_pb2 import Request, Response

PROTO = Path(__file__).parent.parent / "peers" / "zoo" / "zoo.proto"
SERVICE = "zoo.v1.Animals"
CLASSIFY = f"{SERVICE}/Classify"


@cache
def descriptors() -> Any:
    """The pool, compiled by grpcio-tools as a user's would be."""
    return grpc_descriptors.from_proto(str(PROTO), ())


@cache
def classify() -> Method:
    return find(descriptors(), CLASSIFY)


@contextmanager
def zoo(
    reflects: Literal["v1", "v1alpha", "no"] = "v1alpha",
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[tuple[str, Counter[str]]]:
    """Run the server; gives its address, and what it was asked for how often."""
    asked: Counter[str] = Counter()

    def answer(message: bytes, context: grpc.ServicerContext) -> bytes:
        question: Any = classify().request.FromString(message)
        asked[question.name] += 1
        if question.name == "dragon":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such animal")
        reply: Any = classify().reply(
            label=question.name.upper(), legs=4, scores=[0.5, 0.25], question=question
        )
        if question.enable_timing:
            reply.timing_info.add(component="inference", duration_ms=0.002)
            reply.timing_info.add(component="total", duration_ms=0.003)
        return bytes(reply.SerializeToString())

    server = grpc.server(ThreadPoolExecutor(4))

    def watch(message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in range(8):
            yield answer(message, context)

    handlers = {
        "Classify": grpc.unary_unary_rpc_method_handler(answer),
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if reflects == "v1alpha":
        names = (SERVICE, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server, pool=descriptors())
    elif reflects == "v1":
        server.add_generic_rpc_handlers((_one_file_at_a_time(),))
    if credentials is None:
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        address = f"grpcs://127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    server.start()
    try:
        yield address, asked
    finally:
        server.stop(None).wait()


def _one_file_at_a_time() -> "grpc.GenericRpcHandler[Any, Any]":
    """Reflection v1, which no Python package serves yet; as the C++ one, it leaves imports out."""

    def info(requests: Iterator[Request], _context: grpc.ServicerContext) -> Iterator[Response]:
        for request in requests:
            yield _told(request)

    handler = grpc.stream_stream_rpc_method_handler(
        info, Request.FromString, Response.SerializeToString
    )
    name = "grpc.reflection.v1.ServerReflection"
    return grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})


def _told(request: Request) -> Response:
    reply, pool = Response(), descriptors()
    kind = request.WhichOneof("message_request")
    try:
        if kind == "list_services":
            reply.list_services_response.service.add(name=SERVICE)
            return reply
        by_symbol = kind == "file_containing_symbol"
        find_file = pool.FindFileContainingSymbol if by_symbol else pool.FindFileByName
        file = FileDescriptorProto()
        find_file(getattr(request, kind or "")).CopyToProto(file)
        reply.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())
    except KeyError:
        reply.error_response.error_code = 5
    return reply

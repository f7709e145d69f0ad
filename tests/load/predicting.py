"""A gRPC server of the predict API that answers as a test wants."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeAlias

import grpc

from tests.servers import HOST

Predict: TypeAlias = Callable[[bytes, grpc.ServicerContext], bytes]


@contextmanager
def predicting(
    predict: Predict, credentials: grpc.ServerCredentials | None = None
) -> Iterator[int]:
    """Serve one method of the service; gives its port."""
    server = grpc.server(ThreadPoolExecutor(4))
    handlers = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
    service = "inference.InferenceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    address = f"{HOST}:0"
    port = (
        server.add_insecure_port(address)
        if credentials is None
        else server.add_secure_port(address, credentials)
    )
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()

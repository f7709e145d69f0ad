"""The classifier over gRPC: grpcio."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from server_middleware.grpc import interceptors
from tracebench.example.listening import address, listener
from tracebench.example.pictures.answering import LARGEST_BYTES, answer
from tracebench.example.pictures.classifier import BadImageError, Classifier
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse
from tracebench.protos.inference_pb2_grpc import (
    InferenceServiceServicer,
    add_InferenceServiceServicer_to_server,
)

_GRACE_S = 1.0


class Service(InferenceServiceServicer):
    """`inference.InferenceService`."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def Predict(  # noqa: N802 - named by the interface
        self, request: PredictRequest, context: grpc.ServicerContext
    ) -> PredictResponse:
        """Classify `image_data`; what is no picture is an INVALID_ARGUMENT."""
        try:
            return PredictResponse(result=answer(self._classifier, request.image_data))
        except BadImageError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))


@contextmanager
def listening(classifier: Classifier, host: str, port: int, threads: int) -> Iterator[str]:
    """Serve in threads of this process; gives `HOST:PORT`.

    Raises:
        TracebenchError: the port is taken.
    """
    listener(host, port).close()  # grpcio would write down why it cannot listen, not raise it
    with ThreadPoolExecutor(threads) as pool:
        server = _server(classifier, pool)
        taken = server.add_insecure_port(address(host, port))
        server.start()
        try:
            yield address(host, taken)
        finally:
            server.stop(_GRACE_S).wait()


def _server(classifier: Classifier, pool: ThreadPoolExecutor) -> grpc.Server:
    server = grpc.server(
        pool,
        interceptors=interceptors(),
        options=[
            ("grpc.max_receive_message_length", LARGEST_BYTES),
            ("grpc.so_reuseport", 0),  # a port that is taken must be an error
        ],
    )
    service = Service(classifier)
    add_InferenceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call] # generated
    return server

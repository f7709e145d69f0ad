"""The classifier over gRPC: grpcio."""

from concurrent.futures import ThreadPoolExecutor

import grpc

from protos.inference_pb2 import PredictRequest, PredictResponse
from protos.inference_pb2_grpc import (
    InferenceServiceServicer,
    add_InferenceServiceServicer_to_server,
)
from server_middleware.grpc import interceptors
from tracebench.example.answering import LARGEST_BYTES, answer
from tracebench.example.classifier import BadImageError, Classifier


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
            raise


def create_server(classifier: Classifier, threads: int) -> grpc.Server:
    """A server without a port yet."""
    server = grpc.server(
        ThreadPoolExecutor(threads),
        interceptors=interceptors(),
        options=[
            ("grpc.max_receive_message_length", LARGEST_BYTES),
            ("grpc.so_reuseport", 0),  # a port that is taken must be an error
        ],
    )
    service = Service(classifier)
    add_InferenceServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call] # generated
    return server

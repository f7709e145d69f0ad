"""The classifier over gRPC."""

import grpc
from grpc_reflection.v1alpha import reflection

from tracebench.example.pictures.answering import answer
from tracebench.example.pictures.classifier import BadImageError, Classifier
from tracebench.protos.inference_pb2 import DESCRIPTOR, PredictRequest, PredictResponse
from tracebench.protos.inference_pb2_grpc import (
    InferenceServiceServicer,
    add_InferenceServiceServicer_to_server,
)


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

    def add_to(self, server: grpc.Server) -> None:
        """Register the service with a server, including reflection."""
        add_InferenceServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call] # generated
        names = [one.full_name for one in DESCRIPTOR.services_by_name.values()]
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)

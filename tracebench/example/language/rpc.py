"""The language model over gRPC: one message per token."""

from collections.abc import Iterator

import grpc
from grpc_reflection.v1alpha import reflection

from tracebench.example.language.answering import (
    USUAL_MOST,
    Question,
    RefusedError,
    UnknownModelError,
    checked,
    spoken,
)
from tracebench.example.language.engine import Engine
from tracebench.example.language.tokenizer import END, decode
from tracebench.protos.completions_pb2 import (
    DESCRIPTOR,
    CompletionChunk,
    CompletionRequest,
    Usage,
)
from tracebench.protos.completions_pb2_grpc import (
    CompletionsServicer,
    add_CompletionsServicer_to_server,
)


class Service(CompletionsServicer):
    """`completions.Completions`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def Complete(  # noqa: N802 - named by the interface
        self, request: CompletionRequest, context: grpc.ServicerContext
    ) -> Iterator[CompletionChunk]:
        """Complete a prompt; fails with INVALID_ARGUMENT or NOT_FOUND if it is refused."""
        try:
            asked = checked(_question(request))
        except RefusedError as error:
            unknown = isinstance(error, UnknownModelError)
            codes = grpc.StatusCode
            context.abort(codes.NOT_FOUND if unknown else codes.INVALID_ARGUMENT, str(error))
        stream = self._engine.submit(asked)
        context.add_callback(stream.cancel)  # grpcio does not close the iterator of a lost caller
        count = 0
        for piece in spoken(stream):
            count += piece.token != END
            chunk = CompletionChunk(text=decode([piece.token]), finish_reason=piece.finish)
            if piece.finish:
                told = Usage(
                    prompt_tokens=len(asked.prompt),
                    completion_tokens=count,
                    cached_tokens=stream.cached,
                )
                chunk.usage.CopyFrom(told)
            yield chunk

    def add_to(self, server: grpc.Server) -> None:
        """Register the service with a server, including reflection."""
        add_CompletionsServicer_to_server(self, server)  # type: ignore[no-untyped-call] # generated
        names = [one.full_name for one in DESCRIPTOR.services_by_name.values()]
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)


def _question(request: CompletionRequest) -> Question:
    return Question(
        prompt=request.prompt,
        model=request.model,
        most=request.max_tokens if request.HasField("max_tokens") else USUAL_MOST,
        ignores_end=request.ignore_eos,
        temperature=request.temperature if request.HasField("temperature") else 1.0,
        seed=abs(request.seed),
    )

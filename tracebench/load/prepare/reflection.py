"""Descriptors from the server itself: gRPC server reflection, v1 or v1alpha.

github.com/grpc/grpc, doc/server-reflection.md. The method streams, but one question on a stream of
its own is a call like any other.
"""

from collections.abc import Callable
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from tracebench.load.prepare import schemas
from tracebench.model.errors import TargetError, UsageError, excerpt
from tracebench.model.exchange import Reply
from tracebench.protos.reflection_pb2 import Request, Response

Call = Callable[[str, bytes], tuple[Reply, str]]
"""Calls a method; returns the reply, and why it is no success."""

_METHODS: Final = tuple(
    f"grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    for version in ("v1", "v1alpha")
)
_MOST_FILES: Final = 1_000


def pool(call: Call, service: str) -> DescriptorPool:
    """Ask a server for a service's descriptors, and for all that they import.

    Raises:
        UsageError: the server does not know the service, or does not answer such questions.
        TargetError: what it answers makes no sense.
    """
    method = _spoken(call)
    answer = _ask(call, method, Request(file_containing_symbol=service))
    if answer.HasField("error_response"):
        raise UsageError(
            f"the server has no service {service}: it has {_services(call, method) or 'none'}"
        )
    files: dict[str, FileDescriptorProto] = {}
    asked: set[str] = set()
    while True:
        _take(answer, files)
        imported = {name for file in files.values() for name in file.dependency}
        missing = sorted(imported - files.keys() - asked)
        if not missing:
            return schemas.pool(files.values(), "server reflection")
        if len(files) > _MOST_FILES:
            raise TargetError(f"the service imports more than {_MOST_FILES} files")
        asked.add(missing[0])
        answer = _ask(call, method, Request(file_by_filename=missing[0]))


def _spoken(call: Call) -> str:
    """The version that the server speaks."""
    for method in _METHODS:
        reply, reason = call(method, Request(list_services="").SerializeToString())
        if not reason:
            return method
        if reply.status != "UNIMPLEMENTED":
            raise TargetError(f"server reflection failed: {reason}")
    raise UsageError(
        "the server offers no reflection: tell the method's messages with --proto FILE.proto "
        "or --descriptor FILE.pb"
    )


def _ask(call: Call, method: str, request: Request) -> Response:
    reply, reason = call(method, request.SerializeToString())
    if reason:
        raise TargetError(f"server reflection failed: {reason}")
    try:
        return Response.FromString(reply.body)
    except DecodeError:
        raise TargetError(
            "server reflection failed: the answer cannot be read; give --proto or --descriptor"
        ) from None


def _services(call: Call, method: str) -> str:
    answer = _ask(call, method, Request(list_services=""))
    names = [one.name for one in answer.list_services_response.service]
    return ", ".join(name for name in names if not name.startswith("grpc.reflection."))


def _take(answer: Response, files: dict[str, FileDescriptorProto]) -> None:
    for content in answer.file_descriptor_response.file_descriptor_proto:
        try:
            file = FileDescriptorProto.FromString(content)
        except DecodeError as error:
            raise TargetError(f"server reflection failed: {excerpt(str(error))}") from None
        files[file.name] = file

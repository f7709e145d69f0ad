"""Descriptors of a gRPC service: from files, from a `.proto`, or from the server itself."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from tracebench.model.errors import TargetError, UsageError, excerpt
from tracebench.model.record.exchange import Reply
from tracebench.protos.reflection_pb2 import Request, Response
from tracebench.system.input_files import check_file, read

# Descriptors of a gRPC service: from a descriptor file, or from a `.proto`.

_MOST_BYTES: Final = 64 * 2**20
_COMPILING_S: Final = 60.0
_WELL_KNOWN: Final = re.compile(r"google/protobuf/(compiler/)?\w+\.proto")


def from_descriptors(path: str) -> DescriptorPool:
    """Read `--descriptor`: a FileDescriptorSet, as written by protoc.

    Raises:
        UsageError: it cannot be read, or lacks something that it imports.
    """
    content = read("--descriptor", path, _MOST_BYTES)
    found = FileDescriptorSet()
    with suppress(DecodeError):
        found.ParseFromString(content)
    if not found.file:
        raise UsageError(
            f"--descriptor {path!r} is not a FileDescriptorSet: make one with protoc "
            "--include_imports --descriptor_set_out=FILE.pb"
        )
    return pool(found.file, f"--descriptor {path!r}")


def from_proto(path: str, folders: Sequence[str]) -> DescriptorPool:
    """Compile `--proto`, whose imports are looked up in `--proto-path`, else next to it.

    Raises:
        UsageError: there is no compiler, or it rejects the file.
    """
    check_file("--proto", path, _MOST_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.pb"
        includes = [f"-I{one}" for one in folders or [str(Path(path).parent)]]
        command = [*_compiler(), *includes, "--include_imports", f"--descriptor_set_out={out}"]
        try:
            done = subprocess.run(
                [*command, path], capture_output=True, text=True, timeout=_COMPILING_S
            )
        except subprocess.TimeoutExpired:
            raise UsageError(
                f"--proto {path!r} was not compiled within {_COMPILING_S:g} s: check its imports"
            ) from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if ": warning: " not in line]
            said = lines[0] if lines else "no reason given"
            raise UsageError(f"--proto {path!r} cannot be compiled: {excerpt(said)}")
        return from_descriptors(str(out))


def pool(files: Iterable[FileDescriptorProto], source: str) -> DescriptorPool:
    """Make a pool of files, adding each after those that it imports.

    Args:
        files: in any order; protobuf's own may be missing.
        source: where they came from, for the error.

    Raises:
        UsageError: one is missing, or they contradict each other.
    """
    known = {file.name: file for file in files}
    made = DescriptorPool()
    done: set[str] = set()

    def add(name: str) -> None:
        if name in done:
            return
        done.add(name)
        file = known.get(name) or _well_known(name)
        for imported in file.dependency:
            add(imported)
        made.AddSerializedFile(file.SerializeToString())

    try:
        for name in known:
            add(name)
    except (TypeError, ImportError, RecursionError) as error:
        raise UsageError(
            f"{source}: the descriptors are incomplete: {excerpt(str(error))}"
        ) from None
    return made


def serialized(files: Iterable[FileDescriptor]) -> bytes:
    """A FileDescriptorSet of these files and all that they import."""
    found: dict[str, FileDescriptor] = {}
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file.name not in found:
            found[file.name] = file
            waiting += file.dependencies
    whole = FileDescriptorSet()
    for file in found.values():
        file.CopyToProto(whole.file.add())
    return whole.SerializeToString()


def _well_known(name: str) -> FileDescriptorProto:
    """A file that ships with protobuf, which descriptors may omit."""
    if not _WELL_KNOWN.fullmatch(name):
        raise ImportError(f"{name} is imported but missing")
    module = import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return file


def _compiler() -> list[str]:
    if find_spec("grpc_tools") is not None:
        return [sys.executable, "-m", "grpc_tools.protoc"]
    if (protoc := shutil.which("protoc")) is not None:
        return [protoc]
    raise UsageError(
        "--proto needs a compiler: pip install grpcio-tools, or give --descriptor FILE.pb"
    )


# Descriptors from the server itself: gRPC server reflection, v1 or v1alpha.
#
# github.com/grpc/grpc, doc/server-reflection.md. The method streams, but with one question per
# stream it works like a unary call.

ReflectionCall = Callable[[str, bytes], tuple[Reply, str]]
"""Calls a method; returns the reply, and why it failed."""

_METHODS: Final = tuple(
    f"grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    for version in ("v1", "v1alpha")
)
_MOST_FILES: Final = 1_000


def pool_of_server(call: ReflectionCall, service: str) -> DescriptorPool:
    """Ask a server for a service's descriptors, and for everything that they import.

    Raises:
        UsageError: the server does not know the service, or does not offer reflection.
        TargetError: its answer is invalid.
    """
    method = _spoken(call)
    answer = _ask(call, method, Request(file_containing_symbol=service))
    if answer.HasField("error_response"):
        known = ", ".join(_services(call, method)) or "none"
        raise UsageError(f"the server has no service {service}: it has {known}")
    files: dict[str, FileDescriptorProto] = {}
    asked: set[str] = set()
    while True:
        _take(answer, files)
        imported = {name for file in files.values() for name in file.dependency}
        missing = sorted(imported - files.keys() - asked)
        if not missing:
            return pool(files.values(), "server reflection")
        if len(files) > _MOST_FILES:
            raise TargetError(f"the service imports more than {_MOST_FILES} files")
        asked.add(missing[0])
        answer = _ask(call, method, Request(file_by_filename=missing[0]))


class Offered(NamedTuple):
    """A method that a server offers."""

    name: str
    """`package.Service/Method`."""
    request: str
    """The message's full name; `stream of …` if it takes a stream."""
    reply: str
    callable: bool
    """Whether tracebench can call it: with one message a request."""


def methods_of_server(call: ReflectionCall) -> list[Offered]:
    """Ask a server for all its methods but those of reflection itself.

    Raises:
        UsageError: the server does not offer reflection, or does not describe a service.
        TargetError: its answer is invalid.
    """
    found = []
    for name in _services(call, _spoken(call)):
        service = pool_of_server(call, name).FindServiceByName(name)
        found += [_offered(name, one) for one in service.methods]
    return found


def _offered(service: str, method: MethodDescriptor) -> Offered:
    taken, given = (
        f"{'stream of ' if streams else ''}{message.full_name}"
        for streams, message in (
            (method.client_streaming, method.input_type),
            (method.server_streaming, method.output_type),
        )
    )
    one_message = method.server_streaming or not method.client_streaming
    return Offered(f"{service}/{method.name}", taken, given, one_message)


def _spoken(call: ReflectionCall) -> str:
    """The method of the reflection version that the server speaks."""
    for method in _METHODS:
        reply, reason = call(method, Request(list_services="").SerializeToString())
        if not reason:
            return method
        if reply.status != "UNIMPLEMENTED":
            raise TargetError(f"server reflection failed: {reason}")
    raise UsageError(
        "the server offers no reflection: define the method with --proto FILE.proto "
        "or --descriptor FILE.pb"
    )


def _ask(call: ReflectionCall, method: str, request: Request) -> Response:
    reply, reason = call(method, request.SerializeToString())
    if reason:
        raise TargetError(f"server reflection failed: {reason}")
    try:
        return Response.FromString(reply.body)
    except DecodeError:
        raise TargetError(
            "server reflection failed: the answer cannot be read; give --proto or --descriptor"
        ) from None


def _services(call: ReflectionCall, method: str) -> list[str]:
    answer = _ask(call, method, Request(list_services=""))
    names = [one.name for one in answer.list_services_response.service]
    return [name for name in names if not name.startswith("grpc.reflection.")]


def _take(answer: Response, files: dict[str, FileDescriptorProto]) -> None:
    for content in answer.file_descriptor_response.file_descriptor_proto:
        try:
            file = FileDescriptorProto.FromString(content)
        except DecodeError as error:
            raise TargetError(f"server reflection failed: {excerpt(str(error))}") from None
        files[file.name] = file

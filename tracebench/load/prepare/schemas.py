"""Descriptors of a gRPC service: from a file of them, or from a `.proto`."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from tracebench.model.errors import UsageError, excerpt
from tracebench.system.input_files import check_file, read

_MOST_BYTES: Final = 64 * 2**20
_COMPILING_S: Final = 60.0
_WELL_KNOWN: Final = re.compile(r"google/protobuf/(compiler/)?\w+\.proto")


def from_descriptors(path: str) -> DescriptorPool:
    """Read `--descriptor`: a FileDescriptorSet, as protoc writes it.

    Raises:
        UsageError: it cannot be read, or something that it imports is not in it.
    """
    content = read("--descriptor", path, _MOST_BYTES)
    found = FileDescriptorSet()
    with suppress(DecodeError):
        found.ParseFromString(content)
    if not found.file:
        raise UsageError(
            f"--descriptor {path!r} is no FileDescriptorSet: make one with protoc "
            "--include_imports --descriptor_set_out=FILE.pb"
        )
    return pool(found.file, f"--descriptor {path!r}")


def from_proto(path: str, folders: Sequence[str]) -> DescriptorPool:
    """Compile `--proto`, whose imports are looked for in `--proto-path`, else beside it.

    Raises:
        UsageError: there is no compiler, or it finds fault with the file.
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
                f"--proto {path!r} was not compiled within {_COMPILING_S:g} s: see what it imports"
            ) from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if ": warning: " not in line]
            said = lines[0] if lines else "no reason given"
            raise UsageError(f"--proto {path!r} cannot be compiled: {excerpt(said)}")
        return from_descriptors(str(out))


def pool(files: Iterable[FileDescriptorProto], source: str) -> DescriptorPool:
    """Make a pool of files, each after those that it imports.

    Args:
        files: in any order; protobuf's own may be missing.
        source: where they came from, for the error.

    Raises:
        UsageError: one is not there, or they contradict each other.
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
            f"{source}: the descriptors are not whole: {excerpt(str(error))}"
        ) from None
    return made


def _well_known(name: str) -> FileDescriptorProto:
    """A file that comes with protobuf, which descriptors need not repeat."""
    if not _WELL_KNOWN.fullmatch(name):
        raise ImportError(f"{name} is imported and not there")
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

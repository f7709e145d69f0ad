"""The gRPC method that the exact server has: a text in, a stream of texts out."""

from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet

NAME: Final = "exact.Model/Generate"


def token_message() -> bytes:
    """What a token is on the wire: a length-prefixed message with a text in its first field."""
    text = b" the"
    message = b"\x0a%c%s" % (len(text), text)
    return b"\0" + len(message).to_bytes(4, "big") + message


def write_descriptor(file: Path) -> None:
    """Write the FileDescriptorSet that `--descriptor` wants."""
    every = FileDescriptorSet()
    one = every.file.add(name="exact.proto", package="exact", syntax="proto3")
    for name in ("Prompt", "Token"):
        _has_text(one.message_type.add(name=name))
    service = one.service.add(name="Model")
    service.method.add(
        name="Generate",
        input_type=".exact.Prompt",
        output_type=".exact.Token",
        server_streaming=True,
    )
    file.write_bytes(every.SerializeToString())


def _has_text(message: DescriptorProto) -> None:
    message.field.add(
        name="text",
        number=1,
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
    )

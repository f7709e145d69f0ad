"""gRPC methods that take one message: requests from JSON, and replies to JSON."""

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, EncodeError, Message

from tracebench.load.prepare.expectations import Content, Read
from tracebench.load.prepare.grpc_descriptors import pool, serialized
from tracebench.load.wire.codec import RawReply
from tracebench.model.errors import UsageError, excerpt
from tracebench.model.plan import Payload
from tracebench.model.record.exchange import Reply
from tracebench.protos import inference_pb2, open_inference_pb2

_TIMING_SWITCH: Final = "enable_timing"
_TIMINGS: Final = "timing_info"
_TIMING_FIELDS: Final = {"component", "duration_ms"}


@dataclass(frozen=True, slots=True)
class Method:
    """A method, and its messages."""

    name: str
    """`package.Service/Method`."""
    request: type[Message]
    reply: type[Message]
    streams: bool = False
    """Whether the server answers with a stream of messages."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Messages of another process's classes: by the method's name, or by their descriptors."""
        if self in (PREDICT, INFER, STREAM_INFER):
            return _built_in, (self.name,)
        kinds = self.request.DESCRIPTOR, self.reply.DESCRIPTOR
        names = (kinds[0].full_name, kinds[1].full_name)
        return _rebuilt, (
            self.name,
            names,
            self.streams,
            serialized(cast(FileDescriptor, one.file) for one in kinds),
        )

    def parse(self, message: bytes) -> Message:
        """Parse a reply's message.

        Raises:
            DecodeError: it is not one.
        """
        return self.reply.FromString(message)

    def encode(self, payload: Payload) -> bytes:
        """Encode a JSON payload as the request.

        Raises:
            UsageError: it is not JSON, or does not fit the message; the error names the field.
        """
        descriptor = self.request.DESCRIPTOR
        message = self.request()
        try:
            json_format.Parse(payload.content, message, descriptor_pool=_pool(self.request))
            return self.finish(message)
        except (
            json_format.ParseError,
            EncodeError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            other = "" if self is not PREDICT else "; --grpc-method can name another method"
            why = f"is not a {descriptor.full_name}: {excerpt(str(error))}{other}"
            raise UsageError(f"--json {payload.name!r} {why}") from None

    def finish(self, message: Message) -> bytes:
        """Serialise a request; if it has a switch for timings, turn it on."""
        return self._switched(message, on=True)

    def untimed(self, message: bytes) -> bytes:
        """The same request, with the switch for timings off."""
        return self._switched(self.request.FromString(message), on=False)

    def _switched(self, message: Message, *, on: bool) -> bytes:
        switch = self.request.DESCRIPTOR.fields_by_name.get(_TIMING_SWITCH)
        if switch is not None and switch.type == FieldDescriptor.TYPE_BOOL:
            setattr(message, _TIMING_SWITCH, on)
        return message.SerializeToString()

    def document(self, reply: Reply) -> Content:
        """A reply's message as a JSON value, with original field names and defaults.

        Raises:
            ValueError: it is of another message type, or was too large to be kept whole.
        """
        return Content(_read(self, reply.body, defaults=True))

    def timed(self, read: Read) -> Read:
        """A reader that moves the reply's `timing_info` to the field number that `Predict` uses.

        Hand-instrumented servers choose their own number for the field.
        """
        field = self.reply.DESCRIPTOR.fields_by_name.get(_TIMINGS)
        if self is PREDICT or field is None or field.message_type is None:
            return read
        if not {one.name for one in field.message_type.fields} >= _TIMING_FIELDS:
            return read

        return _Normalised(self, read)

    def show(self, reply: Reply) -> str:
        """A reply's message as JSON text (of `Predict`, the result); empty if it cannot be read."""
        try:
            content = _read(self, reply.body, defaults=False)
        except ValueError:
            return ""
        if self is PREDICT:
            return str(content.get("result", ""))
        return json.dumps(content, ensure_ascii=False)


PREDICT: Final = Method(
    "inference.InferenceService/Predict",
    inference_pb2.PredictRequest,
    inference_pb2.PredictResponse,
)
INFER: Final = Method(
    "inference.GRPCInferenceService/ModelInfer",
    open_inference_pb2.ModelInferRequest,
    open_inference_pb2.ModelInferResponse,
)
STREAM_INFER: Final = Method(
    "inference.GRPCInferenceService/ModelStreamInfer",
    open_inference_pb2.ModelInferRequest,
    open_inference_pb2.ModelStreamInferResponse,
    streams=True,
)


@dataclass(frozen=True, slots=True)
class _Normalised:
    """The reader of `Method.timed`; unlike a closure, it can be sent to a process."""

    method: Method
    read: Read

    def __call__(self, raw: RawReply) -> tuple[Reply, str]:
        reply, reason = self.read(raw)
        with suppress(DecodeError, TypeError):  # cut short; or only the names match
            timings = getattr(self.method.parse(reply.body), _TIMINGS)
            predicted = inference_pb2.PredictResponse()
            for one in timings:
                predicted.timing_info.add(component=one.component, duration_ms=one.duration_ms)
            reply = reply._replace(body=predicted.SerializeToString())
        return reply, reason


def _built_in(name: str) -> Method:
    return next(one for one in (PREDICT, INFER, STREAM_INFER) if one.name == name)


@lru_cache(maxsize=16)
def _rebuilt(name: str, messages: tuple[str, str], streams: bool, files: bytes) -> Method:
    made = pool(FileDescriptorSet.FromString(files).file, name)
    request, reply = (made.FindMessageTypeByName(one) for one in messages)
    kinds = message_factory.GetMessageClass(request), message_factory.GetMessageClass(reply)
    return Method(name, *kinds, streams)


def split(name: str) -> tuple[str, str]:
    """Split `package.Service/Method` into its two parts.

    Raises:
        UsageError: it is not a method name.
    """
    service, slash, method = name.lstrip("/").partition("/")
    if not (slash and method.isidentifier() and all(map(str.isidentifier, service.split(".")))):
        raise UsageError(
            f"--grpc-method {name!r} is not a valid gRPC method name "
            "(expected package.Service/Method)"
        )
    return service, method


def find(pool: DescriptorPool, name: str) -> Method:
    """Look up a method among descriptors.

    Raises:
        UsageError: it is not there, or it takes a stream of requests and answers once.
    """
    service_name, method_name = split(name)
    try:
        service = pool.FindServiceByName(service_name)
    except KeyError:
        raise UsageError(
            f"--grpc-method {name!r}: the service {service_name} is not defined"
        ) from None
    method = service.methods_by_name.get(method_name)
    if method is None:
        known = ", ".join(service.methods_by_name) or "none"
        raise UsageError(f"--grpc-method {name!r}: the methods of {service_name} are {known}")
    if method.client_streaming and not method.server_streaming:
        raise UsageError(
            f"--grpc-method {name!r} takes a stream of messages and answers once, but tracebench "
            "sends one message per request: choose a method that takes one"
        )
    return Method(
        f"{service_name}/{method_name}",
        message_factory.GetMessageClass(method.input_type),
        message_factory.GetMessageClass(method.output_type),
        method.server_streaming,
    )


def _pool(kind: type[Message]) -> DescriptorPool:
    """The pool that describes the types an Any in a message may hold."""
    return cast(DescriptorPool, kind.DESCRIPTOR.file.pool)


@lru_cache(maxsize=256)
def _read(method: Method, body: bytes, *, defaults: bool) -> Any:
    try:
        return json_format.MessageToDict(
            method.reply.FromString(body),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=defaults,
            descriptor_pool=_pool(method.reply),
        )
    except (DecodeError, TypeError):  # TypeError: an Any of an unknown type
        raise ValueError(
            f"the {len(body)} bytes of the reply that were kept are not a whole "
            f"{method.reply.DESCRIPTOR.full_name}"
        ) from None

"""A visit to a gRPC server before the run, by `grpcio`: one unary call at a time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from tracebench import __version__
from tracebench.errors import UsageError
from tracebench.load import grpc_reply
from tracebench.load.endpoint import Endpoint, client_tls, resolve
from tracebench.load.grpc_request import GrpcRequest
from tracebench.load.measure import once
from tracebench.load.prepared import Prepared, excerpt
from tracebench.model.exchange import Reply
from tracebench.model.plan import Plan
from tracebench.tracing import described
from tracebench.tracing.ids import IdSource, traceparent
from tracebench.vocabulary import TRACEPARENT

_ADDRESS: Final = re.compile(r"(?:(grpcs?)://)?(\[[0-9a-fA-F:.%]+\]|[^:/@\s\[\]]+):(\d{1,5})/?")
CHANNEL_OPTIONS: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.primary_user_agent", f"tracebench/{__version__}"),
]


@dataclass(frozen=True, slots=True)
class GrpcTarget:
    """A gRPC server, and how to call it."""

    endpoint: Endpoint
    metadata: tuple[tuple[str, str], ...]
    timeout_s: float

    @property
    def authority(self) -> str:
        """Host and port, as the header has them."""
        host, port = self.endpoint.host, self.endpoint.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def requests(
        self, method: str, messages: Sequence[bytes], *, sampled: bool = True
    ) -> list[GrpcRequest]:
        """Calls of `package.Service/Method` that the engine can repeat."""
        return [
            GrpcRequest(
                path=f"/{method}".encode(),
                authority=self.authority.encode(),
                scheme=b"https" if self.endpoint.tls else b"http",
                metadata=tuple((name.encode(), value.encode()) for name, value in self.metadata),
                message=message,
                timeout_s=self.timeout_s,
                sampled=sampled,
            )
            for message in messages
        ]

    def repeated(self, method: str, messages: Sequence[bytes]) -> Prepared:
        """The call, ready for the engine."""
        lines = [f"/{method} at {self.authority}"]
        lines += [f"{name}: {value}" for name, value in self.metadata]
        lines += ["traceparent: 00-<trace id>-<span id>-01", f"({len(messages[0])} bytes)"]
        return Prepared(
            described=described.grpc(self.endpoint.host, self.endpoint.port, method),
            address=self.authority,
            endpoint=self.endpoint,
            repeated=self.requests(method, messages),
            read=grpc_reply.read,
            request="\n".join(lines),
            multiplexed=True,
        )


def target(plan: Plan) -> GrpcTarget:
    """Look the server of a plan up.

    Raises:
        UsageError: the address or a header is wrong.
        TargetError: the server cannot be reached.
    """
    secure, host, port = split_address(plan.grpc_server or "")
    metadata = _metadata(plan)
    tls = client_tls(plan.cacert, insecure=plan.insecure, protocol="h2") if secure else None
    return GrpcTarget(resolve(host, port, tls), metadata, plan.timeout_s)


def split_address(address: str) -> tuple[bool, str, int]:
    """Split `[grpcs://]HOST:PORT` into (TLS, host, port).

    Raises:
        UsageError: it is none.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[3]) < 65_536:
        raise UsageError(
            f"--grpc-server {address!r} is no HOST:PORT: give one like 127.0.0.1:50051, "
            "or grpcs://HOST:PORT for TLS"
        )
    return found[1] == "grpcs", found[2].strip("[]"), int(found[3])


class GrpcVisit:
    """One channel to one server; where no certificate shall be verified, the engine calls."""

    def __init__(self, target: GrpcTarget, plan: Plan) -> None:
        self.target = target
        self._plan = plan
        self._channel: grpc.Channel | None = None
        if target.endpoint.tls is None:
            self._channel = grpc.insecure_channel(target.authority, CHANNEL_OPTIONS)
        elif not plan.insecure:  # grpcio cannot be told to trust anyone
            roots = Path(plan.cacert).read_bytes() if plan.cacert else None
            credentials = grpc.ssl_channel_credentials(roots)
            self._channel = grpc.secure_channel(target.authority, credentials, CHANNEL_OPTIONS)

    def __enter__(self) -> "GrpcVisit":
        return self

    def __exit__(self, *_error: object) -> None:
        if self._channel is not None:
            self._channel.close()

    def call(self, method: str, message: bytes) -> tuple[Reply, str]:
        """Make a call once, traced.

        Returns:
            The reply, and why it is no success; empty for one.

        Raises:
            TargetError: no connection can be made.
        """
        if self._channel is None:
            exchange = once(self.target.repeated(method, [message]), self._plan)
            return exchange.reply, exchange.reason
        call = self._channel.unary_unary(f"/{method}", bytes, bytes)
        context = (TRACEPARENT, traceparent(IdSource().draw()))
        metadata = (*self.target.metadata, context)
        try:
            return Reply(
                "OK", {}, call(message, timeout=self.target.timeout_s, metadata=metadata)
            ), ""
        except grpc.RpcError as error:
            return Reply(error.code().name, {}, b""), self._cause(method, error)

    def _cause(self, method: str, error: grpc.RpcError) -> str:
        """What went wrong, and what to change."""
        code, details = error.code(), excerpt(error.details() or "no text")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            wait_s = self.target.timeout_s
            return f"no answer within {wait_s:g} s: is it busy? --timeout S waits longer"
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return (
                f"the server has no method {method} ({details}): "
                "--grpc-method PACKAGE.SERVICE/METHOD names another"
            )
        if "handshake" in details.lower() or "certificate" in details.lower():
            return f"TLS failed ({details}): see --cacert and --insecure"
        return f"the call ended with {code.name}: {details}"


def _metadata(plan: Plan) -> tuple[tuple[str, str], ...]:
    metadata = tuple((name.lower(), value) for name, value in plan.headers)
    for name, value in metadata:
        if not re.fullmatch(r"[0-9a-z_.-]+", name) or not (value.isascii() and value.isprintable()):
            raise UsageError(f"--header '{name}: {value}' cannot be sent as gRPC metadata")
    return tuple((name, value) for name, value in metadata if name != TRACEPARENT)

"""Calls to a gRPC server before the run, by `grpcio`: one unary call at a time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from server_middleware.vocabulary import TRACEPARENT
from tracebench import __version__
from tracebench.load.engine.endpoint import (
    Endpoint,
    certificate_files,
    client_tls,
    resolve,
    resolve_unix,
)
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measuring.once import attempt, greet
from tracebench.load.prepare import unix_sockets
from tracebench.load.prepare.diagnosis import diagnose
from tracebench.load.prepare.headers import Metadata, authority, grpc_metadata
from tracebench.load.wire import grpc_reply
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.load.wire.http2 import Http2Codec
from tracebench.model.errors import TargetError, UsageError, excerpt
from tracebench.model.plan import Plan, Target, Tls
from tracebench.model.record.exchange import Reply
from tracebench.system.redaction import NO_SECRETS, Secrets, header_shown, redacted
from tracebench.tracing.roots import target_attributes
from tracebench.tracing.roots.trace_ids import IdSource, traceparent

_ADDRESS: Final = re.compile(r"(?:(grpcs?)://)?(\[[0-9a-fA-F:.%]+\]|[^:/@\s\[\]]+):(\d{1,5})/?")
_CHANNEL_OPTIONS: Final[list[tuple[str, str | int]]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.primary_user_agent", f"tracebench/{__version__}"),
]


@dataclass(frozen=True, slots=True)
class GrpcTarget:
    """A gRPC server, and how to call it."""

    endpoint: Endpoint
    metadata: tuple[Metadata, ...]
    timeout_s: float
    deadline_s: float | None
    """The deadline that calls send to the server; None: none is sent."""
    trust: Tls
    secrets: Secrets = NO_SECRETS
    named: str | None = None
    """The authority of calls, if it differs from that of the address."""

    @property
    def address(self) -> str:
        """The address given to grpcio: host and port, or a Unix socket."""
        if self.endpoint.unix_path is not None:
            return f"unix:{self.endpoint.unix_path}"
        host, port = self.endpoint.host, self.endpoint.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def authority(self) -> str:
        """Host and port, as in the header; `localhost` for a Unix socket."""
        return self.address if self.endpoint.unix_path is None else self.endpoint.host

    def requests(
        self, method: str, messages: Sequence[bytes], *, sampled: bool = True
    ) -> list[GrpcRequest]:
        """Calls of `package.Service/Method` that the engine can repeat."""
        return [
            GrpcRequest(
                path=f"/{method}".encode(),
                authority=(self.named or self.authority).encode(),
                scheme=b"https" if self.endpoint.tls else b"http",
                metadata=tuple((name.encode(), as_bytes(value)) for name, value in self.metadata),
                body=message,
                timeout_s=self.deadline_s,
                sampled=sampled,
            )
            for message in messages
        ]

    def repeated(self, method: str, messages: Sequence[bytes]) -> PreparedTarget:
        """The calls, ready for the engine."""
        lines = [f"/{method} at {self.address}"]
        lines += [f"{name}: {header_shown(name, str(value))}" for name, value in self.metadata]
        lines += ["traceparent: 00-<trace id>-<span id>-01", f"({len(messages[0])} bytes)"]
        return PreparedTarget(
            described=target_attributes.grpc(
                self.endpoint.unix_path or self.endpoint.host, self.endpoint.port, method
            ),
            address=self.address,
            endpoint=self.endpoint,
            repeated=self.requests(method, messages),
            codec=Http2Codec,
            read=grpc_reply.read_reply,
            request="\n".join(lines),
            timeout_s=self.timeout_s,
            trust=self.trust,
            secrets=self.secrets,
        )


def target(plan: Plan, called: Target) -> GrpcTarget:
    """Look up the server of one of a plan's targets.

    Raises:
        UsageError: the address or a header is wrong.
        TargetError: the server cannot be reached.
    """
    headers = plan.calls.headers
    metadata = grpc_metadata(headers, rest_too="rest" in plan.targets.protocols)
    return GrpcTarget(
        endpoint=_endpoint(called, plan.tls, plan.load.bind),
        metadata=metadata,
        timeout_s=plan.load.timeout_s,
        deadline_s=plan.load.timeout_s,
        trust=plan.tls,
        secrets=Secrets.of(plan),
        named=authority(headers),
    )


def _endpoint(called: Target, trust: Tls, sources: Sequence[str]) -> Endpoint:
    if (path := unix_sockets.grpc_path(called.address)) is not None:
        return resolve_unix(path, sources)
    secure, host, port = split_address(called.address, called.option)
    tls = client_tls(trust, protocol="h2") if secure else None
    return resolve(host, port, tls, sources)


def split_address(address: str, option: str = "--grpc-server") -> tuple[bool, str, int]:
    """Split `[grpcs://]HOST:PORT` into (TLS, host, port).

    Args:
        address: as it was given.
        option: where.

    Raises:
        UsageError: it is not such an address.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[3]) < 65_536:
        raise UsageError(
            f"{option} {redacted(address)!r} is not HOST:PORT: write e.g. 127.0.0.1:50051, "
            "grpcs://HOST:PORT for TLS, or unix:/path/of.sock"
        )
    return found[1] == "grpcs", found[2].strip("[]"), int(found[3])


def channel_options(named: str | None) -> list[tuple[str, str | int]]:
    """Options for grpcio's channel; `named` is the authority of the calls, if it differs."""
    return [*_CHANNEL_OPTIONS, *([("grpc.default_authority", named)] if named else [])]


def credentials(trust: Tls) -> grpc.ChannelCredentials:
    """The certificates that grpcio trusts, and the client's own."""
    roots = Path(trust.cacert).read_bytes() if trust.cacert else None
    return grpc.ssl_channel_credentials(roots, *(certificate_files(trust) or ()))


def as_bytes(value: str | bytes) -> bytes:
    """A metadata value before base64."""
    return value if isinstance(value, bytes) else value.encode()


class GrpcProbe:
    """One channel to one server; with `--insecure` TLS, the engine makes the calls instead."""

    def __init__(self, target: GrpcTarget) -> None:
        self.target = target
        self._greeted = False
        self._channel: grpc.Channel | None = None
        options = channel_options(target.named)
        if target.endpoint.tls is None:
            self._channel = grpc.insecure_channel(target.address, options)
        elif not target.trust.insecure:  # grpcio always verifies certificates
            self._channel = grpc.secure_channel(target.address, credentials(target.trust), options)

    def __enter__(self) -> "GrpcProbe":
        return self

    def __exit__(self, *_error: object) -> None:
        if self._channel is not None:
            self._channel.close()

    def call(self, method: str, message: bytes) -> tuple[Reply, str]:
        """Make a call once, traced.

        Returns:
            The reply, and why it failed; empty for a success.

        Raises:
            TargetError: no connection can be made.
        """
        self._check_greeting(method)
        if self._channel is None:
            exchange = attempt(self.target.repeated(method, [message])).exchange
            return exchange.reply, exchange.reason
        call = self._channel.unary_unary(f"/{method}", bytes, bytes)
        context = (TRACEPARENT, traceparent(IdSource().draw()))
        metadata = (*self.target.metadata, context)
        try:
            answer = call(message, timeout=self.target.timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            return Reply(error.code().name, {}, b""), self.target.secrets.hide(_cause(error))
        return Reply("OK", {}, answer), ""

    def _check_greeting(self, method: str) -> None:
        """Check once that the server speaks HTTP/2: grpcio says less about why it does not."""
        if self._greeted:
            return
        silent = self.target.repeated(method, [b""])
        if why := greet(silent):
            raise TargetError(f"{self.target.address}: {diagnose(why, silent)}")
        self._greeted = True


def _cause(error: grpc.RpcError) -> str:
    """How a call ended, in the words of `grpc_reply.py`."""
    details = excerpt(error.details() or "")
    return f"{error.code().name}: {details}" if details else error.code().name

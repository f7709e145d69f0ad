"""Turn the reason why a first exchange failed into advice on what to change."""

import re
import socket
import ssl
from typing import Final

from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.wire.codec import CUT_SHORT, NO_REPLY
from tracebench.load.wire.http1 import SWITCHES
from tracebench.load.wire.http2 import NOT_HTTP2

_PROBE_S: Final = 2.0
_CERTIFICATE: Final = "--cert FILE and --key FILE"
_IN_THE_CLEAR: Final = re.compile(
    "WRONG_VERSION_NUMBER|HTTP_REQUEST|RECORD_LAYER_FAILURE|PACKET_LENGTH|TOO_LONG"
    "|UNEXPECTED_(RECORD|MESSAGE)|BAD_RECORD_TYPE",
    re.IGNORECASE,
)
_CLIENT_REFUSED: Final = re.compile(
    "CERTIFICATE_REQUIRED|ALERT_(HANDSHAKE_FAILURE|BAD_CERT|CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERT"
    "|ACCESS_DENIED|NO_CERT)",
    re.IGNORECASE,
)
_NOT_VERIFIED: Final = (
    (
        re.compile("self.signed|issuer|unable to verify|untrusted", re.IGNORECASE),
        "trust it with --cacert FILE, or skip verification with --insecure",
    ),
    (
        re.compile("mismatch|not valid for", re.IGNORECASE),
        "use a host name that the certificate lists, or skip verification with --insecure",
    ),
    (
        re.compile("expired|not yet valid|certificate", re.IGNORECASE),
        "renew the server's certificate, or skip verification with --insecure",
    ),
)
_NO_HTTP: Final = "Expected HTTP/"
_SILENT: Final = ("no reply within", "no connection within", "no answer within")
_GONE: Final = re.compile(
    "reset|broken pipe|closed the connection|within|timed out|aborted",
    re.IGNORECASE,
)


def diagnose(reason: str, prepared: PreparedTarget) -> str:
    """What a failed first exchange means; the reason itself if that says enough.

    If a plaintext reply is unintelligible, the server is probed for TLS.
    """
    reason = reason.removeprefix("cannot connect: ")
    if prepared.endpoint.tls is not None:
        if said := _under_tls(reason, prepared):
            return said
    elif _is_puzzling(reason) and _speaks_tls(prepared.endpoint):
        return f"the server speaks TLS ({reason}): try {_schemes(prepared)[1]}"
    if reason.startswith(_SILENT):
        doubt = (
            "does the server speak TLS, or is it busy"
            if prepared.endpoint.tls
            else "is the server busy"
        )
        return f"no answer within {prepared.timeout_s:g} s: {doubt}? Wait longer with --timeout S"
    if reason == SWITCHES:
        return (
            f"{reason}, which cannot be measured: use another URL, and drop --header 'Upgrade: …'"
        )
    if reason.startswith("not HTTP/1.1"):
        return _no_http(_detail(reason))
    if reason == NOT_HTTP2:
        return f"{NOT_HTTP2}, so it is not gRPC: use --rest-url for REST"
    return reason


def _no_http(detail: str) -> str:
    if _NO_HTTP in detail:
        return f"it does not speak HTTP/1.1 ({detail}): use --grpc-server for gRPC"
    return f"its reply is not valid HTTP/1.1 ({detail}) and cannot be measured: fix the server"


def _under_tls(reason: str, prepared: PreparedTarget) -> str:
    """What a reason means over TLS; empty if nothing special."""
    detail = _detail(reason)
    if _IN_THE_CLEAR.search(reason):
        return f"TLS failed, the server answers in plain text: try {_schemes(prepared)[0]}"
    if _CLIENT_REFUSED.search(reason):
        if prepared.trust.cert is not None:
            return (
                f"TLS failed, the server does not accept --cert {prepared.trust.cert!r} ({detail})"
            )
        return (
            f"TLS failed ({detail}), the server asks for a client certificate: give {_CERTIFICATE}"
        )
    if reason.startswith("TLS:"):
        advice = next((said for kind, said in _NOT_VERIFIED if kind.search(detail)), "")
        return f"TLS failed ({detail})" + (f": {advice}" if advice else "")
    if "TLS handshake" in reason:
        return (
            f"TLS failed ({reason}): does the server speak TLS? "
            f"Without TLS, use {_schemes(prepared)[0]}"
        )
    if prepared.trust.cert is None and _GONE.search(reason) and "within" not in reason:
        return f"{reason}: does it ask for a client certificate? If so, give {_CERTIFICATE}"
    return ""


def _is_puzzling(reason: str) -> bool:
    """Whether the cause may be a server that speaks TLS."""
    return (
        reason in (NO_REPLY, NOT_HTTP2)
        or _NO_HTTP in reason
        or (_GONE.search(reason) is not None and reason != CUT_SHORT)
    )


def _speaks_tls(endpoint: Endpoint) -> bool:
    if endpoint.unix_path is not None:
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.socket(endpoint.family, socket.SOCK_STREAM) as plain:
            plain.settimeout(_PROBE_S)
            plain.connect(endpoint.address)
            with context.wrap_socket(plain, server_hostname=endpoint.host):
                return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, ValueError):
        return False


def _schemes(prepared: PreparedTarget) -> tuple[str, str]:
    """The target's URL schemes, in plaintext and over TLS."""
    return ("grpc://", "grpcs://") if prepared.multiplexed else ("http://", "https://")


def _detail(reason: str) -> str:
    return reason.partition(": ")[2] or reason

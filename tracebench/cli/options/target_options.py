"""The options that select the servers to measure, and what to call there."""

import re
from typing import Any, Final

import click

from tracebench.cli.options.completing import FILE
from tracebench.cli.options.filling import fills, headed
from tracebench.model.plan import Calls, Target, Targets, Tls
from tracebench.system.redaction import redacted

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_REST: Final = ("http://", "https://", "http+unix://", "https+unix://")
_GRPC: Final = ("grpc://", "grpcs://")
_GRPC_UNIX: Final = "grpc+unix:"


class Named(click.ParamType):  # type: ignore[type-arg] # generic since click 8.2 only
    """`NAME=URL`."""

    name = "target"

    def convert(self, value: Any, param: Any, ctx: Any) -> Target:
        """Parse the name and the URL, whose scheme determines the protocol."""
        if isinstance(value, Target):
            return value
        name, equals, url = str(value).partition("=")
        if not equals or not _NAME.fullmatch(name):
            self.fail(
                f"{redacted(str(value))!r} has no name of letters, digits, '_' and '-' before "
                "its '=': write NAME=URL, as in old=http://127.0.0.1:5000",
                param,
                ctx,
            )
        option, scheme = f"--target {name}", url.lower()
        if scheme.startswith(_REST):
            return Target(name, "rest", url, option)
        if scheme.startswith(_GRPC):
            return Target(name, "grpc", url, option)
        if scheme.startswith(_GRPC_UNIX):
            return Target(name, "grpc", url[len("grpc+") :], option)
        self.fail(
            f"{name}={redacted(url)!r} says no protocol: begin the URL with http://, https://, "
            "grpc:// or grpcs:// (Unix sockets: http+unix://%2Fpath/route, grpc+unix:/path)",
            param,
            ctx,
        )


TARGETS = headed(
    "Targets",
    fills(
        Targets,
        "--rest-url",
        metavar="URL",
        help="REST target; the path defaults to /predict. For a Unix socket: "
        "http+unix://%2Fpath%2Fof.sock/route or unix:/path/of.sock:/route.",
    ),
    fills(
        Targets,
        "--grpc-server",
        metavar="[grpcs://]HOST:PORT",
        help="gRPC target. For a Unix socket: unix:/path/of.sock.",
    ),
    fills(
        Targets,
        "--target",
        field="named",
        type=Named(),
        multiple=True,
        metavar="NAME=URL",
        help="Another target, http(s):// or grpc(s)://, under a name of its own. Repeatable: "
        "several targets are compared, in alternating blocks of requests.",
    ),
    fills(
        Targets,
        "--sequential",
        is_flag=True,
        help="Measure several targets one after the other, not in alternating blocks.",
    ),
)

# What to call there, and whom to trust.

LIST_METHODS: Final = "list"
"""What `--grpc-method` is without a value."""
METHOD = headed(
    "What to call",
    fills(
        Calls,
        "--oip",
        metavar="MODEL",
        help="Call this model by the Open Inference Protocol v2 (Triton, KServe, MLServer).",
    ),
    fills(
        Calls,
        "--grpc-method",
        is_flag=False,
        flag_value=LIST_METHODS,
        metavar="[PKG.SERVICE/METHOD]",
        help="gRPC method to call with --json. Without a value: list the methods that "
        "--grpc-server offers by reflection, and end.",
    ),
    fills(
        Calls,
        "--proto",
        type=FILE,
        metavar="FILE.proto",
        help="File that defines --grpc-method. [default: ask the server by reflection]",
    ),
    fills(
        Calls,
        "--proto-path",
        type=FILE,
        metavar="DIR",
        multiple=True,
        help="Folder with the imports of --proto. Repeatable.",
    ),
    fills(
        Calls,
        "--descriptor",
        type=FILE,
        metavar="FILE.pb",
        help="FileDescriptorSet that defines --grpc-method, as protoc writes it.",
    ),
)
TRUST = headed(
    "TLS",
    fills(
        Tls,
        "--cacert",
        type=FILE,
        metavar="FILE",
        help="CA certificates to trust, instead of the system's (PEM).",
    ),
    fills(Tls, "--cert", type=FILE, metavar="FILE", help="Client certificate to present (PEM)."),
    fills(
        Tls,
        "--key",
        type=FILE,
        metavar="FILE",
        help="Private key of --cert (PEM). [default: in --cert]",
    ),
    fills(Tls, "--insecure", is_flag=True, help="Accept any certificate of the server."),
)

"""The options that say what to measure and how, and the plan made of them."""

import re
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, TypeVar

import click

from tracebench.cli.load_values import Rate, UntilStable, schedule
from tracebench.cli.payloads import read_payloads
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan, Segment, Stability
from tracebench.system.input_files import check_file
from tracebench.tracing.receiver.settings import DEFAULT, bind_of

# The options that measure the tool's own influence.

CLIENTS = ("requests", "httpx", "aiohttp", "grpcio", "grpc.aio")

INFLUENCE = (
    click.option(
        "--floor", is_flag=True, help="Also measure a server that does nothing, as a baseline."
    ),
    click.option(
        "--observer-effect",
        is_flag=True,
        help="Ask for tracing in a random half of the requests, to measure what tracing costs.",
    ),
    click.option(
        "--client",
        "clients",
        type=click.Choice(CLIENTS),
        multiple=True,
        help="Also send through this library, alternating with the engine, to measure what it "
        "costs. Repeatable; not with --observer-effect.",
    ),
)


# The options of the OTLP receiver.

RECEIVE = (
    click.option(
        "--receive-otlp",
        is_flag=False,
        flag_value=DEFAULT,
        metavar="[HOST:PORT]",
        help="Receive the server's spans: OTLP over gRPC at PORT, over HTTP at PORT + 1. "
        f"[if not given: {DEFAULT}]",
    ),
    click.option("--forward-otlp", metavar="URL", help="Forward what --receive-otlp receives."),
)


def warn_of_strangers(planned: Plan) -> None:
    """Warn where spans can come from other machines too.

    Raises:
        UsageError: --receive-otlp is not a valid address.
    """
    if planned.receive_otlp is None or bind_of(planned.receive_otlp).is_loopback:
        return
    click.echo(
        f"warning: {planned.receive_otlp} takes spans from anyone who can reach it: there is no "
        "authentication, so let a firewall admit only the server",
        err=True,
    )


# The options that say what to measure, and the plan made of them.

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""A header's name (RFC 9110, section 5.6.2)."""
_TRUSTED = ("cacert", "cert", "key")
"""Options whose files several libraries open, each on its own."""
Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_REQUESTS = 100
OPEN_CONCURRENCY = 256
LONGEST_S = 300.0
_POSITIVE = click.IntRange(min=1)


class Seconds(click.FloatRange):
    """A positive number of seconds, up to a day. NaN, which passes range checks, is refused."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=86_400)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Refuse NaN."""
        number = super().convert(value, param, ctx)
        return self.fail("it is not a number.", param, ctx) if number != number else number


class WarmupValue(click.IntRange):
    """A number of requests, or `auto`."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Accept `auto`, or a whole number."""
        text = str(value)
        if text != "auto" and not text.isdecimal():
            self.fail(f"{text!r} is neither a number of requests nor 'auto'.", param, ctx)
        return text if text == "auto" else super().convert(value, param, ctx)

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """Show both forms in `--help`."""
        return "N|auto"


_SECONDS = Seconds()

TARGETS = (
    click.option(
        "--rest-url",
        metavar="URL",
        help="REST target; the path defaults to /predict. For a Unix socket: "
        "http+unix://%2Fpath%2Fof.sock/route or unix:/path/of.sock:/route.",
    ),
    click.option(
        "--grpc-server",
        metavar="[grpcs://]HOST:PORT",
        help="gRPC target. For a Unix socket: unix:/path/of.sock.",
    ),
)
EXPECT = (
    click.option(
        "--expect-status",
        metavar="200,2xx,OK",
        multiple=True,
        help="Count only these statuses as success.",
    ),
    click.option(
        "--expect-json",
        metavar="PATH[=VALUE]",
        multiple=True,
        help="Count only replies with this field as success, e.g. 'predictions[0].label=cat'. "
        "Over REST, only the first KB of a reply is searched.",
    ),
)
METHOD = (
    click.option(
        "--oip", metavar="MODEL", help="Call this model by the Open Inference Protocol v2."
    ),
    click.option(
        "--grpc-method", metavar="PKG.SERVICE/METHOD", help="Call this method with --json."
    ),
    click.option(
        "--proto", metavar="FILE.proto", help="Defines --grpc-method. [default: reflection]"
    ),
    click.option(
        "--proto-path", metavar="DIR", multiple=True, help="Where --proto imports from. Repeatable."
    ),
    click.option(
        "--descriptor", metavar="FILE.pb", help="FileDescriptorSet that defines --grpc-method."
    ),
)
TRUST = (
    click.option("--cacert", metavar="FILE", help="Trust these CA certificates (PEM)."),
    click.option("--cert", metavar="FILE", help="Client certificate to present (PEM)."),
    click.option("--key", metavar="FILE", help="Private key of --cert. [default: in --cert]"),
    click.option("--insecure", is_flag=True, help="Do not verify the server's certificate."),
)
AMOUNT = (
    click.option(
        "--requests",
        type=_POSITIVE,
        help=f"Number of requests. [default: {DEFAULT_REQUESTS}; sweep: 5 s per step]",
    ),
    click.option(
        "--duration",
        type=_SECONDS,
        metavar="S",
        help="Run for S seconds instead of a fixed number of requests.",
    ),
    click.option(
        "--until-stable",
        type=UntilStable(),
        metavar="'p95 2%'",
        help="Stop once this statistic is known to within this share; --requests or --duration "
        "still bound the run. [default bound: 300 s]",
    ),
)
SHAPE = (
    click.option(
        "--concurrency",
        type=_POSITIVE,
        help="Requests in flight at once; with --rate or --arrivals, the upper limit. "
        f"[default: 1; with --rate or --arrivals: {OPEN_CONCURRENCY}]",
    ),
    click.option(
        "--rate",
        type=Rate(),
        metavar="R",
        help="Requests per second: constant (100), a ramp (10:200/60s), or steps (10/9s,50/9s).",
    ),
    click.option(
        "--arrivals",
        metavar="FILE",
        help="Send at the times in FILE (in seconds, one per line) instead of at a rate.",
    ),
)
MANNER = (
    click.option(
        "--arrival",
        type=click.Choice(["constant", "poisson"]),
        default="constant",
        show_default=True,
        help="Spacing of requests under --rate.",
    ),
    click.option("--seed", type=int, default=0, help="Seed for random choices."),
    click.option(
        "--warmup",
        type=WarmupValue(min=0),
        default=0,
        help="Requests to send first and not count; auto: trim the start of the run.",
    ),
    click.option(
        "--timeout",
        type=_SECONDS,
        default=30.0,
        show_default=True,
        metavar="S",
        help="Time-out of each request.",
    ),
    click.option(
        "--connections",
        type=_POSITIVE,
        help="gRPC: connections to share. [default: one per request in flight]",
    ),
)
LOAD = (*AMOUNT, *SHAPE, *MANNER)

MAPPING = (
    click.option(
        "--map",
        "maps",
        metavar="COMPONENT=SPAN",
        multiple=True,
        help="Map spans to a component, e.g. 'inference=forward*'. Repeatable.",
    ),
    click.option("--mapping", metavar="FILE.toml", help="Rules that map spans to components."),
)


def options(*groups: tuple[Callable[[Command], Command], ...]) -> Callable[[Command], Command]:
    """Apply groups of options, in the order in which `--help` shows them."""

    def decorate(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate


def plan(
    *,
    rest_url: str | None,
    grpc_server: str | None,
    image: str | None,
    data: str | None,
    json_file: str | None,
    payloads: str | None,
    content_type: str | None,
    headers: tuple[str, ...],
    requests: int | None,
    duration: float | None,
    timeout: float,
    concurrency: int | None,
    rate: tuple[Segment, ...] | None,
    arrivals: str | None,
    **same: Any,
) -> Plan:
    """Make the plan that the options ask for.

    Raises:
        UsageError: they contradict each other, or a file cannot be read.
    """
    if rest_url is None and grpc_server is None:
        raise UsageError("no target: give --rest-url URL, --grpc-server HOST:PORT, or both")
    _at_most_one("--requests", requests, "--duration", duration)
    _at_most_one("--rate", rate, "--arrivals", arrivals)
    bounded = arrivals is not None or (rate is not None and rate[-1].duration_s != inf)
    if requests is None and duration is None and not bounded:
        requests, duration = _default_bounds(same["until_stable"])
    _check_trusted(same)
    is_open = rate is not None or arrivals is not None
    return Plan(
        payload=read_payloads(image, data, json_file, payloads, content_type),
        rest_url=rest_url,
        grpc_server=grpc_server,
        headers=tuple(_header(place, text) for place, text in enumerate(headers, 1)),
        requests=requests,
        duration_s=duration,
        timeout_s=timeout,
        concurrency=concurrency or (OPEN_CONCURRENCY if is_open else 1),
        rate=rate,
        schedule_s=schedule(arrivals) if arrivals is not None else None,
        **same,
    )


def _check_trusted(given: Mapping[str, Any]) -> None:
    for name in _TRUSTED:
        if given.get(name) is not None:
            check_file(f"--{name}", given[name])


def _default_bounds(until_stable: Stability | None) -> tuple[int | None, float | None]:
    return (DEFAULT_REQUESTS, None) if until_stable is None else (None, LONGEST_S)


def _at_most_one(name: str, value: object, other_name: str, other: object) -> None:
    if value is not None and other is not None:
        raise UsageError(f"{name} and {other_name} exclude each other: give only one")


def _header(place: int, text: str) -> tuple[str, str]:
    """Read the n-th `--header`. It may hold a secret: no message repeats more than its name."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _TOKEN.fullmatch(name):
        what = "no valid name before its ':'" if colon else "no ':'"
        raise UsageError(
            f"--header number {place} has {what}: write it as 'Name: value', e.g. "
            "'Authorization: Bearer x'"
        )
    if odd := next((char for char in value if not 31 < ord(char) < 256 or char == "\x7f"), ""):
        raise UsageError(
            f"--header {name!r} has the character {odd!r} in its value: use only "
            "printable ASCII (over REST, Latin-1 letters too)"
        )
    return name, value

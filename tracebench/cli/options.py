"""The options that say what to measure and how, and the plan made of them."""

import re
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, TypeVar

import click

from tracebench.cli.load_values import Rate, UntilStable, schedule
from tracebench.cli.payloads import read_payloads
from tracebench.load.peers import CLIENTS
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan, Segment, Stability
from tracebench.system.input_files import check_file
from tracebench.tracing.receiver.settings import DEFAULT, bind_of

# The options that measure the tool's own influence.

INFLUENCE = (
    click.option("--floor", is_flag=True, help="Also measure a server that does nothing."),
    click.option(
        "--observer-effect",
        is_flag=True,
        help="Draw for each request whether to ask for tracing: what does tracing cost?",
    ),
    click.option(
        "--client",
        "clients",
        type=click.Choice(CLIENTS),
        multiple=True,
        help="Also send by this library, by turns with the engine: what it costs. Repeatable; "
        "not with --observer-effect.",
    ),
)


# The options of the OTLP receiver.

RECEIVE = (
    click.option(
        "--receive-otlp",
        is_flag=False,
        flag_value=DEFAULT,
        metavar="[HOST:PORT]",
        help=f"Take the server's spans over gRPC, over HTTP at PORT + 1. [default: {DEFAULT}]",
    ),
    click.option("--forward-otlp", metavar="URL", help="Pass on what --receive-otlp takes."),
)


def warn_of_strangers(planned: Plan) -> None:
    """Say where others than this machine can send spans, too.

    Raises:
        UsageError: what is to be bound is no address.
    """
    if planned.receive_otlp is None or bind_of(planned.receive_otlp).is_loopback:
        return
    click.echo(
        f"warning: whoever reaches {planned.receive_otlp} can send spans to this run: there is no "
        "authentication, so let a firewall admit the server alone",
        err=True,
    )


# The options that say what to measure, and the plan made of them.

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""A header's name (RFC 9110, section 5.6.2)."""
_TRUSTED = ("cacert", "cert", "key")
"""Options whose files are opened by several libraries, each for itself."""
Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_REQUESTS = 100
OPEN_CONCURRENCY = 256
LONGEST_S = 300.0
_POSITIVE = click.IntRange(min=1)


class Seconds(click.FloatRange):
    """A positive number of seconds, up to a day; NaN passes every comparison but this."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=86_400)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Refuse what is no number."""
        number = super().convert(value, param, ctx)
        return self.fail("it is no number.", param, ctx) if number != number else number


class WarmupValue(click.IntRange):
    """A number of requests, or `auto`."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Let `auto` pass."""
        text = str(value)
        if text != "auto" and not text.isdecimal():
            self.fail(f"{text!r} is neither a number of requests nor auto.", param, ctx)
        return text if text == "auto" else super().convert(value, param, ctx)

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """Say both."""
        return "N|auto"


_SECONDS = Seconds()

TARGETS = (
    click.option(
        "--rest-url",
        metavar="URL",
        help="REST target; the path is /predict unless given. A Unix socket is "
        "http+unix://%2Fpath%2Fof.sock/route or unix:/path/of.sock:/route.",
    ),
    click.option(
        "--grpc-server",
        metavar="[grpcs://]HOST:PORT",
        help="gRPC target; a Unix socket is unix:/path/of.sock.",
    ),
)
EXPECT = (
    click.option(
        "--expect-status",
        metavar="200,2xx,OK",
        multiple=True,
        help="Only these count as a success.",
    ),
    click.option(
        "--expect-json",
        metavar="PATH[=VALUE]",
        multiple=True,
        help="Only replies that have it count, as in 'predictions[0].label=cat'; of longer ones "
        "the first KB (REST).",
    ),
)
METHOD = (
    click.option("--oip", metavar="MODEL", help="Speak the Open Inference Protocol v2 to it."),
    click.option("--grpc-method", metavar="PKG.SERVICE/METHOD", help="Call this with --json."),
    click.option("--proto", metavar="FILE.proto", help="Describes it. [default: reflection]"),
    click.option("--proto-path", metavar="DIR", multiple=True, help="Where --proto imports from."),
    click.option("--descriptor", metavar="FILE.pb", help="Describes it: a FileDescriptorSet."),
)
TRUST = (
    click.option("--cacert", metavar="FILE", help="Trust these certificates."),
    click.option("--cert", metavar="FILE", help="Show the server this certificate (PEM)."),
    click.option("--key", metavar="FILE", help="Its private key. [default: in --cert]"),
    click.option("--insecure", is_flag=True, help="Do not verify the server's certificate."),
)
AMOUNT = (
    click.option(
        "--requests", type=_POSITIVE, help=f"How many. [default: {DEFAULT_REQUESTS}; sweep: 5 s]"
    ),
    click.option("--duration", type=_SECONDS, metavar="S", help="Instead: for how many seconds."),
    click.option(
        "--until-stable",
        type=UntilStable(),
        metavar="'p95 2%'",
        help="End when the latency is known so well. [bounds: as above, or 300 s]",
    ),
)
SHAPE = (
    click.option(
        "--concurrency",
        type=_POSITIVE,
        help=f"Under way at once. [default: 1; with a rate at most {OPEN_CONCURRENCY}]",
    ),
    click.option(
        "--rate", type=Rate(), metavar="R", help="Requests a second: 100, 10:200/60s, 10/9s,50/9s."
    ),
    click.option("--arrivals", metavar="FILE", help="Instead: send at these seconds, one a line."),
)
MANNER = (
    click.option(
        "--arrival",
        type=click.Choice(["constant", "poisson"]),
        default="constant",
        show_default=True,
        help="How --rate spaces them.",
    ),
    click.option("--seed", type=int, default=0, help="Of what is drawn at random."),
    click.option(
        "--warmup",
        type=WarmupValue(min=0),
        default=0,
        help="Requests before, not counted; auto: cut the run's begin.",
    ),
    click.option(
        "--timeout",
        type=_SECONDS,
        default=30.0,
        show_default=True,
        metavar="S",
        help="Per request.",
    ),
    click.option(
        "--connections", type=_POSITIVE, help="gRPC: share this many. [default: one per slot]"
    ),
)
LOAD = (*AMOUNT, *SHAPE, *MANNER)

MAPPING = (
    click.option(
        "--map", "maps", metavar="COMPONENT=SPAN", multiple=True, help="As in 'inference=forward*'."
    ),
    click.option("--mapping", metavar="FILE.toml", help="Rules that map spans to components."),
)


def options(*groups: tuple[Callable[[Command], Command], ...]) -> Callable[[Command], Command]:
    """Apply groups of options, in the order in which `--help` shall show them."""

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
        raise UsageError(f"{name} and {other_name} exclude each other: give one of them")


def _header(place: int, text: str) -> tuple[str, str]:
    """Read the n-th `--header`. It may hold a secret: no message repeats more than its name."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _TOKEN.fullmatch(name):
        what = "no valid name before its ':'" if colon else "no ':'"
        raise UsageError(
            f"--header (number {place} of them) has {what}: give it as 'Name: value', as in "
            "'Authorization: Bearer x'"
        )
    if odd := next((char for char in value if not 31 < ord(char) < 256 or char == "\x7f"), ""):
        raise UsageError(
            f"--header {name!r} has the character {odd!r} in its value: use only "
            "printable ASCII, or letters of Latin-1 over REST"
        )
    return name, value

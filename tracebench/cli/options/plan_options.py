"""The options for what to measure and how; builds the plan from all options."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any, Final

import click

from tracebench.cli.options.completing import FILE, LIMIT_TEXT, OBJECTIVE_TEXT, RULE_TEXT
from tracebench.cli.options.filling import SERVER, SUCCESS, filled, fills, headed
from tracebench.cli.options.llm_options import key_header, language
from tracebench.cli.options.load_options import workload
from tracebench.cli.options.load_values import Seconds, Share
from tracebench.cli.options.payloads import read_payloads
from tracebench.load.peers import CLIENTS
from tracebench.model.errors import UsageError
from tracebench.model.plan import (
    Calls,
    Expected,
    Influence,
    MappingRules,
    Naming,
    Objectives,
    Payload,
    Payloads,
    Plan,
    SpanRoutes,
    Streamed,
    Targets,
    Tls,
    Watched,
)
from tracebench.system.input_files import check_file
from tracebench.tracing.receiver.settings import DEFAULT, bind_of

# The options that measure the tool's own influence.

INFLUENCE = headed(
    "The tool's own influence",
    fills(
        Influence,
        "--floor",
        is_flag=True,
        help="Also measure the same exchange against a server that does nothing.",
    ),
    fills(
        Influence,
        "--observer-effect",
        is_flag=True,
        help="Ask for tracing in a random half of the requests, to measure what tracing costs.",
    ),
    fills(
        Influence,
        "--client",
        field="clients",
        type=click.Choice(CLIENTS),
        multiple=True,
        help="Also send through this library, alternating with the engine, to measure what it "
        "costs. Repeatable; not with --observer-effect.",
    ),
)


# The options of the OTLP receiver.

RECEIVE = headed(
    SERVER,
    fills(
        SpanRoutes,
        "--receive-otlp",
        is_flag=False,
        flag_value=DEFAULT,
        metavar="[HOST:PORT]",
        help="Receive the server's spans: OTLP over gRPC at PORT, over HTTP at PORT + 1. "
        f"[without HOST:PORT: {DEFAULT}]",
    ),
    fills(
        SpanRoutes,
        "--forward-otlp",
        metavar="URL",
        help="Forward the spans that --receive-otlp takes.",
    ),
)


def strangers(planned: SpanRoutes) -> str:
    """A warning if other machines can send spans too; else empty.

    Raises:
        UsageError: --receive-otlp is not a valid address.
    """
    if planned.receive_otlp is None or bind_of(planned.receive_otlp).is_loopback:
        return ""
    return (
        f"{planned.receive_otlp} takes spans from anyone who can reach it: there is no "
        "authentication, so let a firewall admit only the server"
    )


def warn_of_strangers(planned: SpanRoutes) -> None:
    """Print the warning of `strangers`, if any.

    Raises:
        UsageError: --receive-otlp is not a valid address.
    """
    if warning := strangers(planned):
        click.echo(f"warning: {warning}", err=True)


# The options that say what to measure, and the plan made from them.

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
"""A header name: `token` in RFC 9110, section 5.6.2."""
_TRUSTED = ("cacert", "cert", "key")
"""Options whose files are opened separately by several libraries."""

_SECONDS = Seconds()

PAYLOAD = headed(
    "What to send",
    click.option(
        "--image", type=FILE, metavar="FILE|DIR", help="Image to send, or a folder of images."
    ),
    click.option(
        "--data",
        type=FILE,
        metavar="FILE|DIR",
        help="File to send unchanged, or a folder of files.",
    ),
    click.option(
        "--json",
        "json_file",
        type=FILE,
        metavar="FILE|DIR",
        help="JSON file to send, or a folder of JSON files.",
    ),
    click.option(
        "--payloads", type=FILE, metavar="FILE.jsonl", help="Requests to send: one JSON a line."
    ),
    fills(
        Payloads,
        "--order",
        type=click.Choice(["rotate", "random"]),
        show_default=True,
        help="Order in which several payloads are sent.",
    ),
    click.option(
        "--content-type",
        metavar="TYPE",
        help="Content type of --data or --image. [default: guessed from the file's name]",
    ),
    fills(Calls, "--method", show_default=True, help="HTTP method of REST requests."),
    fills(Calls, "--field", show_default=True, help="Form field that carries --image over REST."),
    fills(
        Calls,
        "--header",
        field="headers",
        metavar="K:V",
        multiple=True,
        help="Extra header, or metadata over gRPC. Repeatable.",
    ),
)
FILES: Final = ("image", "data", "json_file", "payloads", "prompts", "tokenizer")
"""Options that name files to send, or files from which requests are made."""
EXPECT = headed(
    SUCCESS,
    fills(
        Expected,
        "--expect-status",
        metavar="200,2xx,OK",
        multiple=True,
        help="Count only these statuses as success.",
    ),
    fills(
        Expected,
        "--expect-json",
        metavar="PATH[=VALUE]",
        multiple=True,
        help="Count only replies with this field as success, e.g. 'predictions[0].label=cat'. "
        "Over REST, only the first KB of a reply is searched.",
    ),
)
STREAMED = headed(
    "Replies that stream",
    fills(
        Streamed,
        "--stream/--no-stream",
        field="stream",
        default=None,
        help="With --llm: ask for streams. [default: --stream] With --oip over gRPC: call "
        "ModelStreamInfer. Other streams are noticed.",
    ),
    fills(
        Streamed,
        "--stream-timeout",
        field="stream_timeout_s",
        type=_SECONDS,
        metavar="S",
        help="Time-out of a whole streamed reply; --timeout then limits the wait for its first "
        "event, and each gap. [default: none]",
    ),
    fills(
        Streamed,
        "--token-path",
        metavar="PATH",
        help="Where an event has its token, e.g. 'result.text'. [default: known forms; else each "
        "event is a token]",
    ),
)
SLO = headed(
    SUCCESS,
    fills(
        Objectives,
        "--slo",
        type=LIMIT_TEXT,
        metavar="'latency < 50ms'",
        help="Limits of each request, comma-separated: METRIC < VALUE, where METRIC is latency, a "
        "component, or ttft, tpot, … of a stream. Reports the share and the rate of requests that "
        "meet them all (goodput).",
    ),
)
OBJECTIVE = headed(
    SUCCESS,
    fills(
        Objectives,
        "--slo",
        type=OBJECTIVE_TEXT,
        metavar="'latency.p99 < 50ms'",
        help="What a load must meet: METRIC.PERCENTILE < VALUE, or limits for each request "
        "(METRIC < VALUE), to be met by the share of requests given by --goodput.",
    ),
    click.option(
        "--goodput",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.99,
        show_default=True,
        metavar="SHARE",
        help="The share of requests that must meet the limits of --slo.",
    ),
)

MAPPING = headed(
    SERVER,
    fills(
        MappingRules,
        "--map",
        field="maps",
        type=RULE_TEXT,
        metavar="COMPONENT=SPAN",
        multiple=True,
        help="Map spans to a component, e.g. 'inference=forward*'. Repeatable.",
    ),
    fills(
        MappingRules,
        "--mapping",
        type=FILE,
        metavar="FILE.toml",
        help="File of rules that map spans to components (docs/mapping.md).",
    ),
)


SPANS_OUT = headed(
    SERVER,
    fills(
        SpanRoutes,
        "--output-traces",
        type=FILE,
        metavar="F.jsonl",
        help="Write all spans as OTLP JSON lines.",
    ),
    fills(
        SpanRoutes,
        "--otlp-endpoint",
        metavar="URL",
        help="Also export all spans to this URL, and the run's own metrics while it runs.",
    ),
    fills(
        SpanRoutes,
        "--otlp-metrics/--no-otlp-metrics",
        field="otlp_metrics",
        help="Whether --otlp-endpoint gets the metrics: requests, latency, errors, once a second. "
        "[default: --otlp-metrics]",
    ),
    fills(
        SpanRoutes,
        "--trace-share",
        type=Share(),
        metavar="1%",
        help="Ask for the trace of only this share of the requests, drawn at random, where all "
        "would be too many. Timings in replies still come for all. [default: 100%]",
    ),
    fills(
        SpanRoutes, "--jaeger", metavar="URL", help="Read the server's spans back from this Jaeger."
    ),
    fills(
        SpanRoutes,
        "--trace-ui",
        metavar="URL",
        help="Base URL of links to traces. [default: --jaeger]",
    ),
)


def plan(given: Mapping[str, Any]) -> Plan:
    """Build the plan from the options.

    Args:
        given: option values, by the field they fill or by the option's name; options that the
            command does not have may be missing.

    Raises:
        UsageError: they contradict each other, or a file cannot be read.
    """
    targets = filled(Targets, given)
    if not targets.all:
        raise UsageError(
            "no target: give --rest-url URL, --grpc-server HOST:PORT, or --target NAME=URL"
        )
    for name in _TRUSTED:
        if given[name] is not None:
            check_file(f"--{name}", given[name])
    calls = filled(Calls, given)
    headers = tuple(map(_header, count(1), given["headers"]))
    model, due_s = language(given)
    return Plan(
        payloads=replace(filled(Payloads, given), payload=_payload(given)),
        targets=targets,
        calls=replace(calls, headers=(*headers, *key_header(given, headers))),
        tls=filled(Tls, given),
        load=workload(given, due_s),
        traces=filled(SpanRoutes, given),
        mapping=filled(MappingRules, given),
        influence=filled(Influence, given),
        expected=filled(Expected, given),
        streamed=filled(Streamed, given),
        language=model,
        naming=filled(Naming, given),
        objectives=filled(Objectives, given),
        gauges=filled(Watched, given),
    )


def _payload(given: Mapping[str, Any]) -> tuple[Payload, ...]:
    return read_payloads(
        given["image"],
        given["data"],
        given["json_file"],
        given["payloads"],
        given["content_type"],
    )


def _header(place: int, text: str) -> tuple[str, str]:
    """Parse the n-th `--header`; its value may be secret, so messages show only its name."""
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

"""`tracebench spans`: what a server emits, and how it is mapped."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from tracebench.cli.help.grpc_methods import Calling
from tracebench.cli.options.completing import FILE
from tracebench.cli.options.filling import filled, options
from tracebench.cli.options.plan_options import (
    EXPECT,
    MAPPING,
    PAYLOAD,
    RECEIVE,
    plan,
    warn_of_strangers,
)
from tracebench.cli.options.target_options import METHOD, TARGETS, TRUST
from tracebench.cli.output.progress_line import Live
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan, Targets

_REQUESTS = 20


@click.command(
    cls=Calling,
    examples=(
        "tracebench spans traces.jsonl",
        "tracebench spans --receive-otlp --image photo.jpg --rest-url URL",
    ),
)
@click.argument("files", type=FILE, metavar="[TRACES.jsonl]...", nargs=-1)
@options(TARGETS, PAYLOAD, METHOD, MAPPING, RECEIVE, EXPECT, TRUST)
def spans(*, files: tuple[str, ...], **given: Any) -> int:
    """Show the spans, events and durations that servers emit, and the component of each.

    For whatever is unmapped it prints a rule to paste into a --mapping file. The spans come from
    files, or from a server that answers 20 requests.
    """
    if bool(files) == bool(filled(Targets, given).all):
        raise UsageError(
            "give either TRACES.jsonl or a target (--rest-url or --grpc-server) with --receive-otlp"
        )
    if files:
        _show(files, given["maps"], given["mapping"])
        return 0
    if given["receive_otlp"] is None:
        raise UsageError(
            "no source of spans: add --receive-otlp [HOST:PORT] to take them from the server"
        )
    planned = plan({**given, "requests": _REQUESTS})
    warn_of_strangers(planned.traces)
    _show_what_comes(planned)
    return 0


def _show_what_comes(planned: Plan) -> None:
    from tracebench.benchmark import run  # numpy, grpc, requests: not for --help

    with TemporaryDirectory() as folder:
        archive = str(Path(folder) / "traces.jsonl")
        run(
            replace(planned, traces=replace(planned.traces, output_traces=archive)),
            Live(_REQUESTS, None),
        )
        _show([archive], planned.mapping.maps, planned.mapping.mapping)


def _show(files: Sequence[str], maps: Sequence[str], mapping: str | None) -> None:
    from tracebench.archive import inventory  # numpy: not for --help
    from tracebench.report.tables import inventory_table as report  # rich: as above

    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    click.echo(report.render(inventory(files, maps, mapping), color=color), color=True)

"""`tracebench run`: measure, print, save."""

import os
import sys
from typing import Any

import click

from tracebench.cli import standard_streams
from tracebench.cli.filling import options
from tracebench.cli.load_options import LOAD
from tracebench.cli.options import (
    EXPECT,
    FILES,
    INFLUENCE,
    MAPPING,
    METHOD,
    OUTPUTS,
    PAYLOAD,
    RECEIVE,
    STREAMED,
    TARGETS,
    TRUST,
    plan,
    warn_of_strangers,
)
from tracebench.cli.outputs import Outputs
from tracebench.cli.progress_line import Live
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan
from tracebench.model.result import Result
from tracebench.model.sweep import Sweep
from tracebench.system import why
from tracebench.system.interrupt import interruptible

INTERRUPTED, INVALID = 130, 3
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@click.command(short_help="Load a server and split its latency.")
@options(
    TARGETS, PAYLOAD, METHOD, EXPECT, TRUST, LOAD, STREAMED, INFLUENCE, MAPPING, RECEIVE, OUTPUTS
)
@click.option("--dry-run", is_flag=True, help="Send one request and show how its time splits.")
def run(
    *,
    dry_run: bool,
    output_json: str | None,
    output_plot: str | None,
    output_html: str | None,
    **given: Any,
) -> int:
    """Load a REST or a gRPC server (or both) and split each request's latency.

    \b
    tracebench run --image photo.jpg --rest-url http://127.0.0.1:5000
    tracebench run --image photo.jpg --grpc-server 127.0.0.1:50051 --concurrency 8
    """  # noqa: D301 - click wants the character, not its name
    outputs = Outputs(output_json, output_plot, given["output_traces"], output_html)
    outputs.check(*(given[name] for name in FILES))
    planned = plan(given)
    if dry_run and (planned.traces.receive_otlp or planned.traces.jaeger):
        raise UsageError(
            "--dry-run uses only what is in the reply: leave out --receive-otlp and --jaeger"
        )
    warn_of_proxies()
    warn_of_strangers(planned.traces)
    return show_once(planned) if dry_run else measure(planned, outputs)


def measure(planned: Plan, outputs: Outputs) -> int:
    """Run the plan, print and save the result; returns the exit status."""
    from tracebench.benchmark import run as benchmark  # numpy, grpc, requests: not for --help

    result = benchmark(planned, Live(planned.load.requests, planned.load.duration_s))
    save(result, outputs)
    return exit_status(result)


def save(result: Result | Sweep, outputs: Outputs) -> None:
    """Write and print the result; Ctrl-C in the meantime does not lose it.

    Files come first, and each is attempted: if one fails, or standard output does, the others are
    still written.

    Raises:
        UsageError: something could not be written or printed.
    """
    with interruptible(
        lambda: click.echo("still writing; press Ctrl-C again to abandon it", err=True)
    ):
        problems = outputs.write(result)
        show(result)
    if problems:
        raise UsageError("; ".join(problems))
    if outputs.json is not None and (error := standard_streams.take_failure()) is not None:
        click.echo(f"warning: the table could not be printed ({why(error)})", err=True)


def show(result: Result | Sweep) -> None:
    """Print the table: coloured on a terminal, plain elsewhere and with NO_COLOR."""
    click.echo(rendered(result), color=True)


def rendered(result: Result | Sweep) -> str:
    """The table as printed."""
    from tracebench.report import sweep_table, table  # rich: not for --help

    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    if isinstance(result, Sweep):
        return sweep_table.render(result, color=color)
    return table.render(result, color=color)


def show_once(planned: Plan) -> int:
    """Make one exchange with each target, and show it in full."""
    from tracebench.benchmark import try_once  # numpy, grpc, requests: not for --help
    from tracebench.cli.dry_run import render  # as above

    failed = False
    for target, trial in try_once(planned).items():
        click.echo(render(target, trial))
        failed = failed or bool(trial.exchange.reason)
    return INVALID if failed else 0


def exit_status(result: Result) -> int:
    """0, or 130 for an interrupted run, or 3 for invalid numbers."""
    verdicts = [target.verdict for target in result.targets.values()]
    codes = {finding.code for verdict in verdicts for finding in verdict.findings}
    if "interrupted" in codes:
        return INTERRUPTED
    return 0 if all(verdict.valid for verdict in verdicts) else INVALID


def warn_of_proxies() -> None:
    """Warn that a configured proxy is ignored, as it would be part of the measurement."""
    found = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    if found:
        click.echo(
            f"note: ignoring {', '.join(found)}: requests go directly to the server", err=True
        )

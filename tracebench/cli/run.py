"""`tracebench run`: measure, print, save."""

import os
import sys
from typing import Any

import click

from tracebench.cli.help.grpc_methods import Calling
from tracebench.cli.options.filling import headed, options
from tracebench.cli.options.gauge_options import GAUGES
from tracebench.cli.options.llm_options import LLM
from tracebench.cli.options.load_options import LOAD
from tracebench.cli.options.output_options import ANSWER, OUTPUT, PLOT_STYLE, SAMPLES
from tracebench.cli.options.plan_options import (
    EXPECT,
    FILES,
    INFLUENCE,
    MAPPING,
    PAYLOAD,
    RECEIVE,
    SLO,
    SPANS_OUT,
    STREAMED,
    plan,
    warn_of_strangers,
)
from tracebench.cli.options.target_options import METHOD, TARGETS, TRUST
from tracebench.cli.output import standard_streams
from tracebench.cli.output.gates import FAIL_IF, NO_GATES, Gating, complain
from tracebench.cli.output.outputs import Outputs
from tracebench.cli.output.progress_line import Live
from tracebench.model.errors import UsageError
from tracebench.model.objectives import status_of
from tracebench.model.plan import Plan
from tracebench.model.results.comparison import Reported, RunComparison
from tracebench.model.results.result import Detail, Result
from tracebench.model.results.search import Search
from tracebench.model.results.sweep import Sweep
from tracebench.report.several import Several
from tracebench.system import why
from tracebench.system.interrupt import interruptible

INTERRUPTED, INVALID, FAILED = 130, 3, 1
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


DRY_RUN = headed(
    OUTPUT,
    click.option(
        "--dry-run",
        is_flag=True,
        help="Send one request, show it and its reply, and how its time splits.",
    ),
)


@click.command(
    cls=Calling,
    examples=(
        "tracebench run --image photo.jpg --rest-url http://127.0.0.1:5000",
        "tracebench run --json request.json --rest-url http://127.0.0.1:8000/v1/predict",
        "tracebench run --image photo.jpg --grpc-server 127.0.0.1:50051 --concurrency 8",
        "tracebench run --llm MODEL --rest-url http://127.0.0.1:8000 --duration 1m",
        "tracebench run … --rate 100 --duration 30s --output-html page.html",
        "tracebench run … --dry-run",
    ),
)
@options(TARGETS, PAYLOAD, LOAD, ANSWER, PLOT_STYLE, SAMPLES, DRY_RUN)
@options(EXPECT, SLO, FAIL_IF)
@options(METHOD, LLM, STREAMED, MAPPING, RECEIVE, SPANS_OUT, GAUGES, TRUST, INFLUENCE)
def run(*, dry_run: bool, **given: Any) -> int:
    """Load a REST or a gRPC server (or both) and split each request's latency.

    By default, 100 requests are sent one after the other. Durations are written 500ms, 5s, 2m or
    1m30s; a number alone is seconds.
    """
    gating = Gating.of(given)
    outputs = Outputs.of(given)
    outputs.check(*(given[name] for name in FILES), *gating.baseline)
    planned = plan(given)
    gating.check_plan(planned)
    if dry_run and (planned.traces.receive_otlp or planned.traces.jaeger):
        raise UsageError(
            "--dry-run uses only what is in the reply: leave out --receive-otlp and --jaeger"
        )
    warn_of_proxies()
    warn_of_strangers(planned.traces)
    return show_once(planned) if dry_run else measure(planned, outputs, gating)


def measure(planned: Plan, outputs: Outputs, gating: Gating = NO_GATES) -> int:
    """Run the plan; evaluate, print and save the result; returns the exit status."""
    from tracebench.benchmark import run as benchmark  # numpy, grpc, requests: not for --help

    live = Live(planned.load.requests, planned.load.duration_s, keep=outputs.keep)
    result = gating.judged(benchmark(planned, live))
    save(result, outputs)
    complain(result)
    return exit_status(result)


def save(result: Reported | Several[Any], outputs: Outputs) -> None:
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
        show(result, outputs)
    if problems:
        raise UsageError("; ".join(problems))
    if outputs.has_json_file and (error := standard_streams.take_failure()) is not None:
        click.echo(f"warning: the table could not be printed ({why(error)})", err=True)


def show(result: Reported | Several[Any], outputs: Outputs) -> None:
    """Print the table: coloured on a terminal, plain elsewhere and with NO_COLOR."""
    click.echo(rendered(result, outputs), err=outputs.to_stdout, color=True)


def rendered(result: Reported | Several[Any], outputs: Outputs) -> str:
    """The table as printed."""
    stream = sys.stderr if outputs.to_stdout else sys.stdout
    color = stream.isatty() and not os.environ.get("NO_COLOR")
    if isinstance(result, Several):
        return _together(result, outputs.detail, color=color)
    return _alone(result, outputs.detail, color=color)


def _together(several: Several[Any], detail: Detail, *, color: bool) -> str:
    """The runs side by side, then each answer; with -q, only the former."""
    from tracebench.report.tables import several_table  # rich: not for --help

    runs = all(isinstance(one, Result) for one in several.results.values())
    parts = [several_table.render(several, color=color)] if runs else []
    if detail != "table" or not runs:
        for name, one in several.results.items():
            parts.append(several_table.heading(name, color=color))
            parts.append(_alone(one, detail, color=color))
    return "\n\n".join(parts)


def _alone(result: Reported, detail: Detail, *, color: bool) -> str:
    from tracebench.report.answer import gate_lines, table  # rich: not for --help
    from tracebench.report.tables import compare_table, search_table, sweep_table  # as above

    if isinstance(result, Sweep):
        return sweep_table.render(result, color=color, detail=detail)
    if isinstance(result, Search):
        return search_table.render(result, color=color)
    if isinstance(result, RunComparison):
        shown = compare_table.render(result, color=color, whole=detail == "all")
        decided = gate_lines.render_slower(result, color=color)
    else:
        shown = table.render(result, color=color, detail=detail)
        decided = gate_lines.render(result, color=color)
    return "\n".join(filter(None, (shown, decided)))


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
    """130 for an interrupted run, 3 for invalid numbers, else set by the gates, or 0."""
    verdicts = [target.verdict for target in result.targets.values()]
    codes = {finding.code for verdict in verdicts for finding in verdict.findings}
    if "interrupted" in codes:
        return INTERRUPTED
    if not all(verdict.valid for verdict in verdicts):
        return INVALID
    return status_of(result.decision)


def proxies() -> str:
    """A note that configured proxies are ignored, as they would be measured too; else empty."""
    found = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    return f"ignoring {', '.join(found)}: requests go directly to the server" if found else ""


def warn_of_proxies() -> None:
    """Print the note of `proxies`, if any."""
    if note := proxies():
        click.echo(f"note: {note}", err=True)

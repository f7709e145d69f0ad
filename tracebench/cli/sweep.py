"""`tracebench sweep`: one run per load; print and save how the server scales."""

from dataclasses import replace
from math import inf
from typing import Any

import click

from tracebench.analysis.numbers import rounded
from tracebench.cli.help.grpc_methods import Calling
from tracebench.cli.options.filling import headed, options
from tracebench.cli.options.gauge_options import GAUGES
from tracebench.cli.options.llm_options import LLM
from tracebench.cli.options.load_options import AMOUNT, LOADING, MANNER
from tracebench.cli.options.load_values import Loads
from tracebench.cli.options.output_options import ANSWER, SAMPLES
from tracebench.cli.options.plan_options import (
    EXPECT,
    FILES,
    INFLUENCE,
    MAPPING,
    OBJECTIVE,
    PAYLOAD,
    RECEIVE,
    SPANS_OUT,
    STREAMED,
    plan,
    warn_of_strangers,
)
from tracebench.cli.options.target_options import METHOD, TARGETS, TRUST
from tracebench.cli.output.outputs import Outputs
from tracebench.cli.output.progress_line import Live
from tracebench.cli.run import INTERRUPTED, INVALID, save, warn_of_proxies
from tracebench.load.progress import SweepWatcher, Watcher
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan, Segment
from tracebench.model.results.result import Result
from tracebench.model.results.sweep import LoadKind, Sweep

_STEP_S = 5.0
LOADS = headed(
    LOADING,
    click.option(
        "--concurrency",
        type=Loads(whole=True),
        metavar="1,2,4|auto",
        help="Requests in flight at each step; with --rate, the upper limit. [default: auto]",
    ),
    click.option(
        "--rate",
        type=Loads(whole=False),
        metavar="10,20|auto",
        help="Step through these request rates (per second), not through concurrencies.",
    ),
)


@click.command(
    cls=Calling,
    examples=(
        "tracebench sweep --image photo.jpg --rest-url http://127.0.0.1:5000",
        "tracebench sweep --image photo.jpg --rest-url URL --rate 10,20,40",
    ),
)
@options(TARGETS, PAYLOAD, LOADS, AMOUNT, MANNER, ANSWER, SAMPLES, EXPECT, OBJECTIVE)
@options(METHOD, LLM, STREAMED, MAPPING, RECEIVE, SPANS_OUT, GAUGES, TRUST, INFLUENCE)
def sweep(
    *,
    concurrency: tuple[float, ...] | None,
    rate: tuple[float, ...] | None,
    **given: Any,
) -> int:
    """Run at increasing loads and report what saturates first.

    Each step runs for 5 seconds unless --requests, --duration or --until-stable is given. `auto`
    doubles the load until throughput stops growing.
    """
    outputs = Outputs.of(given)
    outputs.check(*(given[name] for name in FILES))
    planned, kind, loads = planned_steps(concurrency, rate, given)
    warn_of_proxies()
    warn_of_strangers(planned.traces)
    from tracebench.studies.sweep import sweep as measure  # numpy, grpc, requests: not for --help

    steps = Steps(planned, kind, outputs)
    found = measure(planned, kind, loads, steps)
    save(found, outputs)
    if steps.problems:
        raise UsageError("; ".join(steps.problems))
    return exit_status(found)


class Steps(SweepWatcher):
    """Prints a line on standard error for each step, and writes its samples."""

    def __init__(self, planned: Plan, kind: LoadKind, outputs: Outputs) -> None:
        self._planned, self._kind, self._outputs = planned, kind, outputs
        self._of_step = Outputs()
        self._first = True
        self.problems: list[str] = []
        """Reasons why samples could not be written."""

    def begins(self, load: float) -> Watcher:
        """Show what the targets answer, at the first step only."""
        told, self._first = self._first, False
        self._of_step = self._outputs.of_step(load)
        return Live(
            self._planned.load.requests,
            self._planned.load.duration_s,
            tells_answer=told,
            keep=self._of_step.keep,
        )

    def ends(self, load: float, result: Result) -> None:
        """Print the step's result in one line, and write and drop its requests."""
        self.problems += self._of_step.write_samples()
        targets = ", ".join(
            f"{name} {rounded(target.throughput_rps, 4)}/s"
            + (f" at p50 {rounded(target.latency.p50_ms)} ms" if target.latency else "")
            for name, target in result.targets.items()
        )
        click.echo(f"{self._kind} {load:g}: {targets}", err=True)


def exit_status(found: Sweep) -> int:
    """0, or 130 for an interrupted sweep, or 3 if a requested step is not valid."""
    if found.interrupted:
        return INTERRUPTED
    return 0 if found.valid else INVALID


def planned_steps(
    concurrency: tuple[float, ...] | None, rate: tuple[float, ...] | None, given: dict[str, Any]
) -> tuple[Plan, LoadKind, tuple[float, ...] | None]:
    """The plan of the steps, which kind of load varies, and its values (None: automatic).

    Raises:
        UsageError: two options contradict each other, or a file cannot be read.
    """
    slots = None
    if rate is not None and concurrency is not None:
        if len(concurrency) != 1:
            raise UsageError(
                "--rate steps through rates: give a single --concurrency with it, or none"
            )
        slots = int(concurrency[0])
    if not (given["requests"] or given["duration_s"] or given["until_stable"]):
        given["duration_s"] = _STEP_S
    first = None if rate is None else (Segment(1.0, 1.0, inf),)
    planned = plan({**given, "concurrency": slots, "rate": first})
    planned = replace(planned, load=replace(planned.load, schedule_s=None))  # set by traces
    if rate is not None:
        return planned, "rate", rate or None
    return planned, "concurrency", concurrency or None

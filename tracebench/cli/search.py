"""`tracebench search`: the highest load that meets an objective."""

from collections.abc import Mapping
from math import inf
from typing import Any

import click

from tracebench.analysis.numbers import rounded
from tracebench.cli.help.grpc_methods import Calling
from tracebench.cli.options.filling import headed, options
from tracebench.cli.options.llm_options import LLM
from tracebench.cli.options.load_options import LOADING, SENDING
from tracebench.cli.options.load_values import ArrivalValue, Seconds
from tracebench.cli.options.output_options import ANSWER
from tracebench.cli.options.plan_options import (
    EXPECT,
    FILES,
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
from tracebench.cli.run import FAILED, INTERRUPTED, INVALID, save, warn_of_proxies
from tracebench.load.progress import SweepWatcher, Watcher
from tracebench.model.errors import UsageError
from tracebench.model.plan import Plan, Segment, Workload
from tracebench.model.results.result import Result
from tracebench.model.results.search import Search
from tracebench.model.results.sweep import LoadKind

_LOAD = click.FloatRange(min=0, min_open=True, max=1e6)
WITHIN = headed(
    LOADING,
    click.option(
        "--by",
        type=click.Choice(["rate", "concurrency"]),
        default="rate",
        show_default=True,
        help="What to raise: requests per second, or requests in flight.",
    ),
    click.option(
        "--from",
        "least",
        type=_LOAD,
        metavar="LOAD",
        help="The least load of interest, where doubling begins. [default: 10/s, or 1 in flight; "
        "below that if it is too much]",
    ),
    click.option("--to", "most", type=_LOAD, metavar="LOAD", help="The highest load to try."),
    click.option(
        "--budget",
        type=Seconds(),
        default=600.0,
        show_default="10 minutes",
        metavar="S",
        help="How long the search may take. The longer, the closer to the limit it can prove.",
    ),
    click.option(
        "--arrival",
        type=ArrivalValue(),
        default="poisson",
        show_default=True,
        help="Spacing of requests. Poisson: at random, as those of many independent users; gamma:K "
        "with K below 1: in bursts.",
    ),
    click.option(
        "--concurrency",
        type=click.IntRange(min=1),
        metavar="N",
        help="Upper limit of requests in flight. [default: 256]",
    ),
)


@click.command(
    cls=Calling,
    examples=(
        "tracebench search --slo 'latency.p99 < 50ms' --image photo.jpg --rest-url URL",
        "tracebench search --slo 'ttft < 200ms, tpot < 25ms' --by concurrency …",
    ),
)
@options(TARGETS, PAYLOAD, OBJECTIVE, WITHIN, SENDING, ANSWER, EXPECT)
@options(METHOD, LLM, STREAMED, MAPPING, RECEIVE, SPANS_OUT, TRUST)
def search(
    *,
    by: LoadKind,
    least: float | None,
    most: float | None,
    budget: float,
    **given: Any,
) -> int:
    """Find the highest load at which the whole 95 % interval meets an objective.

    The rate is doubled until the objective is missed; then the loads between are measured for as
    long as it takes to decide. The exit status is 0 if a load meets the objective, 1 if even the
    least misses it, 3 if none could be shown to meet it in the time.
    """
    outputs = Outputs.of(given)
    outputs.check(*(given[name] for name in FILES))
    planned = planned_search(by, least, most, given)
    warn_of_proxies()
    warn_of_strangers(planned.traces)
    from tracebench.studies.search import Within  # numpy, grpc, requests: not for --help
    from tracebench.studies.search import search as measure  # as above

    found = measure(planned, by, Within(least, most, budget), Steps(by))
    save(found, outputs)
    return exit_status(found)


def planned_search(
    by: LoadKind, least: float | None, most: float | None, given: Mapping[str, Any]
) -> Plan:
    """The plan of a search.

    Raises:
        UsageError: two options contradict each other, or a file cannot be read.
    """
    if by == "concurrency" and given["concurrency"] is not None:
        raise UsageError("--concurrency is what --by concurrency raises: give --to instead")
    if by == "concurrency" and any(one is not None and one % 1 for one in (least, most)):
        raise UsageError("--by concurrency: give whole numbers for --from and --to")
    if by == "concurrency":
        given = {**given, "arrival": Workload().arrival}  # there is no rate to space
    return plan({**given, "rate": (Segment(1.0, 1.0, inf),) if by == "rate" else None})


class Steps(SweepWatcher):
    """Prints a line on standard error for each step."""

    def __init__(self, by: LoadKind) -> None:
        self._unit = "/s" if by == "rate" else " in flight"
        self._first = True

    def begins(self, load: float) -> Watcher:
        """Show what the target answers, at the first step only."""
        told, self._first = self._first, False
        return Live(None, None, tells_answer=told)

    def ends(self, load: float, result: Result) -> None:
        """Print the step's result in one line."""
        for target in result.targets.values():
            for one in target.objectives:
                value = "nothing known"
                if one.value is not None:
                    whole = one.is_share
                    value = f"{rounded(100 * one.value, 4)} %" if whole else f"{one.value:.4g} ms"
                click.echo(
                    f"{rounded(load, 4)}{self._unit}, {target.duration_s:.1f} s: {value} of "
                    f"{one.count:,} requests ({one.expression}: {one.decision})",
                    err=True,
                )


def exit_status(found: Search) -> int:
    """0 if a load was found, 1 if even the lowest misses the objective, 3 if neither is shown."""
    if found.interrupted:
        return INTERRUPTED
    if not found.valid:
        return INVALID
    if found.highest is not None:
        return 0
    return FAILED if found.levels and found.levels[0].decision == "missed" else INVALID

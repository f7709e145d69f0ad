"""The options for how much to send, how fast, and for how long; builds the load from them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from tracebench.cli.options.filling import filled, fills
from tracebench.cli.options.load_values import Rate, Seconds, UntilStable, WarmupValue, schedule
from tracebench.model.errors import UsageError
from tracebench.model.plan import Workload

OPEN_CONCURRENCY = 256
LONGEST_S = 300.0
_POSITIVE = click.IntRange(min=1)
_SECONDS = Seconds()

AMOUNT = (
    click.option(
        "--requests",
        type=_POSITIVE,
        help=f"Number of requests. [default: {Workload().requests}; sweep: 5 s per step]",
    ),
    fills(
        Workload,
        "--duration",
        field="duration_s",
        type=_SECONDS,
        metavar="S",
        help="Run for this long (30, 30s, 2m) instead of a fixed number of requests.",
    ),
    fills(
        Workload,
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
    fills(
        Workload,
        "--rate",
        type=Rate(),
        metavar="R",
        help="Requests per second: constant (100), a ramp (10:200/60s), or steps (10/9s,50/9s).",
    ),
    click.option("--arrivals", metavar="FILE", help="Send at these times (seconds, one per line)."),
)
ARRIVAL = (
    fills(
        Workload,
        "--arrival",
        type=click.Choice(["constant", "poisson"]),
        show_default=True,
        help="Spacing of requests under --rate.",
    ),
)
DIVIDED = (
    fills(
        Workload,
        "--processes",
        type=_POSITIVE,
        metavar="N",
        help="Let N processes share the load, past what one core can send. [default: 1; with "
        "--cluster: one per worker]",
    ),
    fills(
        Workload,
        "--cluster",
        metavar="ADDRESS",
        help="Let the workers of this Dask scheduler share the load, as in tcp://10.0.0.1:8786.",
    ),
)
SENDING = (
    fills(Workload, "--seed", type=int, help="Seed for random choices."),
    fills(
        Workload,
        "--warmup",
        type=WarmupValue(min=0),
        help="Requests to send first and not count; auto: trim the start of the run.",
    ),
    fills(
        Workload,
        "--timeout",
        field="timeout_s",
        type=_SECONDS,
        show_default=True,
        metavar="S",
        help="Time-out of each request; of a reply that streams, of each gap in it.",
    ),
    fills(
        Workload,
        "--connections",
        type=_POSITIVE,
        help="gRPC: connections to share. [default: one per request in flight]",
    ),
    *DIVIDED,
)
MANNER = (*ARRIVAL, *SENDING)
LOAD = (*AMOUNT, *SHAPE, *MANNER)


def workload(given: Mapping[str, Any], due_s: tuple[float, ...] | None = None) -> Workload:
    """Build the load; the number of slots and the end depend on several options.

    Args:
        given: the values of the options.
        due_s: due times from the prompts file, used unless an option sets others.

    Raises:
        UsageError: two options contradict each other, or the file of arrivals cannot be read.
    """
    _at_most_one("--requests", given.get("requests"), "--duration", given.get("duration_s"))
    _at_most_one("--rate", given.get("rate"), "--arrivals", given.get("arrivals"))
    load = filled(Workload, given)
    if load.cluster is not None and "://" not in load.cluster:
        raise UsageError(
            f"--cluster {load.cluster!r} has no protocol: write it as the scheduler prints it, "
            "e.g. tcp://10.0.0.1:8786"
        )
    if given.get("arrivals") is not None:
        load = replace(load, schedule_s=schedule(given["arrivals"]))
    elif due_s is not None and load.rate is None:
        load = replace(load, schedule_s=due_s)
    if load.is_open and given.get("concurrency") is None:
        load = replace(load, concurrency=OPEN_CONCURRENCY)
    if given.get("requests") is not None:
        return load
    if load.duration_s is not None or load.ends_by_itself:
        return replace(load, requests=None)
    return load if load.until_stable is None else replace(load, requests=None, duration_s=LONGEST_S)


def _at_most_one(name: str, value: object, other_name: str, other: object) -> None:
    if value is not None and other is not None:
        raise UsageError(f"{name} and {other_name} exclude each other: give only one")

"""The options for how much to send, how fast, and for how long; builds the load from them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import click

from tracebench.cli.options.completing import FILE
from tracebench.cli.options.filling import filled, fills, headed
from tracebench.cli.options.load_values import (
    ArrivalValue,
    HangUpValue,
    Rate,
    Seconds,
    UntilStable,
    WarmupValue,
    schedule,
)
from tracebench.model.errors import UsageError
from tracebench.model.plan import Workload

OPEN_CONCURRENCY = 256
LONGEST_S = 300.0
_POSITIVE = click.IntRange(min=1)
_SECONDS = Seconds()
LOADING: Final = "Load"
"""The heading of these options."""

AMOUNT = headed(
    LOADING,
    click.option(
        "--requests",
        type=_POSITIVE,
        metavar="N",
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
SHAPE = headed(
    LOADING,
    click.option(
        "--concurrency",
        type=_POSITIVE,
        metavar="N",
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
    click.option(
        "--arrivals",
        type=FILE,
        metavar="FILE",
        help="File of times at which to send: seconds, one a line.",
    ),
)
ARRIVAL = headed(
    LOADING,
    fills(
        Workload,
        "--arrival",
        type=ArrivalValue(),
        show_default=True,
        help="Spacing of requests under --rate. gamma:K comes in bursts with K below 1, and more "
        "evenly than poisson with K above.",
    ),
)
DIVIDED = headed(
    LOADING,
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
SENDING = headed(
    LOADING,
    fills(Workload, "--seed", type=int, metavar="N", help="Seed for random choices."),
    fills(
        Workload,
        "--warmup",
        type=WarmupValue(min=0),
        help="Requests to send first and not count; auto: trim the start of the run.",
    ),
    fills(
        Workload,
        "--ramp-up",
        field="ramp_up_s",
        type=_SECONDS,
        metavar="S",
        help="Closed loop: start the --concurrency users one after the other over this time, which "
        "does not count, instead of all at once.",
    ),
    fills(
        Workload,
        "--hang-up-after",
        type=HangUpValue(),
        metavar="20tokens|2s[:SHARE]",
        help="Stop listening to a stream after so many tokens or so long, in this share of the "
        "requests. [default share: 1]",
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
        metavar="N",
        help="Connections that gRPC requests share. [default: one per request in flight]",
    ),
    fills(
        Workload,
        "--bind",
        multiple=True,
        metavar="ADDRESS[,…]",
        help="Connect from these addresses of this machine in turn: each has its own ports for "
        "connections. Repeatable.",
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
    load = replace(load, bind=_addresses(load.bind))
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


def _addresses(given: tuple[str, ...]) -> tuple[str, ...]:
    """The addresses in comma-separated lists, each once."""
    parts = [part.strip() for text in given for part in text.split(",")]
    if "" in parts:
        raise UsageError(f"--bind {','.join(given)!r} has an empty address: write e.g. 10.0.0.5")
    return tuple(dict.fromkeys(parts))


def _at_most_one(name: str, value: object, other_name: str, other: object) -> None:
    if value is not None and other is not None:
        raise UsageError(f"{name} and {other_name} exclude each other: give only one")

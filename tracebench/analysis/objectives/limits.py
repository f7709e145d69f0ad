"""The grammar of limits: `METRIC < VALUE` for requests, `METRIC.PERCENTILE < VALUE` for loads."""

import re
from difflib import get_close_matches
from math import inf
from typing import Final, NamedTuple

from server_middleware.vocabulary import INFERENCE_PARTS, SERVER_OTHER
from tracebench.model.components import COMPONENTS
from tracebench.model.errors import UsageError
from tracebench.model.objectives import Limit, Objective
from tracebench.model.results.result import TargetResult
from tracebench.model.results.statistics import PERMILLE, Statistics

# Metrics and statistics, by the names that users write.

LATENCY: Final = "latency"
"""Covers every success and every time-out, whereas `end_to_end` covers decomposed requests."""
STREAMED: Final = ("ttft", "ttft_service", "first_text", "itl", "tpot", "generation", "ending")
"""Stream metrics; users may prefix them with `stream.`."""
POOLED: Final = "itl"
"""The metric that has many values a request."""
METRICS: Final = frozenset({LATENCY, *COMPONENTS, *INFERENCE_PARTS, *STREAMED})
STATISTICS: Final = {name.removesuffix("_ms"): name for name in ("mean_ms", *PERMILLE, "max_ms")}
_SPELLINGS: Final = {**STATISTICS, **{name: name for name in STATISTICS.values()}}
_SPELLINGS.update({"p99.9": "p999_ms", "p99.9_ms": "p999_ms"})
_OWN: Final = f"{SERVER_OTHER}."
_GIVEN: Final = (_OWN, "server.")
"""Prefixes that mark a name as given by the server's author."""
_STREAM: Final = "stream."


class Path(NamedTuple):
    """A dotted name, divided into metric and statistic."""

    metric: str
    statistic: str | None
    """A field of `Statistics`; None: the name gives only a metric."""


def path_of(text: str) -> Path:
    """Divide a name into metric and statistic; a statistic alone refers to the latency."""
    for spelling in sorted(_SPELLINGS, key=len, reverse=True):
        if text == spelling:
            return Path(LATENCY, _SPELLINGS[spelling])
        if text.endswith(f".{spelling}"):
            return Path(_plain(text.removesuffix(f".{spelling}")), _SPELLINGS[spelling])
    return Path(_plain(text), None)


def _plain(metric: str) -> str:
    """A metric's name without the prefix of its owner."""
    bare = metric.removeprefix(_STREAM)
    return bare if bare in STREAMED else metric


def own_name(metric: str) -> str:
    """The name of an own component without the optional prefix `server_other.`."""
    return metric.removeprefix(_OWN)


def refuse_slips(metric: str, whole: str) -> None:
    """Refuse a name that is almost one of tracebench's metrics.

    Any other name may be a component named by the server's author, known only from the result.

    Raises:
        UsageError: the name looks like a misspelt metric.
    """
    if metric in METRICS or metric.startswith(_GIVEN):
        return
    if near := get_close_matches(metric, sorted(METRICS), n=1, cutoff=0.8):
        raise UsageError(
            f"{whole}: there is no {metric!r}: did you mean {near[0]!r}? (a component that the "
            f"server itself calls so: {_OWN}{metric})"
        )


def statistics_of(target: TargetResult, metric: str) -> Statistics | None:
    """The statistics of a metric at a target; None if the target does not have it."""
    if metric == LATENCY:
        return target.latency
    if metric in STREAMED:
        found: Statistics | None = getattr(target.stream, metric, None)
        return found
    return target.components.get(own_name(metric))


# Values: a number with an optional unit.

NUMBER: Final = r"(?P<number>[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(?P<unit>ms|s|us|µs|%|/s)?"
_MS: Final = {None: 1.0, "ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3}


def milliseconds_of(number: str, unit: str | None) -> float | None:
    """A time in ms, the default unit; None if it is not a finite time."""
    value = float(number) * _MS.get(unit, inf)
    return value if value < inf else None


# Limits and objectives, as given to `--slo`.

_COMPARED: Final = re.compile(rf"\s*(?P<name>[\w.\-]+)\s*<=?\s*{NUMBER}\s*")
_HOW: Final = (
    "write METRIC < VALUE for each request, or METRIC.PERCENTILE < VALUE, as in 'ttft < 200ms' "
    "or 'latency.p99 < 50ms'"
)


def limits_of(text: str) -> tuple[Limit, ...]:
    """Parse limits of each request: `ttft < 200ms, tpot < 25ms`.

    Raises:
        UsageError: a part of the text is not a limit.
    """
    found = []
    for part in text.split(","):
        path, limit = _read(text, part)
        if path.statistic is not None:
            raise UsageError(
                f"--slo {text!r}: {part.strip()!r} is an objective, and a run takes limits of each "
                f"request ({limit.metric} < VALUE): use --fail-if, or `tracebench search --slo`"
            )
        found.append(limit)
    return tuple(found)


def objectives_of(text: str, share: float) -> tuple[Objective, ...]:
    """Parse objectives; all limits of requests form one: that a share of requests meets them all.

    Args:
        text: the objectives, as `ttft.p95 < 200ms, tpot < 25ms`.
        share: the fraction of requests that must meet the limits.

    Raises:
        UsageError: a part of the text is neither a limit nor an objective.
    """
    objectives, limits, written = [], [], []
    for part in text.split(","):
        path, limit = _read(text, part)
        expression = part.strip()
        if path.statistic is None:
            limits.append(limit)
            written.append(expression)
        elif path.statistic == "mean_ms":
            objectives.append(Objective(expression, (limit,), None))
        else:
            of = PERMILLE[path.statistic] / 1000
            objectives.append(Objective(expression, (limit,), of))
    if limits:
        expression = f"{share * 100:.5g}% of the requests with {' and '.join(written)}"
        objectives.append(Objective(expression, tuple(limits), share))
    return tuple(objectives)


def _read(text: str, part: str) -> tuple[Path, Limit]:
    found, whole = _COMPARED.fullmatch(part), f"--slo {text!r}"
    if found is None:
        raise UsageError(f"{whole}: {part.strip()!r} is no limit: {_HOW}")
    path = path_of(found["name"])
    refuse_slips(path.metric, whole)
    value_ms = milliseconds_of(found["number"], found["unit"])
    if not value_ms:
        raise UsageError(
            f"{whole}: {part.strip()!r} limits nothing: give a time above 0 in ms or s"
        )
    if path.statistic == "max_ms":
        raise UsageError(
            f"{whole}: a maximum grows with the number of requests: give a percentile, as p999"
        )
    if path.metric == POOLED and path.statistic != "mean_ms":
        raise UsageError(
            f"{whole}: {POOLED} has many values a request: limit 'tpot', or use --fail-if "
            f"'{POOLED}.p95 > VALUE'"
        )
    return path, Limit(own_name(path.metric), value_ms)

"""Runs of a simulated server whose latency is known: for comparisons of runs with each other."""

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt

import numpy as np
import numpy.typing as npt

from tests.analysis.samples import SUCCESS, target
from tracebench.analysis.statistics.blocks import series
from tracebench.analysis.statistics.distribution import describe
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.results.blocks import Blocks
from tracebench.model.results.result import RequestCounts, TargetResult

ANY = target([SUCCESS])
PHI = 0.6
BLOCKS = 32

Values = npt.NDArray[np.float64]


def run_of(columns: Mapping[str, Nanoseconds], duration_s: float = 10.0) -> TargetResult:
    """The result of a run with these components, equally many values each."""
    count = len(columns["end_to_end"])
    bounds = np.arange(BLOCKS + 1) * count // BLOCKS
    statistics = {name: describe(values_ns) for name, values_ns in columns.items()}
    blocks = Blocks(
        start_s=tuple((bounds[:-1] * duration_s / count).tolist()),
        count=tuple(np.diff(bounds).tolist()),
        components={name: series(values_ns, bounds) for name, values_ns in columns.items()},
    )
    return replace(
        ANY,
        requests=RequestCounts(count, count, 0, 0, 0),
        throughput_rps=count / duration_s,
        components=statistics,
        latency=statistics["end_to_end"],
        blocks=blocks,
    )


def simulated(
    random: np.random.Generator,
    count: int = 4_000,
    *,
    drift: float = 0.0,
    slower: float = 1.0,
) -> TargetResult:
    """A run: correlated inference, a short-lived queue, and a network, in all about 13 ms.

    Args:
        random: draws it.
        count: requests.
        drift: of the whole server over the run: the standard deviation of a random walk's end.
        slower: inference takes so many times as long.
    """
    walk = np.cumsum(random.standard_normal(count)) * drift / sqrt(count)
    parts = {
        "queue": 1e6 * np.exp(0.8 * correlated(random, count)),
        "inference": 1e7 * slower * np.exp(0.1 * correlated(random, count)),
        "server_other": 1e6 * np.exp(0.2 * random.standard_normal(count)),
        "network": 5e5 * np.exp(0.4 * random.standard_normal(count)),
    }
    columns = {name: (values * np.exp(walk)).astype(np.int64) for name, values in parts.items()}
    whole = np.sum([*columns.values()], axis=0)
    return run_of({**columns, "end_to_end": whole})


def correlated(random: np.random.Generator, count: int) -> Values:
    """Standard normal values of which each leans on the one before, as an AR(1) series."""
    noise = random.standard_normal(count) * sqrt(1 - PHI**2)
    noise[0] /= sqrt(1 - PHI**2)
    powers = PHI ** np.arange(64)  # the rest is below 1e-14
    return np.asarray(np.convolve(noise, powers)[:count])

"""Do intervals cover what they promise, with independent and with correlated requests?"""

from collections.abc import Iterator

import numpy as np

from benchmarks.long.check import Check, at_least, at_most, covers
from tests.analysis.series import latencies, normal, true_ms
from tracebench.analysis.statistics.distribution import describe
from tracebench.analysis.statistics.steady_state import stable
from tracebench.model.record.exchange import Nanoseconds

STATISTICS = ("mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms")
RUNS = 1000


def hits(series: Nanoseconds, statistic: str) -> tuple[int, int]:
    """How many intervals hold the truth, of how many that are given."""
    truth_ms = true_ms(statistic)
    given = [one for run_ns in series if (one := describe(run_ns).ci95.get(statistic))]
    return sum(low_ms <= truth_ms <= high_ms for low_ms, high_ms in given), len(given)


def independent() -> Iterator[Check]:
    for count in (2_000, 20_000):
        series = latencies(normal(1, RUNS, count))
        for statistic in STATISTICS:
            name = f"coverage of {statistic[:-3]}, n = {count:,}, independent"
            yield covers(name, *hits(series, statistic))


def correlated() -> Iterator[Check]:
    for phi in (0.5, 0.8, 0.9):
        series = latencies(normal(2, RUNS, 5_000, phi))
        for statistic in STATISTICS:
            name = f"coverage of {statistic[:-3]}, n = 5,000, AR(1) φ = {phi}"
            yield at_least(name, *hits(series, statistic), 0.9)


def uncorrected() -> Iterator[Check]:
    """The same values in another order: what an interval for independent ones would cover."""
    series = np.random.default_rng(1).permuted(latencies(normal(2, RUNS, 5_000, 0.8)), axis=1)
    for statistic in STATISTICS[:2]:
        name = f"the same of {statistic[:-3]} without correction, φ = 0.8"
        yield at_most(name, *hits(series, statistic), 0.7)


def floors() -> Iterator[Check]:
    for count, supported in ((600, False), (700, True)):
        series = latencies(normal(3, RUNS, count))
        given = hits(series, "p99_ms")[1]
        name = f"p99 has an interval at n = {count}"
        yield at_least(name, given, RUNS, 0.9) if supported else at_most(name, given, RUNS, 0.0)


def stopping() -> Iterator[Check]:
    """A run that ends when its interval is narrow enough ends when it is too narrow, too."""
    for phi in (0.0, 0.8):
        truth_ms, covered, ended = true_ms("p95_ms"), 0, 0
        for run_ns in latencies(normal(4, RUNS // 2, 20_000, phi)):
            ends = (n for n in range(500, 20_001, 500) if stable(run_ns[:n], "p95_ms", 0.05))
            if count := next(ends, None):
                low_ms, high_ms = describe(run_ns[:count]).ci95["p95_ms"]
                covered, ended = covered + (low_ms <= truth_ms <= high_ms), ended + 1
        yield at_least(
            f"coverage of p95 at --until-stable 'p95 5%', φ = {phi}", covered, ended, 0.9
        )

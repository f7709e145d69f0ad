"""Does a search find the load at which a queue just meets an objective, and never more?"""

from collections.abc import Iterator

import numpy as np

from benchmarks.long.check import Check, at_least, at_most
from tests.analysis.objectives.queue import exact_rate, measured, searched
from tracebench.analysis.objectives.levels import levels
from tracebench.analysis.objectives.search import Bounds

RUNS = 100
BOUNDS = Bounds(least=0.1, most=100_000, first=10, budget_s=600)


def of_a_queue() -> Iterator[Check]:
    exact = exact_rate()
    found = [(searched(seed, BOUNDS)[0] or 0.0) / exact for seed in range(100, 100 + RUNS)]
    near = sum(0.85 <= one <= 1.0 for one in found)
    beyond = sum(one > 1.05 for one in found)
    yield at_least(f"search of {exact:.1f}/s in M/D/1, p99 < 50 ms: 85 … 100 %", near, RUNS, 0.85)
    yield at_most("the same: above 105 %", beyond, RUNS, 0.01)
    rng = np.random.default_rng(7)
    decided = [levels([measured(1.2 * exact, 120, rng)])[0].decision for _ in range(RUNS)]
    yield at_least("two minutes at 120 % of it: missed", decided.count("missed"), RUNS, 0.95)
    yield at_most("the same: met", decided.count("met"), RUNS, 0.0)


def coverage() -> Iterator[Check]:
    """The interval of the share within a limit, of runs of a minute, most without many misses."""
    rng, runs = np.random.default_rng(8), 400
    for of_it, share in ((0.8, 0.99799), (0.95, 0.99313), (1.0, 0.99), (1.2, 0.96051)):
        whole = [measured(of_it * exact_rate(), 60, rng).objectives[0].ci95 for _ in range(runs)]
        inside = sum(one is not None and one[0] <= share <= one[1] for one in whole)
        yield at_least(
            f"coverage of the share within 50 ms at {of_it:.0%} of it", inside, runs, 0.9
        )

"""Is warm-up cut, and drift found, and neither where there is none?"""

from collections.abc import Iterator

import numpy as np

from benchmarks.long.check import Check, at_least, at_most, five_per_cent
from tests.analysis.series import latencies, normal, warming_up
from tracebench.analysis.statistics.steady_state import drift, leftover, truncation
from tracebench.model.record.exchange import Nanoseconds

RUNS = 200


def warm_up() -> Iterator[Check]:
    for duration_s in (10, 60):
        off = []
        for seed in range(RUNS):
            series = warming_up(duration_s, seed)
            off.append(abs(float(series[truncation(series) :].mean()) / 10e6 - 1))
        near = sum(one <= 0.01 for one in off)
        name = f"{duration_s} s of 10 + 10·e^(−t/3 s) ms: within 1 % after MSER-5"
        if duration_s == 60:
            yield at_least(name, near, RUNS, 1.0)
        else:
            yield at_most(f"{name} ({np.mean(off):.0%} off)", near, RUNS, 0.0)


def nothing_to_cut() -> Iterator[Check]:
    for phi in (0.0, 0.8):
        series = latencies(normal(11, RUNS, 4_000, phi))
        moved = sum(leftover(run_ns).shift > 0.02 for run_ns in series)
        yield at_most(f"a steady run taken for one with warm-up, φ = {phi}", moved, RUNS, 0.02)


def found(series: Nanoseconds) -> int:
    return sum(drift(run_ns) is not None for run_ns in series)


def drifting() -> Iterator[Check]:
    runs = 5 * RUNS
    for phi in (0.0, 0.5, 0.8):
        steady = latencies(normal(12, runs, 4_000, phi))
        yield five_per_cent(f"a steady run rejected, φ = {phi}", found(steady), runs)
    steady = latencies(normal(13, runs, 4_000))
    along = np.linspace(0, 1, 4_000)
    for name, factor in (
        ("a rise by 20 %", 1 + 0.2 * along),
        ("a fall by 20 %", 1.2 - 0.2 * along),
        ("a shift by 15 % after a quarter", np.where(along < 0.25, 1, 1.15)),
        ("a shift by 15 % after three quarters", np.where(along < 0.75, 1, 1.15)),
    ):
        yield at_least(f"{name} found", found((steady * factor).astype(np.int64)), runs, 0.9)

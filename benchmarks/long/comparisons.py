"""Is A/A no difference, and are 5 % one? Are tails attributed, and workers told apart?"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.long.check import Check, at_least, at_most, five_per_cent
from tests.analysis.difference.recorded_blocks import alarms, alarms_in_turn, found_slower
from tests.analysis.samples import SUCCESS, target
from tests.analysis.series import latencies, normal
from tracebench.analysis.difference.comparison import compare
from tracebench.analysis.findings.steadiness import slowest
from tracebench.analysis.statistics.distribution import describe
from tracebench.analysis.statistics.tail import attribute_tail
from tracebench.model.record.exchange import Nanoseconds

RUNS = 1000
ANY = target([SUCCESS])


def differs(a: Nanoseconds, b: Nanoseconds, statistic: str) -> bool:
    one, other = (replace(ANY, components={"end_to_end": describe(run_ns)}) for run_ns in (a, b))
    interval = compare("a", one, "b", other).components["end_to_end"][statistic].ci95
    return interval is not None and not interval[0] <= 0 <= interval[1]


def a_and_a() -> Iterator[Check]:
    for phi, runs, count in ((0.0, RUNS, 20_000), (0.8, RUNS // 2, 40_000)):
        a, b = (latencies(normal(seed, runs, count, phi)) for seed in (21, 22))
        slower = (b * 1.05).astype(np.int64)
        for statistic in ("mean_ms", "p50_ms", "p95_ms"):
            of = f"{statistic[:-3]}, n = {count:,}, φ = {phi}"
            alarms = sum(differs(one, other, statistic) for one, other in zip(a, b, strict=True))
            name = f"A/A: a difference of {of}"
            yield at_most(name, alarms, runs, 0.1) if phi else five_per_cent(name, alarms, runs)
            if statistic != "p95_ms":
                seen = sum(differs(*pair, statistic) for pair in zip(a, slower, strict=True))
                yield at_least(f"+ 5 %: a difference of {of}", seen, runs, 0.9)


def by_turns() -> Iterator[Check]:
    """One server against itself, from blocks that were recorded on a busy machine."""
    for rounds in (6, 8, 20, 40, 100):
        name = f"A/A by turns, {rounds} pairs of recorded blocks: any word"
        yield at_most(name, alarms(RUNS, rounds), RUNS, 0.067)
    name = "the same one after the other, 2 × 40 blocks: any word"
    yield at_least(name, alarms_in_turn(RUNS // 2, 40), RUNS // 2, 0.5)
    for rounds, least in ((80, 0.4), (160, 0.6)):
        name = f"+ 5 % of inference's p50 by turns, {rounds} pairs, found"
        yield at_least(name, found_slower(RUNS // 2, rounds, 1.05), RUNS // 2, least)


def sample(seed: int, runs: int, count: int, phi: float) -> Iterator[dict[str, Nanoseconds]]:
    """A long-tailed queue, inference that hardly varies, and a network in between."""
    queue, inference, network = (normal(seed + n, runs, count, phi * (n == 0)) for n in range(3))
    for run in range(runs):
        parts = {
            "queue": 3e6 * np.exp(queue[run]),
            "inference": 1e7 * np.exp(0.2 * inference[run]),
            "network": 1e6 + 3e5 * np.exp(0.8 * network[run]),
        }
        columns = {name: part.astype(np.int64) for name, part in parts.items()}
        yield {**columns, "end_to_end": np.sum([*columns.values()], axis=0)}


def tails() -> Iterator[Check]:
    (whole,) = sample(31, 1, 3_000_000, 0.0)
    truth = attribute_tail(whole)
    for phi in (0.0, 0.8):
        found = [attribute_tail(columns) for columns in sample(41, RUNS // 2, 4_000, phi)]
        for name, true in truth.items():
            for component, part in true.components.items():
                intervals = [one[name].components[component].ci95 for one in found]
                hits = sum(low <= part.share <= high for low, high in filter(None, intervals))
                what = f"{component}'s share of the {name[:9].replace('_', ' ')} %, φ = {phi}"
                yield at_least(f"coverage of {what} ({part.share:.1%})", hits, RUNS // 2, 0.88)


def workers() -> Iterator[Check]:
    even = latencies(normal(51, RUNS, 1_600)).reshape(RUNS, 4, 400)
    one_slow = even.copy()
    one_slow[:, 3] += 50_000_000
    for name, runs, promise in (
        ("four even workers, one called slower", even, at_most),
        ("one of four workers + 50 ms, found", one_slow, at_least),
    ):
        found = sum(slowest(list(slots)) is not None for slots in runs)
        yield promise(name, found, RUNS, 0.01 if promise is at_most else 1.0)


def rounding() -> Iterator[Check]:
    found = describe(np.full(10_000, 147_000_000))
    exact = sum(
        value == 147.0
        for value in (found.mean_ms, found.p50_ms, found.p99_ms, found.p999_ms, found.max_ms)
    )
    yield at_least("a constant 147 ms reads 147 ms in every statistic", exact, 5, 1.0)

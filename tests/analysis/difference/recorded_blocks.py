"""Paired runs of one server against itself, drawn from blocks that were recorded one by one.

tests/recorded/blocks.csv has them in the order of time, of a machine that others were busy on:
`python -m benchmarks.paired.record` wrote it. Whatever a run of two names of one server shows of a
difference is an alarm of nothing.
"""

import csv
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np

from tracebench.analysis.difference import holm
from tracebench.analysis.difference.paired import Series, estimate
from tracebench.load.measuring.by_turns import orders

FILE = Path(__file__).parents[2] / "recorded" / "blocks.csv"
Key = tuple[str, str]


@cache
def recorded() -> dict[Key, Series]:
    """Component and statistic → its series over all blocks, in ms."""
    with FILE.open(newline="", encoding="ascii") as file:
        head, *rows = csv.reader(file)
    columns = np.array(rows, np.float64).T
    keys = [tuple(name.split(" ")) for name in head[1:]]
    return {(component, name): of for (component, name), of in zip(keys, columns[1:], strict=True)}


def run_of_nothing(random: np.random.Generator, rounds: int) -> tuple[dict[Key, Series], ...]:
    """The blocks of two targets, whose places in each round are drawn as in a real run."""
    series = recorded()
    begin = int(random.integers(len(next(iter(series.values()))) - 2 * rounds + 1))
    places: dict[str, list[int]] = {"a": [], "b": []}
    drawn = islice(orders(["a", "b"], int(random.integers(2**31))), rounds)
    for turn, order in enumerate(drawn):
        for place, name in enumerate(order):
            places[name].append(begin + 2 * turn + place)
    return tuple({key: one[places[name]] for key, one in series.items()} for name in "ab")


def shown(a: dict[Key, Series], b: dict[Key, Series]) -> set[Key]:
    """What a comparison calls slower or faster."""
    found = {key: estimate(a[key], b[key], key[1]) for key in a}
    return holm.shown({key: one.p for key, one in found.items() if one is not None})


def alarms(runs: int, rounds: int, seed: int = 1) -> int:
    """In how many runs of nothing anything is shown."""
    random = np.random.default_rng(seed)
    return sum(bool(shown(*run_of_nothing(random, rounds))) for _ in range(runs))


def alarms_in_turn(runs: int, blocks: int, seed: int = 1) -> int:
    """The same of targets measured one after the other, blocks taken as independent."""
    random, series, count = np.random.default_rng(seed), recorded(), 0
    for _ in range(runs):
        begin = int(random.integers(len(next(iter(series.values()))) - 2 * blocks + 1))
        a, b = (
            {
                key: random.permutation(one[begin + n * blocks :][:blocks])
                for key, one in series.items()
            }
            for n in range(2)
        )
        count += bool(shown(a, b))
    return count


def found_slower(runs: int, rounds: int, factor: float, seed: int = 1) -> int:
    """In how many runs a median of inference that is this much longer is called slower."""
    random, count, key = np.random.default_rng(seed), 0, ("inference", "p50_ms")
    for _ in range(runs):
        a, b = run_of_nothing(random, rounds)
        more = b["inference", "p50_ms"] * (factor - 1)
        slower = {
            **b,
            key: b[key] + more,
            ("end_to_end", "p50_ms"): b["end_to_end", "p50_ms"] + more,
        }
        count += key in shown(a, slower)
    return count

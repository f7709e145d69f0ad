"""Saved runs against each other: how often is a server told from itself, and 5 % found?"""

from collections.abc import Iterator

import numpy as np

from benchmarks.long.check import Check, at_least, at_most, share
from tests.analysis.simulated_runs import simulated
from tracebench.analysis.difference.between_runs import differences

PAIRS = 1_000
COUNT = 2_000
"""Requests a run."""


def words(
    random: np.random.Generator, runs: int, drift: float, slower: float
) -> set[tuple[str, str]]:
    """Which statistics get a word in one comparison."""
    a = [simulated(random, COUNT, drift=drift) for _ in range(runs)]
    b = [simulated(random, COUNT, drift=drift, slower=slower) for _ in range(runs)]
    found = differences({"rest": (a, b)})["rest"]
    return {
        (component, statistic)
        for component, those in found.items()
        for statistic, one in those.items()
        if one.verdict != "no difference shown"
    }


def alarms() -> Iterator[Check]:
    """The machine drifts as a random walk, whose end has this deviation after a run."""
    for runs, drift in ((1, 0.0), (1, 0.01), (2, 0.01), (3, 0.01), (3, 0.05)):
        random = np.random.default_rng(61)
        pairs = PAIRS if runs == 1 else PAIRS // 4
        found = sum(bool(words(random, runs, drift, 1.0)) for _ in range(pairs))
        name = f"A/A, {runs} a side, drift {drift:.0%}: any word"
        yield at_most(name, found, pairs, 0.067)
    random = np.random.default_rng(62)
    found = sum(bool(words(random, 1, 0.05, 1.0)) for _ in range(PAIRS // 4))
    name = "the same, 1 a side, drift 5 %: more than intervals know"
    yield share(name, found, PAIRS // 4, "why it says unknown", found > 0)


def power() -> Iterator[Check]:
    for runs, drift, least in ((1, 0.0, 0.9), (5, 0.01, 0.9)):
        random = np.random.default_rng(63)
        pairs = PAIRS // 4 if runs == 1 else PAIRS // 10
        each = [words(random, runs, drift, 1.05) for _ in range(pairs)]
        found = sum(("inference", "p50_ms") in one for one in each)
        name = f"inference + 5 %, {runs} a side, drift {drift:.0%}: found there"
        yield at_least(name, found, pairs, least)
        others = {"queue", "server_other", "network"}
        wrong = sum(bool(others & {component for component, _ in one}) for one in each)
        yield at_most("… and blamed on another component too", wrong, pairs, 0.067)

"""The latency that a client library adds, compared with the engine."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Final

import numpy as np

from tracebench.analysis.statistics.correlation import student_t95
from tracebench.analysis.statistics.distribution import describe
from tracebench.model.measurement import Block
from tracebench.model.results.result import ClientCost, Difference, ErrorCount
from tracebench.model.results.statistics import COMPARED, Statistics

_LEAST_PAIRS: Final = 6
"""Pairs of blocks needed for an interval."""


def client_cost(engine: Sequence[Block], library: Sequence[Block]) -> ClientCost:
    """Compare a client library with the engine, from alternating blocks.

    Each statistic's cost is the mean of its differences within the pairs, so that drift between
    pairs cancels out; its interval is Student's t over these differences (blocks are long enough
    for requests of different blocks to be independent).

    Args:
        engine: the engine's block of each round.
        library: the library's blocks, in the same order.
    """
    latency_ns = np.concatenate([np.zeros(0, np.int64), *(one.latency_ns for one in library)])
    errors: Counter[str] = Counter()
    for block in library:
        errors.update(block.errors)
    duration_s = sum(block.duration_s for block in library)
    pairs = [
        (describe(a.latency_ns), describe(b.latency_ns))
        for a, b in zip(engine, library, strict=True)
        if len(a.latency_ns) and len(b.latency_ns)
    ]
    return ClientCost(
        latency=describe(latency_ns) if len(latency_ns) else None,
        throughput_rps=len(latency_ns) / duration_s if duration_s else 0.0,
        failed=errors.total(),
        errors=tuple(ErrorCount(reason, count, "") for reason, count in errors.most_common()),
        cost_ms={name: _cost(name, pairs) for name in COMPARED} if pairs else {},
    )


def _cost(name: str, pairs: Sequence[tuple[Statistics, Statistics]]) -> Difference:
    a: list[float] = [getattr(one, name) for one, _ in pairs]
    b: list[float] = [getattr(one, name) for _, one in pairs]
    deltas = [of_b - of_a for of_a, of_b in zip(a, b, strict=True)]
    delta = fmean(deltas)
    interval = None
    if len(pairs) >= _LEAST_PAIRS:
        half = student_t95(len(pairs) - 1) * stdev(deltas) / sqrt(len(pairs))
        interval = (delta - half, delta + half)
    return Difference(fmean(a), fmean(b), delta, interval)

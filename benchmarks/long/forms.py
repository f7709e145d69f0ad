"""Replies that are known by their form are read as one by one."""

from collections.abc import Iterator
from random import Random

from benchmarks.long.check import Check, at_least, share
from tests.load.wire.told import changed, compared, sample

SAMPLES, CHANGES = 6_000, 10


def read_alike() -> Iterator[Check]:
    equal = fast = 0
    for seed in range(SAMPLES):
        random = Random(10**6 + seed)
        first = sample(random)
        others = (changed(random, first).raw() for _ in range(CHANGES))
        for one in compared(first.protocol, first.raw(), *others):
            equal, fast = equal + one.equal, fast + one.fast
    cases = SAMPLES * CHANGES
    yield share("replies read by their form as one by one", equal, cases, "all", equal == cases)
    yield at_least("of these, known by their form", fast, cases, 0.3)

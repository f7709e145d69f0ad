"""Run all simulations, runs on real sockets, and newest packages; fails where one does not hold."""

import sys
from time import perf_counter

from benchmarks.long import between_runs, comparisons, forms, intervals, newest, sockets, steadiness
from benchmarks.long.check import told

GROUPS = (
    intervals.independent,
    intervals.correlated,
    intervals.uncorrected,
    intervals.floors,
    intervals.stopping,
    steadiness.warm_up,
    steadiness.nothing_to_cut,
    steadiness.drifting,
    comparisons.a_and_a,
    comparisons.by_turns,
    comparisons.tails,
    comparisons.workers,
    comparisons.rounding,
    between_runs.alarms,
    between_runs.power,
    forms.read_alike,
    sockets.omission,
    sockets.stalls,
    sockets.punctuality,
    sockets.queues,
    newest.opentelemetry,
)


def main() -> int:
    began_s = perf_counter()
    holds = [told(group()) for group in GROUPS]
    print(f"{'all hold' if all(holds) else 'NOT ALL HOLD'}, after {perf_counter() - began_s:.0f} s")
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())

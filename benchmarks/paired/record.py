"""Record what successive blocks of a server tell: `python -m benchmarks.paired.record FILE.csv S`.

The example server is loaded for S seconds as two targets by turns, so that blocks come as in a
paired run. tests/analysis/difference/test_recorded_blocks.py draws pairs of nothing from the file.
"""

import csv
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise

from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.difference.paired import Rounds, rounds_of, series
from tracebench.example import picture
from tracebench.example.serve import spawned
from tracebench.load.measuring.by_turns import measure_by_turns
from tracebench.load.prepare.targets import prepare
from tracebench.load.progress import Watcher
from tracebench.model.plan import Payload, Payloads, Plan, Target, Targets, Workload
from tracebench.model.record.requests import SCHEDULED
from tracebench.model.results.statistics import COMPARED

COMPONENTS = ("client", "network", "preprocessing", "inference", "server_other", "end_to_end")


def main(path: str, duration_s: float) -> None:
    with spawned() as server:
        names = ("one", "other")
        targets = tuple(Target(name, "rest", server.rest_url, "") for name in names)
        plan = Plan(
            Payloads(Payload(picture(), "image/png", "coffee.png", "image")),
            Targets(named=targets),
            load=Workload(requests=None, duration_s=duration_s / 2, warmup=50),
        )
        loads = measure_by_turns(prepare(plan), plan.load, Watcher())
    rounds, begins = {}, {}
    for name, load in loads.items():
        rounds[name] = rounds_of(load, decompose(load.requests, load.times))
        scheduled = load.requests.columns.whole(SCHEDULED)
        begins[name] = [int(scheduled[at]) for at in (0, *load.block_ends[:-1])]
    with open(path, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file)
        writer.writerow(["count", *(f"{one} {name}" for one in COMPONENTS for name in COMPARED)])
        writer.writerows(_rows(rounds, begins))


def _rows(rounds: Mapping[str, Rounds], begins: Mapping[str, list[int]]) -> Iterator[list[str]]:
    """A row a block, in the order of time."""
    kinds = [(component, name) for component in COMPONENTS for name in COMPARED]
    told = {
        target: [series(one.columns[component], one.bounds, name) for component, name in kinds]
        for target, one in rounds.items()
    }
    blocks = sorted((at, name, n) for name, all_at in begins.items() for n, at in enumerate(all_at))
    for _, name, n in blocks:
        first, end = list(pairwise(rounds[name].bounds.tolist()))[n]
        yield [str(end - first), *(f"{one[n]:.4g}" for one in told[name])]


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))

"""How often a difference of nothing is shown, and one of 5 % found: `python -m benchmarks.paired`.

The example server is measured against itself, by turns and one after the other, while other
processes keep the machine busy at times; then, with the machine to itself, against one whose
inference takes 5 % longer. A run alarms if it calls anything slower or faster. It has found the
difference if it calls the median of inference slower, by more than that of any other leaf.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

from benchmarks.paired import server
from benchmarks.paired.busy import busy
from tracebench.benchmark import run
from tracebench.example import picture
from tracebench.model.components import LEAVES
from tracebench.model.plan import Payload, Payloads, Plan, Target, Targets, Workload
from tracebench.model.results.result import Comparison, Result

SLOWER = 0.05


@dataclass(frozen=True, slots=True)
class Series:
    """Runs of one kind."""

    name: str
    promised: str
    duration_s: float
    share: float = 0.0
    sequential: bool = False
    in_company: bool = True


@contextmanager
def _targets(share: float) -> Iterator[Targets]:
    """One server under two names, or two of which the second is slower."""
    with server.spawned(0.0) as url:
        other = nullcontext(url) if not share else server.spawned(share)
        with other as other_url:
            pairs = ("old", url), ("new", other_url)
            yield Targets(named=tuple(Target(name, "rest", one, "") for name, one in pairs))


def words(comparison: Comparison) -> dict[tuple[str, str], str]:
    """Component and statistic → what it is called, where anything is shown."""
    return {
        (component, name): one.verdict
        for component, of in comparison.components.items()
        for name, one in of.items()
        if one.verdict in ("slower", "faster")
    }


def found(comparison: Comparison) -> bool:
    """Whether the median of inference is called slower, and that is the largest difference."""
    shown = {
        component: abs(comparison.components[component][name].delta)
        for component, name in words(comparison)
        if name == "p50_ms" and component in LEAVES
    }
    slower = comparison.components["inference"]["p50_ms"].verdict == "slower"
    return slower and max(shown, key=lambda one: shown[one]) == "inference"


def variation(result: Result) -> float:
    """The latency's coefficient of variation."""
    one = result.targets["old"].components["end_to_end"]
    return one.std_ms / one.mean_ms


def measured(series: Series, seeds: range) -> Iterator[tuple[Comparison, Result]]:
    payload = Payload(picture(), "image/png", "coffee.png", "image")
    load = Workload(requests=None, duration_s=series.duration_s, warmup=20)
    company = busy(3) if series.in_company else nullcontext()
    with _targets(series.share) as targets, company:
        plan = Plan(Payloads(payload), replace(targets, sequential=series.sequential), load=load)
        for seed in seeds:
            result = run(replace(plan, load=replace(load, seed=seed)))
            if result.comparison is not None:
                yield result.comparison, result


def show(series: Series, seeds: range) -> None:
    """Print a line a run on standard error, and one for all."""
    began_s, hits, variations, pairs, done = perf_counter(), 0, [], [], 0
    for comparison, result in measured(series, seeds):
        told = words(comparison)
        hit = found(comparison) if series.share else bool(told)
        done, hits = done + 1, hits + hit
        variations.append(variation(result))
        pairs.append(comparison.pairs)
        said = ", ".join(f"{part} {name[:-3]} {word}" for (part, name), word in told.items())
        print(f"  {done:>3}: {said or 'no difference shown'}", file=sys.stderr, flush=True)
    what = "found" if series.share else "alarms"
    print(
        f"{series.name:<46} {what} {hits:>3} of {done:>3}   {series.promised:<22} "
        f"{median(pairs):g} pairs   latency varies by {median(variations):.0%}   "
        f"{perf_counter() - began_s:,.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40, help="of each kind")
    parser.add_argument("--first-seed", type=int, default=0, help="of the order of blocks")
    parser.add_argument("--seconds", type=float, default=4.0, help="a target, against itself")
    parser.add_argument("--power-seconds", type=float, default=40.0, help="a target, 5 %% slower")
    parser.add_argument("--only", default="", help="kinds whose names contain this")
    given = parser.parse_args()
    short, long = given.seconds, given.power_seconds
    kinds = (
        Series(f"A/A by turns, {short:g} s a target", "≤ 6 of 40", short),
        Series(f"A/A one after the other, {short:g} s", "none: drift", short, sequential=True),
        Series(f"+ 5 % inference, {long:g} s a target", "≥ 36 of 40", long, SLOWER, False, False),
        Series(f"+ 5 % inference in company, {long:g} s", "none", long, SLOWER),
    )
    for one in kinds:
        if given.only in one.name:
            show(one, range(given.first_seed, given.first_seed + given.runs))


if __name__ == "__main__":
    main()

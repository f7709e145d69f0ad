"""Searches as they are really found, of servers whose every time is known."""

from dataclasses import replace

from tests.analysis.sweeps import target
from tests.report.samples import result
from tracebench.analysis.objectives.levels import Seen, levels
from tracebench.analysis.scaling.objective import search_sentence
from tracebench.analysis.scaling.scale import scale
from tracebench.model.objectives import Met, ObjectiveResult
from tracebench.model.results.search import Highest, Search, SearchStep

SLO = "p99 < 50ms"


def objective(within: float, count: int = 4_000) -> ObjectiveResult:
    low, high = max(within - 0.004, 0), min(within + 0.003, 1)
    decision: Met = "met" if low >= 0.99 else "missed" if high < 0.99 else "undecided"
    return ObjectiveResult(SLO, within, (low, high), 0.99, count, count, decision)


def search(*within: float) -> Search:
    """A search over doubled rates, at which so many requests were within the limit."""
    rates = [10.0 * 2**at for at in range(len(within))]
    targets = {
        rate: replace(
            target({"queue": rate / 10, "inference": 10.0}, rate), objectives=(objective(one),)
        )
        for rate, one in zip(rates, within, strict=True)
    }
    known = levels([Seen(rate, 20.0, 4_000, one.objectives) for rate, one in targets.items()])
    met = [one for one in known if one.decision == "met"]
    missed = [one.load for one in known if one.decision == "missed"]
    sentence = search_sentence("rate", SLO, known, "poisson")
    return Search(
        slo=SLO,
        by="rate",
        arrival="poisson",
        highest=Highest(met[-1].load, 4_000, met[-1].load, met[-1].objectives) if met else None,
        goodput_rps=met[-1].load if met else None,
        missed=missed[0] if missed else None,
        sentence=sentence,
        budget_s=600.0,
        spent_s=20.0 * len(within),
        ended="the budget is spent",
        interrupted=False,
        valid=True,
        levels=tuple(known),
        steps=tuple(
            SearchStep(one.load, 20.0, one.decision, result(rest=targets[one.load]))
            for one in known
        ),
        scaling={"rest": replace(scale("rate", targets), sentence=sentence)},
    )


ALL = {
    "found": search(1.0, 0.999, 0.9935, 0.8),
    "found everywhere": search(1.0, 0.999),
    "open above": search(1.0, 0.991),
    "none": search(0.8, 0.5),
    "undecided": search(0.991, 0.5),
}

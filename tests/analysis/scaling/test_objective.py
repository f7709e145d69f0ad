"""Up to which load objectives are met; and that no headline hides a latency that exploded."""

from dataclasses import replace

import pytest

from tests.analysis.sweeps import target
from tests.report.search_samples import objective
from tracebench.analysis.scaling.objective import highest_met, meets, objective_sentence
from tracebench.analysis.scaling.scale import scale
from tracebench.model.results.result import TargetResult


def held(within: float, *, invalid: str = "") -> TargetResult:
    one = target({"inference": 10.0}, 50.0, invalid=invalid)
    return replace(one, objectives=(objective(within),))


@pytest.mark.parametrize(
    ("one", "met"),
    [
        (held(1.0), "met"),
        (held(0.991), "undecided"),
        (held(0.9), "missed"),
        (held(1.0, invalid="rate_not_met"), "missed"),
        (held(1.0, invalid="client_saturated"), "missed"),
        (held(1.0, invalid="not_stationary"), "undecided"),
        (target({"inference": 1.0}, 5.0), None),
    ],
)
def test_a_load_meets_objectives_or_does_not(one: TargetResult, met: str | None) -> None:
    assert meets(one) == met


def test_the_last_load_that_meets_them() -> None:
    targets = {10.0: held(1.0), 20.0: held(0.991), 30.0: held(1.0), 40.0: held(0.9), 50.0: held(1)}
    assert highest_met(targets) == 30
    assert objective_sentence("rate", "p99 < 50ms", targets) == (
        "30/s is the last load that meets p99 < 50ms; 40 misses it (90, 89.6 … 90.3 % of the "
        "requests are within, 99 must be)"
    )


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({1.0: held(1.0)}, "up to 1 in flight, the highest load that was measured"),
        ({1.0: held(1.0), 2.0: held(0.991)}, "2 is undecided"),
        ({1.0: held(0.9)}, "no load meets p99 < 50ms: 1 in flight misses it"),
        ({1.0: held(1.0, invalid="errors")}, "1 in flight misses it (errors)"),
        ({1.0: held(0.991)}, "no load is shown to meet p99 < 50ms: measure longer"),
    ],
)
def test_its_sentence(targets: dict[float, TargetResult], said: str) -> None:
    assert said in objective_sentence("concurrency", "p99 < 50ms", targets)
    assert scale("concurrency", targets, "p99 < 50ms").objective
    assert not scale("concurrency", targets).objective


@pytest.mark.parametrize("invalid", ["", "not_stationary", "loop_lag"])
def test_nothing_saturates_is_never_said_where_latency_exploded(invalid: str) -> None:
    """p99 from 20 to 1,279 ms, at rates that are all met."""
    targets: dict[float, TargetResult] = {
        25: target({"queue": 0.1, "inference": 20.0}, 25.0),
        50: target({"queue": 5.0, "inference": 20.0}, 50.0),
        100: target({"queue": 1_259.0, "inference": 20.0}, 98.0, invalid=invalid),
    }
    found = scale("rate", targets)
    assert "nothing saturates" not in found.sentence
    assert found.sentence.startswith(
        "latency grows long before throughput ends: p99 20.1 → 1,280 ms"
    )
    assert "most of it queue (0.1 → 1,260 ms)" in found.sentence


def test_a_step_that_cannot_be_used_counts_for_that_too() -> None:
    targets: dict[float, TargetResult] = {
        1: target({"queue": 0.1, "inference": 20.0}, 50.0),
        2: target({"queue": 0.2, "inference": 20.0}, 100.0),
        4: target({"queue": 1_259.0, "inference": 20.0}, 150.0, invalid="not_stationary"),
    }
    assert "nothing saturates" not in scale("concurrency", targets).sentence


def test_where_latency_stays_nothing_saturates() -> None:
    targets: dict[float, TargetResult] = {
        rate: target({"queue": rate / 10, "inference": 20.0}, rate) for rate in (25.0, 50.0, 100.0)
    }
    assert scale("rate", targets).sentence.startswith("nothing saturates up to 100/s")

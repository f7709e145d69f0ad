"""What saturates first, of servers whose every time is known."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.analysis.sweeps import LOADS, Times, closed, cores, pool, target
from tracebench.analysis.scaling.scale import has_stopped_growing, scale
from tracebench.analysis.verdict import FINDINGS
from tracebench.model.results.result import TargetResult, TcpInfo
from tracebench.model.results.sweep import Scaling


def scaled(times_ms: Callable[[int], Times]) -> Scaling:
    return scale("concurrency", closed(times_ms))


@pytest.mark.parametrize("load", LOADS)
def test_littles_law_holds_for_each_component(load: int) -> None:
    point = next(one for one in scaled(pool(4, waits_in="queue")).points if one.load == load)
    assert sum(point.in_flight.values()) == pytest.approx(load)
    assert point.in_flight["inference"] == pytest.approx(min(load, 4), rel=0.02)
    assert point.in_flight["queue"] == pytest.approx(max(0, load - 4), rel=0.02)
    assert point.growth["inference"] == pytest.approx(1)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_pool_of_workers_has_its_knee_at_their_number(workers: int) -> None:
    found = scaled(pool(workers, waits_in="network"))
    assert found.knee == pytest.approx(workers, rel=0.02)
    assert found.capacity_rps == pytest.approx(100 * workers, rel=0.02)
    assert found.bottleneck is not None
    assert (found.bottleneck.component, found.bottleneck.cause) == ("network", "waiting")
    assert found.bottleneck.load == 2 * workers
    assert found.bottleneck.at_a_time == pytest.approx(workers, rel=0.02)
    assert found.sentence.startswith("the server's pool of workers (or cores) saturates first")
    assert "waiting before the server's span" in found.sentence
    assert "more workers or threads" in found.sentence


def test_utilisation_is_of_the_capacity() -> None:
    points = scaled(pool(4, waits_in="network")).points
    assert [one.utilisation for one in points] == pytest.approx([0.25, 0.5, 1, 1, 1], rel=0.02)


def test_one_model_instance() -> None:
    found = scaled(pool(1, waits_in="queue"))
    assert found.bottleneck is not None
    assert found.bottleneck.cause == "queue"
    assert found.sentence.startswith("inference saturates first, at 100/s: from 1 in flight to 2")
    assert "inference has 0.99 at a time: one model instance; add model instances" in found.sentence


def test_a_queue_before_several_threads_is_not_called_one_instance() -> None:
    found = scaled(pool(4, waits_in="queue"))
    assert "inference has 4 at a time; add model instances" in found.sentence


def test_a_queue_before_work_of_several_kinds() -> None:
    def times_ms(load: int) -> Times:
        waiting = 10.0 * max(0, load - 1)
        return {"queue": waiting, "preprocessing": 5.0, "inference": 5.0}

    assert "the server's pool of workers (or cores) saturates first" in scaled(times_ms).sentence


@pytest.mark.parametrize("count", [1, 2, 4])
def test_shared_cores_are_not_called_a_want_of_workers(count: int) -> None:
    found = scaled(cores(count))
    assert found.bottleneck is not None
    assert (found.bottleneck.component, found.bottleneck.cause) == ("inference", "compute")
    assert found.bottleneck.at_a_time == pytest.approx(count, rel=0.02)
    assert found.sentence.startswith("inference saturates first")
    assert "inference takes 2 times as long" in found.sentence
    assert "more threads or workers on the same cores will not help" in found.sentence


def test_what_stretches_with_it_is_named_too() -> None:
    def times_ms(load: int) -> Times:
        return {"preprocessing": 4.0 * load, "inference": 6.0 * load, "postprocessing": 0.1 * load}

    said = scaled(times_ms).sentence
    assert "inference takes 2 times as long and preprocessing takes 2 times as long" in said
    assert "postprocessing" not in said
    assert said.startswith("the server's compute saturates first"), "neither of them alone"


@pytest.mark.parametrize(("component", "models"), [("inference", True), ("preprocessing", False)])
def test_only_a_model_is_to_be_quantised(component: str, models: bool) -> None:
    said = scaled(lambda load: {component: 10.0 * load}).sentence
    assert said.startswith(f"{component} saturates first")
    assert ("quantisation" in said) is models


def test_the_client_is_blamed_for_itself_alone() -> None:
    def times_ms(load: int) -> Times:
        return {"client": 0.1 + 1.0 * (load - 1), "network": 0.1, "inference": 1.0}

    found = scaled(times_ms)
    assert found.bottleneck is not None
    assert found.bottleneck.cause == "client"
    assert found.capacity_rps is None
    assert found.knee is None
    assert found.sentence.startswith("the tool itself saturates first")
    assert "says nothing about the server" in found.sentence


def test_a_client_that_makes_its_own_steps_invalid_is_still_found() -> None:
    def times_ms(load: int) -> Times:
        return {"client": 0.1 + 1.0 * (load - 1), "network": 0.1, "inference": 1.0}

    targets: dict[float, TargetResult] = {
        load: target(times_ms(load), 900.0, invalid="client_saturated" if load > 1 else "")
        for load in LOADS
    }
    found = scale("concurrency", targets)
    assert found.sentence.startswith("the tool itself saturates first")
    assert [one.valid for one in found.points] == [True, False, False, False, False]
    assert "steps_not_valid" in {one.code for one in found.findings}


@pytest.mark.parametrize(
    ("past", "cause"),
    [
        (TcpInfo(0.05, 0.1, 0, 1), "waiting"),
        (TcpInfo(0.05, 39.0, 0, 1), "waiting"),
        (TcpInfo(0.05, 70.0, 0, 1), "path"),
        (TcpInfo(6.0, 8.0, 0, 1), "path"),
    ],
)
def test_the_path_is_blamed_where_its_round_trip_grows(past: TcpInfo, cause: str) -> None:
    targets = closed(pool(1, waits_in="network"))
    later = {load: replace(one, tcp=past) for load, one in targets.items() if load > 1}
    found = scale("concurrency", {**targets, **later})
    assert found.bottleneck is not None
    assert found.bottleneck.cause == cause


def test_nothing_saturates_yet() -> None:
    found = scale("concurrency", closed(pool(64, waits_in="network")))
    assert found.bottleneck is None
    assert found.capacity_rps is None
    assert found.sentence.startswith(
        "nothing saturates up to 16 in flight: throughput still grew by 100 % in the last step"
    )


def test_what_takes_no_longer_is_not_said_to_have_grown() -> None:
    found = scale("concurrency", closed(pool(100, waits_in="network")))
    assert "grew most" not in found.sentence
    assert found.sentence.endswith("/s; try higher loads")


def test_one_noisy_step_is_no_growth() -> None:
    targets = closed(pool(4, waits_in="network"))
    targets[8] = replace(targets[8], throughput_rps=100.0)
    assert scale("concurrency", targets).bottleneck is not None


def test_what_is_not_valid_does_not_count() -> None:
    targets = closed(pool(4, waits_in="network"))
    targets[16] = target({"network": 1.0, "inference": 0.1}, 1e4, invalid="errors")
    found = scale("concurrency", targets)
    assert found.capacity_rps == pytest.approx(400, rel=0.02)
    assert [one.message for one in found.findings] == ["not valid: 1 of 5 steps (16)"]


@pytest.mark.parametrize("usable", [0, 1])
def test_too_little_to_tell(usable: int) -> None:
    targets: dict[float, TargetResult] = {
        load: target({"inference": 1.0}, 10.0, invalid="" if load <= usable else "errors")
        for load in LOADS
    }
    found = scale("concurrency", targets)
    assert found.bottleneck is None
    assert "fewer than two steps" in found.sentence


def test_one_step_shows_no_scaling() -> None:
    assert (
        "give two loads or more"
        in scale("concurrency", {2.0: target({"inference": 1.0}, 10.0)}).sentence
    )


def test_rates_are_past_the_knee_where_they_are_not_met() -> None:
    targets: dict[float, TargetResult] = {
        10: target({"queue": 0.1, "inference": 40.0}, 10.0),
        20: target({"queue": 10.0, "inference": 40.0}, 19.9),
        40: target({"queue": 900.0, "inference": 40.0}, 25.0, invalid="rate_not_met"),
    }
    found = scale("rate", targets)
    assert (found.knee, found.capacity_rps) == (25.0, 25.0)
    assert found.bottleneck is not None
    assert (found.bottleneck.cause, found.bottleneck.load) == ("queue", 40)
    assert found.sentence.startswith("inference saturates first, at 25/s: from 10/s to 40")
    assert "one model instance" in found.sentence
    assert found.law is None
    assert all(one.valid for one in found.points), "it is what a sweep looks for"


@pytest.mark.parametrize(
    ("network_ms", "cause", "said"),
    [
        (0.1, "cap", "the limit of requests in flight (--concurrency) saturates first"),
        (90.0, "waiting", "the server's pool of workers (or cores) saturates first"),
    ],
)
def test_a_backlog_is_the_cap_s_where_nothing_else_grows(
    network_ms: float, cause: str, said: str
) -> None:
    targets: dict[float, TargetResult] = {
        100: target({"network": 0.1, "inference": 10.0}, 100.0),
        400: target({"backlog": 500.0, "network": network_ms, "inference": 10.0}, 200.0),
    }
    found = scale("rate", targets)
    assert found.bottleneck is not None
    assert found.bottleneck.cause == cause
    assert found.sentence.startswith(said)
    assert (found.capacity_rps is None) is (cause == "cap")


def test_rates_that_are_met_saturate_nothing() -> None:
    found = scale("rate", {r: target({"inference": 4.0}, 0.99 * r) for r in (10, 20, 40)})
    assert found.bottleneck is None
    assert found.sentence.startswith("nothing saturates up to 40/s")


def test_numbers_that_break_littles_law_are_found() -> None:
    targets = closed(pool(4, waits_in="network"))
    broken = {**targets, 8: replace(targets[8], throughput_rps=300.0)}
    (finding,) = scale("concurrency", broken).findings
    assert finding.code == "littles_law"
    assert finding.message.startswith("at 8 in flight")
    assert "sums to 6" in finding.message


def test_the_ends_of_a_run_are_no_mismatch() -> None:
    targets = closed(pool(4, waits_in="network"))
    slow = replace(targets[8], throughput_rps=targets[8].throughput_rps * 0.88, duration_s=0.2)
    assert scale("concurrency", {**targets, 8: slow}).findings == ()


@pytest.mark.parametrize(
    ("throughputs_rps", "ended"),
    [
        ([100], False),
        ([100, 100], False),
        ([100, 104, 105], True),
        ([100, 106, 105], False),
        ([100, 200, 205, 206], True),
        ([100, 200, 150, 206], True),
        ([100, 200, 205, 240], False),
    ],
)
def test_growth_ends_with_two_steps_that_gain_nothing(
    throughputs_rps: list[float], ended: bool
) -> None:
    assert has_stopped_growing(throughputs_rps) is ended


def test_the_findings_are_in_the_table() -> None:
    assert {"littles_law", "steps_not_valid"} <= FINDINGS.keys()

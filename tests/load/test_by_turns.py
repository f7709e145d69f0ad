"""Several targets by turns: whose turn it is, what a block has, and that no two overlap."""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice, pairwise
from math import inf

import pytest

from tests.plans import plan_of
from tests.servers import HOST, Script, answering, read_request, reply, serving
from tracebench.load.engine.pacing import ClosedLoop, OpenLoop, Part, block_ns, in_parts, pacing
from tracebench.load.measuring.by_turns import measure_by_turns, orders
from tracebench.load.prepare.targets import prepare
from tracebench.load.progress import Watcher
from tracebench.model.errors import TargetError
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Payload, Segment, Stability, Target, Workload
from tracebench.model.progress import Progress
from tracebench.model.record.requests import SCHEDULED

S = 1_000_000_000
MS = 1_000_000
PAYLOAD = Payload(b"x", "text/plain", "x", "data")


# Whose turn it is.


@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_has_every_place_equally_often(count: int) -> None:
    names = [f"t{n}" for n in range(count)]
    rounds = list(islice(orders(names, 7), 12 * count))
    assert all(sorted(one) == names for one in rounds)
    for at in range(0, len(rounds), count):
        places = Counter(pair for one in rounds[at : at + count] for pair in enumerate(one))
        assert set(places.values()) == {1}


def test_the_order_is_random_and_repeats_with_its_seed() -> None:
    def drawn(seed: int) -> list[tuple[str, ...]]:
        return list(islice(orders(["a", "b"], seed), 64))

    assert drawn(1) == drawn(1) != drawn(2)
    first = Counter(one[0] for one in drawn(1)[::2])  # of each two rounds the first is free
    assert 8 <= first["a"] <= 24


# What a block has.


@pytest.mark.parametrize(
    ("medians_ms", "expected_s"), [([5, 10], 0.5), ([25], 0.5), ([5, 100], 2.0)]
)
def test_a_block_takes_twenty_medians_or_half_a_second(
    medians_ms: Sequence[float], expected_s: float
) -> None:
    assert block_ns([one * MS for one in medians_ms]) == expected_s * S


@pytest.mark.parametrize("duration_s", [0.4, 0.5, 4.0, 4.3])
def test_a_duration_is_divided_evenly_into_blocks_that_are_long_enough(duration_s: float) -> None:
    parts = in_parts(ClosedLoop(duration_ns=int(duration_s * S)), S // 2, 100)
    assert len(parts) == max(1, int(duration_s / 0.5))
    lasts = {one.pacing.duration_ns for one in parts if isinstance(one.pacing, ClosedLoop)}
    assert len(lasts) == 1
    assert sum(lasts) * len(parts) == pytest.approx(duration_s * S)


@pytest.mark.parametrize("requests", [1, 49, 50, 99, 100, 1_017])
def test_a_number_of_requests_is_exact(requests: int) -> None:
    parts = in_parts(ClosedLoop(requests), S // 2, 99.5)
    counts = [one.pacing.requests for one in parts if isinstance(one.pacing, ClosedLoop)]
    assert sum(counts) == requests
    assert len(counts) == max(1, requests // 50)
    assert max(counts) - min(counts) <= 1


def arrivals(parts: Sequence[Part]) -> list[OpenLoop]:
    return [one.pacing for one in parts if isinstance(one.pacing, OpenLoop)]


def test_arrivals_belong_to_the_block_in_which_they_are_due() -> None:
    load = Workload(requests=None, duration_s=3.0, rate=(Segment(10, 30, 3.0),))
    whole = pacing(load)
    assert isinstance(whole, OpenLoop)
    parts = in_parts(whole, S, 0)
    assert [one.lasts_ns for one in parts] == [S, S, S]
    again = [n * S + at for n, one in enumerate(arrivals(parts)) for at in one.arrivals_ns]
    assert again == list(whole.arrivals_ns)
    assert all(0 <= at < S for one in arrivals(parts) for at in one.arrivals_ns)


def test_a_number_of_arrivals_is_exact_and_ends_with_the_last() -> None:
    whole = pacing(Workload(requests=101, rate=(Segment(50, 50, inf),), arrival="poisson"))
    assert isinstance(whole, OpenLoop)
    parts = in_parts(whole, S // 2, 0)
    assert sum(len(one.arrivals_ns) for one in arrivals(parts)) == 101
    assert sum(one.lasts_ns for one in parts) == whole.arrivals_ns[-1] + 1


def test_no_arrivals_at_all() -> None:
    [part] = in_parts(OpenLoop([]), S, 0)
    assert part == Part(OpenLoop(part.pacing.arrivals_ns), 0)  # type: ignore[union-attr] # it is open


# Real servers.


class Log(Watcher):
    def __init__(self) -> None:
        self.turns: list[str] = []

    def turn(self, target: str) -> None:
        self.turns.append(target)


def by_turns(
    scripts: dict[str, Script], watcher: Watcher | None = None, **load: object
) -> dict[str, Measurement]:
    with ExitStack() as stack:
        ports = {name: stack.enter_context(serving(one)) for name, one in scripts.items()}
        targets = tuple(
            Target(name, "rest", f"http://{HOST}:{port}/", "--target")
            for name, port in ports.items()
        )
        plan = plan_of(PAYLOAD, named=targets, **load)
        return measure_by_turns(prepare(plan), plan.load, watcher or Watcher())


def blocks(load: Measurement) -> list[tuple[int, int]]:
    """When each block's first request was due, and when its last was done."""
    found = list(load.requests)
    return [
        (found[first].scheduled_ns, max(one.done_ns for one in found[first:end]))
        for first, end in pairwise((0, *load.block_ends))
    ]


def quick() -> Script:
    return answering(reply(), service_s=0.004)


def test_blocks_alternate_and_do_not_overlap() -> None:
    log = Log()
    loads = by_turns(
        {"a": quick(), "b": quick()}, log, requests=None, duration_s=2.0, concurrency=3
    )
    assert Counter(log.turns) == {"a": 4, "b": 4}
    found = sorted((*times, name) for name, load in loads.items() for times in blocks(load))
    assert [name for *_, name in found] == log.turns
    assert all(ended <= began for (_, ended, _), (began, _, _) in pairwise(found))
    for load in loads.values():
        assert len(load.block_ends) == len(load.blocks_s) == 4
        assert load.block_ends[-1] == len(load.requests)
        assert load.duration_s == pytest.approx(sum(load.blocks_s))
        assert load.duration_s < 0.8 * load.requests.duration_ns / S
        assert {one.reason for one in load.requests} == {""}


def test_each_gets_exactly_the_requests_that_were_asked_for() -> None:
    loads = by_turns({"a": quick(), "b": quick(), "c": quick()}, requests=301)
    assert [len(one.requests) for one in loads.values()] == [301, 301, 301]
    assert len({len(one.block_ends) for one in loads.values()}) == 1


def test_an_open_loop_keeps_its_rate_within_blocks() -> None:
    loads = by_turns(
        {"a": quick(), "b": quick()},
        requests=None,
        duration_s=2.0,
        rate=(Segment(50, 50, inf),),
        concurrency=64,
    )
    for load in loads.values():
        assert len(load.requests) == 100
        assert load.asked_rps == pytest.approx(50)
        assert load.duration_s == pytest.approx(2.0, abs=0.2)
        counts = [end - first for first, end in pairwise((0, *load.block_ends))]
        assert max(counts) - min(counts) <= 1


def test_they_end_together_once_all_are_known_well_enough() -> None:
    loads = by_turns(
        {"a": quick(), "b": quick()},
        requests=None,
        duration_s=60.0,
        until_stable=Stability("p50_ms", 0.5),
    )
    assert all(one.stable for one in loads.values())
    assert len({len(one.block_ends) for one in loads.values()}) == 1
    assert all(one.duration_s < 30 for one in loads.values())


class Impatient(Log):
    """Ends the run as Ctrl-C does, in the third block."""

    def progress(self, progress: Progress) -> None:
        if len(self.turns) == 3:
            signal.raise_signal(signal.SIGINT)


def test_what_was_measured_before_an_interrupt_is_kept() -> None:
    loads = by_turns({"a": quick(), "b": quick()}, Impatient(), requests=None, duration_s=30.0)
    assert all(one.interrupted for one in loads.values())
    assert all(len(one.requests) > 20 for one in loads.values())
    assert all(one.done_share is not None and one.done_share < 0.1 for one in loads.values())


def mute_after(requests: int) -> Script:
    """Answer so many requests in all, then accept and say nothing."""
    left = [requests]

    def script(connection: socket.socket) -> None:
        while read_request(connection):
            left[0] -= 1
            if left[0] < 0:
                threading.Event().wait(30)
            time.sleep(0.004)
            connection.sendall(reply())

    return script


def test_a_target_that_falls_silent_is_left_out_and_the_other_goes_on() -> None:
    loads = by_turns(
        {"a": quick(), "b": mute_after(150)}, requests=None, duration_s=2.0, timeout_s=0.3
    )
    assert loads["b"].gave_up == "between two blocks no reply came within 0.3 s"
    assert 50 < len(loads["b"].requests) < 160
    assert not loads["a"].gave_up
    assert len(loads["a"].block_ends) == 4


def test_a_target_that_cannot_be_reached_ends_it_before_it_begins() -> None:
    with serving(quick()) as one, ExitStack() as other:
        gone = other.enter_context(serving(quick()))
        targets = tuple(
            Target(name, "rest", f"http://{HOST}:{port}/", "--target")
            for name, port in (("a", one), ("b", gone))
        )
        plan = plan_of(PAYLOAD, named=targets, requests=20)
        prepared = prepare(plan)
        other.close()
        with pytest.raises(TargetError, match="0 of 1 connections were opened"):
            measure_by_turns(prepared, plan.load, Watcher())


def closing_when_idle(idle_s: float) -> Script:
    """A server that keeps connections alive for so long."""

    def script(connection: socket.socket) -> None:
        connection.settimeout(idle_s)
        while read_request(connection):
            time.sleep(0.004)
            connection.sendall(reply())

    return script


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [pytest.param(1, marks=pytest.mark.live), 4])
def test_three_targets_that_keep_connections_alive_for_a_second(concurrency: int) -> None:
    scripts = {name: closing_when_idle(1.0) for name in "abc"}
    loads = by_turns(scripts, requests=None, duration_s=3.0, concurrency=concurrency)
    for load in loads.values():
        assert load.tcp is not None
        assert load.tcp.connections > concurrency  # they were closed, and renewed
        found = list(load.requests)
        assert {(one.reason, one.connect_ns, one.lost) for one in found} == {("", 0, None)}
        assert load.requests.columns.whole(SCHEDULED).size == load.block_ends[-1]

"""Shards of a load: together they are exactly the whole, and each has as much as any other."""

import pickle
from dataclasses import replace
from itertools import chain, islice
from math import inf

import pytest

from tracebench.load.engine.pacing import ClosedLoop, OpenLoop, Part, in_parts, pacing, warm_up
from tracebench.load.engine.target import variants
from tracebench.model.plan import Segment, Workload
from tracebench.model.shards import WHOLE, Endless, Shard

COUNTS = (1, 2, 3, 7)


def shards(of: int) -> list[Shard]:
    return [Shard(number, of) for number in range(of)]


@pytest.mark.parametrize("of", COUNTS)
@pytest.mark.parametrize("before", [0, 1, 10])
@pytest.mark.parametrize("count", [0, 1, 5, 100, 101])
def test_elements_are_dealt_exactly_once(of: int, before: int, count: int) -> None:
    elements = range(count)
    dealt = [one.of_sequence(elements, before) for one in shards(of)]
    assert sorted(chain(*dealt)) == list(elements)
    shares = [one.share(count, before) for one in shards(of)]
    assert shares == [len(one) for one in dealt]
    assert max(shares) - min(shares) <= 1


def test_a_sequence_in_pieces_is_dealt_as_in_one() -> None:
    for shard in shards(3):
        pieces = [shard.of_sequence(range(4)), shard.of_sequence(range(4, 11), 4)]
        assert list(chain(*pieces)) == list(shard.of_sequence(range(11)))


OPEN = (
    {"rate": (Segment(100, 100, inf),), "requests": 50},
    {"rate": (Segment(10, 500, 1.0), Segment(500, 20, 1.0)), "requests": None},
    {"schedule_s": (0.0, 0.1, 0.1, 0.5, 2.0), "requests": None},
    {"rate": (Segment(1000, 1000, inf),), "requests": None, "duration_s": 0.4},
)


@pytest.mark.parametrize("of", COUNTS)
@pytest.mark.parametrize("arrival", ["constant", "poisson"])
@pytest.mark.parametrize("asked", OPEN)
@pytest.mark.parametrize("warmup", [0, 5])
def test_open_loops_have_the_arrivals_of_one_schedule(
    of: int, arrival: str, asked: dict[str, object], warmup: int
) -> None:
    load = Workload(arrival=arrival, warmup=warmup, seed=3, **asked)  # type: ignore[arg-type]
    for schedule in (pacing, warm_up):
        parts = [schedule(load, one) for one in shards(of)]
        whole = schedule(load)
        assert isinstance(whole, OpenLoop)
        at_ns = [list(one.arrivals_ns) for one in parts if isinstance(one, OpenLoop)]
        assert sorted(chain(*at_ns)) == list(whole.arrivals_ns)
        assert max(map(len, at_ns)) - min(map(len, at_ns)) <= 1


@pytest.mark.parametrize("of", COUNTS)
def test_closed_loops_have_the_requests_between_them(of: int) -> None:
    load = Workload(requests=1001, warmup=10)
    parts = [pacing(load, one) for one in shards(of)]
    assert sum(one.requests for one in parts if isinstance(one, ClosedLoop)) == 1001
    lasting = Workload(requests=None, duration_s=2.0)
    for one in shards(of):
        whole = pacing(lasting)
        assert isinstance(whole, ClosedLoop)
        assert pacing(lasting, one) == replace(whole, shard=one)


@pytest.mark.parametrize("of", COUNTS)
def test_payloads_belong_to_the_same_requests_however_many_send_them(of: int) -> None:
    """The k-th request is the shard's whose number is k modulo N, warm-up included."""
    for order in ("rotate", "random"):
        whole = variants(order, 5, 6, before=4)
        assert whole is not None
        parts = [whole.dealt(one) for one in shards(of)]
        expected = list(islice(whole, 60))
        assert [parts[at % of].next() for at in range(60)] == expected


def test_an_endless_sequence_begins_anew_elsewhere() -> None:
    endless = Endless([1, 2, 3], first=-1)
    assert list(islice(endless, 4)) == [3, 1, 2, 3]
    assert list(islice(pickle.loads(pickle.dumps(endless)), 2)) == [3, 1]


@pytest.mark.parametrize("of", COUNTS)
def test_blocks_are_dealt_like_the_whole(of: int) -> None:
    load = Workload(requests=None, rate=(Segment(200, 200, 3.0),))
    parts = in_parts(pacing(load), 500_000_000, 0.0)
    counts = [0] * of
    sent = 0
    for part in parts:
        dealt = [part.dealt(one, sent) for one in shards(of)]
        for number, one in enumerate(dealt):
            counts[number] += one.requests
        assert all(one.lasts_ns == part.lasts_ns for one in dealt)
        assert sum(one.requests for one in dealt) == part.requests
        sent += part.requests
    assert sent == 600
    assert max(counts) - min(counts) <= 1


def test_blocks_that_last_are_the_same_for_all() -> None:
    part = Part(ClosedLoop(duration_ns=5), 0)
    assert part.dealt(Shard(1, 2), 3) == part
    assert Part(ClosedLoop(requests=5), 0).dealt(Shard(1, 2), 1).requests == 3
    assert WHOLE.share(5) == 5

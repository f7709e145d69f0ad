"""Which side goes first, and what becomes of the values."""

from collections import Counter
from pathlib import Path
from threading import Barrier

import pytest

from benchmarks.guard.arithmetic import AtLeast, AtMost, Pair
from benchmarks.guard.check import Bench, Check, Topic
from benchmarks.guard.checks import LONG, QUICK
from benchmarks.guard.rounds import measured, orders
from benchmarks.guard.sides import Side
from benchmarks.guard.table import line, printed

BASE, NOW = Side("base", Path("base")), Side("now", Path("now"))
BENCH = Bench(Path("body"), {}, {})
FASTER = Check("throughput", "req/s", AtLeast(0.96), "made up")
CHEAPER = Check("cost", "µs", AtMost(1.05), "made up")


@pytest.mark.parametrize(("blocks", "every"), [(1, 1), (2, 1), (3, 1), (1, 5)])
def test_each_side_goes_first_as_often(blocks: int, every: int) -> None:
    topic = Topic((), lambda _side, _bench: (), blocks, every)
    drawn = [list(orders(topic, number, (BASE, NOW))) for number in range(10)]
    first = Counter(order[0].name for one in drawn for order in one)
    assert first["base"] == first["now"] == 5 * blocks // every
    assert [bool(one) for one in drawn] == [number % every == 0 for number in range(10)]


def test_values_become_pairs_whichever_side_goes_first() -> None:
    asked = []

    def measure(side: Side, _bench: Bench) -> tuple[float, float]:
        asked.append(side.name)
        return (100.0, 2.0) if side is BASE else (110.0, 3.0)

    found = measured([Topic((FASTER, CHEAPER), measure)], 2, (BASE, NOW), BENCH)
    assert asked == ["now", "base", "base", "now"]
    assert found == {"throughput": [Pair(100, 110)] * 2, "cost": [Pair(2, 3)] * 2}


def test_sides_that_run_at_once_wait_for_each_other() -> None:
    both_run = Barrier(2, timeout=10)

    def measure(side: Side, _bench: Bench) -> tuple[float]:
        both_run.wait()
        return (100.0,) if side is BASE else (110.0,)

    found = measured([Topic((FASTER,), measure, at_once=True)], 2, (BASE, NOW), BENCH)
    assert found == {"throughput": [Pair(100, 110)] * 2}


def test_a_row_of_the_table() -> None:
    text, holds = line(FASTER, [Pair(1_000, 970), Pair(2_000, 1_960)])
    assert not text.removeprefix("|").removesuffix("|").strip().startswith("|")
    assert [cell.strip() for cell in text.strip("|").split("|")] == [
        "throughput (made up)",
        "1,500 req/s",
        "1,465 req/s",
        "0.975 [0.970, 0.980]",
        "≥ 0.96 ×",
        "yes",
    ]
    assert holds


def test_one_bound_that_fails_fails_the_guard(capsys: pytest.CaptureFixture[str]) -> None:
    topic = Topic((FASTER, CHEAPER), lambda _side, _bench: ())
    good = {"throughput": [Pair(1, 1)], "cost": [Pair(1, 1)]}
    assert printed([topic], good)
    assert not printed([topic], {**good, "cost": [Pair(1, 2)]})
    assert capsys.readouterr().out.count("**NO**") == 1


def test_names_are_unique_and_rows_have_no_bars_of_their_own() -> None:
    checks = [check for topic in (*QUICK, *LONG) for check in topic.checks]
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        text, _ = line(check, [Pair(1, 1)])
        assert text.count("|") == 7

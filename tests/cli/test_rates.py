"""Rates, schedules and stabilities as they are written on the command line."""

from math import inf
from pathlib import Path

import click
import pytest

from tracebench.cli.options.load_values import Rate, UntilStable, schedule
from tracebench.model.errors import UsageError
from tracebench.model.plan import Segment, Stability


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("100", [(100, 100, inf)]),
        ("0.5", [(0.5, 0.5, inf)]),
        ("10:200/60s", [(10, 200, 60)]),
        ("10:200/60", [(10, 200, 60)]),
        ("10/30s,50/30s", [(10, 10, 30), (50, 50, 30)]),
        ("0:100/10s, 100", [(0, 100, 10), (100, 100, inf)]),
        ("10/1s,0/2s,10", [(10, 10, 1), (0, 0, 2), (10, 10, inf)]),
    ],
)
def test_a_rate_is_segments(text: str, segments: list[tuple[float, float, float]]) -> None:
    assert Rate().convert(text, None, None) == tuple(Segment(*one) for one in segments)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("abc", "not a number"),
        ("nan", "not between"),
        ("-5", "not between"),
        ("1e9", "not between"),
        ("0", "sends nothing"),
        ("0/5s", "sends nothing"),
        ("10:20", "lacks a duration"),
        ("10,20", "lacks a duration"),
        ("10/1s,0", "lacks a duration"),
        ("10/0s", "duration of zero"),
        ("", "not a valid rate"),
        ("1/2/3", "not a valid rate"),
    ],
)
def test_what_is_no_rate_is_told(text: str, told: str) -> None:
    with pytest.raises(click.BadParameter, match=told):
        Rate().convert(text, None, None)


def test_a_schedule_begins_with_its_first_request(tmp_path: Path) -> None:
    file = tmp_path / "arrivals.txt"
    file.write_text("1700000000.5\n1700000001\n1700000001\n")
    assert schedule(str(file)) == (0.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("content", "told"),
    [("", "is empty"), ("1\nx\n", "entry 2 is 'x'"), ("2\n1\n", "entry 2"), ("inf", "entry 1")],
)
def test_what_is_no_schedule_is_told(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "arrivals.txt"
    file.write_text(content)
    with pytest.raises(UsageError, match=told):
        schedule(str(file))


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match="cannot read --arrivals"):
        schedule("/nowhere/arrivals.txt")


@pytest.mark.parametrize(
    ("text", "stability"),
    [
        ("p95 2%", Stability("p95_ms", 0.02)),
        ("mean 0.5 %", Stability("mean_ms", 0.005)),
        ("p99.9 10%", Stability("p999_ms", 0.1)),
    ],
)
def test_a_stability_is_a_statistic_and_a_share(text: str, stability: Stability) -> None:
    assert UntilStable().convert(text, None, None) == stability


@pytest.mark.parametrize(
    "text", ["p95", "p42 2%", "p9.5 2%", "p95 0%", "p95 200%", "p95 1.2.3%", "2% p95"]
)
def test_what_is_no_stability_is_told(text: str) -> None:
    with pytest.raises(click.BadParameter, match="give"):
        UntilStable().convert(text, None, None)

"""One server against itself, drawn from recorded blocks: what is shown of nothing is an alarm."""

import numpy as np
import pytest

from tests.analysis.difference.recorded_blocks import (
    alarms,
    alarms_in_turn,
    found_slower,
    recorded,
)


def test_the_machine_was_busy_when_they_were_recorded() -> None:
    """The median of end_to_end varies by half of itself, and for minutes at a time."""
    series = recorded()["end_to_end", "p50_ms"]
    assert len(series) > 500
    assert series.std() / series.mean() > 0.4
    quarters = [one.mean() for one in np.array_split(series, 4)]
    assert max(quarters) > 1.5 * min(quarters)


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [8, 40])
def test_of_a_thousand_runs_of_nothing_few_alarm(rounds: int) -> None:
    assert alarms(1_000, rounds) <= 67  # what 5 % give with 99 % of chance


@pytest.mark.slow
def test_one_after_the_other_most_runs_of_nothing_alarm() -> None:
    assert alarms_in_turn(100, 40) >= 50


@pytest.mark.slow
def test_five_per_cent_of_inference_are_found_even_there() -> None:
    """So busy a machine takes 160 rounds where an idle one takes a few."""
    assert found_slower(100, 160, 1.05) >= 60

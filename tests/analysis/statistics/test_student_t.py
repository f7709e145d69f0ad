"""Student's t against printed tables and closed forms."""

from math import atan, inf, pi, sqrt

import pytest

from tracebench.analysis.statistics.correlation import student_t95
from tracebench.analysis.statistics.student_t import critical_t, two_sided_p


@pytest.mark.parametrize(
    ("degrees", "p", "expected"),
    [
        # Abramowitz & Stegun, table 26.10.
        (1, 0.05, 12.706),
        (2, 0.05, 4.303),
        (3, 0.05, 3.182),
        (4, 0.05, 2.776),
        (10, 0.05, 2.228),
        (30, 0.05, 2.042),
        (2, 0.001, 31.599),
        (4, 0.001, 8.610),
        (inf, 0.05, 1.960),
    ],
)
def test_the_tables(degrees: float, p: float, expected: float) -> None:
    assert critical_t(degrees, p) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("t", [1e-6, 0.1, 1.0, 3.0, 50.0, 1e4])
def test_the_closed_forms_of_one_and_two_degrees(t: float) -> None:
    assert two_sided_p(t, 1) == pytest.approx(1 - 2 * atan(t) / pi, abs=1e-9)
    assert two_sided_p(t, 2) == pytest.approx(1 - t / sqrt(2 + t * t), abs=1e-9)


def test_the_ends() -> None:
    assert two_sided_p(0, 3.5) == 1
    assert two_sided_p(inf, 3.5) == two_sided_p(-inf, 3.5) == 0
    assert two_sided_p(-2, 3.5) == two_sided_p(2, 3.5)


@pytest.mark.parametrize("degrees", [5, 7, 15, 31, 300])
def test_it_agrees_with_the_series_that_intervals_use(degrees: int) -> None:
    assert critical_t(degrees) == pytest.approx(student_t95(degrees), abs=1e-3)

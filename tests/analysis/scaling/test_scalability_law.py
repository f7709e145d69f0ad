"""The law is recovered from throughputs that follow it, and refused to those that do not."""

import pytest

from tracebench.analysis.scaling.scalability_law import fit, predict
from tracebench.model.results.sweep import Law

LOADS = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


@pytest.mark.parametrize(("sigma", "kappa"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.01), (0.05, 0.002)])
def test_it_is_recovered(sigma: float, kappa: float) -> None:
    law = Law(120.0, sigma, kappa, 0.0, fits=True)
    found = fit(LOADS, [predict(law, load) for load in LOADS])
    assert found is not None
    assert found.lambda_rps == pytest.approx(120)
    assert (found.sigma, found.kappa) == pytest.approx((sigma, kappa), abs=1e-9)
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.fits


def test_throughput_that_grows_faster_than_the_load_has_no_negative_coefficients() -> None:
    found = fit(LOADS, [load**1.2 for load in LOADS])
    assert found is not None
    assert (found.sigma, found.kappa) == (0, 0)
    assert not found.fits


def test_a_sharp_knee_does_not_fit() -> None:
    found = fit(LOADS, [100 * min(load, 4) for load in LOADS])
    assert found is not None
    assert not found.fits
    assert found.error > 0.1


def test_three_points_tell_nothing() -> None:
    assert fit(LOADS[:3], LOADS[:3]) is None

"""The Universal Scalability Law, fitted to throughputs over concurrency.

Source: N. J. Gunther, Guerrilla Capacity Planning (2007), chapters 4 to 6.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tracebench.model.results.sweep import Law

_LEAST_POINTS: Final = 4
"""Points needed for a fit: three parameters fit any three points exactly."""
_FITS_WITHIN: Final = 0.10
"""Largest relative deviation from a measured throughput at which the law is said to hold."""

Floats = Sequence[float]


def fit(concurrency: Floats, throughput_rps: Floats) -> Law | None:
    """Fit the law: N / X = a + σa(N − 1) + κaN(N − 1), with a = 1/λ, is linear in a, σa and κa.

    Each equation is weighted by its X / N, so that relative deviations are minimised. A coefficient
    that comes out negative is meaningless; it is set to 0, and the rest fitted again.

    Args:
        concurrency: distinct values, ascending.
        throughput_rps: the throughput measured at each; above 0.

    Returns:
        The law, or None if there are fewer than 4 points.
    """
    if len(concurrency) < _LEAST_POINTS:
        return None
    n, x = np.asarray(concurrency, float), np.asarray(throughput_rps, float)
    columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1) * (x / n)[:, None]
    best: tuple[float, list[float]] | None = None
    for used in ([0, 1, 2], [0, 1], [0, 2], [0]):
        part, *_ = np.linalg.lstsq(columns[:, used], np.ones_like(n), rcond=None)
        squares = float(((columns[:, used] @ part - 1) ** 2).sum())
        if (part >= 0).all() and part[0] > 0 and (best is None or squares < best[0]):
            whole = [0.0, 0.0, 0.0]
            for place, value in zip(used, part, strict=True):
                whole[place] = float(value)
            best = squares, whole
    assert best is not None, "one positive coefficient alone always fits positive throughputs"
    a, sigma_a, kappa_a = best[1]
    law = Law(1 / a, sigma_a / a, kappa_a / a, error=0.0, fits=False)
    error = max(
        abs(predict(law, load) / rps - 1)
        for load, rps in zip(concurrency, throughput_rps, strict=True)
    )
    return Law(law.lambda_rps, law.sigma, law.kappa, error, fits=error <= _FITS_WITHIN)


def predict(law: Law, concurrency: float) -> float:
    """The throughput, in requests a second, that the law predicts for a concurrency."""
    n = concurrency
    return law.lambda_rps * n / (1 + law.sigma * (n - 1) + law.kappa * n * (n - 1))

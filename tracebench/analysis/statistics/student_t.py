"""Student's t distribution: p-values and critical values."""

from math import copysign, exp, inf, lgamma, log, log1p
from typing import Final

_PRECISION: Final = 1e-13
_MOST_TERMS: Final = 500
_TINY: Final = 1e-300


def two_sided_p(t: float, degrees: float) -> float:
    """The probability that Student's t is at least as far from 0 as `t`.

    Args:
        t: the value; may be infinite, which gives 0.
        degrees: degrees of freedom, above 0, not necessarily whole. Infinite: the normal
            distribution.
    """
    if degrees == inf:
        degrees = 1e9
    if t == 0:
        return 1.0
    if abs(t) == inf:
        return 0.0
    return _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def critical_t(degrees: float, p: float = 0.05) -> float:
    """The value that the magnitude of Student's t exceeds with probability `p`.

    Args:
        degrees: degrees of freedom, above 0, not necessarily whole.
        p: the probability of both sides together, above 0 and below 1.
    """
    low, high = 0.0, 1.0
    while two_sided_p(high, degrees) > p:
        low, high = high, high * 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, degrees) > p else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction.

    Source: DLMF 8.17.22, evaluated by Lentz's method. It converges fast below the mean, so the
    complement is used above it.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return front * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    numerator = 1.0
    value = denominator = 1 / _kept(1 - (a + b) * x / (a + 1))
    for term in range(1, _MOST_TERMS):
        even = term * (b - term) * x / ((a + 2 * term - 1) * (a + 2 * term))
        odd = -(a + term) * (a + b + term) * x / ((a + 2 * term) * (a + 2 * term + 1))
        for step in (even, odd):
            denominator = 1 / _kept(1 + step * denominator)
            numerator = _kept(1 + step / numerator)
            value *= denominator * numerator
        if abs(denominator * numerator - 1) < _PRECISION:
            break
    return value


def _kept(value: float) -> float:
    """Keep a value away from 0, since it is a divisor."""
    return value if abs(value) > _TINY else copysign(_TINY, value)

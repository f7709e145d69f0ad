"""Student's t distribution: how rare a value is, and which values enclose 95 %."""

from math import copysign, exp, inf, lgamma, log, log1p
from typing import Final

_PRECISION: Final = 1e-13
_MOST_TERMS: Final = 500
_TINY: Final = 1e-300


def two_sided_p(t: float, degrees: float) -> float:
    """How often a value of Student's t is as far from 0 as `t`, or further.

    Args:
        t: may be infinite, which gives 0.
        degrees: of freedom, above 0; need not be whole. Infinite: the normal distribution.
    """
    if degrees == inf:
        degrees = 1e9
    if t == 0:
        return 1.0
    if abs(t) == inf:
        return 0.0
    return _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def critical_t(degrees: float, p: float = 0.05) -> float:
    """The value that Student's t exceeds, on either side, with probability `p`.

    Args:
        degrees: of freedom, above 0; need not be whole.
        p: of both sides together, above 0 and below 1.
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

    Source: DLMF 8.17.22, evaluated by Lentz's method; it converges fast below the mean, so that
    above it the complement is taken.
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
    """Away from 0, by which it would be divided."""
    return value if abs(value) > _TINY else copysign(_TINY, value)

"""Mean, variance and kurtosis of a long series, without a copy of it as floats."""

from typing import Final, NamedTuple

from tracebench.model.exchange import Nanoseconds

_BLOCK: Final = 65_536


class Moments(NamedTuple):
    """Of a population: divided by n."""

    mean: float
    variance: float
    kurtosis: float
    """Beyond that of a normal distribution; 0 where the variance is."""


def moments(values: Nanoseconds) -> Moments:
    """Sum up the powers of what each value differs from the mean, block by block."""
    mean = float(values.mean())
    squares = fourths = 0.0
    for at in range(0, len(values), _BLOCK):
        square = (values[at : at + _BLOCK] - mean) ** 2
        squares += float(square.sum())
        fourths += float(square @ square)
    variance = squares / len(values)
    kurtosis = fourths / len(values) / variance**2 - 3 if variance else 0.0
    return Moments(mean, variance, kurtosis)

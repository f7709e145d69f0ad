"""Random lengths of prompts, drawn before the run."""

from random import Random

from tracebench.model.plan import Spread


def drawn(spread: Spread, count: int, seed: str, least: int = 1) -> list[int]:
    """Draw whole numbers from a normal distribution.

    Args:
        spread: mean and standard deviation.
        count: how many to draw.
        seed: equal seeds give equal numbers.
        least: smaller numbers are drawn again; must not exceed the mean.
    """
    if not spread.sd:
        return [round(spread.mean)] * count
    draw, numbers = Random(seed).gauss, list[int]()
    while len(numbers) < count:
        number = round(draw(spread.mean, spread.sd))
        if number >= least:
            numbers.append(number)
    return numbers

"""Lengths that are drawn for each prompt before the run, by the seed."""

from random import Random

from tracebench.model.plan import Spread


def drawn(spread: Spread, count: int, seed: str, least: int = 1) -> list[int]:
    """So many whole numbers, normally distributed.

    Args:
        spread: their mean and standard deviation.
        count: how many.
        seed: the same one gives the same numbers.
        least: smaller ones are drawn again; the mean must not be smaller.
    """
    if not spread.sd:
        return [round(spread.mean)] * count
    draw, numbers = Random(seed).gauss, list[int]()
    while len(numbers) < count:
        number = round(draw(spread.mean, spread.sd))
        if number >= least:
            numbers.append(number)
    return numbers

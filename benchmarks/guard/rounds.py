"""Rounds: every topic on both sides, and which side goes first alternates."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from time import perf_counter

from benchmarks.guard.arithmetic import Pair
from benchmarks.guard.check import Bench, Topic
from benchmarks.guard.sides import Side

Sides = tuple[Side, Side]
Found = dict[str, list[Pair]]
"""A check's name → its pairs."""


def measured(topics: Sequence[Topic], rounds: int, sides: Sides, bench: Bench) -> Found:
    """Check → its pairs, over all rounds."""
    found: Found = {check.name: [] for topic in topics for check in topic.checks}
    began_s = perf_counter()
    for number in range(rounds):
        for topic in topics:
            for order in orders(topic, number, sides):
                for check, pair in zip(topic.checks, one_pair(topic, order, bench), strict=True):
                    found[check.name].append(pair)
        print(f"round {number + 1} of {rounds}, {perf_counter() - began_s:.0f} s", flush=True)
    return found


def orders(topic: Topic, number: int, sides: Sides) -> Iterator[Sides]:
    """Which side goes first, for each of a topic's pairs in round `number`."""
    turn, left_out = divmod(number, topic.every)
    if not left_out:
        for block in range(turn * topic.blocks, (turn + 1) * topic.blocks):
            yield sides if block % 2 else (sides[1], sides[0])


def one_pair(topic: Topic, sides: Sides, bench: Bench) -> list[Pair]:
    """Measure the sides in the given order; returns a pair for each check."""
    if topic.at_once:
        with ThreadPoolExecutor(len(sides)) as threads:
            found = list(threads.map(topic.measure, sides, repeat(bench)))
    else:
        found = [topic.measure(side, bench) for side in sides]
    values = {side.name: one for side, one in zip(sides, found, strict=True)}
    return [Pair(*one) for one in zip(values["base"], values["now"], strict=True)]

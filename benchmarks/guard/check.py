"""A topic: one measurement of a side, and the checks that its values feed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.guard.arithmetic import Bound
from benchmarks.guard.sides import Side


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table."""

    name: str
    unit: str
    bound: Bound
    how: str


class Bench(NamedTuple):
    """The inputs that both sides share."""

    body: Path
    fast: Mapping[str, str]
    """Protocol → the option for a server that answers at once."""
    exact: Mapping[str, str]
    """Protocol → the option for a server of known times."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Values that are measured together, on both sides back to back or at once.

    Args:
        checks: one for each value.
        measure: measures a side; returns a value for each check, in order.
        blocks: pairs measured in a round.
        every: measured only in every so many rounds.
        at_once: both sides run at the same time and share the client's core, so that the machine's
            moods meet both alike: for what a request costs, not for how long it takes.
    """

    checks: tuple[Check, ...]
    measure: Callable[[Side, Bench], tuple[float, ...]]
    blocks: int = 1
    every: int = 1
    at_once: bool = False

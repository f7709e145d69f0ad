"""The verdicts of a comparison, corrected for their number.

With eleven components and three statistics each, a test at 95 % "shows" one in twenty differences
that do not exist: more than one in every comparison. Holm's step-down rule keeps the chance of any
such false verdict in a whole comparison at 5 %, however the statistics depend on each other (Holm
1979, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics
6).
"""

from collections.abc import Hashable, Mapping
from typing import Final, Literal, TypeAlias, TypeVar

Word: TypeAlias = Literal["slower", "faster", "no difference shown"]
"""Verdict on B against A. Two sides are never called equal: no test can show that."""

ALPHA: Final = 0.05

Name = TypeVar("Name", bound=Hashable)


def shown(p_values: Mapping[Name, float], alpha: float = ALPHA) -> set[Name]:
    """Select the differences that are shown by Holm's rule.

    Args:
        p_values: two-sided p-values of everything that is judged together.
        alpha: the accepted chance that any difference is shown falsely.
    """
    left, found = len(p_values), set[Name]()
    for name in sorted(p_values, key=lambda one: p_values[one]):
        if not p_values[name] * left <= alpha:  # negated, so that NaN ends it as well
            break
        found.add(name)
        left -= 1
    return found


def word(delta: float, *, is_shown: bool) -> Word:
    """The verdict on a difference b − a of two times."""
    if not is_shown or delta == 0:
        return "no difference shown"
    return "slower" if delta > 0 else "faster"

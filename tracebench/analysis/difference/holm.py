"""The words of a comparison, and how many of them chance alone would say.

With eleven components and three statistics of each, one in twenty differences of nothing is "shown"
at 95 %: more than one in every comparison. Holm's step-down rule keeps the chance of any such word
in a whole comparison at 5 %, whatever the statistics have to do with each other (Holm 1979, A
simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6).
"""

from collections.abc import Hashable, Mapping
from typing import Final, Literal, TypeAlias, TypeVar

Word: TypeAlias = Literal["slower", "faster", "no difference shown"]
"""Of B against A. Two sides are never called equal: no test shows that."""

ALPHA: Final = 0.05

Name = TypeVar("Name", bound=Hashable)


def shown(p_values: Mapping[Name, float], alpha: float = ALPHA) -> set[Name]:
    """Which differences are shown, at a chance of `alpha` that any of them is none.

    Args:
        p_values: two-sided, of everything that is judged together.
        alpha: the chance.
    """
    left, found = len(p_values), set[Name]()
    for name in sorted(p_values, key=lambda one: p_values[one]):
        if not p_values[name] * left <= alpha:  # so that NaN ends it as well
            break
        found.add(name)
        left -= 1
    return found


def word(delta: float, *, is_shown: bool) -> Word:
    """What to call a difference b − a of two times."""
    if not is_shown or delta == 0:
        return "no difference shown"
    return "slower" if delta > 0 else "faster"

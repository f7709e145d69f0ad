"""What takes long says so: on the progress line, once half a second has passed."""

from collections.abc import Callable
from time import monotonic
from typing import Final

QUIET_S: Final = 0.5


def once_long(
    tell: Callable[[str], object], now_s: Callable[[], float] = monotonic
) -> Callable[[str], None]:
    """Tells what is under way, from half a second after this call on.

    Args:
        tell: is told.
        now_s: the clock.
    """
    until_s = now_s() + QUIET_S

    def said(what: str) -> None:
        if now_s() > until_s:
            tell(what)

    return said

"""Report slow steps on the progress line, once half a second has passed."""

from collections.abc import Callable
from time import monotonic
from typing import Final

QUIET_S: Final = 0.5


def once_long(
    tell: Callable[[str], object], now_s: Callable[[], float] = monotonic
) -> Callable[[str], None]:
    """Make a function that passes on its text once half a second has passed since this call.

    Args:
        tell: receives the text.
        now_s: the clock.
    """
    until_s = now_s() + QUIET_S

    def said(what: str) -> None:
        if now_s() > until_s:
            tell(what)

    return said

"""Ctrl-C: the first one ends the current activity, a later one ends the program."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

_SAME_S = 1.0


def heed_others() -> None:
    """Handle SIGTERM (`docker stop`, `timeout`) and SIGHUP like Ctrl-C, unless ignored."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


@contextmanager
def interruptible(on_interrupt: Callable[[], object]) -> Iterator[None]:
    """Call back at the first SIGINT within the block; a later one has its previous effect.

    One that comes within a second counts as the same, as saving takes a moment. Outside the main
    thread this does nothing: only the main thread handles signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    first_s = 0.0

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal first_s
        if not first_s:
            first_s = monotonic()
            on_interrupt()
        elif monotonic() - first_s > _SAME_S:
            signal.signal(number, previous)
            signal.raise_signal(number)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)

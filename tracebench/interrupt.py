"""Ctrl-C: the first one ends what goes on, a second one, later, the program."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

_SAME_S = 1.0


@contextmanager
def interruptible(on_interrupt: Callable[[], object]) -> Iterator[None]:
    """Call something at the first SIGINT within the block; a later one does what it always did.

    One that comes within a second is taken for the same: what ends needs a moment to be saved.
    In other threads than the main one nothing changes: signals are the main thread's business.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    first_s = 0.0

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal first_s
        first_s = first_s or monotonic()
        if monotonic() - first_s < _SAME_S:
            on_interrupt()
        else:
            signal.signal(number, previous)
            signal.raise_signal(number)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)

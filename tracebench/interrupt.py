"""Ctrl-C: the first one ends what goes on, a second one the program."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible(on_interrupt: Callable[[], object]) -> Iterator[None]:
    """Call something at the first SIGINT within the block; the next one does what it always did.

    In other threads than the main one nothing changes: signals are the main thread's business.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        on_interrupt()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)

"""Programs that tests start, and that end with them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT_S = 60
"""How long anything may take before a test gives it up."""


@contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        watchdog = threading.Timer(LIMIT_S, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def told(process: subprocess.Popen[str]) -> list[str]:
    """The first two lines that it prints."""
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(2)]

"""Standard output and standard error that never fail: what cannot be printed is dropped.

A full disk under a log file, a pipe without a reader, or a missing stream must not lose the
measurements.
"""

import io
import os
import select
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDOUT, _STDERR = 1, 2


class _Raw(io.FileIO):
    """A raw file that remembers its first error instead of raising it."""

    failure: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write what can be written; the rest counts as written."""
        size = memoryview(data).nbytes
        if self.failure is not None:
            return size
        try:
            while (written := super().write(data)) is None:  # non-blocking: wait here
                select.select([], [self], [])
        except OSError as error:
            self.failure = error
            return size
        return written


class StandardStream(io.TextIOWrapper):
    """A text stream that never raises, neither on I/O errors nor on unencodable characters."""

    def __init__(self, descriptor: int) -> None:
        self._raw: Final = _Raw(descriptor, "wb", closefd=False)
        known = sys.stderr if descriptor == _STDERR else sys.stdout
        super().__init__(
            io.BufferedWriter(self._raw),
            encoding=known.encoding if known is not None else "utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )

    def take_failure(self) -> OSError | None:
        """Why a write failed since the last call; None if everything was written."""
        error, self._raw.failure = self._raw.failure, None
        return error


def install() -> None:
    """Replace `sys.stdout` and `sys.stderr`.

    A stream that was closed at startup is redirected to the null device: otherwise the first file
    opened would get its descriptor, and printed text would go there.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
    sys.stdout, sys.stderr = StandardStream(_STDOUT), StandardStream(_STDERR)


def take_failure() -> OSError | None:
    """Why printing to standard output failed since the last call.

    None if everything was printed, or if the reader had closed the pipe (`| head`).
    """
    error = sys.stdout.take_failure() if isinstance(sys.stdout, StandardStream) else None
    return None if isinstance(error, BrokenPipeError) else error

"""Files that the user names, read within limits: not even endless ones block forever."""

import os
import select
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import BinaryIO, Final, cast

from tracebench.model.errors import UsageError
from tracebench.system import why

MOST_BYTES: Final = 256 * 2**20
"""Size limit of a file that is kept in memory."""
_MOST_PIPED_BYTES: Final = 2**30
_QUIET_S, _LONGEST_S = 10.0, 60.0
"""How long a pipe may be silent, and how long it may last."""
_CHUNK_BYTES: Final = 1 << 20


def read(option: str, path: str, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a whole file, or a pipe until it ends.

    Args:
        option: the option that names it, such as `--json`; empty for an argument.
        path: its path.
        most_bytes: a larger file is refused.

    Raises:
        UsageError: it cannot be read, is larger, or does not end.
    """
    with opened(option, path, most_bytes) as file:
        try:
            content = file.read(most_bytes + 1)
        except OSError as error:
            raise _cannot_read(option, path, why(error)) from None
    if len(content) > most_bytes:
        raise _cannot_read(option, path, f"it has more than {_size(most_bytes)}")
    return content


def read_text(option: str, path: str, most_bytes: int = MOST_BYTES) -> str:
    """Like `read`, for a UTF-8 text file.

    Raises:
        UsageError: as `read`, or it is not UTF-8.
    """
    try:
        return read(option, path, most_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _cannot_read(option, path, f"it is not UTF-8 text: {error.reason}") from None


def check_file(option: str, path: str, most_bytes: int = MOST_BYTES) -> None:
    """Check that a file can be read by a library that opens it itself, perhaps repeatedly.

    Raises:
        UsageError: it cannot be read, is larger, or is a pipe or a device.
    """
    if not stat.S_ISFIFO(_mode(path)):
        with opened(option, path, most_bytes) as file:
            file.read(1)
    else:
        raise _cannot_read(option, path, "it is a pipe")


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):
        return 0  # opening it will say why


@contextmanager
def opened(option: str, path: str, most_bytes: int | None = None) -> Iterator[BinaryIO]:
    """Open a file for random access; the content of a pipe is copied first.

    Args:
        option: the option that names it; empty for an argument.
        path: its path.
        most_bytes: a larger file is refused; None: only pipes are limited.

    Raises:
        UsageError: it cannot be read, or is larger.
    """
    try:
        file = _opened(path, most_bytes)
    except (OSError, ValueError) as error:
        raise _cannot_read(option, path, why(error)) from None
    with file:
        yield file


def _cannot_read(option: str, path: str, reason: str) -> UsageError:
    name = f"{option} {path!r}".strip()
    return UsageError(f"cannot read {name} ({reason}): give a readable file")


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >> 20 else f"{count} bytes"


def _opened(path: str, most_bytes: int | None) -> BinaryIO:
    # Without O_NONBLOCK, opening a pipe without a writer would block forever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if _is_regular(descriptor, most_bytes):
            return os.fdopen(os.dup(descriptor), "rb")
        return _copied(descriptor, most_bytes or _MOST_PIPED_BYTES)
    finally:
        os.close(descriptor)


def _is_regular(descriptor: int, most_bytes: int | None) -> bool:
    """Whether it is a regular file; False for a pipe or a terminal, all else is refused."""
    told = os.fstat(descriptor)
    if stat.S_ISREG(told.st_mode):
        os.pread(descriptor, 1, 0)  # unreadable files fail here
        if most_bytes is not None and told.st_size > most_bytes:
            raise ValueError(f"it has {_size(told.st_size)}, more than {_size(most_bytes)}")
        return True
    if stat.S_ISDIR(told.st_mode):
        raise ValueError("it is a directory")
    if not (stat.S_ISFIFO(told.st_mode) or os.isatty(descriptor)):
        raise ValueError("it is a device")
    return False


def _copied(descriptor: int, most_bytes: int) -> BinaryIO:
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        for chunk in _arriving(descriptor):
            copy.write(chunk)
            if copy.tell() > most_bytes:
                raise ValueError(f"it delivered more than {_size(most_bytes)}")
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return cast(BinaryIO, copy)


def _arriving(descriptor: int) -> Iterator[bytes]:
    """The data from a pipe, until it is closed."""
    poll, until_s = select.poll(), monotonic() + _LONGEST_S
    poll.register(descriptor, select.POLLIN)
    while True:
        wait_s = min(_QUIET_S, until_s - monotonic())
        if wait_s <= 0:
            raise ValueError(f"it did not end within {_LONGEST_S:g} s")
        if not poll.poll(1000 * wait_s):
            raise ValueError(f"it delivered nothing for {wait_s:.0f} s")
        try:
            if not (chunk := os.read(descriptor, _CHUNK_BYTES)):
                return
        except BlockingIOError:
            continue
        yield chunk

"""Files that are written whole or not at all."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import BinaryIO, Final

_STANDARD: Final = {"/dev/stdout": 1, "/dev/stderr": 2}


def check_writable(path: str) -> None:
    """Check that a file can be written, without changing anything.

    Raises:
        OSError, ValueError: it cannot.
    """
    if not _is_stream(path):
        return Writing(path).discard()
    if os.path.isdir(path):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(path, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return None


@contextmanager
def replaced(path: str) -> Iterator[BinaryIO]:
    """Write a file that replaces `path` if the block succeeds; otherwise nothing changes.

    Raises:
        OSError, ValueError: it cannot be written.
    """
    writing = Writing(path)
    try:
        yield writing.file
        writing.commit()
    finally:
        writing.discard()


class Writing:
    """A file that is written next to its target, and replaces it once complete.

    It gets the mode of the file that it replaces, or that of any new file; a symbolic link is kept.
    Anything but a regular file (a pipe, a terminal, /dev/stdout) is written to directly.

    Raises:
        OSError, ValueError: it cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._target = self._part = ""
        if _is_stream(path):
            descriptor = _stream(path)
        else:
            self._target = os.path.realpath(path)
            self._part, descriptor = _beside(self._target)
        self.file: BinaryIO = os.fdopen(descriptor, "wb")

    def commit(self) -> None:
        """Replace the target with what was written.

        Raises:
            OSError: that failed; the target is unchanged.
        """
        self.file.close()
        if not self._part:
            return
        try:
            os.replace(self._part, self._target)
        except OSError:
            # A file mounted on its own into a container, or in a folder that is not writable.
            if not os.path.isfile(self._target):
                raise
            shutil.copyfile(self._part, self._target)
            os.unlink(self._part)
        self._part = ""

    def discard(self) -> None:
        """Leave the target unchanged; does nothing after `commit`."""
        with suppress(OSError):
            self.file.close()
        if self._part:
            with suppress(OSError):
                os.unlink(self._part)
            self._part = ""


def _beside(target: str) -> tuple[str, int]:
    """A new file next to the target, or if that is impossible, in the temporary folder."""
    name = f".tracebench-{token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    known = os.path.exists(target)
    if known:
        os.close(os.open(target, os.O_WRONLY | os.O_CLOEXEC))
    part = os.path.join(os.path.dirname(target), name)
    try:
        descriptor = os.open(part, flags, 0o666)
    except OSError:
        if not known:
            raise
        part = os.path.join(tempfile.gettempdir(), name)
        descriptor = os.open(part, flags, 0o600)
    if known:
        _make_alike(descriptor, os.stat(target))
    return part, descriptor


def _make_alike(descriptor: int, other: os.stat_result) -> None:
    with suppress(OSError):  # only root may change the owner
        os.fchown(descriptor, other.st_uid, other.st_gid)
    with suppress(OSError):
        os.fchmod(descriptor, stat.S_IMODE(other.st_mode))


def _is_stream(path: str) -> bool:
    """Whether the path is something that cannot be replaced: a pipe, a device, an open file."""
    if _number(path) is not None:
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _number(path: str) -> int | None:
    """The descriptor of the open file of this process that a path refers to; None if none."""
    folder, name = os.path.split(os.path.abspath(path))
    place = os.path.join(os.path.realpath(folder), name)
    if place in _STANDARD:
        return _STANDARD[place]
    own = f"/proc/{os.getpid()}/fd/"
    number = place.removeprefix(own)
    return int(number) if place.startswith(own) and number.isdecimal() else None


def _stream(path: str) -> int:
    """A descriptor for writing to it; a pipe without a reader is an error."""
    if (number := _number(path)) is not None:
        return os.dup(number)
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    return descriptor

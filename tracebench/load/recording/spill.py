"""Spills a record that outgrows memory into an unlinked temporary file, in another thread."""

import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import IO, Final

import numpy as np

from tracebench.model.record.columns import Page

BOUND_BYTES: Final = 64 * 2**20
"""How much of a record is held in memory; the rest goes to the file."""
_SLICE_BYTES: Final = 65_536
"""One write delays a loop on the same core for as long as copying this takes: 20 µs."""
_STRETCH_BYTES: Final = 2 * 2**20
_PAUSE_S: Final = 0.0005
"""The writer pauses after this many bytes; otherwise the scheduler lets it write a whole page,
which stalls a loop on the same core for 5 ms. A pause after every write would delay ten times as
many requests."""
_VOLATILE: Final = ("tmpfs", "ramfs")
ON_DISK: Final = Path("/var/tmp")
"""Where temporary files survive a reboot (FHS 3.0, section 5.15), so it is on disk."""

Buffer = bytes | bytearray | mmap.mmap


class Held:
    """Bytes held in memory or in the file."""

    __slots__ = ("_at", "_buffer", "_file", "size")

    def __init__(self, buffer: Buffer) -> None:
        self.size = len(buffer)
        self._buffer: Buffer | None = buffer
        self._file: _File | None = None
        self._at = 0

    @property
    def spilled(self) -> bool:
        """Whether the bytes are in the file."""
        return self._buffer is None

    def read(self) -> memoryview:
        """The bytes, memory-mapped if they are in the file."""
        if self._buffer is not None:
            return memoryview(self._buffer)
        assert self._file is not None
        return self._file.mapped(self._at, self.size)

    def move(self, file: "_File", pause: Callable[[], object]) -> None:
        """Write the bytes to the file, then release the memory.

        Raises:
            OSError: the disk is full; the bytes stay in memory.
        """
        assert self._buffer is not None
        self._at = file.append(memoryview(self._buffer), pause)
        self._file, self._buffer = file, None


class _File:
    """An unlinked temporary file that is only appended to."""

    def __init__(self, folder: Path) -> None:
        file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
        weakref.finalize(self, file.close)
        self._descriptor = file.fileno()
        self.end = 0

    def append(self, data: memoryview, pause: Callable[[], object]) -> int:
        """Append `data`; returns its offset, which can be memory-mapped.

        Args:
            data: the bytes to write.
            pause: called after every `_STRETCH_BYTES`.
        """
        at, done = self.end, 0
        while done < len(data):
            done += os.pwrite(self._descriptor, data[done : done + _SLICE_BYTES], at + done)
            if not done % _STRETCH_BYTES:
                pause()
        unit = mmap.ALLOCATIONGRANULARITY
        self.end = -(-(at + done) // unit) * unit
        return at

    def mapped(self, at: int, size: int) -> memoryview:
        """A memory-mapped part of the file: page cache, not memory of this process."""
        if not size:
            return memoryview(b"")
        return memoryview(mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ, offset=at))


class Spill:
    """Holds data in memory up to a bound, and in a file beyond it.

    Args:
        bound_bytes: limit on the data in memory.
        folders: where its file may be, the best first; None: the default for temporary files, else
            `ON_DISK`.
    """

    def __init__(
        self, bound_bytes: int = BOUND_BYTES, folders: Sequence[Path] | None = None
    ) -> None:
        self._room_bytes, self._folders = bound_bytes, folders
        self._file: _File | None = None
        self._queue: SimpleQueue[Held | None] = SimpleQueue()
        self._writer: Thread | None = None
        self._settling = Event()
        self.problem = ""
        """Why a record beyond the bound stays in memory; empty if it does not."""

    @property
    def spilled_bytes(self) -> int:
        """How much is in the file."""
        return self._file.end if self._file is not None else 0

    def hold(self, buffer: Buffer) -> Held:
        """Take bytes that no longer change; never blocks, so it can be used in the window."""
        held = Held(buffer)
        self._room_bytes -= held.size
        if self._must_spill():
            if self._writer is None:
                self._writer = Thread(target=self._write_queued, daemon=True)
                self._writer.start()
            self._room_bytes += held.size
            self._queue.put(held)
        return held

    def release(self, held: Held) -> None:
        """Free the room of bytes no longer needed, if they are in memory."""
        if not held.spilled:
            self._room_bytes += held.size

    def settle(self) -> None:
        """Wait until all pending writes are done, at full speed: the window is over."""
        self._settling.set()
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None

    def keep(self, page: Page) -> Page:
        """Keep a page of columns; see `tracebench.model.record.columns.Keep`."""
        size = sum(stored.nbytes for stored in page.values())
        self._room_bytes -= size
        if not self._must_spill():
            return page
        held = Held(b"".join(stored.tobytes() for stored in page.values()))
        if self._moved(held, lambda: None):
            self._room_bytes += size
        return _divided(held.read(), page)

    def _must_spill(self) -> bool:
        return self._room_bytes < 0 and not self.problem

    def _opened(self) -> _File:
        if self._file is None:
            folder, self.problem = _on_disk(self._folders or _usual_folders())
            self._file = _File(folder)
        return self._file

    def _write_queued(self) -> None:
        while (held := self._queue.get()) is not None:
            if not self._moved(held, lambda: self._settling.wait(_PAUSE_S)):
                return

    def _moved(self, held: Held, pause: Callable[[], object]) -> bool:
        """Move bytes to the file; if that fails, they and all later ones stay in memory."""
        try:
            held.move(self._opened(), pause)
        except OSError as error:
            self.problem = f"the temporary file cannot be written ({error.strerror})"
            return False
        return True


def _divided(data: memoryview, page: Page) -> Page:
    """Restore the columns of a page from their bytes."""
    columns, at = {}, 0
    for name, stored in page.items():
        columns[name] = np.frombuffer(data, stored.dtype, len(stored), at)
        at += stored.nbytes
    return columns


def _usual_folders() -> Sequence[Path]:
    return Path(tempfile.gettempdir()), ON_DISK


def _on_disk(folders: Sequence[Path]) -> tuple[Path, str]:
    """The first folder on a disk; else the first, and what is wrong with it."""
    for folder in folders:
        if folder.is_dir() and _file_system(folder) not in _VOLATILE:
            return folder, ""
    first = folders[0]
    return first, f"{first} is in memory itself ({_file_system(first)})"


def _file_system(folder: Path) -> str:
    """The type of a folder's file system, as Linux names it; empty if unknown."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    where, found = folder.resolve(), ("/", "")
    for line in lines:
        _, mounted, kind, *_ = line.split()
        if where.is_relative_to(mounted) and len(mounted) >= len(found[0]):
            found = (mounted, kind)
    return found[1]

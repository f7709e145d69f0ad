"""What outgrows memory lies in a file, and reads as before; what cannot go there stays."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.load.wire.told import HTTP, recorded
from tests.records import numbered
from tracebench.load.recording.read_record import ReadRecord, Record, read_record
from tracebench.load.recording.spill import Held, Spill
from tracebench.model.record.columns import ABSENT, Columns
from tracebench.model.record.requests import Requests

SHARED_MEMORY = Path("/dev/shm")


def contents(held: list[Held]) -> list[bytes]:
    return [bytes(one.read()) for one in held]


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file may be longer: beyond it writing fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_below_the_bound_stays_in_memory() -> None:
    spill = Spill(1_000)
    held = [spill.hold(b"a" * 500), spill.hold(b"b" * 500)]
    spill.settle()
    assert not any(one.spilled for one in held)
    assert spill.spilled_bytes == 0


def test_what_comes_beyond_the_bound_reads_as_before() -> None:
    buffers = [bytes([n]) * n * 1_000 for n in range(200)]
    spill = Spill(100_000)
    held = [spill.hold(buffer) for buffer in buffers]
    spill.settle()
    assert contents(held) == buffers
    assert [one.spilled for one in held] == [n * (n + 1) // 2 > 100 for n in range(200)]
    assert not spill.problem


def test_it_can_be_settled_twice_and_used_after() -> None:
    spill = Spill(0)
    first = spill.hold(b"first")
    spill.settle()
    second = spill.hold(b"second")
    spill.settle()
    assert contents([first, second]) == [b"first", b"second"]


def test_only_what_took_room_gives_it_back() -> None:
    """A record of which most is in the file makes no room for columns in memory."""
    spill = Spill(1_000)
    held = [spill.hold(bytes(600)) for _ in range(10)]
    spill.settle()
    for one in held:
        spill.release(one)
    pages = [spill.keep({"a": np.arange(60)}) for _ in range(20)]
    assert sum(isinstance(page["a"].base, memoryview) for page in pages) >= 17
    assert spill.spilled_bytes


def test_columns_that_spill_are_equal() -> None:
    random = np.random.default_rng(1)
    memory, filed = Columns(), Columns(Spill(10).keep)
    for _ in range(5):
        values = {
            "narrow": random.integers(0, 200, 1_001),
            "wide": random.integers(-(2**62), 2**62, 1_001),
            "gaps": np.where(random.random(1_001) < 0.5, ABSENT, 7),
            "same": np.full(1_001, 3),
        }
        memory.append(values, 1_001)
        filed.append(values, 1_001)
    for name in memory.names:
        assert (memory.whole(name) == filed.whole(name)).all()
    taken = np.array([5_004, 0, 1_000, 1_001, 3])
    assert [filed.take(taken).row(n) for n in range(5)] == [memory.row(n) for n in taken.tolist()]


def read(spill: Spill) -> tuple[Spill, Record]:
    reply = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Timing-Info: {"total": %d}\r\n\r\n'
    failure = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nX-Try: %d\r\n\r\n"
    raws = [((reply, failure)[n % 3 == 0] % n,) for n in range(70_000)]
    recorder = recorded(HTTP.learn, *raws, spill=spill)
    return spill, read_record(recorder, ReadRecord(HTTP.read, numbered()))


def equal(one: Requests, other: Requests) -> bool:
    names = one.columns.names
    return names == other.columns.names and all(
        (one.columns.whole(name) == other.columns.whole(name)).all() for name in names
    )


def test_a_record_that_spills_is_equal() -> None:
    _, memory = read(Spill())
    spill, filed = read(Spill(1))
    assert spill.spilled_bytes > 10**6
    assert equal(memory.requests, filed.requests)
    assert list(memory.times.columns.names) == list(filed.times.columns.names)
    for name in memory.times.columns.names:
        assert (memory.times.columns.whole(name) == filed.times.columns.whole(name)).all()
    assert memory.requests.reasons == filed.requests.reasons == ("", "HTTP 503")


def test_a_full_disk_loses_nothing() -> None:
    spill = Spill(0)
    first = spill.hold(b"a" * 100_000)
    spill.settle()
    with at_most(200_000):
        held = [spill.hold(bytes([n]) * 150_000) for n in range(5)]
        spill.settle()
        page = spill.keep({"a": np.arange(300)})
    assert contents([first, *held]) == [b"a" * 100_000, *(bytes([n]) * 150_000 for n in range(5))]
    assert first.spilled
    assert not any(one.spilled for one in held)
    assert (page["a"] == np.arange(300)).all()
    assert os.strerror(errno.EFBIG) in spill.problem


def test_a_disk_that_is_full_for_columns_loses_none() -> None:
    spill = Spill(0)
    with at_most(100):
        page = spill.keep({"a": np.arange(300), "b": np.arange(300, dtype=np.uint8)})
    assert (page["a"] == np.arange(300)).all()
    assert (page["b"] == np.arange(300).astype(np.uint8)).all()
    assert spill.problem


def test_no_folder_for_temporary_files_loses_nothing(tmp_path: Path) -> None:
    spill = Spill(0, [tmp_path / "gone", tmp_path / "gone too"])
    held = [spill.hold(b"a"), spill.hold(b"b")]
    spill.settle()
    assert contents(held) == [b"a", b"b"]
    assert "No such file" in spill.problem


needs_shared_memory = pytest.mark.skipif(
    not os.access(SHARED_MEMORY, os.W_OK), reason="no file system in memory here"
)


@needs_shared_memory
def test_a_folder_in_memory_is_passed_over(tmp_path: Path) -> None:
    spill = Spill(0, [SHARED_MEMORY, tmp_path])
    held = spill.hold(b"a")
    spill.settle()
    assert held.spilled
    assert not spill.problem


@needs_shared_memory
def test_where_every_folder_is_in_memory_it_is_named() -> None:
    spill = Spill(0, [SHARED_MEMORY, SHARED_MEMORY])
    held = [spill.hold(bytes([n])) for n in range(100)]
    spill.settle()
    assert contents(held) == [bytes([n]) for n in range(100)]
    assert spill.problem == "/dev/shm is in memory itself (tmpfs)"
    assert not spill.hold(b"later").spilled

"""What is read is bounded, whatever it is."""

import os
import select
import threading
from pathlib import Path

import pytest

from tracebench.model.errors import UsageError
from tracebench.system import input_files
from tracebench.system.input_files import opened, read, read_text


def refusal(path: Path | str, most_bytes: int = 100) -> str:
    with pytest.raises(UsageError) as refused:
        read("--json", str(path), most_bytes)
    said = str(refused.value)
    assert said.startswith(f"cannot read --json {str(path)!r} (")
    assert "\n" not in said
    return said


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * 100)
    assert read("", str(path), 100) == b"x" * 100
    assert "101 bytes, more than 100 bytes" in refusal_of_size(path, 101)


def refusal_of_size(path: Path, size: int) -> str:
    path.write_bytes(b"x" * size)
    return refusal(path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/zero", "it is a device"),
        ("/dev/full", "it is a device"),
        ("/dev/urandom", "it is a device"),
        ("/dev/null", "it is a device"),
        ("/tmp", "it is a directory"),
        ("/no/such", "No such file"),
        ("\0", "null byte"),
        ("/proc/self/mem", "Input/output error"),
    ],
)
def test_what_is_no_file_is_refused(path: str, said: str) -> None:
    assert said in refusal(path)


def test_a_file_that_cannot_be_read_is_refused_when_it_is_opened() -> None:
    with pytest.raises(UsageError, match="Input/output error"), opened("", "/proc/self/mem"):
        pass


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert "1048576 MiB, more than 256 MiB" in refusal(path, 256 << 20)


def test_a_file_without_a_size_is_read_within_bounds() -> None:
    assert "it has more than 9 bytes" in refusal("/proc/self/status", 9)


def test_a_pipe_that_nobody_writes_to_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_files, "_QUIET_S", 0.05)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "it delivered nothing" in refusal(path)


def writing(path: Path, chunk: bytes, count: int) -> threading.Thread:
    """A process that writes to a pipe, as far as somebody reads."""

    def write() -> None:
        try:
            with path.open("wb", buffering=0) as pipe:
                for _ in range(count):
                    pipe.write(chunk)
        except BrokenPipeError:
            pass

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = writing(path, b"half", 2)
    assert read("", str(path), 100) == b"halfhalf"
    thread.join()


@pytest.mark.parametrize("longest_s", [60.0, 0.0])
def test_a_pipe_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest_s: float
) -> None:
    monkeypatch.setattr(input_files, "_LONGEST_S", longest_s)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    beside = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    thread = writing(path, b"y\n" * 1000, 100_000)
    select.select([beside], [], [])  # whoever comes to write too late would wait for a reader
    said = refusal(path, 5000)
    os.close(beside)
    thread.join()
    told = "it delivered more than 5000 bytes" if longest_s else "did not end within 0 s"
    assert told in said


def test_what_comes_through_a_pipe_can_be_sought_in(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = writing(path, b"line\n", 2)
    with opened("", str(path)) as file:
        assert list(iter(file.readline, b"")) == [b"line\n"] * 2
        file.seek(0)
        assert file.read() == b"line\n" * 2
    thread.join()


def test_text_is_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes("\ufeffé".encode())
    assert read_text("", str(path)) == "é"
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="it is not UTF-8 text"):
        read_text("--mapping", str(path))

"""Files take their place whole, or what was there stays."""

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from tracebench.system import output_files
from tracebench.system.output_files import Writing, check_writable, replaced


def write(path: Path | str, content: bytes = b"new") -> None:
    with replaced(str(path)) as file:
        file.write(content)


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.write_bytes(b"")
    write(ours)
    assert ours.read_bytes() == b"new"
    assert ours.stat().st_mode == plain.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [ours, plain]


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write(path)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, exists: bool) -> None:
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.parent.mkdir()
    link.symlink_to("folder/target")
    if exists:
        target.write_bytes(b"old")
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with suppress(KeyboardInterrupt), replaced(str(path)) as file:
        file.write(b"half of it")
        file.flush()
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_renamed_over_is_written_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that a container mounts by itself: a real one needs rights that tests lack."""

    def busy(_from: str, _to: str) -> None:
        raise OSError(16, "Device or resource busy")

    path = tmp_path / "x"
    path.write_bytes(b"old")
    before = path.stat().st_ino
    monkeypatch.setattr(os, "replace", busy)
    write(path)
    assert (path.read_bytes(), path.stat().st_ino) == (b"new", before)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_has_gone_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "x"
    path.parent.mkdir()
    one = Writing(str(path))
    shutil.rmtree(path.parent)
    with pytest.raises(FileNotFoundError):
        one.commit()


def test_a_device_takes_it_at_once() -> None:
    write("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OSError, match="No space left"):
        write("/dev/full")


def test_a_pipe_takes_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    check_writable(str(path))
    with pytest.raises(OSError, match="No such device"):  # nobody reads
        write(path)
    descriptor = os.open(path, os.O_RDWR)
    write(path)
    assert os.read(descriptor, 9) == b"new"
    os.close(descriptor)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_an_open_file_goes_on_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--output-json /dev/stdout >> log` must not replace the log."""
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    write(f"/dev/fd/{descriptor}")
    write(f"/proc/self/fd/{descriptor}", b" and more")
    monkeypatch.setitem(output_files._STANDARD, "/dev/stdout", descriptor)
    write("/dev/stdout", b"\n")
    os.close(descriptor)
    assert log.read_bytes() == b"before\nnew and more\n"


@pytest.mark.parametrize("path", ["/no/such/x", "/proc/x", "\0", "."])
def test_what_cannot_be_written_is_said_before(path: str) -> None:
    with pytest.raises((OSError, ValueError)):
        check_writable(path)


def test_to_check_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    told = path.stat()
    check_writable(str(path))
    check_writable(str(tmp_path / "new"))
    assert path.stat() == told
    assert list(tmp_path.iterdir()) == [path]


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "x"
    first, second = Writing(str(path)), Writing(str(path))
    first.file.write(b"first")
    second.file.write(b"second")
    second.commit()
    first.commit()
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]

"""Trees checked out and removed, whatever happens; and runs of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.guard.sides import ROOT, Side, checked_out


def git(repository: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    command = ["git", "-C", str(repository), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One file, committed as `old` and then changed."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "file").write_text("old")
    git(folder, "add", "file")
    git(folder, "commit", "--quiet", "--message", "old")
    (folder / "file").write_text("new")
    return folder


def trees(repository: Path) -> int:
    return len(git(repository, "worktree", "list").splitlines())


def test_a_commit_is_checked_out_and_removed(repository: Path, tmp_path: Path) -> None:
    with checked_out("HEAD", tmp_path / "tree", repository) as tree:
        assert (tree / "file").read_text() == "old"
        assert trees(repository) == 2
    assert not tree.exists()
    assert trees(repository) == 1
    assert (repository / "file").read_text() == "new"


def test_it_is_removed_when_interrupted(repository: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        checked_out("HEAD", tmp_path / "tree", repository),
    ):
        raise KeyboardInterrupt
    assert not (tmp_path / "tree").exists()
    assert trees(repository) == 1


def test_a_commit_that_git_does_not_know(repository: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"cannot check out 'nonsense': .*nonsense"),
        checked_out("nonsense", tmp_path / "tree", repository),
    ):
        pytest.fail("there is no such commit")
    assert trees(repository) == 1


def side(folder: Path) -> Side:
    """A side whose product says who it is."""
    for package in ("tracebench", "server_middleware"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text("")
    return Side("mine", folder)


def test_a_side_imports_its_own_tree_and_not_the_installed_one(tmp_path: Path) -> None:
    mine = side(tmp_path)
    assert mine.imported() == {
        package: str(tmp_path / package / "__init__.py")
        for package in ("tracebench", "server_middleware")
    }


def test_what_a_process_used(tmp_path: Path) -> None:
    mine = side(tmp_path)
    idle = mine.python("-c", "")
    busy = mine.python(
        "-c", "import time; held = bytearray(1 << 28)\nwhile time.process_time() < 1: 0"
    )
    assert busy.cpu_s >= 1
    assert busy.wall_s >= 1
    assert busy.cpu_s > idle.cpu_s
    assert busy.peak_bytes >= 1 << 28  # of `idle` nothing is known: see `Spent`


def test_a_run_that_fails_is_told_with_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)mine: python -c .* failed: .*out of coffee"):
        side(tmp_path).python("-c", "raise SystemExit('out of coffee')")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_an_interrupted_guard_leaves_nothing_behind(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository: there is no commit to compare with")
    command = [sys.executable, "-m", "benchmarks.guard", "--base", "HEAD", "--rounds", "1"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "now: server_middleware" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(30) == status
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in git(ROOT, "worktree", "list")
    deadline_s = time.monotonic() + 10
    while (left := _living_with(f"TMPDIR={tmp_path}")) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not left


def _living_with(variable: str) -> list[str]:
    """Processes whose environment has it."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if variable.encode() in file.read_bytes().split(b"\0"):
                found.append((file.parent / "cmdline").read_text())
        except OSError:  # it ended meanwhile, or is someone else's
            continue
    return found

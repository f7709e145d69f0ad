"""The two trees that are compared, and how to run them: one virtualenv, two PYTHONPATHs.

A side is a folder with the product's packages from one tree, and `benchmarks` from the working
tree, so that the same code measures both sides. The working tree is copied too: it may be edited
while the guard runs.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.side_by_side import CLIENT_CORE, on_core

ROOT: Final = Path(__file__).resolve().parents[2]
PRODUCT: Final = ("tracebench", "server_middleware")
END_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
"""A child that is being started when the guard is interrupted would outlive it otherwise."""
RUN_ENDED: Final = (0, 3)
"""3: the verdict is that the numbers are not valid, as it is where a client is saturated."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process used from start to exit."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    """At least this process's own peak, which a child starts with: the guard must stay small."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two trees."""

    name: str
    folder: Path

    def python(self, *arguments: str) -> Spent:
        """Run Python on the client's core to its end.

        Raises:
            RuntimeError: its exit status is not that of a run that ended.
        """
        log = self.folder / "log"
        with log.open("w") as said:
            command = (*END_WITH_US, *on_core(CLIENT_CORE, sys.executable, *arguments))
            spent, status = self._ended(command, said)
        if status not in RUN_ENDED:
            called = " ".join(arguments)
            raise RuntimeError(f"{self.name}: python {called} failed: {log.read_text()[-2000:]}")
        return spent

    def _ended(self, command: Sequence[str], said: IO[str]) -> tuple[Spent, int]:
        """Run a command until it exits; it is killed if the guard is interrupted."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        began_s = time.perf_counter()
        with subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=said, stderr=said
        ) as process:
            try:
                _, status, usage = os.wait4(process.pid, 0)  # of this child, not of all so far
            except BaseException:
                process.kill()
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
        wall_s, cpu_s = time.perf_counter() - began_s, usage.ru_utime + usage.ru_stime
        return Spent(wall_s, cpu_s, usage.ru_maxrss * 1024), process.returncode

    def output(self, *arguments: str) -> str:
        """What Python prints; see `python`."""
        self.python(*arguments)
        return (self.folder / "log").read_text()

    def tracebench(self, *options: str) -> tuple[dict[str, Any], Spent]:
        """`tracebench run` against one target: its result, and what the process used.

        Raises:
            RuntimeError: it failed, or a request was not decomposed.
        """
        file = self.folder / "result.json"
        command = ("-m", "tracebench", "run", *options, "--output-json", str(file))
        spent = self.python(*command)
        (target,) = json.loads(file.read_text())["targets"].values()
        if (decomposed := target["decomposed"]) != (started := target["requests"]["started"]):
            why = f"{decomposed} of {started} requests decomposed: {target['undecomposed']}"
            raise RuntimeError(f"{self.name}: {why}")
        return target, spent

    def imported(self) -> dict[str, str]:
        """Where the product's packages are really imported from."""
        source = f"import json, {', '.join(PRODUCT)}\n" + (
            f"print(json.dumps([m.__file__ or m.__path__[0] for m in ({', '.join(PRODUCT)})]))"
        )
        return dict(zip(PRODUCT, json.loads(self.output("-c", source)), strict=True))


@contextmanager
def checked_out(commit: str, folder: Path, repository: Path = ROOT) -> Iterator[Path]:
    """Check a commit out into a folder, and remove it afterwards.

    Raises:
        RuntimeError: git knows no such commit.
    """
    git = ("git", "-C", str(repository), "worktree")
    added = subprocess.run(
        [*git, "add", "--detach", str(folder), commit], capture_output=True, text=True
    )
    try:
        if added.returncode:
            raise RuntimeError(f"cannot check out {commit!r}: {added.stderr.strip()}")
        yield folder
    finally:
        remove = [*git, "remove", "--force", str(folder)]
        subprocess.run(remove, capture_output=True, start_new_session=True)


def both(commit: str, folder: Path) -> tuple[Side, Side]:
    """Make the commit's side and the working tree's, below a folder.

    Raises:
        RuntimeError: git knows no such commit, or a side imports what is not its own.
    """
    with checked_out(commit, folder / "worktree") as tree:
        sides = _side("base", tree, folder), _side("now", ROOT, folder)
    for side in sides:
        for package, file in side.imported().items():
            print(f"{side.name}: {package} is {file}", flush=True)
            if not Path(file).is_relative_to(side.folder):
                raise RuntimeError(f"{side.name} imports {file}, which is not in {side.folder}")
    return sides


def _side(name: str, tree: Path, folder: Path) -> Side:
    side, ignored = Side(name, folder / name), shutil.ignore_patterns("__pycache__")
    for package in (*PRODUCT, "protos"):  # which held generated modules once
        shutil.copytree(tree / package, side.folder / package, ignore=ignored)
    shutil.copytree(ROOT / "benchmarks", side.folder / "benchmarks", ignore=ignored)
    return side

"""Compares the working tree with a commit: `python -m benchmarks.guard [--rounds 15] [--base REF]`.

In each round both sides are measured back to back, topic by topic, and which goes first alternates.
Prints one Markdown table. Exit status 1: a bound does not hold; 2: nothing could be measured.
"""

import signal
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.guard.check import Bench, Topic
from benchmarks.guard.checks import LONG, QUICK
from benchmarks.guard.checks.truth import WAY_MS, WORK_MS
from benchmarks.guard.rounds import measured
from benchmarks.guard.server import served
from benchmarks.guard.sides import both
from benchmarks.guard.table import printed
from benchmarks.side_by_side import OPTIONS, missing

BODY_BYTES: Final = 8_192
ROUNDS, LONG_ROUNDS = 15, 5


def options() -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}, with --long {LONG_ROUNDS}")
    parser.add_argument("--base", default="88196f6", help="the commit to compare with")
    parser.add_argument("--long", action="store_true", help="only what takes a million requests")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="topics with it in a check's name"
    )
    return parser.parse_args()


def chosen(given: Namespace) -> list[Topic]:
    topics = LONG if given.long else QUICK
    return [topic for topic in topics if any(given.only in check.name for check in topic.checks)]


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """The servers, and the body that is sent to them."""
    body = folder / "body.bin"
    body.write_bytes(bytes(range(256)) * (BODY_BYTES // 256))
    with ExitStack() as servers:
        fast, exact = (
            {name: option % servers.enter_context(served(name, *ms)) for name, option in pairs}
            for ms, pairs in (((), OPTIONS.items()), ((WORK_MS, WAY_MS), OPTIONS.items()))
        )
        yield Bench(body, fast, exact)


def main() -> int:
    given = options()
    if absent := missing("git", "setpriv", "taskset"):
        print(f"the guard needs {', '.join(absent)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
    if not (topics := chosen(given)):
        print(f"no check has {given.only!r} in its name", file=sys.stderr)
        return 2
    rounds = given.rounds or (LONG_ROUNDS if given.long else ROUNDS)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="guard-", ignore_cleanup_errors=True) as name,
            bench(Path(name)) as inputs,
        ):
            found = measured(topics, rounds, both(given.base, Path(name)), inputs)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0 if printed(topics, found) else 1


if __name__ == "__main__":
    sys.exit(main())

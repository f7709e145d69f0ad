"""`tracebench compare`: compare saved runs."""

from collections.abc import Sequence
from typing import Any, Final

import click

from tracebench.cli.help.commands import Helpful
from tracebench.cli.options.completing import CHANGE_TEXT, FILE
from tracebench.cli.options.filling import SUCCESS, headed, options
from tracebench.cli.options.output_options import FILES_WRITTEN, OUTPUT
from tracebench.cli.output.gates import check_slower, held_to
from tracebench.cli.output.outputs import Outputs
from tracebench.cli.run import save
from tracebench.model.errors import UsageError
from tracebench.model.objectives import status_of

_SEPARATOR: Final = "\0"
"""Replaces `--`, which click would take for the end of the options."""
_TWO: Final = 2


class _TwoSides(Helpful):
    """A command in which `--` separates two sides; options may appear anywhere."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, keeping the separator among them."""
        return super().parse_args(ctx, [_SEPARATOR if one == "--" else one for one in args])


EVERYTHING = headed(
    OUTPUT, click.option("-v", "--verbose", is_flag=True, help="Print every statistic.")
)
GATES = headed(
    SUCCESS,
    click.option(
        "--fail-if-slower",
        type=CHANGE_TEXT,
        multiple=True,
        metavar="'inference.p95 3%'",
        help="Exit with status 1 if the whole 95 % interval of B's difference is beyond this "
        "share of A. Repeatable.",
    ),
)


@click.command(
    cls=_TwoSides,
    examples=(
        "tracebench compare A.json B.json",
        "tracebench compare A1.json A2.json A3.json -- B1.json B2.json B3.json",
        "tracebench compare A.json:rest A.json:grpc",
    ),
)
@click.argument("files", type=FILE, metavar="A.json[:TARGET]... [--] B.json[:TARGET]...", nargs=-1)
@options(FILES_WRITTEN, EVERYTHING, GATES)
def compare(*, files: tuple[str, ...], fail_if_slower: tuple[str, ...], **given: Any) -> int:
    """Say whether the runs of side B are slower or faster than those of side A, and where.

    The files come from `run --output-json`. Targets of the same name are compared, unless
    FILE:TARGET names others. With fewer than three runs on either side, run-to-run variance is
    unknown, and the intervals are widened by what changed within the runs.
    """
    sides = _sides(files)
    outputs = Outputs.of({**given, "quiet": False})
    from tracebench.studies.compare import compare_runs, load  # numpy: not for --help

    check_slower(fail_if_slower)
    a, b = map(load, sides)
    outputs.check(*a.names, *b.names)
    found = held_to(compare_runs(a, b), fail_if_slower, (*a.results, *b.results))
    save(found, outputs)
    return status_of(found.decision)


def _sides(files: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Split the files into side A and side B.

    Raises:
        UsageError: the sides are ambiguous.
    """
    marks = files.count(_SEPARATOR)
    if marks == 1:
        at = files.index(_SEPARATOR)
        a, b = files[:at], files[at + 1 :]
        if a and b:
            return a, b
        raise UsageError("-- has no file on one side: give at least one before it, and one after")
    if marks or len(files) != _TWO:
        given = f"{len(files)} {'file' if len(files) == 1 else 'files'}"
        raise UsageError(
            f"{'-- comes twice' if marks else given}: give two files, or several on each side of "
            "one --, as in A1.json A2.json -- B1.json B2.json"
        )
    return files[:1], files[1:]

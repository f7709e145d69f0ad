"""`tracebench compare`: compare saved runs."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from tracebench.cli.gates import check_slower, held_to
from tracebench.cli.options.filling import options
from tracebench.cli.options.output_options import PAGE
from tracebench.cli.outputs import Outputs
from tracebench.model.errors import UsageError
from tracebench.model.objectives import STATUS
from tracebench.system import why

if TYPE_CHECKING:
    from tracebench.model.comparison import RunComparison

_SEPARATOR: Final = "\0"
"""Replaces `--`, which click would take for the end of the options."""
_TWO: Final = 2


class _TwoSides(click.Command):
    """A command in which `--` separates two sides; options may appear anywhere."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, keeping the separator among them."""
        return super().parse_args(ctx, [_SEPARATOR if one == "--" else one for one in args])


@click.command(cls=_TwoSides, short_help="Compare saved runs with each other.")
@click.argument("files", metavar="A.json[:TARGET]... [--] B.json[:TARGET]...", nargs=-1)
@click.option("--output-json", metavar="F", help="Write the comparison as JSON; -: to stdout.")
@click.option("--output-plot", metavar="F.png|.svg|.pdf", help="Plot the differences.")
@options(PAGE)
@click.option(
    "--fail-if-slower",
    multiple=True,
    metavar="'inference.p95 3%'",
    help="Fail (exit status 1) if the whole 95 % interval of B's difference is beyond this share "
    "of A. Repeatable.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print every statistic.")
def compare(
    *,
    files: tuple[str, ...],
    output_json: str | None,
    output_plot: str | None,
    output_html: str | None,
    fail_if_slower: tuple[str, ...],
    verbose: bool,
) -> int:
    """Say whether the runs of side B are slower or faster than those of side A, and where.

    \b
    tracebench compare A.json B.json
    tracebench compare A1.json A2.json A3.json -- B1.json B2.json B3.json
    tracebench compare A.json:rest A.json:grpc

    The files come from `run --output-json`. Targets of the same name are compared, unless
    FILE:TARGET names others. With fewer than three runs on either side, run-to-run variance is
    unknown, and the intervals are widened by what changed within the runs.
    """  # noqa: D301 - click wants the character, not its name
    sides = _sides(files)
    outputs = Outputs(None if output_json == "-" else output_json, output_plot, html=output_html)
    from tracebench.compare import compare_runs, load  # numpy: not for --help

    check_slower(fail_if_slower)
    a, b = map(load, sides)
    outputs.check(*a.names, *b.names)
    found = held_to(compare_runs(a, b), fail_if_slower, (*a.results, *b.results))
    problems = _write(found, output_json, outputs)
    _show(found, whole=verbose, err=output_json == "-")
    if problems:
        raise UsageError("; ".join(problems))
    return 0 if found.decision is None else STATUS[found.decision]


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


def _write(found: "RunComparison", output_json: str | None, outputs: Outputs) -> list[str]:
    """Write the files, and report each on standard error; returns the problems."""
    from tracebench.report.files import result_file  # not for --help

    problems = []
    if output_json == "-":
        click.echo(result_file.dumps(found), nl=False)
    elif output_json is not None:
        try:
            result_file.write(found, output_json)
        except (OSError, ValueError) as error:
            problems.append(_problem("--output-json", output_json, error))
        else:
            click.echo(f"wrote {output_json}", err=True)
    if outputs.plot is not None:
        from tracebench.report.figures import compare_figure  # matplotlib takes a second

        try:
            compare_figure.draw(found, outputs.plot)
        except (OSError, ValueError) as error:
            problems.append(_problem("--output-plot", outputs.plot, error))
        else:
            click.echo(f"wrote {outputs.plot}", err=True)
    outputs.write_page(found, problems)
    return problems


def _problem(option: str, path: str, error: OSError | ValueError) -> str:
    return f"cannot write {option} {path!r} ({why(error)}): give another path"


def _show(found: "RunComparison", *, whole: bool, err: bool) -> None:
    from tracebench.report.answer import gate_lines  # rich: not for --help
    from tracebench.report.tables import compare_table  # as above

    stream = sys.stderr if err else sys.stdout
    color = stream.isatty() and not os.environ.get("NO_COLOR")
    click.echo(compare_table.render(found, color=color, whole=whole), err=err, color=True)
    if decided := gate_lines.render_slower(found, color=color):
        click.echo(decided, err=err, color=True)

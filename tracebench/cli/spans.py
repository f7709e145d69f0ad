"""`tracebench spans`: what a server emits, and how it is mapped."""

import os
import sys

import click

from tracebench.cli.options import MAPPING, options


@click.command(short_help="Show what servers emit and how it is mapped.")
@click.argument("files", metavar="TRACES.jsonl...", nargs=-1, required=True)
@options(MAPPING)
def spans(*, files: tuple[str, ...], maps: tuple[str, ...], mapping: str | None) -> int:
    """Show what servers emit: their spans, events and durations, and each one's component.

    For what is unmapped there is a rule to paste into a --mapping FILE.
    """
    from tracebench.archive import inventory  # numpy: not for --help
    from tracebench.report import spans as report  # rich: as above

    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    click.echo(report.render(inventory(files, maps, mapping), color=color), color=True)
    return 0

"""The options for where the answer goes, in which formats, and in how much detail."""

from typing import Any, Final

import click

from tracebench.cli.options.completing import FILE
from tracebench.cli.options.filling import fills, headed
from tracebench.model.plan import Naming

_LONGEST_LABEL = 100
STYLES = ("overview", "classic")
"""Styles of the plot of a run."""
OUTPUT: Final = "Output"
"""The heading of these options."""


class Label(click.ParamType):  # type: ignore[type-arg] # generic since click 8.2 only
    """A line of text that names a run."""

    name = "text"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Reject control characters and texts that are too long for a line."""
        text = str(value).strip()
        if not text.isprintable():
            self.fail(f"{text!r} has a line break or control character: give one line", param, ctx)
        if len(text) > _LONGEST_LABEL:
            told = f"{text[:20]!r}… has {len(text):,} characters"
            self.fail(f"{told}: give at most {_LONGEST_LABEL}", param, ctx)
        return text


NAMING = headed(
    OUTPUT,
    fills(
        Naming,
        "--label",
        type=Label(),
        metavar="TEXT",
        help="Name this run: in the heading, the result file and the Markdown.",
    ),
)
PAGE = headed(
    OUTPUT,
    click.option(
        "--output-html",
        type=FILE,
        metavar="F.html",
        help="Write a page that explains the result: one file that opens without a network.",
    ),
)
FILES_WRITTEN = headed(
    OUTPUT,
    *PAGE,
    click.option(
        "--output-json",
        type=FILE,
        metavar="F|-",
        help="Write the result as JSON; -: print it, and the table to standard error.",
    ),
    click.option("--output-plot", type=FILE, metavar="F.png|.svg|.pdf", help="Draw the result."),
    click.option(
        "--output-markdown",
        type=FILE,
        metavar="F.md",
        help="Write the answer as Markdown. It is also appended to $GITHUB_STEP_SUMMARY, if set.",
    ),
)
PLOT_STYLE = headed(
    OUTPUT,
    click.option(
        "--plot-style",
        type=click.Choice(STYLES),
        help="What the plot shows. overview: components, latency over time, percentiles, tail; "
        "classic: component times, mean and p95, percentages, CDF. [default: overview]",
    ),
)
"""For commands that plot runs; sweeps and comparisons have one style."""
DETAIL = headed(
    OUTPUT,
    click.option("-v", "--verbose", is_flag=True, help="Print all details and findings in full."),
    click.option("-q", "--quiet", is_flag=True, help="Print the table alone."),
)
SAMPLES = headed(
    OUTPUT,
    click.option(
        "--output-samples",
        type=FILE,
        metavar="F.csv|.parquet",
        help="Write every request as a row. Parquet needs pyarrow (the extra `samples`).",
    ),
)
"""Options for commands that record single requests."""
ANSWER = (*FILES_WRITTEN, *NAMING, *DETAIL)
"""Options for every command that prints a result."""

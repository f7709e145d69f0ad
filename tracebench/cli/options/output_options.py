"""The options for where the answer goes, in which formats, and in how much detail."""

from typing import Any

import click

from tracebench.cli.options.filling import fills
from tracebench.model.plan import Naming

_LONGEST_LABEL = 100
STYLES = ("overview", "classic")
"""Styles of the plot of a run."""


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


NAMING = (
    fills(
        Naming,
        "--label",
        type=Label(),
        metavar="TEXT",
        help="Name this run: in the heading, the result file and the Markdown.",
    ),
)
PAGE = (
    click.option(
        "--output-html",
        metavar="F.html",
        help="Write a page that explains the result: one file that opens without a network.",
    ),
)
FILES_WRITTEN = (
    *PAGE,
    click.option(
        "--output-json",
        metavar="F|-",
        help="Write the result as JSON. -: print it; the table goes to standard error.",
    ),
    click.option("--output-plot", metavar="F.png|.svg|.pdf", help="Plot the result."),
    click.option(
        "--output-markdown",
        metavar="F.md",
        help="Write the answer as Markdown. It is also appended to $GITHUB_STEP_SUMMARY, if set.",
    ),
)
PLOT_STYLE = (
    click.option(
        "--plot-style",
        type=click.Choice(STYLES),
        help="overview: components, latency over time, percentiles, tail. classic: component "
        "times, mean and p95, percentages, CDF.  [default: overview]",
    ),
)
"""For commands that plot runs; sweeps and comparisons have one style."""
DETAIL = (
    click.option("-v", "--verbose", is_flag=True, help="Print all details and findings in full."),
    click.option("-q", "--quiet", is_flag=True, help="Print the table alone."),
)
SAMPLES = (
    click.option(
        "--output-samples",
        metavar="F.csv|.parquet",
        help="Write every request as a row. Parquet needs pyarrow (the extra `samples`).",
    ),
)
"""Options for commands that record single requests."""
ANSWER = (*FILES_WRITTEN, *NAMING, *DETAIL)
"""Options for every command that prints a result."""

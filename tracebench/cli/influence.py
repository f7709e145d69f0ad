"""The options that measure the tool's own influence."""

import click

INFLUENCE = (
    click.option("--floor", is_flag=True, help="Also measure a server that does nothing."),
)

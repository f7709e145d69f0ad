"""`tracebench report`: any report again, from a saved result."""

from typing import Final

import click

from tracebench.cli.outputs import Outputs
from tracebench.cli.run import exit_status, rendered, save
from tracebench.cli.sweep import exit_status as sweep_status
from tracebench.model.errors import UsageError
from tracebench.model.sweep import Sweep
from tracebench.system.input_files import read_text

_NONSENSE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a report raises of values that are of the right types, and cannot belong together."""


@click.command(short_help="Print or draw a saved result again.")
@click.argument("file", metavar="RESULT.json")
@click.option("--output-plot", metavar="F.png|.svg|.pdf", help="Draw the result.")
def report(*, file: str, output_plot: str | None) -> int:
    """Print a saved result or sweep; the exit status is the run's own."""
    from tracebench.report import from_json  # not for --help

    outputs = Outputs(plot=output_plot)
    outputs.check(file)
    result = from_json.loads_any(read_text("", file), file)
    try:
        rendered(result)  # before anything is written
        save(result, outputs)
    except _NONSENSE as error:
        raise UsageError(
            f"{file} is no result of tracebench (its values contradict each other: "
            f"{type(error).__name__} {error}): give what --output-json wrote"
        ) from None
    return sweep_status(result) if isinstance(result, Sweep) else exit_status(result)

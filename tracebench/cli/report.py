"""`tracebench report`: any report again, from a saved result."""

from pathlib import Path

import click

from tracebench.cli.outputs import Outputs
from tracebench.cli.run import exit_status, save
from tracebench.cli.sweep import exit_status as sweep_status
from tracebench.errors import UsageError
from tracebench.model.sweep import Sweep


@click.command(short_help="Print or draw a saved result again.")
@click.argument("file", metavar="RESULT.json")
@click.option("--output-plot", metavar="F.png|.svg|.pdf", help="Draw the result.")
def report(*, file: str, output_plot: str | None) -> int:
    """Print a saved result or sweep; the exit status is the run's own."""
    from tracebench.report import to_json  # not for --help

    outputs = Outputs(plot=output_plot)
    outputs.check(file)
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {file!r} ({why}): give a saved result") from None
    result = to_json.loads_any(text, file)
    save(result, outputs)
    return sweep_status(result) if isinstance(result, Sweep) else exit_status(result)

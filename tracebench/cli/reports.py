"""`report` and `analyze`: recreate reports from a saved result or archived spans."""

from typing import Final

import click

from tracebench.cli.filling import options
from tracebench.cli.options import MAPPING, PAGE
from tracebench.cli.outputs import Outputs
from tracebench.cli.run import exit_status, rendered, save
from tracebench.cli.sweep import exit_status as sweep_status
from tracebench.model.errors import UsageError
from tracebench.model.sweep import Sweep
from tracebench.system.input_files import read_text

# `tracebench report`: any report, from a saved result.

_NONSENSE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a report raises for values of the right types that contradict each other."""


@click.command(short_help="Print or draw a saved result again.")
@click.argument("file", metavar="RESULT.json")
@click.option("--output-plot", metavar="F.png|.svg|.pdf", help="Plot the result.")
@options(PAGE)
def report(*, file: str, output_plot: str | None, output_html: str | None) -> int:
    """Print a saved result or sweep again; the exit status is that of the run."""
    from tracebench.report import result_file  # not for --help

    outputs = Outputs(plot=output_plot, html=output_html)
    outputs.check(file)
    result = result_file.loads_any(read_text("", file), file)
    try:
        rendered(result)  # before anything is written
        save(result, outputs)
    except _NONSENSE as error:
        raise UsageError(
            f"{file} is not a tracebench result (its values contradict each other: "
            f"{type(error).__name__} {error}): give a file from --output-json"
        ) from None
    return sweep_status(result) if isinstance(result, Sweep) else exit_status(result)


# `tracebench analyze`: every report from archived spans.


@click.command(short_help="Split the latency of archived traces.")
@click.argument("files", metavar="TRACES.jsonl...", nargs=-1, required=True)
@options(MAPPING)
@click.option("--output-json", metavar="F", help="Write the result as JSON.")
@click.option("--output-plot", metavar="F.png|.svg|.pdf", help="Plot the result.")
@options(PAGE)
def analyze(
    *,
    files: tuple[str, ...],
    maps: tuple[str, ...],
    mapping: str | None,
    output_json: str | None,
    output_plot: str | None,
    output_html: str | None,
) -> int:
    """Analyse spans from files: OTLP as JSON lines or protobuf, or traces from Jaeger or Tempo.

    The files may come from tracebench itself (run --output-traces), from a collector, or from
    another client that traces its requests. They may be compressed with gzip or zstd.
    """
    from tracebench.archive import analyze as analyzed  # numpy: not for --help

    outputs = Outputs(output_json, output_plot, html=output_html)
    outputs.check(*files, mapping)
    result = analyzed(files, maps, mapping)
    save(result, outputs)
    return exit_status(result)

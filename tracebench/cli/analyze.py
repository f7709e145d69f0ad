"""`tracebench analyze`: every report from archived spans."""

import click

from tracebench.cli.options import MAPPING, options
from tracebench.cli.outputs import Outputs
from tracebench.cli.run import exit_status, save


@click.command(short_help="Split the latency of archived traces.")
@click.argument("files", metavar="TRACES.jsonl...", nargs=-1, required=True)
@options(MAPPING)
@click.option("--output-json", metavar="F", help="Write the result.")
@click.option("--output-plot", metavar="F.png|.svg|.pdf", help="Draw the result.")
def analyze(
    *,
    files: tuple[str, ...],
    maps: tuple[str, ...],
    mapping: str | None,
    output_json: str | None,
    output_plot: str | None,
) -> int:
    """Analyse spans from files: OTLP as JSON lines or protobuf, traces saved from Jaeger or Tempo.

    They may be tracebench's own (run --output-traces), a collector's, or those of another client
    that traces its requests; compressed with gzip or zstd or not.
    """
    from tracebench.archive import analyze as analyzed  # numpy: not for --help

    outputs = Outputs(output_json, output_plot)
    outputs.check(*files, mapping)
    result = analyzed(files, maps, mapping)
    save(result, outputs)
    return exit_status(result)

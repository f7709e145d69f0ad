"""`report` and `analyze`: recreate reports from a saved result or archived spans."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import click

from tracebench.cli.filling import options
from tracebench.cli.options import MAPPING
from tracebench.cli.output_options import ANSWER, SAMPLES
from tracebench.cli.outputs import Outputs
from tracebench.cli.run import exit_status, rendered, save
from tracebench.cli.sweep import exit_status as sweep_status
from tracebench.model.errors import UsageError
from tracebench.model.result import Result
from tracebench.model.sweep import Sweep
from tracebench.system.input_files import read_text

Kept = TypeVar("Kept", Result, Sweep, Result | Sweep)

# `tracebench report`: any report, from a saved result.

_NONSENSE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a report raises for values of the right types that contradict each other."""


@click.command(short_help="Print or draw a saved result again.")
@click.argument("file", metavar="RESULT.json")
@options(ANSWER)
def report(*, file: str, **given: Any) -> int:
    """Print a saved result or sweep again; the exit status is that of the run."""
    from tracebench.report import result_file  # not for --help

    outputs = Outputs.of(given)
    outputs.check(file)
    result = _named(result_file.loads_any(read_text("", file), file), given)
    try:
        rendered(result, outputs)  # before anything is written
        save(result, outputs)
    except _NONSENSE as error:
        raise UsageError(
            f"{file} is not a tracebench result (its values contradict each other: "
            f"{type(error).__name__} {error}): give a file from --output-json"
        ) from None
    return sweep_status(result) if isinstance(result, Sweep) else exit_status(result)


def _named(result: Kept, given: Mapping[str, Any]) -> Kept:
    """The result, called by --label where that is given."""
    return replace(result, label=given["label"]) if given["label"] else result


# `tracebench analyze`: every report from archived spans.


@click.command(short_help="Split the latency of archived traces.")
@click.argument("files", metavar="TRACES.jsonl...", nargs=-1, required=True)
@options(MAPPING, SAMPLES, ANSWER)
def analyze(
    *, files: tuple[str, ...], maps: tuple[str, ...], mapping: str | None, **given: Any
) -> int:
    """Analyse spans from files: OTLP as JSON lines or protobuf, or traces from Jaeger or Tempo.

    The files may come from tracebench itself (run --output-traces), from a collector, or from
    another client that traces its requests. They may be compressed with gzip or zstd.
    """
    from tracebench.archive import analyze as analyzed  # numpy: not for --help

    outputs = Outputs.of(given)
    outputs.check(*files, mapping)
    result = _named(analyzed(files, maps, mapping, outputs.keep), given)
    save(result, outputs)
    return exit_status(result)

"""`report` and `analyze`: recreate reports from a saved result or archived spans."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import click

from tracebench.cli.help.commands import Helpful
from tracebench.cli.options.completing import FILE
from tracebench.cli.options.filling import options
from tracebench.cli.options.output_options import ANSWER, SAMPLES
from tracebench.cli.options.plan_options import MAPPING
from tracebench.cli.output.gates import FAIL_IF, Gating, complain
from tracebench.cli.output.outputs import Outputs
from tracebench.cli.run import exit_status, rendered, save
from tracebench.cli.search import exit_status as search_status
from tracebench.cli.sweep import exit_status as sweep_status
from tracebench.model.errors import UsageError
from tracebench.model.results.result import Result
from tracebench.model.results.search import Search
from tracebench.model.results.sweep import Sweep
from tracebench.system.input_files import read_text

Kept = TypeVar("Kept", Result, Sweep | Search | Result)

# `tracebench report`: any report, from a saved result.

_NONSENSE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Exceptions that a report may raise for values of the right types that contradict each other."""


@click.command(
    cls=Helpful,
    examples=(
        "tracebench report result.json",
        "tracebench report result.json --output-html page.html --output-plot plot.png",
    ),
)
@click.argument("file", type=FILE, metavar="RESULT.json")
@options(ANSWER, FAIL_IF)
def report(*, file: str, **given: Any) -> int:
    """Print a saved result, sweep or search again; the exit status is that of the run.

    With --fail-if, the saved result is held to these gates instead of its own.
    """
    from tracebench.report.files import result_file  # not for --help

    gating = Gating.of(given)
    outputs = Outputs.of(given)
    outputs.check(file, *gating.baseline)
    result = _named(result_file.loads_any(read_text("", file), file), given)
    try:
        if isinstance(result, Result):
            result = _judged(result, gating)
        elif gating:
            raise UsageError(f"{file} is no run, which --fail-if is for: use --slo with the others")
        rendered(result, outputs)  # before anything is written
        save(result, outputs)
    except _NONSENSE as error:
        raise UsageError(
            f"{file} is not a tracebench result (its values contradict each other: "
            f"{type(error).__name__} {error}): give a file from --output-json"
        ) from None
    if isinstance(result, Search):
        return search_status(result)
    if isinstance(result, Sweep):
        return sweep_status(result)
    complain(result)
    return exit_status(result)


def _judged(result: Result, gating: Gating) -> Result:
    limited = any(target.goodput is not None for target in result.targets.values())
    gating.check(result.targets, limited=limited)
    return gating.judged(result)


def _named(result: Kept, given: Mapping[str, Any]) -> Kept:
    """The result, renamed by --label if given."""
    return replace(result, label=given["label"]) if given["label"] else result


# `tracebench analyze`: every report from archived spans.


@click.command(
    cls=Helpful,
    examples=(
        "tracebench analyze traces.jsonl",
        "tracebench analyze spans.json.gz --map 'inference=forward*'",
    ),
)
@click.argument("files", type=FILE, metavar="TRACES.jsonl...", nargs=-1, required=True)
@options(ANSWER, SAMPLES, MAPPING, FAIL_IF)
def analyze(
    *, files: tuple[str, ...], maps: tuple[str, ...], mapping: str | None, **given: Any
) -> int:
    """Analyse spans from files: OTLP as JSON lines or protobuf, or traces from Jaeger or Tempo.

    The files may come from tracebench itself (run --output-traces), from a collector, or from
    another client that traces its requests. They may be compressed with gzip or zstd.
    """
    from tracebench.archive import analyze as analyzed  # numpy: not for --help

    gating = Gating.of(given)
    outputs = Outputs.of(given)
    outputs.check(*files, mapping, *gating.baseline)
    result = _named(analyzed(files, maps, mapping, outputs.keep), given)
    result = _judged(result, gating)
    save(result, outputs)
    complain(result)
    return exit_status(result)

"""`report` and `analyze`: recreate reports from a saved result or archived spans."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import click

from tracebench.cli.help.commands import Helpful
from tracebench.cli.options.completing import FILE
from tracebench.cli.options.filling import options
from tracebench.cli.options.output_options import ANSWER, PLOT_STYLE, SAMPLES
from tracebench.cli.options.plan_options import MAPPING
from tracebench.cli.output.gates import FAIL_IF, Gating, complain
from tracebench.cli.output.outputs import Outputs
from tracebench.cli.run import exit_status, rendered, save
from tracebench.cli.search import exit_status as search_status
from tracebench.cli.sweep import exit_status as sweep_status
from tracebench.model.errors import UsageError
from tracebench.model.objectives import status_of
from tracebench.model.results.comparison import Reported, RunComparison
from tracebench.model.results.result import Result
from tracebench.model.results.search import Search
from tracebench.model.results.sweep import Sweep
from tracebench.report.several import Several, names_of
from tracebench.system.input_files import read_text

Kept = TypeVar("Kept", Result, Sweep | Search | Result)

# `tracebench report`: any report, from saved results.

_NONSENSE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Exceptions that a report may raise for values of the right types that contradict each other."""
_KINDS: Final = {Result: "run", Sweep: "sweep", Search: "search", RunComparison: "comparison"}


@click.command(
    cls=Helpful,
    examples=(
        "tracebench report result.json",
        "tracebench report result.json --output-html page.html --output-plot plot.png",
        "tracebench report A.json B.json --output-plot both.png",
    ),
)
@click.argument("files", type=FILE, metavar="RESULT.json...", nargs=-1, required=True)
@options(ANSWER, PLOT_STYLE, FAIL_IF)
def report(*, files: tuple[str, ...], **given: Any) -> int:
    """Print a saved run, sweep, search or comparison again; the exit status is that of the run.

    Several results of one kind are shown together, by their labels or file names: in one table, one
    plot, one page. With --fail-if, a saved run is held to these gates instead of its own.
    """
    from tracebench.report.files import result_file  # not for --help

    gating = Gating.of(given)
    outputs = Outputs.of(given)
    outputs.check(*files, *gating.baseline)
    results = [result_file.loads_any(read_text("", file), file) for file in files]
    try:
        if len(files) == 1:
            results = [_only(files[0], results[0], gating, given)]
        else:
            _check_several(files, results, outputs, gating, given)
        _check_style(files, results, outputs)
        shown = results[0] if len(files) == 1 else _several(files, results)
        rendered(shown, outputs)  # before anything is written
        save(shown, outputs)
    except _NONSENSE as error:
        raise UsageError(
            f"{', '.join(files)} is not a tracebench result (its values contradict each other: "
            f"{type(error).__name__} {error}): give a file from --output-json"
        ) from None
    return max(map(_status, results))


def _only(file: str, result: Reported, gating: Gating, given: Mapping[str, Any]) -> Reported:
    """The only result, renamed by --label and held to the gates."""
    if isinstance(result, RunComparison):
        if given["label"]:
            raise UsageError(f"{file} is a comparison, which has no label: leave out --label")
    else:
        result = named(result, given)
    if isinstance(result, Result):
        return judged(result, gating)
    if gating:
        raise UsageError(f"{file} is no run, which --fail-if is for: use --slo with the others")
    return result


def _check_several(
    files: Sequence[str],
    results: Sequence[Reported],
    outputs: Outputs,
    gating: Gating,
    given: Mapping[str, Any],
) -> None:
    """Check that the results can be shown together, and that no option is for a single one.

    Raises:
        UsageError: they cannot.
    """
    of_one = {
        "--fail-if": bool(gating),
        "--label": bool(given["label"]),
        "--output-json": outputs.json is not None,
        "--output-junit": outputs.junit is not None,
    }
    for option, is_given in of_one.items():
        if is_given:
            raise UsageError(f"{option} is for a single result: give one file, not {len(files)}")
    for file, one in zip(files, results, strict=True):
        if _kind(one) != _kind(results[0]):
            raise UsageError(
                f"{files[0]} is a {_kind(results[0])}, but {file} is a {_kind(one)}: give results "
                "of one kind"
            )


def _several(files: Sequence[str], results: Sequence[Reported]) -> Several[Any]:
    """The results by their names."""
    labels = [getattr(one, "label", "") for one in results]  # comparisons have none
    return Several(dict(zip(names_of(files, labels), results, strict=True)))


def _kind(result: Reported) -> str:
    """What a result is, in words; only equal ones can be shown together."""
    word = _KINDS[type(result)]
    if isinstance(result, Sweep):
        return f"{word} of {'concurrency' if result.kind == 'concurrency' else 'rates'}"
    return f"{word} by {result.by}" if isinstance(result, Search) else word


def _check_style(files: Sequence[str], results: Sequence[Reported], outputs: Outputs) -> None:
    if outputs.plot_style == "classic" and not isinstance(results[0], Result):
        raise UsageError(
            f"--plot-style classic is for runs, but {files[0]} is a {_kind(results[0])}: leave it "
            "out"
        )


def _status(result: Reported) -> int:
    """The exit status of the command that made the result; it also says what gates failed."""
    if isinstance(result, Search):
        return search_status(result)
    if isinstance(result, Sweep):
        return sweep_status(result)
    if isinstance(result, RunComparison):
        return status_of(result.decision)
    complain(result)
    return exit_status(result)


def judged(result: Result, gating: Gating) -> Result:
    """The result, held to the gates."""
    limited = any(target.goodput is not None for target in result.targets.values())
    gating.check(result.targets, limited=limited)
    return gating.judged(result)


def named(result: Kept, given: Mapping[str, Any]) -> Kept:
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
@options(ANSWER, PLOT_STYLE, SAMPLES, MAPPING, FAIL_IF)
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
    result = named(analyzed(files, maps, mapping, outputs.keep), given)
    result = judged(result, gating)
    save(result, outputs)
    complain(result)
    return exit_status(result)

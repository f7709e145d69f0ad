"""`run`, `sweep`, `search`, `analyze`, `compare`, `read`: the commands as functions."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tracebench import archive, benchmark
from tracebench.api.as_options import one_line_errors, parsed, taken_contents, takes
from tracebench.api.results import (
    ComparisonResult,
    RunResult,
    SearchResult,
    SweepResult,
    result_of,
)
from tracebench.api.watching import EachStep, ShowProgress, watcher_of
from tracebench.cli.options.plan_options import FILES, plan, strangers
from tracebench.cli.output.gates import Gating, check_slower, held_to
from tracebench.cli.output.outputs import Outputs
from tracebench.cli.reports import analyze as analyze_command
from tracebench.cli.reports import judged, named
from tracebench.cli.run import proxies
from tracebench.cli.run import run as run_command
from tracebench.cli.search import planned_search
from tracebench.cli.search import search as search_command
from tracebench.cli.sweep import planned_steps
from tracebench.cli.sweep import sweep as sweep_command
from tracebench.model.plan import Payload, Plan
from tracebench.report.files import result_file
from tracebench.studies import compare as comparing
from tracebench.studies.search import Within
from tracebench.studies.search import search as searched
from tracebench.studies.sweep import sweep as swept
from tracebench.system.input_files import read_text

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tracebench.api.options import AnalyzeOptions, RunOptions, SearchOptions, SweepOptions

Path: TypeAlias = str | os.PathLike[str]
Run: TypeAlias = RunResult | Path
"""A run: its result, or the file that `--output-json` or `to_json` wrote."""


@takes(run_command)
def run(*, progress: ShowProgress = False, **options: "Unpack[RunOptions]") -> RunResult:
    """Load a REST or a gRPC server (or both) and split each request's latency.

    Ctrl-C (in a notebook: "Interrupt") ends the run early; what was measured is returned, and its
    verdict says so. That works in the main thread only; elsewhere nothing interrupts a run.

    Args:
        progress: True: draw a line on standard error; a function: call it ten times a second with
            the name of the target and its `Progress`.
        options: those of `tracebench run`, e.g. `--rest-url URL` as `rest_url="URL"`; see
            docs/python.md. `image`, `data`, `json` and `payloads` also take values instead of
            files.

    Raises:
        UsageError: an option or a file is wrong.
        TargetError: a target cannot be used.
        TypeError: there is no option of this name.
    """
    given, contents = _given(run_command, options)
    with one_line_errors():
        gating = Gating.of(given)
        planned = _with(plan(given), contents)
        gating.check_plan(planned)
        _warn(planned)
        watcher = watcher_of(progress, planned.load)
        result = gating.judged(benchmark.run(planned, watcher))
        return RunResult(result, watcher.records)


@takes(sweep_command)
def sweep(*, progress: ShowProgress = False, **options: "Unpack[SweepOptions]") -> SweepResult:
    """Run at increasing loads and report what saturates first.

    An interrupt ends the sweep; the steps measured so far are returned.

    Args:
        progress: see `run`.
        options: those of `tracebench sweep`; `concurrency` and `rate` take a list, or "auto".

    Raises:
        UsageError: an option or a file is wrong.
        TargetError: the target cannot be used.
        TypeError: there is no option of this name.
    """
    given, contents = _given(sweep_command, options)
    with one_line_errors():
        loads = given.pop("concurrency"), given.pop("rate")
        planned, kind, values = planned_steps(*loads, given)
        planned = _with(planned, contents)
        _warn(planned)
        steps = EachStep(progress, planned.load)
        return SweepResult(swept(planned, kind, values, steps), steps.records)


@takes(search_command)
def search(*, progress: ShowProgress = False, **options: "Unpack[SearchOptions]") -> SearchResult:
    """Find the highest load at which the whole 95 % interval meets an objective.

    An interrupt ends the search; the steps measured so far are returned.

    Args:
        progress: see `run`.
        options: those of `tracebench search`; `slo` is required, and `--from` is `from_`.

    Raises:
        UsageError: an option or a file is wrong.
        TargetError: the target cannot be used.
        TypeError: there is no option of this name.
    """
    given, contents = _given(search_command, options)
    with one_line_errors():
        by, least, most, budget_s = (given.pop(name) for name in ("by", "least", "most", "budget"))
        planned = _with(planned_search(by, least, most, given), contents)
        _warn(planned)
        steps = EachStep(progress, None)  # how long each step takes is not known before
        found = searched(planned, by, Within(least, most, budget_s), steps)
        return SearchResult(found, steps.records)


@takes(analyze_command)
def analyze(*files: Path, **options: "Unpack[AnalyzeOptions]") -> RunResult:
    """Analyse spans from files: OTLP as JSON lines or protobuf, or traces from Jaeger or Tempo.

    Args:
        files: at least one.
        options: those of `tracebench analyze`.

    Raises:
        UsageError: an option or a file is wrong.
        TypeError: there is no option of this name.
    """
    given = parsed(analyze_command, options, [os.fspath(one) for one in files])
    with one_line_errors():
        gating = Gating.of(given)
        records = watcher_of(False, None)
        result = archive.analyze(given["files"], given["maps"], given["mapping"], records.measured)
        return RunResult(judged(named(result, given), gating), records.records)


def compare(
    a: Run | Sequence[Run],
    b: Run | Sequence[Run],
    *,
    fail_if_slower: str | Sequence[str] = (),
) -> ComparisonResult:
    """Say whether the runs of side B are slower or faster than those of side A, and where.

    Args:
        a: a result or its file, or several; `FILE:TARGET` chooses a target.
        b: likewise; with three runs or more on both sides, run-to-run variance is measured.
        fail_if_slower: gates, as in `'inference.p95 3%'`; see the result's `decision`.

    Raises:
        UsageError: the runs cannot be compared, or a file is no result.
    """
    with one_line_errors():
        gates = (fail_if_slower,) if isinstance(fail_if_slower, str) else tuple(fail_if_slower)
        check_slower(gates)
        of_a, of_b = _side("A", a), _side("B", b)
        found = comparing.compare_runs(of_a, of_b)
        return ComparisonResult(held_to(found, gates, (*of_a.results, *of_b.results)))


def read(path: Path) -> RunResult | SweepResult | SearchResult | ComparisonResult:
    """Read a saved result, sweep, search or comparison; its samples are not in the file.

    Raises:
        UsageError: the file cannot be read, or is no result.
    """
    with one_line_errors():
        return result_of(result_file.loads_any(read_text("", os.fspath(path)), os.fspath(path)))


def _given(command: Any, options: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Payload, ...]]:
    """The values of the options, and the payloads among them that are not files.

    Raises:
        UsageError: a value is wrong, or the file of spans cannot be written.
    """
    left = dict(options)
    contents = taken_contents(left)
    given = parsed(command, left)
    with one_line_errors():
        inputs = (*(given[name] for name in FILES), *given.get("baseline", ()))
        Outputs(traces=given["output_traces"]).check(*inputs)
    return given, contents


def _with(planned: Plan, contents: tuple[Payload, ...]) -> Plan:
    if not contents:
        return planned
    return replace(planned, payloads=replace(planned.payloads, payload=contents))


def _warn(planned: Plan) -> None:
    """Warn the caller of what the command line prints a note on."""
    for text in filter(None, (proxies(), strangers(planned.traces))):
        warnings.warn(text, stacklevel=3)


def _side(letter: str, given: Run | Sequence[Run]) -> comparing.Runs:
    """The runs of one side, from memory or from files.

    Raises:
        UsageError: a file cannot be read, or two name different targets.
    """
    runs = [given] if isinstance(given, RunResult | str | os.PathLike) else list(given)
    files = [os.fspath(one) for one in runs if not isinstance(one, RunResult)]
    read = comparing.load(files) if files else comparing.Runs((), (), None)
    of_files = zip(read.results, read.names, strict=True)
    each = [
        (one.data, one.label or f"{letter}{number}")
        if isinstance(one, RunResult)
        else next(of_files)
        for number, one in enumerate(runs, 1)
    ]
    results, names = tuple(result for result, _ in each), tuple(name for _, name in each)
    return comparing.Runs(results, names, read.target)

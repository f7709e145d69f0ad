"""The files that a result is written to: checked before the run, written after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracebench.model.errors import UsageError
from tracebench.model.result import Result
from tracebench.model.sweep import Sweep
from tracebench.system import why
from tracebench.system.output_files import check_writable

if TYPE_CHECKING:
    from tracebench.model.comparison import RunComparison

FIGURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, slots=True)
class Outputs:
    """The output files of a result."""

    json: str | None = None
    plot: str | None = None
    traces: str | None = None
    """The file of its spans, which are written before the result."""
    html: str | None = None

    def check(self, *inputs: str | None) -> None:
        """Check that each can be written, before anything is measured, without changing it.

        Args:
            inputs: input files, which no output may overwrite.

        Raises:
            UsageError: one cannot be written.
        """
        if self.plot is not None and Path(self.plot).suffix.lower() not in FIGURES:
            raise UsageError(
                f"--output-plot {self.plot!r} has no known format: end it in {', '.join(FIGURES)}"
            )
        options = {
            "json": self.json,
            "plot": self.plot,
            "traces": self.traces,
            "html": self.html,
        }
        taken = {realpath(path): "an input file" for path in inputs if path is not None}
        for name, path in options.items():
            if path is not None:
                option = f"--output-{name}"
                _check_writable(option, path)
                if other := taken.get(realpath(path)):
                    raise UsageError(f"{option} {path!r} is also {other}: give another path")
                if Path(path).is_file() or not Path(path).exists():
                    taken[realpath(path)] = option

    def write(self, result: Result | Sweep) -> list[str]:
        """Write each, and report it on standard error; returns the problems."""
        problems = self._told_of_traces(result)
        if self.json is not None:
            from tracebench.report import result_file  # not for --help

            with _saving("--output-json", self.json, problems):
                result_file.write(result, self.json)
        if self.plot is not None:
            from tracebench.report.figures import figure, sweep_figure  # matplotlib takes a second

            with _saving("--output-plot", self.plot, problems):
                if isinstance(result, Sweep):
                    sweep_figure.draw(result, self.plot)
                else:
                    figure.draw(result, self.plot)
        self.write_page(result, problems)
        return problems

    def write_page(self, found: "Result | Sweep | RunComparison", problems: list[str]) -> None:
        """Write the page, if one is wanted; adds to the problems."""
        if self.html is not None:
            from tracebench.report.page import page  # jinja2: not for --help

            with _saving("--output-html", self.html, problems):
                page.write(found, self.html)

    def _told_of_traces(self, result: Result | Sweep) -> list[str]:
        """Report where the spans, already written, are; returns the problems."""
        if self.traces is None:
            return []
        runs = [one.result for one in result.steps] if isinstance(result, Sweep) else [result]
        paths = {one.plan.get("output_traces") or self.traces: one for one in runs}
        kept = [path for path, one in paths.items() if _has_spans(one) and not _is_of(one, path)]
        if kept:
            now = "the old file was kept" if Path(kept[0]).is_file() else "give another path"
            return [f"cannot write --output-traces {kept[0]!r} (the verdict says why): {now}"]
        if any(map(_has_spans, runs)):
            shown = Path(self.traces)
            if isinstance(result, Sweep):
                shown = shown.with_stem(f"{shown.stem}-LOAD")
            click.echo(f"wrote {shown}", err=True)
        return []


def _has_spans(result: Result) -> bool:
    """Whether any request was made; if not, a traces file is still from an earlier run."""
    return any(target.requests.started for target in result.targets.values())


def _is_of(result: Result, path: str) -> bool:
    """Whether a traces file is from this run: an earlier one stays if it cannot be replaced."""
    traces = Path(path)
    if traces.exists() and not traces.is_file():
        return not _lost_spans(result)  # a pipe or a device
    began_s = datetime.fromisoformat(result.started_at).timestamp()
    return traces.exists() and traces.stat().st_mtime >= began_s


def _lost_spans(result: Result) -> bool:
    """Whether spans were lost while being written to the file, and not elsewhere."""
    elsewhere = result.plan.get("otlp_endpoint") or result.plan.get("forward_otlp")
    findings = (one for target in result.targets.values() for one in target.verdict.findings)
    return not elsewhere and any(one.code == "spans_lost" for one in findings)


def _check_writable(option: str, path: str) -> None:
    try:
        check_writable(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot write {option} {path!r} ({why(error)}): give another path"
        ) from None


@contextmanager
def _saving(option: str, path: str, problems: list[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        problems.append(f"cannot write {option} {path!r} ({why(error)}): give another path")
    else:
        click.echo(f"wrote {path}", err=True)

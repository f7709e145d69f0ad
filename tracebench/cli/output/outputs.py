"""The files that a result is written to: checked before the run, written after it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracebench.model.errors import UsageError
from tracebench.model.results.comparison import Reported, RunComparison, Saved
from tracebench.model.results.result import Detail, Result
from tracebench.report.several import Several
from tracebench.system import why
from tracebench.system.output_files import check_writable, replaced

if TYPE_CHECKING:
    from tracebench.model.measurement import Record  # numpy: not for --help

FIGURES = (".png", ".svg", ".pdf")
SAMPLES = (".csv", ".parquet")
STDOUT = "-"
_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Environment variable with the path of the job summary, in GitHub Actions."""


def detail_of(verbose: bool, quiet: bool) -> Detail:
    """How much to print.

    Raises:
        UsageError: both options are given.
    """
    if verbose and quiet:
        raise UsageError("-v and -q exclude each other: give only one")
    return "all" if verbose else "table" if quiet else "answer"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The output files of a result."""

    json: str | None = None
    """Path; `-`: write JSON to standard output and the table to standard error."""
    plot: str | None = None
    plot_style: str | None = None
    """The style of a run's plot; None: the usual one."""
    traces: str | None = None
    """The file of spans, which are written before the result."""
    markdown: str | None = None
    detail: Detail = "answer"
    """How much of the result is printed."""
    junit: str | None = None
    """Path of the JUnit XML file with the gates."""
    html: str | None = None
    samples: str | None = None
    records: list[tuple[str, "Record"]] = field(default_factory=list)
    """Pairs of target and record, from which samples are written; kept only if there is a file for
    them."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Outputs":
        """Read the output options; a command may lack some of them.

        Raises:
            UsageError: two options contradict each other.
        """
        return cls(
            json=given["output_json"],
            plot=given["output_plot"],
            plot_style=given.get("plot_style"),
            traces=given.get("output_traces"),
            markdown=given["output_markdown"],
            detail=detail_of(given["verbose"], given["quiet"]),
            samples=given.get("output_samples"),
            junit=given.get("output_junit"),
            html=given["output_html"],
        )

    def keep(self, target: str, record: "Record") -> None:
        """Keep a record until samples are written, if there is a file for them."""
        if self.samples is not None:
            self.records.append((target, record))

    def of_step(self, load: float) -> "Outputs":
        """The outputs of one step of a sweep: samples only, in a separate file."""
        return Outputs(samples=self.samples and str(_of_step(self.samples, f"{load:g}")))

    @property
    def to_stdout(self) -> bool:
        """Whether the JSON goes to standard output, and the table to standard error."""
        return self.json == STDOUT

    @property
    def has_json_file(self) -> bool:
        """Whether the whole result is saved in a file, not only printed."""
        return self.json is not None and not self.to_stdout

    def check(self, *inputs: str | None) -> None:
        """Check before the measurement that each file can be written, without changing it.

        Args:
            inputs: input files, which no output may overwrite.

        Raises:
            UsageError: a file cannot be written.
        """
        if self.plot is not None and Path(self.plot).suffix.lower() not in FIGURES:
            raise UsageError(
                f"--output-plot {self.plot!r} has no known format: end it in {', '.join(FIGURES)}"
            )
        if self.plot_style is not None and self.plot is None:
            raise UsageError(
                f"--plot-style {self.plot_style} has nothing to draw: add --output-plot F.png"
            )
        check_samples(self.samples)
        options = {
            "json": self.json if self.has_json_file else None,
            "plot": self.plot,
            "traces": self.traces,
            "samples": self.samples,
            "markdown": self.markdown,
            "junit": self.junit,
            "html": self.html,
        }
        if STDOUT in options.values():
            name = next(name for name, path in options.items() if path == STDOUT)
            raise UsageError(f"--output-{name} '-' is no file: only --output-json can be printed")
        taken = {realpath(path): "an input file" for path in inputs if path is not None}
        for name, path in options.items():
            if path is not None:
                option = f"--output-{name}"
                _check_writable(option, path)
                if other := taken.get(realpath(path)):
                    raise UsageError(f"{option} {path!r} is also {other}: give another path")
                if Path(path).is_file() or not Path(path).exists():
                    taken[realpath(path)] = option

    def write(self, result: Reported | Several[Any]) -> list[str]:
        """Write each file, and report it on standard error; returns the problems."""
        before: list[str] = []
        if not isinstance(result, RunComparison | Several):
            before = [*self._told_of_traces(result), *self.write_samples()]
        return [*before, *self._write_reports(result), *self._markdown(result)]

    def _write_reports(self, result: Reported | Several[Any]) -> list[str]:
        problems: list[str] = []
        if self.json is not None and not isinstance(result, Several):
            from tracebench.report.files import result_file  # not for --help

            if self.to_stdout:
                click.echo(result_file.dumps(result), nl=False)
            else:
                with _saving("--output-json", self.json, problems):
                    result_file.write(result, self.json)
        if self.junit is not None and isinstance(result, Result):
            from tracebench.report.files import junit  # not for --help

            with _saving("--output-junit", self.junit, problems):
                junit.write(result, self.junit)
        if self.plot is not None:
            from tracebench.report.figures import result_figure  # matplotlib takes a second

            with _saving("--output-plot", self.plot, problems):
                result_figure.draw(result, self.plot, classic=self.plot_style == "classic")
        if self.html is not None:
            from tracebench.report.page import page  # jinja2: not for --help
            from tracebench.report.tables.search_table import as_drawn  # rich: not for --help

            with _saving("--output-html", self.html, problems):
                page.write(as_drawn(result), self.html)
        return problems

    def write_samples(self) -> list[str]:
        """Write all requests of the records, then drop the records; returns the problems."""
        problems: list[str] = []
        if self.samples is not None and self.records:
            from tracebench.report.files import samples_file  # numpy: not for --help

            with _saving("--output-samples", self.samples, problems):
                samples_file.write(self.samples, self.records)
            self.records.clear()
        return problems

    def _markdown(self, result: Reported | Several[Any]) -> list[str]:
        """Write the answer as Markdown, also to the job summary of GitHub Actions."""
        summary = os.environ.get(_SUMMARY)
        if self.markdown is None and not summary:
            return []
        from tracebench.report.answer import markdown  # rich: not for --help

        problems: list[str] = []
        text = markdown.render(result)
        if self.markdown is not None:
            with (
                _saving("--output-markdown", self.markdown, problems),
                replaced(self.markdown) as file,
            ):
                file.write(text.encode(errors="backslashreplace"))
        if summary:
            try:
                with open(summary, "a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(f"{text}\n")
            except (OSError, ValueError) as error:
                click.echo(f"warning: cannot append to ${_SUMMARY} ({why(error)})", err=True)
        return problems

    def _told_of_traces(self, result: Saved) -> list[str]:
        """Report where the spans were written; returns the problems."""
        if self.traces is None:
            return []
        runs = [result] if isinstance(result, Result) else [one.result for one in result.steps]
        paths = {one.plan.get("output_traces") or self.traces: one for one in runs}
        kept = [path for path, one in paths.items() if _has_spans(one) and not _is_of(one, path)]
        if kept:
            now = "the old file was kept" if Path(kept[0]).is_file() else "give another path"
            return [f"cannot write --output-traces {kept[0]!r} (the verdict says why): {now}"]
        if any(map(_has_spans, runs)):
            swept = not isinstance(result, Result)
            click.echo(f"wrote {_of_step(self.traces, 'LOAD') if swept else self.traces}", err=True)
        return []


def _of_step(path: str, load: str) -> Path:
    """The file of one step of a sweep."""
    return Path(path).with_stem(f"{Path(path).stem}-{load}")


def check_samples(path: str | None) -> None:
    """Check that samples can be written in the format given by the file's suffix.

    Raises:
        UsageError: the format is unknown, or needs a package that is not installed.
    """
    if path is None:
        return
    suffix = Path(path).suffix.lower()
    if suffix not in SAMPLES:
        raise UsageError(
            f"--output-samples {path!r} has no known format: end it in {' or '.join(SAMPLES)}"
        )
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UsageError(
            f"--output-samples {path!r} needs pyarrow, which is not installed: pip install "
            "'tracebench[samples]', or write a .csv"
        )


def _has_spans(result: Result) -> bool:
    """Whether any request was made; if not, the traces file is from an earlier run."""
    return any(target.requests.started for target in result.targets.values())


def _is_of(result: Result, path: str) -> bool:
    """Whether a traces file is from this run: if it cannot be replaced, an earlier one remains."""
    traces = Path(path)
    if traces.exists() and not traces.is_file():
        return not _lost_spans(result)  # a pipe or a device
    began_s = datetime.fromisoformat(result.started_at).timestamp()
    return traces.exists() and traces.stat().st_mtime >= began_s


def _lost_spans(result: Result) -> bool:
    """Whether spans were lost while being written to the file, rather than elsewhere."""
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

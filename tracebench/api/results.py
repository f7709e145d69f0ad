"""What the functions of the API return: results that print, draw and save themselves."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

from tracebench.api.watching import Records
from tracebench.cli.output.outputs import check_samples
from tracebench.model.errors import UsageError
from tracebench.model.objectives import Decision
from tracebench.model.results.comparison import Differences, Reported, RunComparison, Saved
from tracebench.model.results.result import Comparison, Detail, Result, TargetResult, Verdict
from tracebench.model.results.search import Highest, Search, SearchStep
from tracebench.model.results.sweep import Scaling, Step, Sweep
from tracebench.report.answer import gate_lines, markdown, table
from tracebench.report.answer.headline import judgement
from tracebench.report.files import result_file, samples_file
from tracebench.report.page import notebook
from tracebench.report.tables import compare_table, search_table, sweep_table
from tracebench.system import why
from tracebench.system.output_files import replaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Path: TypeAlias = str | os.PathLike[str]
Samples: TypeAlias = Mapping[str, Any]
"""Column → one value for each request, as a numpy array."""
Data = TypeVar("Data", bound=Reported)
Measured = TypeVar("Measured", bound=Saved)
_DPI: Final = 80
"""Of figures in a notebook."""


class _Shown(Generic[Data]):
    """What all results can do."""

    def __init__(self, data: Data) -> None:
        self.data: Final = data
        """The frozen data, as in the file of `to_json` (docs/result.md)."""

    def plot(self, path: Path | None = None) -> "Figure":
        """Draw the result; also to a file (.png, .svg or .pdf), if there is a path.

        Raises:
            UsageError: the file cannot be written.
        """
        return self._figure(path)

    def _figure(self, path: Path | None, *, classic: bool = False) -> "Figure":
        from tracebench.report.figures import result_figure  # matplotlib takes a second

        figure = result_figure.make(self.data, classic=classic)
        # A Figure that pyplot does not know is only a line of text in a notebook otherwise.
        setattr(figure, "_repr_png_", partial(_png, figure))  # noqa: B010 - unknown to its type
        if path is not None:
            from tracebench.report.figures.figure_style import save  # matplotlib takes a second

            _writing(path, partial(save, figure))
        return figure

    def to_json(self, path: Path | None = None) -> str:
        """The result file, as text; also written, if there is a path.

        Raises:
            UsageError: the file cannot be written.
        """
        text = result_file.dumps(self.data)
        if path is not None:
            _writing(path, partial(_write_text, text))
        return text

    def to_markdown(self, path: Path | None = None) -> str:
        """The answer as Markdown; also written, if there is a path.

        Raises:
            UsageError: the file cannot be written.
        """
        text = markdown.render(self.data)
        if path is not None:
            _writing(path, partial(_write_text, text))
        return text

    def to_html(self, path: Path | None = None) -> str:
        """The page that explains the result (docs/page.md), as text; also written, if asked.

        Raises:
            UsageError: the file cannot be written.
        """
        from tracebench.report.page import page  # jinja2: not for who only measures
        from tracebench.report.tables.search_table import as_drawn  # rich: as above

        text = page.render(as_drawn(self.data))
        if path is not None:
            _writing(path, partial(_write_text, text))
        return text

    def _repr_html_(self) -> str:
        return notebook.verbatim(str(self))


class _Saved(_Shown[Measured]):
    """What runs, sweeps and searches can do besides."""

    @property
    def label(self) -> str:
        """The name that the user gave."""
        return self.data.label


class RunResult(_Saved[Result]):
    """The result of a run: `print` it, or look at `targets` and `samples`."""

    def __init__(self, data: Result, records: Records | None = None) -> None:
        super().__init__(data)
        self._records = records
        self._samples: Samples | None = None

    @property
    def targets(self) -> Mapping[str, TargetResult]:
        """Name of each target (`rest`, `grpc`, …) → its numbers."""
        return self.data.targets

    def plot(
        self, path: Path | None = None, *, style: Literal["overview", "classic"] = "overview"
    ) -> "Figure":
        """Draw the result; also to a file (.png, .svg or .pdf), if there is a path.

        Args:
            path: the file.
            style: overview: components, latency over time, percentiles, tail; classic: component
                times, mean and p95, percentages, distribution.

        Raises:
            UsageError: the file cannot be written.
        """
        return self._figure(path, classic=style == "classic")

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The differences of each further target from the first."""
        first = () if self.data.comparison is None else (self.data.comparison,)
        return (*first, *self.data.comparisons)

    @property
    def verdict(self) -> Verdict:
        """What the numbers can be used for; of several targets together."""
        verdicts = [one.verdict for one in self.targets.values()]
        usable = [set(one.usable_for or ()) for one in verdicts]
        first = verdicts[0].usable_for or () if verdicts else ()
        return Verdict(
            valid=all(one.valid for one in verdicts),
            findings=tuple(finding for one in verdicts for finding in one.findings),
            usable_for=tuple(name for name in first if all(name in one for one in usable)),
        )

    @property
    def decision(self) -> Decision | None:
        """All gates (`fail_if`, `fail_if_slower`) together; None without gates."""
        return self.data.decision

    @property
    def samples(self) -> Samples:
        """Every request: column → numpy array, as in `--output-samples` (docs/result.md).

        Numbers are int64, or float64 with NaN where some requests have none; texts are empty there.

        Raises:
            UsageError: the result was read from a file, which does not have them.
        """
        if self._samples is None:
            self._samples = samples_file.arrays(self._kept())
        return self._samples

    def to_samples(self, path: Path) -> None:
        """Write every request as a row of a .csv or .parquet file.

        Raises:
            UsageError: the file cannot be written, or the result was read from a file.
        """
        check_samples(os.fspath(path))
        _writing(path, lambda name: samples_file.write(name, self._kept()))

    def _kept(self) -> Records:
        if not self._records:
            raise UsageError(
                "this result has no samples, since it was read from a file or nothing was sent: "
                "measure again, or read the file of --output-samples"
            )
        return self._records

    def table(self, detail: Detail = "answer") -> str:
        """What the command prints: the answer, with `"all"` (-v) everything, or `"table"` (-q)."""
        parts = (table.render(self.data, detail=detail), gate_lines.render(self.data))
        return "\n".join(filter(None, parts))

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        told = "; ".join(_in_short(name, one) for name, one in self.targets.items())
        return f"<{' '.join(filter(None, ('RunResult', self.label)))}: {told}>"

    def _repr_html_(self) -> str:
        return notebook.render(self.data)


class SweepResult(_Saved[Sweep]):
    """The result of a sweep."""

    def __init__(self, data: Sweep, records: Sequence[Records] = ()) -> None:
        super().__init__(data)
        self._records = records

    @property
    def runs(self) -> Mapping[float, RunResult]:
        """Load → the run of that step."""
        return dict(_runs(self.data.steps, self._records))

    @property
    def scaling(self) -> Mapping[str, Scaling]:
        """Target → how it scales, and what saturates first."""
        return self.data.scaling

    def __str__(self) -> str:
        return sweep_table.render(self.data)

    def __repr__(self) -> str:
        loads = ", ".join(f"{one.load:g}" for one in self.data.steps)
        said = " ".join(one.sentence for one in self.scaling.values())
        return f"<SweepResult: {self.data.kind} {loads}: {said}>"


class SearchResult(_Saved[Search]):
    """The result of a search."""

    def __init__(self, data: Search, records: Sequence[Records] = ()) -> None:
        super().__init__(data)
        self._records = records

    @property
    def highest(self) -> Highest | None:
        """The highest load that was shown to meet the objective; None: none was."""
        return self.data.highest

    @property
    def runs(self) -> Sequence[tuple[float, RunResult]]:
        """Load and run of each step, in the order in which they were measured."""
        return list(_runs(self.data.steps, self._records))

    def __str__(self) -> str:
        return search_table.render(self.data)

    def __repr__(self) -> str:
        return f"<SearchResult: {self.data.sentence}>"


class ComparisonResult(_Shown[RunComparison]):
    """The differences between the runs of two sides."""

    @property
    def differences(self) -> Mapping[str, Differences]:
        """Target → component → statistic (`p50_ms`, …) → difference, with interval and verdict."""
        return self.data.differences

    @property
    def sentences(self) -> Mapping[str, str]:
        """Target → the answer in one sentence."""
        return self.data.sentences

    @property
    def decision(self) -> Decision | None:
        """All gates (`fail_if_slower`) together; None without gates."""
        return self.data.decision

    def __str__(self) -> str:
        parts = (compare_table.render(self.data), gate_lines.render_slower(self.data))
        return "\n".join(filter(None, parts))

    def __repr__(self) -> str:
        told = "; ".join(f"{name}: {one}" for name, one in self.sentences.items())
        return f"<ComparisonResult: {told}>"


def _runs(
    steps: Sequence[Step | SearchStep], records: Sequence[Records]
) -> Iterator[tuple[float, RunResult]]:
    """Load and run of each step; a step that was read from a file has no records."""
    for one, kept in zip(steps, (*records, *repeat(None, len(steps))), strict=False):
        yield one.load, RunResult(one.result, kept)


def result_of(data: Reported) -> RunResult | SweepResult | SearchResult | ComparisonResult:
    """The result that holds this data."""
    if isinstance(data, RunComparison):
        return ComparisonResult(data)
    if isinstance(data, Sweep):
        return SweepResult(data)
    return SearchResult(data) if isinstance(data, Search) else RunResult(data)


def _in_short(name: str, target: TargetResult) -> str:
    counts, latency = target.requests, target.latency
    bad = counts.failed + counts.timed_out
    parts = [f"{name} {counts.succeeded:,} ok" + (f", {bad:,} failed" if bad else "")]
    if latency is not None:
        parts.append(f"p50 {latency.p50_ms:.3g} ms")
    return ", ".join((*parts, judgement(target)[0].lower()))


def _png(figure: "Figure") -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    return drawn.getvalue()


def _write_text(text: str, path: str) -> None:
    with replaced(path) as file:
        file.write(text.encode(errors="backslashreplace"))


def _writing(path: Path, write: Callable[[str], object]) -> None:
    try:
        write(os.fspath(path))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot write {os.fspath(path)!r} ({why(error)}): give another path"
        ) from None

"""The files that a result is written to: tried before the run, written after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import abspath
from pathlib import Path

import click

from tracebench.errors import UsageError
from tracebench.model.result import Result
from tracebench.model.sweep import Sweep

FIGURES = (".png", ".svg", ".pdf")

OUTPUTS = (
    click.option("--output-json", metavar="F", help="Write the result."),
    click.option("--output-plot", metavar="F.png|.svg|.pdf", help="Draw the result."),
    click.option("--output-traces", metavar="F.jsonl", help="Write every span as OTLP JSON lines."),
    click.option("--otlp-endpoint", metavar="URL", help="Also send every span there."),
    click.option("--jaeger", metavar="URL", help="Read the server's spans back; link to its UI."),
    click.option("--trace-ui", metavar="URL", help="Link there instead. [default: --jaeger]"),
)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a result goes."""

    json: str | None = None
    plot: str | None = None
    traces: str | None = None
    """Where its spans go: written before the result is."""

    def check(self, *inputs: str | None) -> None:
        """See that each can be written, before anything is measured.

        Args:
            inputs: files that are read, which no output may overwrite.

        Raises:
            UsageError: one cannot.
        """
        if self.plot is not None and Path(self.plot).suffix.lower() not in FIGURES:
            raise UsageError(
                f"--output-plot {self.plot!r} is no figure: end it in {', '.join(FIGURES)}"
            )
        options = {"json": self.json, "plot": self.plot, "traces": self.traces}
        taken = {abspath(path): "what is read" for path in inputs if path is not None}
        for name, path in options.items():
            if path is not None:
                option = f"--output-{name}"
                _check_writable(option, path)
                if other := taken.get(abspath(path)):
                    raise UsageError(f"{option} {path!r} is also {other}: give another path")
                if Path(path).is_file() or not Path(path).exists():
                    taken[abspath(path)] = option

    def write(self, result: Result | Sweep) -> None:
        """Write each, and say so on standard error."""
        if self.traces is not None:
            traces = Path(self.traces)
            if isinstance(result, Sweep):
                click.echo(f"wrote {traces.with_stem(f'{traces.stem}-LOAD')}", err=True)
            elif _has_spans(result) and traces.is_file() and traces.stat().st_size:
                click.echo(f"wrote {traces}", err=True)
        if self.json is not None:
            from tracebench.report import to_json  # not for --help

            with _saving("--output-json", self.json):
                Path(self.json).write_text(to_json.dumps(result), encoding="utf-8")
        if self.plot is not None:
            from tracebench.report import figure, sweep_figure  # matplotlib takes a second

            with _saving("--output-plot", self.plot):
                if isinstance(result, Sweep):
                    sweep_figure.draw(result, self.plot)
                else:
                    figure.draw(result, self.plot)


def _has_spans(result: Result) -> bool:
    """Whether a request was made: without one, a file of traces is still that of another run."""
    return any(target.requests.started for target in result.targets.values())


def _check_writable(option: str, path: str) -> None:
    """See that a file can be written; one that did not exist does not exist afterwards.

    Raises:
        UsageError: it cannot.
    """
    file = Path(path)
    existed = file.exists()
    try:
        with file.open("ab"):
            pass
        if not existed:
            file.unlink()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot write {option} {path!r} ({why}): give another path") from None


@contextmanager
def _saving(option: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {option} {path!r} ({error.strerror})") from None
    click.echo(f"wrote {path}", err=True)

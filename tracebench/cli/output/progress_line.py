"""The progress of a run: one line on the terminal, redrawn on the engine's ticks.

It is drawn during the measurement, so it must be cheap: it takes 50 µs per frame, whereas rich's
progress bar takes 2 ms. Nothing is drawn if standard error is not a terminal.
"""

import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from tracebench.analysis.numbers import rounded
from tracebench.load.progress import Progress, Watcher
from tracebench.model.errors import excerpt

if TYPE_CHECKING:
    from tracebench.model.measurement import Record  # numpy: not for --help

_BAR = 24


class Live(Watcher):
    """A watcher that draws a bar with the current rate and latency."""

    def __init__(
        self,
        requests: int | None,
        duration_s: float | None,
        *,
        tells_answer: bool = True,
        keep: Callable[[str, "Record"], object] = lambda target, record: None,
    ) -> None:
        self._keep = keep
        self._requests, self._duration_s = requests, duration_s
        self._shown = sys.stderr.isatty()
        self._tells_answer = tells_answer
        self._target = ""
        self._last: dict[str, tuple[int, float]] = {}

    def begins(self, target: str, address: str, answer: str) -> None:
        """Show the target and its answer to the preflight."""
        self._target = target
        self._last.pop(target, None)
        said = f"{target} answers {excerpt(answer) or 'nothing'}"
        if self._shown and len(said) > _width():
            said = f"{said[: _width() - 1]}…"
        if self._tells_answer:
            click.echo(said, err=True)

    def turn(self, target: str) -> None:
        """Switch to the line of another target."""
        self._target = target

    def progress(self, progress: Progress) -> None:
        """Redraw the line."""
        if self._shown:
            self._write(self._line(progress)[: _width()])

    def waits(self, for_what: str) -> None:
        """Show what the run is waiting for, and how to continue without it."""
        if self._shown:
            self._write(f"{for_what} (Ctrl-C: go on without)"[: _width()])

    def measured(self, target: str, record: "Record") -> None:
        """Pass the requests to `keep`."""
        self._keep(target, record)

    def ends(self) -> None:
        """Erase the line."""
        if self._shown:
            self._write("")

    def _line(self, progress: Progress) -> str:
        before, before_s = self._last.get(self._target, (0, 0.0))
        rate = (progress.finished - before) / max(progress.elapsed_s - before_s, 1e-9)
        self._last[self._target] = progress.finished, progress.elapsed_s
        done = self._share_done(progress)
        tokens = progress.tokens / max(progress.elapsed_s, 1e-9)
        told = f"  {tokens:,.0f} tokens/s" if tokens else ""
        told += f"  {progress.workers}" if progress.workers else ""
        bar = ("█" * round(done * _BAR)).ljust(_BAR, "░")
        return (
            f"{self._target:<4} {bar} {done:4.0%}  {progress.finished:,} done  "
            f"{rate:,.0f}/s  {rounded(progress.recent_ms)} ms{told}"
        )

    def _share_done(self, progress: Progress) -> float:
        if self._duration_s:
            return min(progress.elapsed_s / self._duration_s, 1.0)
        return progress.finished / self._requests if self._requests else 0.0

    def _write(self, line: str) -> None:
        sys.stderr.write(f"\r\033[K{line}")
        sys.stderr.flush()


def _width() -> int:
    return shutil.get_terminal_size().columns - 1

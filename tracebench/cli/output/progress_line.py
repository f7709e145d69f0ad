"""The progress of a run: one line on the terminal, redrawn on the engine's ticks.

It is drawn during the measurement, so it must be cheap: it takes 0.1 ms per frame, whereas rich's
progress bar takes 2 ms. Nothing is drawn, or counted for it, if standard error is not a terminal.
"""

import shutil
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from tracebench.analysis.numbers import rounded
from tracebench.load.progress import Watcher
from tracebench.model.errors import excerpt
from tracebench.model.progress import Latencies, Progress

if TYPE_CHECKING:
    from tracebench.model.measurement import Record  # numpy: not for --help

_BAR: Final = range(6, 25)
_LATELY_S: Final = 1.0
"""Rates and latencies on the line are those of the last second."""
_NOTHING: Final = Progress(0, 0.0)


class Lately:
    """What happened in the last second of a run."""

    def __init__(self) -> None:
        self._seen: deque[Progress] = deque()

    def since(self, now: Progress) -> Progress:
        """The latest snapshot that is a second old; nothing, at the start."""
        if self._seen and now.elapsed_s < self._seen[-1].elapsed_s:
            self._seen.clear()  # another run of the same target
        self._seen.append(now)
        until_s = now.elapsed_s - _LATELY_S
        while len(self._seen) > 1 and self._seen[1].elapsed_s <= until_s:
            self._seen.popleft()
        return self._seen[0] if self._seen[0].elapsed_s <= until_s else _NOTHING


class Live(Watcher):
    """A watcher that draws a bar with the current rate, latency and errors.

    Args:
        requests: how many are planned; None: see `duration_s`.
        duration_s: how long the load is planned to last; None: unknown.
        tells_answer: whether to print what each target answers to the preflight.
        shown: draw even if standard error is not a terminal.
        keep: told of all requests of a target.
    """

    def __init__(
        self,
        requests: int | None,
        duration_s: float | None,
        *,
        tells_answer: bool = True,
        shown: bool = False,
        keep: Callable[[str, "Record"], object] = lambda target, record: None,
    ) -> None:
        self._keep = keep
        self._requests, self._duration_s = requests, duration_s
        self._shown = self.detailed = shown or sys.stderr.isatty()
        self._tells_answer = tells_answer
        self._target = ""
        self._lately: dict[str, Lately] = {}

    def begins(self, target: str, address: str, answer: str) -> None:
        """Show the target and its answer to the preflight."""
        self._target = target
        self._lately.pop(target, None)
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
        lately = self._lately.setdefault(self._target, Lately())
        done = self._share_done(progress)
        told = f" {done:4.0%}  {progress.finished:,} done  {said(progress, lately.since(progress))}"
        room = _width() - len(told) - len(f"{self._target:<4} ")
        size = min(max(room, _BAR[0]), _BAR[-1])
        bar = ("█" * round(done * size)).ljust(size, "░")
        return f"{self._target:<4} {bar}{told}"

    def _share_done(self, progress: Progress) -> float:
        if self._duration_s:
            return min(progress.elapsed_s / self._duration_s, 1.0)
        return min(progress.finished / self._requests, 1.0) if self._requests else 0.0

    def _write(self, line: str) -> None:
        sys.stderr.write(f"\r\033[K{line}")
        sys.stderr.flush()


def said(now: Progress, before: Progress) -> str:
    """Rate, latency and tokens between two snapshots, and all errors so far, in a few words."""
    past_s = max(now.elapsed_s - before.elapsed_s, 1e-9)
    words = [f"{(now.finished - before.finished) / past_s:,.0f}/s"]
    recent = now.all_latencies - before.all_latencies
    if recent.count:
        words.append(_times(recent))
    if failed := sum(now.errors.values()):
        words.append(f"{failed:,} failed")
    if now.tokens:
        words.append(f"{(now.tokens - before.tokens) / past_s:,.0f} tokens/s")
    if now.workers:
        words.append(now.workers)
    return "  ".join(words)


def _times(recent: Latencies) -> str:
    middle, tail = (rounded(recent.percentile_ms(percent), 2) for percent in (50, 99))
    return f"p50 {middle} p99 {tail} ms"


def _width() -> int:
    return shutil.get_terminal_size().columns - 1

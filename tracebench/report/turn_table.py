"""Conversations, turn by turn, as a block of the table."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tracebench.analysis.numbers import milliseconds
from tracebench.model.result import Statistics, Turn
from tracebench.report.terminal import indented

_MOST: Final = 12
"""Turns that are shown; of more, the first ones and the last."""
_COLUMNS: Final = ("requests", "input", "cached", "ttft p50", "ttft p95", "tpot p50")


def turn_block(turns: Sequence[Turn]) -> Iterator[RenderableType]:
    """A line a turn: does the server's cache help, and what does a longer history cost?"""
    if not turns:
        return
    table = Table(box=None, padding=(0, 1), pad_edge=True)
    table.add_column("turn", justify="right", min_width=6)
    for name in _COLUMNS:
        table.add_column(name, justify="right", min_width=8, no_wrap=True)
    shown = turns if len(turns) <= _MOST else (*turns[: _MOST - 1], turns[-1])
    for at, one in enumerate(shown):
        if at and one.turn > shown[at - 1].turn + 1:
            table.add_row("…")
        table.add_row(*_cells(one))
    yield table
    yield indented(Text("input and cached: tokens a request (mean); times in ms", style="dim"))
    yield ""


def _cells(one: Turn) -> tuple[str, ...]:
    return (
        str(one.turn),
        f"{one.count:,}",
        _tokens(one.input_tokens),
        _tokens(one.cached_tokens),
        _ms(one.ttft, "p50_ms"),
        _ms(one.ttft, "p95_ms"),
        _ms(one.tpot, "p50_ms"),
    )


def _tokens(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:,.0f}"


def _ms(statistics: Statistics | None, name: str) -> str:
    if statistics is None:
        return "–"
    mark = "~" if name in statistics.unsupported else ""
    return mark + milliseconds(getattr(statistics, name))

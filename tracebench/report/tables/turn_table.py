"""Conversations turn by turn: whether the cache helps, and what a longer history costs."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tracebench.analysis.numbers import rounded
from tracebench.model.results.statistics import Statistics
from tracebench.model.results.stream_result import Turn
from tracebench.report.tables.component_table import value
from tracebench.report.tables.terminal import indented

_MOST: Final = 12
"""Most turns shown; if there are more, the first ones and the last."""
_COLUMNS: Final = ("requests", "input", "cached", "ttft p50", "ttft p95", "tpot p50")


def turns_in_short(turns: Sequence[Turn]) -> Iterator[str]:
    """One line that compares the first turn with the last."""
    if len(turns) < 2:
        return
    first, last = turns[0], turns[-1]
    facts = []
    if first.ttft is not None and last.ttft is not None:
        ttft = f"{rounded(first.ttft.p50_ms)} → {rounded(last.ttft.p50_ms)} ms"
        facts.append(f"ttft p50 {ttft}")
    facts.append(f"input {_tokens(first.input_tokens)} → {_tokens(last.input_tokens)} tokens")
    if last.cached_tokens is not None:
        facts.append(f"cached {_tokens(first.cached_tokens)} → {_tokens(last.cached_tokens)}")
    yield f"turn {first.turn} → {last.turn}: {', '.join(facts)}"


def turn_block(turns: Sequence[Turn]) -> Iterator[RenderableType]:
    """A table with one line per turn."""
    if not turns:
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("turn", justify="right")
    for name in _COLUMNS:
        table.add_column(name, justify="right", min_width=8, no_wrap=True)
    shown = turns if len(turns) <= _MOST else (*turns[: _MOST - 1], turns[-1])
    for at, one in enumerate(shown):
        if at and one.turn > shown[at - 1].turn + 1:
            table.add_row("…")
        table.add_row(*_cells(one))
    yield indented(table)
    yield indented(Text("input, cached: tokens a request (mean); times in ms", style="dim"))


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


def _ms(statistics: Statistics | None, key: str) -> str:
    return "–" if statistics is None else value(statistics, key)

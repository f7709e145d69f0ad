"""Streamed replies in full, as `-v` tells of them: first token, gaps, and the parts of each."""

from collections.abc import Mapping

from rich.console import RenderableType
from rich.table import Table

from tracebench.analysis.numbers import whole_percent
from tracebench.model.components import SERVER_AND_NETWORK
from tracebench.model.result import SHOWN, Statistics, StreamResult
from tracebench.report.component_table import value
from tracebench.report.terminal import indented

_SMALL = 0.0005
"""Parts with a smaller share are omitted."""


def stream_table(stream: StreamResult) -> RenderableType:
    """Everything about the streams of a target."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("streams, ms", no_wrap=True, min_width=len(SERVER_AND_NETWORK))
    for name in SHOWN:
        table.add_column(name.removesuffix("_ms"), justify="right", min_width=7)
    table.add_column("of it", justify="right", min_width=5, no_wrap=True)
    for name, statistics in _rows(stream).items():
        if statistics is not None:
            _add(table, name, statistics, stream.parts.get(name, {}))
    return indented(table)


def _rows(stream: StreamResult) -> dict[str, Statistics | None]:
    return {
        "ttft": stream.ttft,
        "itl": stream.itl,
        "tpot": stream.tpot,
        "generation": stream.generation,
        "ending": stream.ending,
    }


def _add(table: Table, name: str, whole: Statistics, parts: Mapping[str, Statistics]) -> None:
    table.add_row(name, *(value(whole, key) for key in SHOWN), "", style="bold")
    for part, one in parts.items() if len(parts) > 1 else ():
        share = one.mean_ms / whole.mean_ms if whole.mean_ms else 0.0
        if share > _SMALL:
            cells = (value(one, key) for key in SHOWN)
            table.add_row(f"  {part}", *cells, whole_percent(share))

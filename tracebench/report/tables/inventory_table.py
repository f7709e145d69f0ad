"""Spans that servers emit, as a terminal table, with rules to paste for unmapped ones."""

from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tracebench.analysis.numbers import counted, milliseconds, signed
from tracebench.model.results.inventory import Inventory, Row, Service
from tracebench.report.tables.terminal import WIDTH, printed, shortened

_UNUSED: Final = "–"
_UNMAPPED: Final = "unmapped"
_NAME_WIDTH: Final = 37
_MOST_RULES: Final = 12
_NOTHING: Final = (
    "No server spans: let the server export OTLP (OTEL_EXPORTER_OTLP_ENDPOINT) to the "
    "address of --receive-otlp, and sample what the client samples."
)
_ADVICE: Final = """\
Unmapped: its time counts for the span above it. Paste the rules that you want
into a file, correct the guessed components, and pass it as --mapping FILE:
"""


def render(inventory: Inventory, *, width: int = WIDTH, color: bool = False) -> str:
    """The inventory as text.

    Args:
        inventory: the spans found.
        width: the maximum line length, except for rules with long names, which must be copyable.
        color: whether to use terminal codes for colours and weight.
    """
    return printed(_parts(inventory), width, color=color)


def _parts(inventory: Inventory) -> Iterator[RenderableType | str]:
    for service in inventory.services:
        yield Text(_head(service), style="bold")
        yield from (Text(f"  {line}") for line in _facts(service))
        yield ""
        yield _table(service)
        yield ""
    if not inventory.services:
        yield Text(_NOTHING)
    if inventory.unreadable:
        yield Text(
            f"{inventory.unreadable:,} could not be read: {_plain(inventory.problem)}", "yellow"
        )
        yield ""
    rules = [row.rule for service in inventory.services for row in service.rows if row.rule]
    if rules:
        yield Text(_ADVICE, style="bold")
        yield "\n\n".join(dict.fromkeys(rules[:_MOST_RULES]))
    if len(rules) > _MOST_RULES:
        yield Text(f"\nand {len(rules) - _MOST_RULES} more such rules", style="dim")


def _head(service: Service) -> str:
    profiles = ", ".join(service.profiles) or "no profile matches"
    return f"{_plain(service.name) or '(no service.name)'}  {profiles}"


def _facts(service: Service) -> Iterable[str]:
    yield f"{counted(service.spans, 'span')} in {counted(service.traces, 'trace')}"
    if service.orphans:
        yield f"not counted: {counted(service.orphans, 'span')} without a parent"


def _table(service: Service) -> Table:
    table = Table(box=None, padding=(0, 1), expand=True)
    table.add_column("span, and what it holds", ratio=1, overflow="ellipsis", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("median ms", justify="right", no_wrap=True)
    table.add_column("component", min_width=17, no_wrap=True)
    for row in service.rows:
        table.add_row(
            *_cells(row), style=None if row.component else "yellow" if row.rule else "dim"
        )
    return table


def _cells(row: Row) -> tuple[str, str, str, str]:
    name = row.span if row.what == "span" else f"  {row.name}"
    at = "" if row.median_ms is None else milliseconds(row.median_ms)
    if row.what == "event" and row.median_ms is not None:
        at = f"at {signed(row.median_ms)}"
    return (
        shortened(_plain(name), _NAME_WIDTH),
        f"{row.count:,}",
        at,
        row.component or (_UNMAPPED if row.rule else _UNUSED),
    )


def _plain(text: str) -> str:
    """The text without control characters, which could move a terminal's cursor or colour it."""
    return "".join(char if char.isprintable() else "�" for char in text)

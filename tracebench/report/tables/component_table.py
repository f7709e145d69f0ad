"""The table of a target: a row for each component, then the sum and the stream metrics."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.table import Table

from server_middleware.vocabulary import SERVER_PARTS, SERVER_PROCESSING
from tracebench.analysis.closure.own_components import share_of
from tracebench.analysis.findings.samples import amount, times_as_many
from tracebench.analysis.numbers import (
    approximately,
    milliseconds,
    percent,
    rounded,
    whole_percent,
)
from tracebench.analysis.verdict import within
from tracebench.model.components import BACKLOG, CONNECT, END_TO_END, LEAVES, SERVER_AND_NETWORK
from tracebench.model.results.result import TargetResult
from tracebench.model.results.statistics import SHOWN, Statistics
from tracebench.model.results.stream_result import StreamResult
from tracebench.report.tables.terminal import has_estimates, indented, one_line, shortened

ALL_ROWS = 1_000
_NAME, _NUMBER, _SHARE = len(SERVER_AND_NETWORK), 7, 5
"""Minimum widths of columns."""
_INDENT = 2
_ABSENT = (BACKLOG, CONNECT)
"""Rows that are omitted if zero."""


class Row(NamedTuple):
    """One row of the table, for one component or for several combined."""

    label: str
    values: tuple[str, ...]
    share: float | None
    remark: str = ""
    style: str = ""


def component_table(target: TargetResult, width: int, most: int = ALL_ROWS) -> RenderableType:
    """The table of components; those beyond `most` share one row.

    Args:
        target: a result with components.
        width: line length; bars take what the numbers leave.
        most: largest number of component rows; ALL_ROWS adds the sum of the server's parts.
    """
    rows = rows_of(target, most)
    number = max(_NUMBER, *(len(value) for row in rows for value in row.values))
    bar = max(width - _INDENT - (_NAME + 1) - len(SHOWN) * (number + 1) - (_SHARE + 1), 0)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("ms", no_wrap=True, min_width=_NAME)
    for name in SHOWN:
        table.add_column(name.removesuffix("_ms"), justify="right", min_width=number, no_wrap=True)
    table.add_column("share", justify="right", min_width=_SHARE, no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        share = "" if row.share is None else whole_percent(row.share)
        remark = row.remark[:bar] or "█" * round((row.share or 0) * bar)
        table.add_row(row.label, *row.values, share, remark, style=row.style or None)
    return indented(table, _INDENT)


def rows_of(target: TargetResult, most: int = ALL_ROWS) -> list[Row]:
    """The rows: components, their sum, and streams."""
    return [*_components(target, most), *_totals(target), *_streams(target.stream)]


def other_rows(target: TargetResult) -> int:
    """Number of lines other than those of components: the heading, totals and streams."""
    return 1 + sum(1 for _ in (*_totals(target), *_streams(target.stream)))


def note_on_estimates(target: TargetResult, plan: Mapping[str, Any]) -> list[RenderableType]:
    """A line that explains `~`; empty if the table has none."""
    note = meaning_of_estimates(target, plan)
    return [one_line(note, "dim")] if note else []


def meaning_of_estimates(target: TargetResult, plan: Mapping[str, Any]) -> str:
    """What `~` means and what would remove it; empty if the table has none."""
    whole, stream = target.latency, target.stream
    if not target.components:
        return ""
    if whole is not None and has_estimates([whole], SHOWN):
        times = times_as_many(whole, SHOWN)
        how = f": {option}" if (option := amount(plan, times)) else ""
        told = rounded(times, 2)
        return f"~ needs about {told} times as many requests{how}"
    if has_estimates(target.components.values(), SHOWN):
        return "~ too few samples for this percentile"
    if stream is not None and has_estimates(_of_streams(stream).values(), SHOWN):
        return "~ too few samples, or too many tokens in one read"
    return ""


def value(statistics: Statistics | None, key: str) -> str:
    """The statistic as text; empty without one, or if the result is older than the statistic."""
    number = None if statistics is None else getattr(statistics, key)
    if statistics is None or number is None:
        return ""
    if key in statistics.unsupported:
        return f"~{approximately(number)}"
    return milliseconds(number)


def _values(statistics: Statistics) -> tuple[str, ...]:
    return tuple(value(statistics, key) for key in SHOWN)


def _names(target: TargetResult) -> list[str]:
    """Components in the order of a request's life, each followed by its parts."""
    parts = target.parts_of
    outside = [name for name in LEAVES if name not in SERVER_PARTS]
    server = [one for name in SERVER_PARTS for one in (name, *parts.get(name, ()))]
    known = [n for n in (*outside, SERVER_AND_NETWORK, *server) if n in target.components]
    return [name for name in known if name not in _ABSENT or target.components[name].max_ms > 0]


def _components(target: TargetResult, most: int) -> Iterator[Row]:
    names, parts = _names(target), {n for those in target.parts_of.values() for n in those}
    shares = {name: target.share.get(name, 0.0) for name in names}
    shares |= {name: share_of(target.components, name) for name in names if name in parts}
    kept = set(names)
    if len(names) > most:
        kept = set(sorted(names, key=lambda n: (shares[n], n not in parts))[-(most - 1) :])
    for name in (name for name in names if name in kept):
        values = _values(target.components[name])
        if name in parts:
            yield Row(f"  {shortened(name)}", values, shares[name], style="dim")
        else:
            yield Row(name, values, target.share.get(name))
    if left := [name for name in names if name not in kept]:
        yield _together(target, [n for n in left if n not in parts], len(left))
    if most == ALL_ROWS and SERVER_PROCESSING in target.components:
        whole = target.components[SERVER_PROCESSING]
        yield Row(SERVER_PROCESSING, _values(whole), None, style="bold")


def _together(target: TargetResult, leaves: Iterable[str], count: int) -> Row:
    """One row with the mean of all omitted components, so that the column still adds up."""
    share = sum(target.share.get(name, 0.0) for name in leaves)
    mean_ms = milliseconds(share * target.components[END_TO_END].mean_ms)
    values = (mean_ms if name == "mean_ms" else "" for name in SHOWN)
    return Row(f"{count} more (-v)", tuple(values), share, style="dim")


def _totals(target: TargetResult) -> Iterator[Row]:
    whole = target.components[END_TO_END]
    known = within(whole, "mean_ms") if whole.mean_ms is not None else 0.0
    remark = f"±{percent(known)} on the mean" if 0 < known < 10 else ""
    yield Row(END_TO_END, _values(whole), None, remark, "bold")
    if has_more(target) and target.latency is not None:
        yield Row("latency of all", _values(target.latency), None, "and time-outs", "bold")


def has_more(target: TargetResult) -> bool:
    """Whether more requests have a latency than components."""
    whole = target.latency
    return whole is not None and whole.count != target.components[END_TO_END].count


def _of_streams(stream: StreamResult) -> dict[str, Statistics]:
    told = {"ttft": stream.ttft, "itl": stream.itl, "tpot": stream.tpot}
    return {name: one for name, one in told.items() if one is not None}


def _streams(stream: StreamResult | None) -> Iterator[Row]:
    if stream is not None:
        for name, statistics in _of_streams(stream).items():
            yield Row(name, _values(statistics), None, _MEANING[name], "bold")


_MEANING = {"ttft": "to the first token", "itl": "between tokens", "tpot": "per token"}

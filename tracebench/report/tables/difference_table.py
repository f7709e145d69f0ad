"""The difference between two targets, as a block below their tables."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from server_middleware.vocabulary import INFERENCE, INFERENCE_PARTS
from tracebench.analysis.numbers import counted, milliseconds, signed
from tracebench.model.components import COMPONENTS, END_TO_END, LEAVES
from tracebench.model.results.result import Comparison, Difference
from tracebench.model.results.statistics import COMPARED
from tracebench.report.tables.terminal import indented, sentence, shortened

_FIRST = "p50_ms"
"""The statistic in the table; differences in the others are listed below it."""
_NONE = "no difference shown"
_NAME = 16
"""Longest target name that fits in a column heading."""


def difference_block(comparison: Comparison) -> RenderableType:
    """The difference of each component, the verdicts, and what the intervals do not cover."""
    title = Text(_title(comparison), style="bold")
    others = [indented(Text(line)) for line in _others(comparison)]
    notes = []
    if comparison.caveat:
        notes.append(indented(Text(sentence(comparison.caveat), style="dim")))
    return Group(title, _differences(comparison), *others, *notes)


def _title(comparison: Comparison) -> str:
    how = ""
    if comparison.pairs:
        how = f", by {counted(comparison.pairs, 'pair')} of blocks of {comparison.block_s:.2g} s"
    return f"{comparison.b} against {comparison.a}{how}"


def _differences(comparison: Comparison) -> RenderableType:
    table = Table(box=None, padding=(0, 1))
    table.add_column("p50, ms", no_wrap=True)
    for heading in (comparison.a, comparison.b, "difference"):
        table.add_column(shortened(heading, _NAME), justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    for name in _rows(comparison):
        one = comparison.components[name][_FIRST]
        verdict = "" if one.verdict in (None, _NONE) else str(one.verdict)
        cells = milliseconds(one.a), milliseconds(one.b), signed(one.delta), _told(one, verdict)
        style = "bold" if verdict else None
        table.add_row(name if name in COMPONENTS else f"  {shortened(name)}", *cells, style=style)
    return table


def _rows(comparison: Comparison) -> list[str]:
    """Components in the order of a request's life, without those that take no time in either."""
    after = LEAVES.index(INFERENCE) + 1
    leaves = (*LEAVES[:after], *INFERENCE_PARTS, *LEAVES[after:])
    order = (*leaves, *_own(comparison), END_TO_END)
    known = [name for name in order if name in comparison.components]
    return [name for name in known if _takes_time(comparison.components[name][_FIRST])]


def _takes_time(one: Difference) -> bool:
    return bool(one.a or one.b)


def _told(one: Difference, verdict: str) -> str:
    interval = "unknown" if one.ci95 is None else " … ".join(map(signed, one.ci95))
    return f"{interval}  {verdict}"


def _others(comparison: Comparison) -> Iterator[str]:
    """Yield the differences in the other statistics, or a line that none is shown."""
    shown = False
    for name in COMPARED:
        found = [
            f"{component} {signed(one[name].delta)} {one[name].verdict}"
            for component, one in comparison.components.items()
            if name in one and one[name].verdict not in (None, _NONE)
        ]
        shown = shown or bool(found)
        if found and name != _FIRST:
            yield f"{name.removesuffix('_ms')}: {', '.join(found)}"
    if not shown:
        yield f"{_NONE} at p50, p95 or in the mean"


def _own(comparison: Comparison) -> list[str]:
    """The custom-named parts that both targets have."""
    known = COMPONENTS.union(INFERENCE_PARTS)
    return [name for name in comparison.components if name not in known]

"""A search as a terminal table: the answer first, then one line for each load."""

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tracebench.analysis.numbers import counted, rounded
from tracebench.model.objectives import Met, ObjectiveResult
from tracebench.model.results.comparison import Reported
from tracebench.model.results.result import Result
from tracebench.model.results.search import Level, Search
from tracebench.model.results.sweep import Step, Sweep
from tracebench.report.several import Several
from tracebench.report.tables.component_table import value
from tracebench.report.tables.sweep_table import HEADINGS, MEETS
from tracebench.report.tables.terminal import WIDTH, indented, printed, sentence

_STYLES: dict[Met, str] = {"met": "green", "missed": "red", "undecided": "yellow"}
_PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")


def as_sweep(search: Search) -> Sweep:
    """The longest run at each load as a sweep, for reports that show sweeps."""
    longest: dict[float, tuple[float, Result]] = {}
    for step in search.steps:
        if step.seconds > longest.get(step.load, (0.0, step.result))[0]:
            longest[step.load] = step.seconds, step.result
    return Sweep(
        kind=search.by,
        steps=tuple(Step(load, longest[load][1]) for load in sorted(longest)),
        ended=search.ended,
        interrupted=search.interrupted,
        valid=search.valid,
        scaling=search.scaling,
        slo=search.slo,
        label=search.label,
    )


def as_drawn(found: Reported | Several[Any]) -> Any:
    """What figures and pages show; the loads of a search are those of a sweep."""
    if isinstance(found, Several):
        return Several({name: as_drawn(one) for name, one in found.results.items()})
    return as_sweep(found) if isinstance(found, Search) else found


def render(search: Search, *, width: int = WIDTH, color: bool = False) -> str:
    """The whole search as text.

    Args:
        search: the result of the search.
        width: the maximum line length.
        color: whether to use terminal codes for colours and weight.
    """
    name, target = next(iter(search.steps[0].result.targets.items()))
    goodput = (
        "" if search.goodput_rps is None else f"Goodput there: {rounded(search.goodput_rps)}/s."
    )
    runs = f"{counted(len(search.steps), 'run')} in {search.spent_s:.0f} s"
    parts: list[RenderableType] = [
        Text(f"{name}  {target.address}", style="bold", overflow="ellipsis", no_wrap=True),
        "",
        indented(Text(sentence(search.sentence), style="bold")),
        *([indented(Text(goodput))] if goodput else []),
        "",
        _levels(search),
        "",
        Text(f"{runs}; ended: {search.ended}", style="dim"),
    ]
    return printed(parts, width, color=color)


def _levels(search: Search) -> RenderableType:
    table = Table(box=None, padding=(0, 1), pad_edge=True)
    percentiles = [f"{name.removesuffix('_ms')} ms" for name in _PERCENTILES]
    shares = all(one.is_share for level in search.levels for one in level.objectives)
    known = "% within" if shares else "found"
    for heading in (HEADINGS[search.by], "s", "requests", *percentiles, known, "meets"):
        table.add_column(heading, justify="right", no_wrap=heading != known)
    latencies = {step.load: step for step in as_sweep(search).steps}
    for level in search.levels:
        (target,) = latencies[level.load].result.targets.values()
        table.add_row(
            rounded(level.load, 4),
            f"{level.seconds:.0f}",
            f"{level.requests:,}",
            *(value(target.latency, name) for name in _PERCENTILES),
            _found(level),
            MEETS[level.decision],
            style=_STYLES[level.decision],
        )
    return table


def _found(level: Level) -> str:
    return "\n".join(_of(one) for one in level.objectives)


def _of(one: ObjectiveResult) -> str:
    if one.value is None:
        return ""
    scale, unit = (100.0, "") if one.is_share else (1.0, " ms")
    between = "" if one.ci95 is None else " … ".join(rounded(scale * end, 4) for end in one.ci95)
    return f"{rounded(scale * one.value, 4)} ({between}){unit}"

"""The answer on the terminal: at most 80 columns, and 24 lines a target unless -v asks for all."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from tracebench.analysis.interpretation import (
    interpret,
    interpret_stream,
    tail_in_short,
)
from tracebench.analysis.numbers import counted
from tracebench.model.results.result import Detail, Result, TargetResult
from tracebench.report.answer.details import (
    details_above,
    details_below,
    links,
    whole_table,
)
from tracebench.report.answer.gauge_lines import gauge_lines
from tracebench.report.answer.headline import doubts, facts, headline
from tracebench.report.answer.influence import influence_lines
from tracebench.report.tables.component_table import component_table, note_on_estimates, other_rows
from tracebench.report.tables.difference_table import difference_block
from tracebench.report.tables.stream_table import stream_line
from tracebench.report.tables.terminal import (
    WIDTH,
    cropped,
    finding_line,
    indented,
    one_line,
    printed,
    sentence,
)

LINES = 24
"""Lines per target, unless it has too many findings to fit."""
_FEWEST_ROWS = 5
_MOST_ERRORS = 3
"""Most reasons of failures that are printed."""
_LEAST_ADDRESS = 16


def render(
    result: Result, *, width: int = WIDTH, color: bool = False, detail: Detail = "answer"
) -> str:
    """The whole result as text.

    Args:
        result: the result of the run.
        width: the maximum line length, except for links.
        color: whether to use terminal codes for colours and weight.
        detail: how much is printed.
    """
    return printed(_parts(result, width, detail), width, color=color)


def _parts(result: Result, width: int, detail: Detail) -> Iterator[RenderableType | str]:
    for at, (name, target) in enumerate(result.targets.items()):
        if at:
            yield ""
        heading = list(_heading(name, target, result, width))
        if detail == "table":
            yield from _table_alone(target, result.plan, width, heading[: len(result.targets) - 1])
        elif detail == "answer":
            yield from _answer(target, result, width, heading)
        else:
            yield from (*heading, "", indented(headline(target, hint=False)), "")
            yield from details_above(target, result)
            yield from whole_table(target, result.plan, width)
            yield from details_below(target)
            yield from links(target)
    for one in (result.comparison, *result.comparisons):
        if one is not None:
            yield from ("", difference_block(one))


def _table_alone(
    target: TargetResult, plan: Mapping[str, Any], width: int, heading: list[RenderableType]
) -> Iterator[RenderableType]:
    """The table, with a heading only if there are several targets."""
    yield from heading
    if target.components:
        yield component_table(target, width)
        yield from note_on_estimates(target, plan)


def _answer(
    target: TargetResult, result: Result, width: int, heading: list[RenderableType]
) -> Iterator[RenderableType]:
    """What was measured, what it can be used for, the conclusions, the table, and what to fix.

    The table gets the lines of `LINES` that the other parts leave.
    """
    above = [heading, [indented(headline(target, hint=True))], _sentences(target, result)]
    below, mend = _below(target, result.plan), _doubts(target, width)
    if target.components:
        others = sum(len(block) + 1 for block in (*above, mend) if block) + len(below)
        room = LINES - others - other_rows(target)
        below.insert(0, component_table(target, width, max(_FEWEST_ROWS, room)))
    for at, block in enumerate(filter(None, (*above, below, mend))):
        yield from ("", *block) if at else block


# What was measured.


def _heading(
    name: str, target: TargetResult, result: Result, width: int
) -> Iterator[RenderableType]:
    """The target and, at the end of the line, what was measured."""
    told, title = " · ".join(facts(target, result.plan)), f"{name}  "
    room = width - cell_len(title) - cell_len(told) - 2
    apart = room < min(_LEAST_ADDRESS, cell_len(target.address))
    address = cropped(target.address, width - cell_len(title) if apart else room)
    line = Text(title + address, style="bold")
    if not apart:
        line.append(" " * (room + 2 - cell_len(address)))
        line.append(told, style="not bold")
    yield line
    if apart:
        yield one_line(told)
    if result.label:
        yield one_line(result.label, "italic")


# What the numbers say.


def _sentences(target: TargetResult, result: Result) -> list[RenderableType]:
    """The main conclusion, and what follows from it."""
    if not target.verdict.valid:
        return []
    reading = interpret(target, result.plan, result.environment)
    streamed = "" if target.stream is None else interpret_stream(target.stream)
    found = filter(None, (reading.fact, streamed))
    said = [one_line(sentence(one), "bold") for one in found]
    if reading.suggestion and not streamed:
        said.append(one_line(f"→ {reading.suggestion}"))
    tail = tail_in_short(target)
    return [*said, one_line(sentence(tail))] if tail else said


def _below(target: TargetResult, plan: Mapping[str, Any]) -> list[RenderableType]:
    """The notes below the table."""
    note = note_on_estimates(target, plan)
    streamed = () if target.stream is None else stream_line(target.stream)
    lines = (*streamed, *gauge_lines(target), *influence_lines(target, brief=True))
    return [*note, *(one_line(line) for line in lines)]


# What to fix.


def _doubts(target: TargetResult, width: int) -> list[RenderableType]:
    """A line for each finding that is more than a note, and for the reasons of failures."""
    return [*(finding_line(one, width) for one in doubts(target)), *_errors(target)]


def _errors(target: TargetResult) -> Iterator[RenderableType]:
    errors = target.errors
    shown = errors if len(errors) <= _MOST_ERRORS else errors[: _MOST_ERRORS - 1]
    for error in shown:
        example = f": {error.example}" if error.example else ""
        yield indented(one_line(f"{error.count:,} × {error.reason}{example}", "red"))
    if more := errors[len(shown) :]:
        count, reasons = sum(one.count for one in more), counted(len(more), "more reason")
        yield indented(one_line(f"{count:,} × {reasons} (-v)", "red"))

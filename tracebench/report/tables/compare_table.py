"""A comparison of saved runs on the terminal: one sentence first, then the differences."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tracebench.analysis.difference.answer import LEAST_SHARE, Line, lines, matters
from tracebench.analysis.difference.between_runs import ENOUGH_RUNS
from tracebench.analysis.numbers import milliseconds, signed
from tracebench.model.components import COMPONENTS, END_TO_END, LATENCY, SERVICE_TIME
from tracebench.model.results.comparison import Differences, RunComparison, Side
from tracebench.model.results.result import Difference
from tracebench.report.tables.terminal import WIDTH, indented, printed, shortened

_HEADINGS: Final = ("ms", "", "A", "B", "B − A", "95 % interval", "", "")
_STYLES: Final = {"slower": "red", "faster": "green"}
_LONGEST_NAME: Final = 18
_ONE_DIGIT: Final = 9.95
"""Percentage from which no decimal is shown."""
_WHOLE: Final = (END_TO_END, LATENCY)
_UNKNOWN: Final = (
    "run-to-run variance unknown: intervals are widened by the largest difference within a run. "
    f"Give {ENOUGH_RUNS} runs a side (A1 A2 A3 -- B1 B2 B3), or measure both in one run"
)


def render(
    found: RunComparison, *, width: int = WIDTH, color: bool = False, whole: bool = False
) -> str:
    """A comparison as text.

    Args:
        found: the comparison.
        width: the maximum line length.
        color: whether to use terminal codes for colours and weight.
        whole: show every statistic, not only those of at least 1 % of the latency.
    """
    return printed(_parts(found, whole=whole), width, color=color)


def _parts(found: RunComparison, *, whole: bool) -> Iterator[RenderableType]:
    for name, differences in found.differences.items():
        yield Text(f"{name}  B against A", style="bold")
        for letter, side in (("A", found.a), ("B", found.b)):
            yield indented(Text(_side(letter, side, name), overflow="ellipsis", no_wrap=True))
        yield ""
        yield indented(Text(found.sentences[name], style="bold"))
        yield ""
        yield from _tables(differences, whole=whole)
        yield indented(Text(_rates(found, name)))
        yield ""
    if found.run_to_run == "unknown":
        yield indented(Text(f"! {_UNKNOWN}.", style="yellow"))
    for caveat in found.caveats:
        yield indented(Text(f"! {caveat}", style="yellow"))


def _side(letter: str, side: Side, target: str) -> str:
    label = "" if side.label == letter else f"{side.label}: "
    return f"{letter}  {label}{' '.join(side.files)}  {side.addresses[target]}"


def _tables(differences: Differences, *, whole: bool) -> Iterable[RenderableType]:
    every = [one for one in lines(differences) if one.difference.a or one.difference.b]
    told = [one for one in every if one.is_shown and (whole or _is_news(one, differences))]
    others = [one for one in every if not one.is_shown and (whole or _is_usual(one, differences))]
    yield _table(told, others)
    small = sum(one.is_shown for one in every) - len(told)
    left = len(every) - len(told) - len(others) - small
    if note := _left_out(small, left):
        yield indented(Text(f"-v: {note}", style="dim"))


def _left_out(small: int, left: int) -> str:
    """A line on what the tables omit."""
    below = f"shown but below {100 * LEAST_SHARE:g} % of the latency"
    parts = [f"{small} {'difference' if small == 1 else 'differences'} {below}"] if small else []
    parts += [f"{left} more without a difference shown"] if left else []
    return "; ".join(parts)


def _is_news(line: Line, differences: Differences) -> bool:
    """Whether a difference is large enough and not already evident from `end_to_end`."""
    return line.component != SERVICE_TIME and matters(line, differences)


def _is_usual(line: Line, differences: Differences) -> bool:
    """Whether readers expect the line even if nothing differs."""
    if line.component == SERVICE_TIME:
        return False
    if line.component in _WHOLE:
        return True
    whole = differences[END_TO_END]["p50_ms"]
    large = max(line.difference.a, line.difference.b) >= LEAST_SHARE * max(whole.a, whole.b)
    return line.statistic == "p50_ms" and large


def _table(told: Sequence[Line], others: Sequence[Line]) -> RenderableType:
    """Lines with a difference, and below them lines without a demonstrated one."""
    table = Table(box=None, padding=(0, 1), collapse_padding=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading == "ms" else "right", no_wrap=True)
    _add(table, told, style="none")
    if told and others:
        table.add_row()
    if others:
        table.add_row(Text("no difference shown", style="italic"))
        _add(table, others, style="dim" if told else "none")
    return table


def _add(table: Table, rows: Sequence[Line], *, style: str) -> None:
    before = ""
    for component, statistic, one in rows:
        name = "" if component == before else shortened(_shown(component), _LONGEST_NAME)
        before = component
        table.add_row(name, statistic.removesuffix("_ms"), *_cells(one), style=style)


def _shown(component: str) -> str:
    custom = component not in COMPONENTS and not component.startswith("stream.")
    return f"  {component}" if custom else component.removeprefix("stream.")


def _cells(one: Difference) -> list[RenderableType | str]:
    interval = "unknown" if one.ci95 is None else " … ".join(map(signed, one.ci95))
    word = one.verdict if one.verdict in _STYLES else ""
    return [
        milliseconds(one.a),
        milliseconds(one.b),
        signed(one.delta),
        interval,
        _relative(one),
        Text(word or "", style=_STYLES.get(word or "", "")),
    ]


def _relative(one: Difference) -> str:
    if not one.a or not one.delta:
        return "" if not one.a else "0 %"
    percent = 100 * one.delta / one.a
    return (
        f"{round(percent, 1) + 0.0:+.1f} %" if abs(percent) < _ONE_DIGIT else f"{percent:+,.0f} %"
    )


def _rates(found: RunComparison, target: str) -> str:
    rate, errors = found.throughput_rps[target], found.errors_share[target]
    text = f"throughput {milliseconds(rate.a)} → {milliseconds(rate.b)}/s"
    text += f" ({_relative(rate)})" if rate.a else ""
    if not errors.a and not errors.b:
        return f"{text}; no errors"
    return f"{text}; errors {100 * errors.a:.3g} % → {100 * errors.b:.3g} %"

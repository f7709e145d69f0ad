"""The decision at the end of a run: goodput, gates, and the outcome as the last line."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tracebench.analysis.interpretation import was_interrupted
from tracebench.analysis.numbers import rounded
from tracebench.model.objectives import STATUS, Decision, GateResult, Unit
from tracebench.model.results.comparison import RunComparison
from tracebench.model.results.result import Result
from tracebench.model.results.stream_result import Goodput
from tracebench.report.tables.terminal import WIDTH, indented, printed

_STYLES: Final[Mapping[Decision, str]] = {
    "passed": "green",
    "failed": "bold red",
    "inconclusive": "yellow",
    "broken": "bold magenta",
}


def render(result: Result, *, width: int = WIDTH, color: bool = False) -> str:
    """The goodput and gates of a run, as text; empty if it has none.

    Args:
        result: the result of the run.
        width: the maximum line length.
        color: whether to use terminal codes for colours and weight.
    """
    return printed(_parts(result), width, color=color)


def _parts(result: Result) -> Iterator[RenderableType]:
    for name, target in result.targets.items():
        if target.goodput is not None:
            yield Text(f"{name}: {_goodput(target.goodput)}")
    if result.gates:
        yield from ("", *_table(result.gates), Text(last_line(result), style=_style(result)))


def render_slower(found: RunComparison, *, width: int = WIDTH, color: bool = False) -> str:
    """The gates of a comparison, and the decision as the last line; empty without gates."""
    if not found.gates:
        return ""
    word = (found.decision or "").upper()
    last = (
        f"gates {word}: {_counts(found.gates)} (exit status {STATUS[found.decision or 'broken']})"
    )
    lines = (*_table(found.gates), Text(last, style=_style(found)))
    return printed(lines, width, color=color)


def _style(found: Result | RunComparison) -> str:
    return _STYLES[found.decision or "broken"]


def _table(gates: Sequence[GateResult]) -> Iterator[RenderableType]:
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for gate in gates:
        table.add_row(
            Text(gate.decision, style=_STYLES[gate.decision]),
            _asked(gate),
            measured(gate),
        )
    yield table
    for why in dict.fromkeys(gate.why for gate in gates if gate.why):
        yield indented(Text(f"{_whose(gates, why)}: {why}", style="dim"))


def _asked(gate: GateResult) -> str:
    """The gate's expression, with the target unless the expression names it."""
    named = gate.expression.startswith(f"{gate.target}.")
    return gate.expression if named else f"{gate.target}  {gate.expression}"


def _whose(gates: Sequence[GateResult], why: str) -> str:
    return ", ".join(dict.fromkeys(one.expression for one in gates if one.why == why))


def _goodput(found: Goodput) -> str:
    limits = " and ".join(f"{name} < {rounded(ms)} ms" for name, ms in found.limits.items())
    interval = "" if found.ci95 is None else f" ({_between(found.ci95, 'share')})"
    return (
        f"goodput {in_unit(found.share, 'share')}{interval}, {rounded(found.rps)}/s: "
        f"requests with {limits}"
    )


def measured(gate: GateResult) -> str:
    """The measured value of a gate, with its interval."""
    if gate.value is None:
        return "not there"
    interval = "no interval" if gate.interval is None else _between(gate.interval, gate.unit)
    return f"{in_unit(gate.value, gate.unit)} ({interval})"


def in_unit(value: float, unit: Unit) -> str:
    """Format a value with its unit."""
    if unit == "share":
        return f"{rounded(100 * value)} %"
    return f"{rounded(value)} ms" if unit == "ms" else f"{rounded(value)}/s"


def _between(interval: tuple[float, float], unit: Unit) -> str:
    low, high = (in_unit(one, unit) for one in interval)
    return f"{low.split()[0].removesuffix('/s')} … {high}"


def last_line(result: Result) -> str:
    """The decision in one line, for people and for `grep`."""
    told = _counts(result.gates)
    word = (result.decision or "").upper()
    invalid = [name for name, one in result.targets.items() if not one.verdict.valid]
    if any(map(was_interrupted, result.targets.values())):
        return f"gates {word}: {told}, of a run that was interrupted (exit status 130)"
    if invalid:
        return f"gates {word}: the numbers of {' and '.join(invalid)} are not valid (exit status 3)"
    status = 2 if result.decision == "broken" else STATUS[result.decision or "broken"]
    return f"gates {word}: {told} (exit status {status})"


def _counts(gates: Sequence[GateResult]) -> str:
    counts = Counter(gate.decision for gate in gates)
    return ", ".join(f"{counts[name]} {name}" for name in _STYLES if counts[name])

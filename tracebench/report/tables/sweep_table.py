"""A sweep as a terminal table: at most 80 columns, one row per load."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from server_middleware.vocabulary import INFERENCE, POSTPROCESSING, PREPROCESSING, SERVER_OTHER
from tracebench.analysis.numbers import (
    counted,
    milliseconds,
    percent,
    rounded,
    whole_percent,
)
from tracebench.model.components import LEAVES, SERVER_AND_NETWORK
from tracebench.model.objectives import Met
from tracebench.model.results.result import Detail, Finding, TargetResult
from tracebench.model.results.sweep import Law, LoadKind, Point, Scaling, Sweep
from tracebench.report.tables.component_table import value
from tracebench.report.tables.terminal import (
    WIDTH,
    finding_line,
    finding_lines,
    indented,
    one_line,
    printed,
    sentence,
)

HEADINGS: Final = {"concurrency": "in flight", "rate": "rate, /s"}
_SHORT: Final = {
    PREPROCESSING: "preproc",
    INFERENCE: "infer",
    POSTPROCESSING: "postproc",
    SERVER_OTHER: "other",
    SERVER_AND_NETWORK: "server+net",
}
_LEAST_SHARE: Final = 0.002
"""Components with a smaller share of the time at every load have no column."""
_MOST_COLUMNS: Final = 6
"""Number of components that fit in 80 columns: the largest ones; `sum` includes all."""
MEETS: Final[Mapping[Met, str]] = {"met": "yes", "missed": "NO", "undecided": "?"}
_SEE: Final = "see"
"""Heading of the letters that the lines below the table explain."""
_PERCENTILES: Final = ("p50_ms", "p95_ms", "p99_ms")


def render(
    sweep: Sweep, *, width: int = WIDTH, color: bool = False, detail: Detail = "answer"
) -> str:
    """The whole sweep as text.

    Args:
        sweep: the result of the sweep.
        width: the maximum line length.
        color: whether to use terminal codes for colours and weight.
        detail: how much is printed.
    """
    parts: list[RenderableType] = []
    for name, scaling in sweep.scaling.items():
        parts += [*_target(sweep, name, scaling, width, detail), ""]
    if detail != "table":
        ended = f"{counted(len(sweep.steps), 'step')}; ended: {sweep.ended}"
        parts.append(Text(ended, style="dim"))
    return printed(parts, width, color=color)


def _target(
    sweep: Sweep, name: str, scaling: Scaling, width: int, detail: Detail
) -> Iterator[RenderableType]:
    targets = {step.load: step.result.targets.get(name) for step in sweep.steps}
    known = {load: target for load, target in targets.items() if target is not None}
    loads = (_loads(sweep.kind, scaling.points, known), *_streams(sweep.kind, known))
    address = next(iter(known.values())).address
    if detail != "table" or len(sweep.scaling) > 1:
        yield Text(f"{name}  {address}", style="bold", overflow="ellipsis", no_wrap=True)
    if detail == "table":
        yield from loads
        return
    if sweep.label:
        yield one_line(sweep.label, "italic")
    style = "bold" if all(point.valid for point in scaling.points) else "none"
    yield from ("", indented(Text(sentence(scaling.sentence), style=style)))
    if scaling.objective:
        yield indented(Text(sentence(scaling.objective), style="bold"))
    yield from ("", *loads, *_legend(scaling.points, known, detail))
    yield from _components(sweep.kind, scaling.points, in_flight=detail == "all")
    if detail == "all":
        yield from ("", *(indented(Text(line)) for line in _laws(sweep.kind, scaling)))
    if scaling.findings:
        yield ""
    for finding in scaling.findings:
        yield finding_lines(finding) if detail == "all" else finding_line(finding, width)


def _table(headings: Iterable[str]) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _loads(
    kind: LoadKind, points: Sequence[Point], targets: Mapping[float, TargetResult]
) -> RenderableType:
    percentiles = [f"{name.removesuffix('_ms')} ms" for name in _PERCENTILES]
    table = _table([HEADINGS[kind], "done/s", "used", *percentiles, "our CPU"])
    shown = {name: cells for name, cells in _remarks(points, targets).items() if any(cells)}
    for name in shown:
        if name == _SEE:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    for point, *remarks in zip(points, *shown.values(), strict=True):
        latency = targets[point.load].latency
        table.add_row(
            f"{point.load:,g}",
            milliseconds(point.throughput_rps),
            "" if point.utilisation is None else whole_percent(point.utilisation),
            *(value(latency, name) for name in _PERCENTILES),
            whole_percent(point.client_cpu),
            *remarks,
            style=None if point.valid else "red",
        )
    return table


def _remarks(
    points: Sequence[Point], targets: Mapping[float, TargetResult]
) -> dict[str, list[str]]:
    """Heading → a cell for each load, of the columns that are left out where nothing is in them."""
    counts = [targets[point.load].requests for point in points]
    failures = [one.failed + one.timed_out for one in counts]
    held, letters = any(point.meets for point in points), _letters(targets.values())
    return {
        "failed": [f"{failed:,}" if failed else "" for failed in failures],
        "meets": [MEETS[point.meets or "undecided"] if held else "" for point in points],
        _SEE: [_marks(targets[point.load], letters) for point in points],
    }


def _letters(targets: Iterable[TargetResult]) -> dict[str, str]:
    """Finding code → letter, for all serious findings of any step, most serious first."""
    grave = [one for target in targets for one in grave_findings(target)]
    grave.sort(key=lambda one: one.severity != "invalid")
    codes = dict.fromkeys(one.code for one in grave)
    return {code: chr(ord("a") + at % 26) for at, code in enumerate(codes)}


def grave_findings(target: TargetResult) -> list[Finding]:
    """Findings that make the numbers of a step doubtful or invalid."""
    return [one for one in target.verdict.findings if one.severity != "info"]


def _marks(target: TargetResult, letters: Mapping[str, str]) -> str:
    """The letters of a step's serious findings, with a mark if they make it invalid."""
    found = {f"{'!' * (f.severity == 'invalid')}{letters[f.code]}" for f in grave_findings(target)}
    return " ".join(sorted(found))


def _legend(
    points: Sequence[Point], targets: Mapping[float, TargetResult], detail: Detail
) -> Iterator[RenderableType]:
    """The meaning of each letter, in the words of the last step that has it."""
    said = {one.code: one for p in points for one in grave_findings(targets[p.load])}
    for code, letter in _letters(targets.values()).items():
        brief = said[code].brief or said[code].message
        text = f"{letter} {code}: {said[code].message if detail == 'all' else brief}"
        yield one_line(text, "dim") if detail != "all" else indented(Text(text, style="dim"))
    if any(f.severity == "invalid" for one in targets.values() for f in grave_findings(one)):
        yield one_line("! the numbers of this step are not valid for that reason", "dim")


def shown(points: Sequence[Point]) -> list[str]:
    """Components with a large enough share of the time, in the order of a request's life."""
    most: dict[str, float] = {}
    for name in (*LEAVES, SERVER_AND_NETWORK):
        shares = (p.mean_ms.get(name, 0.0) / sum(p.mean_ms.values()) for p in points if p.mean_ms)
        most[name] = max(shares, default=0.0)
    largest = sorted(most, key=lambda name: most[name], reverse=True)[:_MOST_COLUMNS]
    return [name for name, share in most.items() if name in largest and share > _LEAST_SHARE]


def _components(
    kind: LoadKind, points: Sequence[Point], *, in_flight: bool
) -> Iterable[RenderableType]:
    names = shown(points)
    if not names:
        return
    yield from ("", _title("mean ms in each component"))
    yield _grid(kind, names, points, lambda point: point.mean_ms)
    if in_flight:
        yield from ("", _title("requests in each at a time, mean (Little's law)"))
        yield _grid(kind, [*names, "sum"], points, _in_flight)


def _streams(kind: LoadKind, targets: Mapping[float, TargetResult]) -> Iterable[RenderableType]:
    """The statistics of streamed replies at each load."""
    streams = {load: one.stream for load, one in targets.items() if one.stream is not None}
    if not streams:
        return
    limited = any(one.goodput is not None for one in streams.values())
    values = ("tokens/s", "ttft p50", "ttft p95", "tpot p50", "itl p95", "goodput")
    headings = (HEADINGS[kind], *(values if limited else values[:-1]))
    yield from ("", _title("streams: tokens, and ms"))
    table = _table(headings)
    for load, one in streams.items():
        rate = one.output_tokens_per_s
        table.add_row(
            f"{load:,g}",
            "" if rate is None else milliseconds(rate),
            value(one.ttft, "p50_ms"),
            value(one.ttft, "p95_ms"),
            value(one.tpot, "p50_ms"),
            value(one.itl, "p95_ms"),
            *([] if one.goodput is None else [whole_percent(one.goodput.share)]),
        )
    yield table


def _title(text: str) -> RenderableType:
    return indented(Text(text))


def _grid(
    kind: LoadKind,
    names: Sequence[str],
    points: Sequence[Point],
    values: Callable[[Point], Mapping[str, float]],
) -> Table:
    table = _table((HEADINGS[kind], *(_SHORT.get(name, name) for name in names)))
    for point in points:
        cells = (rounded(values(point)[n]) if n in values(point) else "" for n in names)
        table.add_row(f"{point.load:,g}", *cells)
    return table


def _in_flight(point: Point) -> Mapping[str, float]:
    return {**point.in_flight, "sum": sum(point.in_flight.values())} if point.in_flight else {}


def _laws(kind: LoadKind, scaling: Scaling) -> Iterable[str]:
    capacity_rps = scaling.capacity_rps
    if scaling.knee is not None and capacity_rps is not None and kind == "concurrency":
        knee, most = rounded(scaling.knee, 2), rounded(capacity_rps)
        yield f"Knee at {knee} in flight: fewer cannot reach {most}/s, more only wait."
    if scaling.law is not None:
        yield _law(scaling.law)


def _law(law: Law) -> str:
    name = "Universal Scalability Law"
    if not law.fits:
        return f"{name}: does not fit (up to {percent(law.error)} off)."
    return (
        f"{name}: σ = {law.sigma:.2g} (contention), κ = {law.kappa:.2g} (coherence), "
        f"within {percent(law.error)}."
    )

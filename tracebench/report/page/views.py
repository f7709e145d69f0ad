"""The contents of the page for each kind of result; templates only arrange them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from tracebench.analysis.interpretation import (
    interpret,
    interpret_stream,
    interpret_tail,
)
from tracebench.model.components import END_TO_END
from tracebench.model.results.comparison import RunComparison
from tracebench.model.results.result import Difference, Result, TargetResult
from tracebench.model.results.statistics import Statistics
from tracebench.model.results.sweep import LoadKind, Scaling, Step, Sweep
from tracebench.report.answer.headline import judgement
from tracebench.report.answer.influence import influence_lines
from tracebench.report.page.command import command
from tracebench.report.page.differences import DifferenceRow, difference_rows
from tracebench.report.page.waterfall import Bar, Row, Waterfall, look_of, rows, waterfalls
from tracebench.report.several import Several, Shown, targets_of, title
from tracebench.report.tables.terminal import sentence
from tracebench.report.units import Unit

_ALIKE: Final = 8.0
"""Largest ratio of mean latencies at which all targets are drawn to the same scale."""
_LOOKS: Final = {"red": "bad", "yellow": "doubtful", "green": "good"}
_NOTHING_ASKED: Final[tuple[object, ...]] = (None, False, [], (), "")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict in a few words."""

    text: str
    look: str
    """`good`, `doubtful` or `bad`."""


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target of a run."""

    name: str
    found: TargetResult
    judgement: Judgement
    sentences: tuple[str, ...]
    influence: tuple[str, ...]
    rows: tuple[Row, ...]
    waterfalls: tuple[Waterfall, ...]

    @property
    def latency(self) -> Statistics | None:
        """Latency of all successes and timeouts."""
        return self.found.latency

    @property
    def longest_stall_s(self) -> tuple[float, float] | None:
        """The start and the end of the longest stall, from the start of the run; None without."""
        stalls = () if self.found.timeline is None else self.found.timeline.stalls_s
        return max(stalls, key=lambda stall: stall[1] - stall[0], default=None)

    @property
    def leaves(self) -> list[Row]:
        """The rows that add up."""
        return [row for row in self.rows if row.kind == "leaf"]


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """Differences between two targets, or between the two sides of a comparison."""

    title: str
    a: str
    b: str
    notes: tuple[str, ...]
    rows: tuple[DifferenceRow, ...]
    throughput_rps: Difference | None = None
    errors_share: Difference | None = None
    """Of saved runs, compared: successes per second, and the fraction of requests that failed."""
    shift: str = ""
    """The target whose full distributions can be drawn; empty: none."""


@dataclass(frozen=True, slots=True)
class Again:
    """How to repeat one run or sweep."""

    name: str
    """Empty if there is only one."""
    command: str
    facts: Mapping[str, Mapping[str, Any]]
    """Heading → name → value: the plan, the environment, the tool."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run, or several together."""

    title: str
    what: str
    """How many runs, and when they were made."""
    unit: Unit
    targets: tuple[TargetView, ...]
    differences: tuple[ComparisonView, ...]
    again: tuple[Again, ...]
    one_scale: bool
    """Whether the bars of all targets are drawn to the same scale."""


@dataclass(frozen=True, slots=True)
class LoadView:
    """One target at one load of a sweep."""

    step: Step
    found: TargetResult
    judgement: Judgement
    bars: tuple[tuple[str, Bar], ...]
    """Pairs of colour name and section in the load's bar; together as long as the mean latency."""


@dataclass(frozen=True, slots=True)
class ScalingView:
    """One target of a sweep."""

    name: str
    address: str
    sentence: str
    found: Scaling
    loads: tuple[LoadView, ...]


@dataclass(frozen=True, slots=True)
class SweepView:
    """A sweep, or several of the same kind of load."""

    title: str
    what: str
    unit: Unit
    kind: LoadKind
    sweeps: Mapping[str, Sweep]
    targets: tuple[ScalingView, ...]
    looks: tuple[str, ...]
    """Names of the colours that occur in any bar."""
    again: tuple[Again, ...]


@dataclass(frozen=True, slots=True)
class CompareView:
    """Saved runs, compared; or several such comparisons."""

    title: str
    unit: Unit
    comparisons: Mapping[str, RunComparison]
    differences: tuple[ComparisonView, ...]


def of_run(several: Several[Result]) -> RunView:
    """Build the view of a run, or of several."""
    shown = list(targets_of(several))
    runs = several.results
    means = [one.target.components[END_TO_END].mean_ms for one in shown if one.target.components]
    one_scale = bool(means) and max(means) <= _ALIKE * min(means)
    targets = (_target(one, max(means) if one_scale else None) for one in shown)
    only = next(iter(runs.values())) if len(runs) == 1 else None
    addresses = ", ".join(f"{one.title} {one.target.address}" for one in shown)
    return RunView(
        title=(only.label if only else " · ".join(runs)) or addresses,
        what=_how_many("run", [one.started_at for one in runs.values()]),
        unit=Unit.fit_for(max(means, default=1.0)),
        targets=tuple(targets),
        differences=tuple(one for name in runs for one in _differences(name, runs[name])),
        again=tuple(Again(name, command(one.plan), _facts(one)) for name, one in runs.items()),
        one_scale=one_scale,
    )


def _how_many(what: str, started_at: Sequence[str]) -> str:
    if len(started_at) == 1:
        return f"one {what}, {_readable(started_at[0])}"
    return f"{len(started_at)} {what}s, the first of {_readable(min(started_at))}"


def _target(shown: Shown, scale_ms: float | None) -> TargetView:
    name, one, result = shown
    if scale_ms is None:
        scale_ms = one.components[END_TO_END].mean_ms if one.components else 0.0
    reading = interpret(one, result.plan, result.environment)
    streamed = "" if one.stream is None else interpret_stream(one.stream)
    told = (reading.fact, reading.suggestion, streamed, interpret_tail(one))
    sentences = [sentence(text) for text in told if text]
    return TargetView(
        name=name,
        found=one,
        judgement=_judgement(one),
        sentences=tuple(sentences),
        influence=tuple(influence_lines(one, brief=False)),
        rows=tuple(rows(one, scale_ms)),
        waterfalls=tuple(waterfalls(one)),
    )


def _judgement(target: TargetResult) -> Judgement:
    word, style = judgement(target)
    return Judgement(word, _LOOKS[style.removeprefix("bold ")])


def _differences(name: str, result: Result) -> Iterator[ComparisonView]:
    several = result.comparisons
    one = result.comparison
    for found in (*([] if one is None else [one]), *several):
        yield ComparisonView(
            title=f"{name}: " * bool(name) + f"{found.b} against {found.a}",
            a=found.a,
            b=found.b,
            notes=(sentence(found.caveat),) if found.caveat else (),
            rows=difference_rows(found.components),
        )


def _facts(result: Result) -> dict[str, dict[str, Any]]:
    told = {"Plan": result.plan, "Environment": result.environment, "Tool": result.tool}
    return {heading: dict(_told(facts)) for heading, facts in told.items()}


def _told(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield facts that have a value, with nested names joined by dots."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", one) for inner, one in _told(value))
        elif value not in _NOTHING_ASKED:
            yield name, value


def _readable(started_at: str) -> str:
    """The time to the second; unchanged if it cannot be parsed."""
    try:
        return datetime.fromisoformat(started_at).strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    except ValueError:
        return started_at


def safe_url(url: str | None) -> str | None:
    """The URL if it is safe as a link, else None: result files may come from anyone."""
    try:
        return url if url and urlsplit(url).scheme in ("http", "https") else None
    except ValueError:
        return None


# Sweeps.


def of_sweep(several: Several[Sweep]) -> SweepView:
    """Build the view of a sweep, or of several of the same kind of load."""
    sweeps = several.results
    points = [
        point for sweep in sweeps.values() for one in sweep.scaling.values() for point in one.points
    ]
    targets = [
        _scaling(title(run, name, len(sweep.scaling)), name, sweep)
        for run, sweep in sweeps.items()
        for name in sweep.scaling
    ]
    looks = [look for one in targets for load in one.loads for look, _ in load.bars]
    first, *_ = sweeps.values()
    addresses = ", ".join(f"{one.name} {one.address}" for one in targets)
    return SweepView(
        title=(first.label if len(sweeps) == 1 else " · ".join(sweeps)) or addresses,
        what=_how_many(
            f"sweep of {first.kind}", [one.steps[0].result.started_at for one in sweeps.values()]
        ),
        unit=Unit.fit_for(min((sum(one.mean_ms.values()) for one in points), default=1.0)),
        kind=first.kind,
        sweeps=sweeps,
        targets=tuple(targets),
        looks=tuple(dict.fromkeys(looks)),
        again=tuple(_sweep_again(name, one) for name, one in sweeps.items()),
    )


def _sweep_again(name: str, sweep: Sweep) -> Again:
    first = sweep.steps[0].result
    loads = ",".join(f"{step.load:g}" for step in sweep.steps)
    plan = {**first.plan, "rate": None, "concurrency": 1, "warmup": first.plan.get("warmup")}
    return Again(name, command(plan, ("sweep", f"--{sweep.kind}", loads)), _facts(first))


def _scaling(called: str, name: str, sweep: Sweep) -> ScalingView:
    found = sweep.scaling[name]
    steps = [step for step in sweep.steps if name in step.result.targets]
    longest = max((sum(point.mean_ms.values()) for point in found.points), default=0.0)
    points = {point.load: point for point in found.points}
    return ScalingView(
        name=called,
        address=steps[0].result.targets[name].address,
        sentence=sentence(found.sentence),
        found=found,
        loads=tuple(
            LoadView(
                step,
                step.result.targets[name],
                _judgement(step.result.targets[name]),
                tuple(_stacked(points[step.load].mean_ms, longest)) if step.load in points else (),
            )
            for step in steps
        ),
    )


def _stacked(mean_ms: Mapping[str, float], whole_ms: float) -> Iterator[tuple[str, Bar]]:
    begin = 0.0
    for name, took in mean_ms.items():
        if took > 0 and whole_ms:
            yield look_of(name), Bar(100 * begin / whole_ms, 100 * took / whole_ms)
            begin += took


# Saved runs, compared.


def of_comparison(several: Several[RunComparison]) -> CompareView:
    """Build the view of a comparison, or of several."""
    comparisons = several.results
    differences = tuple(
        _of_target(title(name, target, len(found.differences)), target, found)
        for name, found in comparisons.items()
        for target in found.differences
    )
    shown = [row.found.a for one in differences for row in one.rows]
    first, *others = comparisons.values()
    sides = f"B {', '.join(first.b.files)} against A {', '.join(first.a.files)}"
    return CompareView(
        title=" · ".join(comparisons) if others else sides,
        unit=Unit.fit_for(max(shown, default=1.0)),
        comparisons=comparisons,
        differences=differences,
    )


def _of_target(called: str, name: str, found: RunComparison) -> ComparisonView:
    return ComparisonView(
        title=called,
        a=found.a.label,
        b=found.b.label,
        notes=(found.sentences[name],) if name in found.sentences else (),
        rows=difference_rows(found.differences[name]),
        throughput_rps=found.throughput_rps[name],
        errors_share=found.errors_share[name],
        shift=called if name in found.shift else "",
    )

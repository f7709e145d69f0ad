"""The contents of the page for each kind of result; templates only arrange them."""

from collections.abc import Iterator, Mapping
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
from tracebench.model.results.result import Result, TargetResult
from tracebench.model.results.statistics import Statistics
from tracebench.model.results.sweep import Scaling, Step, Sweep
from tracebench.report.answer.headline import judgement
from tracebench.report.answer.influence import influence_lines
from tracebench.report.page.command import command
from tracebench.report.page.differences import DifferenceRow, difference_rows
from tracebench.report.page.waterfall import Bar, Row, Waterfall, look_of, rows, waterfalls
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
    shift: str = ""
    """The target whose full distributions can be drawn; empty: none."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run."""

    title: str
    when: str
    unit: Unit
    targets: tuple[TargetView, ...]
    differences: tuple[ComparisonView, ...]
    command: str
    facts: Mapping[str, Mapping[str, Any]]
    """Heading → name → value: the plan, the environment, the tool."""
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
    """A sweep."""

    title: str
    when: str
    unit: Unit
    found: Sweep
    targets: tuple[ScalingView, ...]
    looks: tuple[str, ...]
    """Names of the colours that occur in any bar."""
    command: str
    facts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class CompareView:
    """Saved runs, compared."""

    title: str
    unit: Unit
    found: RunComparison
    differences: tuple[ComparisonView, ...]


def of_run(result: Result) -> RunView:
    """Build the view of a run."""
    means = [
        one.components[END_TO_END].mean_ms for one in result.targets.values() if one.components
    ]
    one_scale = bool(means) and max(means) <= _ALIKE * min(means)
    targets = (
        _target(name, one, result, max(means) if one_scale else None)
        for name, one in result.targets.items()
    )
    return RunView(
        title=result.label
        or ", ".join(f"{name} {one.address}" for name, one in result.targets.items()),
        when=_readable(result.started_at),
        unit=Unit.fit_for(max(means, default=1.0)),
        targets=tuple(targets),
        differences=tuple(_differences(result)),
        command=command(result.plan),
        facts=_facts(result),
        one_scale=one_scale,
    )


def _target(name: str, one: TargetResult, result: Result, scale_ms: float | None) -> TargetView:
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


def _differences(result: Result) -> Iterator[ComparisonView]:
    several = result.comparisons
    one = result.comparison
    for found in (*([] if one is None else [one]), *several):
        yield ComparisonView(
            title=f"{found.b} against {found.a}",
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


def of_sweep(sweep: Sweep) -> SweepView:
    """Build the view of a sweep."""
    first = sweep.steps[0].result
    means = [sum(point.mean_ms.values()) for one in sweep.scaling.values() for point in one.points]
    targets = [_scaling(name, one, sweep) for name, one in sweep.scaling.items()]
    looks = [look for one in targets for load in one.loads for look, _ in load.bars]
    loads = ",".join(f"{step.load:g}" for step in sweep.steps)
    plan = {**first.plan, "rate": None, "concurrency": 1, "warmup": first.plan.get("warmup")}
    return SweepView(
        title=", ".join(f"{one.name} {one.address}" for one in targets),
        when=_readable(first.started_at),
        unit=Unit.fit_for(min(means, default=1.0)),
        found=sweep,
        targets=tuple(targets),
        looks=tuple(dict.fromkeys(looks)),
        command=command(plan, ("sweep", f"--{sweep.kind}", loads)),
        facts=_facts(first),
    )


def _scaling(name: str, found: Scaling, sweep: Sweep) -> ScalingView:
    steps = [step for step in sweep.steps if name in step.result.targets]
    longest = max((sum(point.mean_ms.values()) for point in found.points), default=0.0)
    points = {point.load: point for point in found.points}
    return ScalingView(
        name=name,
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


def of_comparison(found: RunComparison) -> CompareView:
    """Build the view of a comparison."""
    differences = tuple(_of_target(name, found) for name in found.differences)
    shown = [row.found.a for one in differences for row in one.rows]
    return CompareView(
        title=f"B {', '.join(found.b.files)} against A {', '.join(found.a.files)}",
        unit=Unit.fit_for(max(shown, default=1.0)),
        found=found,
        differences=differences,
    )


def _of_target(name: str, found: RunComparison) -> ComparisonView:
    return ComparisonView(
        title=name,
        a=found.a.label,
        b=found.b.label,
        notes=(found.sentences[name],) if name in found.sentences else (),
        rows=difference_rows(found.differences[name]),
        shift=name if name in found.shift else "",
    )

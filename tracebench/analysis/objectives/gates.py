"""Gates (`--fail-if`), decided by whole 95 % intervals, never by a point estimate alone."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf
from typing import Final, Literal, NamedTuple

from tracebench.analysis.numbers import rounded
from tracebench.analysis.objectives.limits import (
    LATENCY,
    METRICS,
    NUMBER,
    STREAMED,
    Path,
    milliseconds_of,
    own_name,
    path_of,
    refuse_slips,
    statistics_of,
)
from tracebench.analysis.statistics.distribution import SAMPLE_FLOORS
from tracebench.model.components import END_TO_END
from tracebench.model.errors import UsageError
from tracebench.model.objectives import Decision, GateResult, Unit
from tracebench.model.results.result import Comparison, Result, TargetResult
from tracebench.model.results.statistics import COMPARED, Statistics
from tracebench.model.results.stream_result import Goodput

OnInconclusive = Literal["fail", "pass"]
Interval = tuple[float, float]


class Gate(NamedTuple):
    """A condition on a target that makes the run fail."""

    expression: str
    target: str | None
    """None: any target."""
    path: Path
    fails: str
    """`>`, `>=`, `<` or `<=`: the relation of a failing value to the limit."""
    limit: float
    unit: Unit


class SlowerGate(NamedTuple):
    """A condition on a comparison: B must not be slower than A by more than a share of A."""

    expression: str
    component: str
    statistic: str
    share: float


# Parsing gates.

_GATE: Final = re.compile(rf"\s*(?P<name>[\w.\-]+)\s*(?P<fails>[<>]=?)\s*{NUMBER}\s*")
_SLOWER: Final = re.compile(r"\s*(?P<name>[\w.\-]+)\s+(?P<number>[0-9]*\.?[0-9]+)\s*%\s*")
_COUNTED: Final[Mapping[str, Unit]] = {
    "errors.share": "share",
    "decomposed.share": "share",
    "goodput.share": "share",
    "goodput.rps": "rps",
    "throughput_rps": "rps",
}
"""Values of a whole run that are not statistics of a metric."""
_GOODPUT: Final = ("goodput.share", "goodput.rps")
_STREAM: Final = "stream."
_ALWAYS_VALID: Final = frozenset({"errors.share", "decomposed.share"})
"""Values from counts, which are correct even if the verdict rejects the times."""


def gate_of(text: str, targets: Collection[str], *, limited: bool = True) -> Gate:
    """Parse a gate: `rest.inference.p95_ms > 20`, `errors.share > 0.1%`, `throughput_rps < 50`.

    Args:
        text: the gate, as the user wrote it.
        targets: the names of the run's targets.
        limited: whether the run has limits, which gates on goodput need.

    Raises:
        UsageError: the text is not a gate, or asks for a value that the run cannot have.
    """
    found, whole = _GATE.fullmatch(text), f"--fail-if {text!r}"
    if found is None:
        raise UsageError(
            f"{whole} is no gate: write what fails, as in 'inference.p95_ms > 20', "
            "'rest.latency.p99 > 50ms' or 'errors.share > 0.1%'"
        )
    target, path = _whose(found["name"], targets)
    if path.metric in _GOODPUT and not limited:
        raise UsageError(f"{whole} needs limits: give --slo 'METRIC < VALUE' too")
    _check(path, targets, whole)
    unit = _COUNTED.get(path.metric, "ms")
    limit = _limit(found["number"], found["unit"], unit)
    if limit is None:
        raise UsageError(f"{whole}: {found['number']}{found['unit'] or ''} is no {_WANTED[unit]}")
    return Gate(" ".join(text.split()), target, path, found["fails"], limit, unit)


_WANTED: Final = {
    "ms": "time: give it in ms or s, as in '20ms'",
    "share": "share: give it from 0 to 1, or in %, as in '0.1%'",
    "rps": "rate: give it in requests a second, as in '50'",
}


def _whose(name: str, targets: Collection[str]) -> tuple[str | None, Path]:
    """Split off a leading target name; a name that is already a metric has none."""
    path, (head, dot, rest) = _path(name), name.partition(".")
    if _is_ours(path) or not dot or head not in targets:
        return None, path
    return head, _path(rest)


def _path(name: str) -> Path:
    bare = name.removeprefix(_STREAM)
    return Path(bare, None) if bare in _COUNTED else path_of(name)


def _is_ours(path: Path) -> bool:
    return path.metric in METRICS or path.metric in _COUNTED


def _check(path: Path, targets: Collection[str], whole: str) -> None:
    if path.metric in _COUNTED:
        return
    head, dot, rest = path.metric.partition(".")
    if dot and head not in ("server", "server_other") and (rest in METRICS or rest in _COUNTED):
        raise UsageError(
            f"{whole}: there is no target {head!r}: the run has {', '.join(targets) or 'none'}"
        )
    if path.statistic is None:
        raise UsageError(
            f"{whole}: {path.metric!r} says not which statistic: write e.g. {path.metric}.p95_ms, "
            f"or one of {', '.join(_COUNTED)}"
        )
    refuse_slips(path.metric, whole)


def _limit(number: str, unit: str | None, kind: Unit) -> float | None:
    """A limit in the unit of its quantity; None if its own unit does not match."""
    if kind == "ms":
        return milliseconds_of(number, unit)
    value = float(number)
    if kind == "share":
        value = value / 100 if unit == "%" else value
        return value if unit in (None, "%") and value <= 1 else None
    return value if unit in (None, "/s") and value < inf else None


def slower_gate_of(text: str) -> SlowerGate:
    """Parse a gate on a comparison, such as `inference.p95 3%`.

    Raises:
        UsageError: the text is malformed, or names something that is not compared.
    """
    found, whole = _SLOWER.fullmatch(text), f"--fail-if-slower {text!r}"
    path = path_of(found["name"]) if found else None
    if found is None or path is None or path.statistic not in COMPARED:
        known = ", ".join(name.removesuffix("_ms") for name in COMPARED)
        raise UsageError(f"{whole}: write a statistic ({known}) and a share, as 'inference.p95 3%'")
    refuse_slips(path.metric, whole)
    component = END_TO_END if path.metric == LATENCY else own_name(path.metric)
    return SlowerGate(
        " ".join(text.split()), component, path.statistic, float(found["number"]) / 100
    )


# Judging gates.


def judge(
    result: Result,
    gates: Iterable[Gate],
    slower: Iterable[SlowerGate] = (),
    comparisons: Sequence[Comparison] = (),
) -> tuple[GateResult, ...]:
    """Judge every gate on every target it applies to.

    Args:
        result: the result of the run.
        gates: the gates on its targets.
        slower: the gates on comparisons.
        comparisons: the comparisons of `b`, which must not be slower, with `a`.
    """
    of_targets = (
        _judged(gate, name, target)
        for gate in gates
        for name, target in result.targets.items()
        if gate.target in (None, name)
    )
    valid = all(one.verdict.valid for one in result.targets.values())
    return (*of_targets, *judge_slower(slower, comparisons, valid=valid))


def judge_slower(
    gates: Iterable[SlowerGate], comparisons: Sequence[Comparison], *, valid: bool
) -> tuple[GateResult, ...]:
    """Judge what is asked of comparisons alone.

    Args:
        gates: each is judged for each comparison.
        comparisons: of `b`, which must not be slower, with `a`.
        valid: whether the numbers of all compared targets are.
    """
    return tuple(_slower(gate, pair, valid) for gate in gates for pair in comparisons)


def overall(
    gates: Sequence[GateResult], *, valid: bool, on_inconclusive: OnInconclusive | None = None
) -> Decision | None:
    """The decision of all gates together; None if there are no gates.

    Args:
        gates: the result of each gate on each target.
        valid: whether the numbers of all targets are valid.
        on_inconclusive: what undecided gates count as; None: as undecided.
    """
    found = {one.decision for one in gates}
    if not found:
        return None
    if not valid or "broken" in found:
        return "broken"
    if "failed" in found:
        return "failed"
    if "inconclusive" in found and on_inconclusive != "pass":
        return "failed" if on_inconclusive == "fail" else "inconclusive"
    return "passed"


class _Value(NamedTuple):
    value: float
    interval: Interval | None
    why: str = ""
    """Why there is no interval; empty if there is one."""


def _judged(gate: Gate, name: str, target: TargetResult) -> GateResult:
    whole = (gate.expression, name)
    found = _value(gate, target)
    if found is None:
        why = _untold(gate.path.metric, target)
        return GateResult(*whole, None, None, gate.limit, gate.unit, "broken", why)
    decision, why = _decided(gate.fails, found, gate.limit)
    if not target.verdict.valid and gate.path.metric not in _ALWAYS_VALID:
        decision, why = "broken", "the numbers of this target are not valid: see its verdict"
    return GateResult(*whole, found.value, found.interval, gate.limit, gate.unit, decision, why)


def _untold(metric: str, target: TargetResult) -> str:
    if metric in _GOODPUT:
        return "no limits were given (--slo), or no request tells of what they limit"
    if metric in STREAMED:
        return f"no reply streamed, so there is no {metric}"
    known = ", ".join(target.components) or "nothing"
    return f"there is no {metric!r}: the requests tell of {known}"


def _value(gate: Gate, target: TargetResult) -> _Value | None:
    if gate.path.metric in _COUNTED:
        return _counted(gate.path.metric, target)
    found, name = statistics_of(target, gate.path.metric), gate.path.statistic
    if found is None or name is None:
        return None
    value: float = getattr(found, name)
    if name == "max_ms":
        return _Value(value, (value, value))  # an observation, so exact
    interval = found.ci95.get(name)
    return _Value(value, interval, "" if interval else _too_few(name, found))


def _too_few(name: str, found: Statistics) -> str:
    least, worth = SAMPLE_FLOORS.get(name, 6), found.effective_count or found.count
    if worth >= least:
        return "the requests do not give an interval for it"
    alike = "" if worth == found.count else f", worth {worth:,} independent ones,"
    return f"{found.count:,} requests{alike} are too few for an interval (at least {least:,})"


def _counted(name: str, target: TargetResult) -> _Value | None:
    counts = target.requests
    ended = counts.succeeded + counts.failed + counts.timed_out
    if name in _GOODPUT:
        return _goodput(name, target.goodput, ended / (target.duration_s or inf))
    if not ended:
        return None
    value = {
        "errors.share": (counts.failed + counts.timed_out) / ended,
        "decomposed.share": target.decomposed / max(counts.succeeded, 1),
        "throughput_rps": target.throughput_rps,
    }[name]
    interval = target.ci95.get(name)
    return _Value(value, interval, "" if interval else "too few requests for an interval")


def _goodput(name: str, found: Goodput | None, ended_rps: float) -> _Value | None:
    if found is None:
        return None
    scale = 1.0 if name == "goodput.share" else ended_rps
    value = found.share if name == "goodput.share" else found.rps
    if found.ci95 is None:
        return _Value(value, None, "the result has no interval for it")
    low, high = found.ci95
    return _Value(value, (low * scale, high * scale))


def _slower(gate: SlowerGate, pair: Comparison, valid: bool) -> GateResult:
    whole = (gate.expression, f"{pair.b} against {pair.a}")
    found = pair.components.get(gate.component, {}).get(gate.statistic)
    if found is None or not found.a:
        known = ", ".join(name for name, of in pair.components.items() if gate.statistic in of)
        why = f"{gate.component!r} cannot be compared: both sides have {known or 'nothing'}"
        return GateResult(*whole, None, None, gate.share, "share", "broken", why)
    value, interval = found.delta / found.a, None
    if found.ci95 is not None:
        interval = (found.ci95[0] / found.a, found.ci95[1] / found.a)
    told = _Value(value, interval, "" if interval else "too little for an interval")
    decision, why = _decided(">", told, gate.share)
    if not valid:
        decision, why = "broken", "numbers are not valid: see the verdict"
    why = "; ".join(filter(None, (why, pair.caveat)))
    return GateResult(*whole, value, interval, gate.share, "share", decision, why)


def _decided(fails: str, found: _Value, limit: float) -> tuple[Decision, str]:
    """Fail if the whole interval is beyond the limit, pass if all is within; with a reason."""
    if found.interval is None:
        return "inconclusive", found.why
    low, high = found.interval
    beyond = {
        ">": (low > limit, high <= limit),
        ">=": (low >= limit, high < limit),
        "<": (high < limit, low >= limit),
        "<=": (high <= limit, low > limit),
    }
    failed, passed = beyond[fails]
    if failed or passed:
        return ("failed" if failed else "passed"), ""
    return "inconclusive", _more(found.value, found.interval, limit)


_MOST_TIMES: Final = 100


def _more(value: float, interval: Interval, limit: float) -> str:
    """How many more requests a decision takes, if the value stays the same.

    Intervals shrink with the square root of their number; faster if no event occurred at all.
    """
    side, apart = (
        (interval[1] - value if limit > value else value - interval[0]),
        abs(value - limit),
    )
    ratio = side / apart if apart else inf
    times = ratio**2 if value else ratio
    if times > _MOST_TIMES:
        return "it is too close to the limit for a longer run to decide"
    more = rounded(max(times, 1.5), 2)
    return f"the interval contains the limit: it takes about {more} times as many requests"

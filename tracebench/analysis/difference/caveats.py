"""Caveats of a comparison of runs: different plans or machines, invalid or partial runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tracebench.model.results.result import Result

Facts = Mapping[str, Any]


class _Fact(NamedTuple):
    """A property that both sides should share, and how to word its value."""

    name: str
    of: Callable[[Result], Any]
    told: Callable[[Any], str] = lambda value: "none" if value in (None, [], ()) else str(value)


def _payload(result: Result) -> Any:
    facts = result.plan.get("payload")
    if not isinstance(facts, Mapping):
        return None
    return facts.get("bytes"), facts.get("count"), facts.get("sha256")


def _told_payload(value: Any) -> str:
    if value is None or not isinstance(value[0], int):
        return "unknown"
    size, count, digest = value
    several = f" in {count:,} payloads" if isinstance(count, int) and count > 1 else ""
    return f"{size:,} bytes{several} (sha256 {str(digest)[:8]}…)"


def _told_rate(value: Any) -> str:
    """A rate's segments, as written on the command line."""
    if not isinstance(value, list | tuple) or not value:
        return "a closed loop"
    return ",".join(_told_segment(one) if isinstance(one, Mapping) else str(one) for one in value)


def _told_segment(segment: Facts) -> str:
    begin, end, length_s = (segment.get(n) for n in ("from_rps", "to_rps", "duration_s"))
    ramp = f"{begin:g}" if begin == end else f"{begin:g}:{end:g}"
    return f"{ramp}/s" if length_s is None else f"{ramp}/s for {length_s:g} s"


def _planned(name: str) -> Callable[[Result], Any]:
    return lambda result: result.plan.get(name)


def _around(name: str) -> Callable[[Result], Any]:
    return lambda result: result.environment.get(name)


_SHARED: Final = (
    _Fact("payload", _payload, _told_payload),
    _Fact("concurrency", _planned("concurrency")),
    _Fact("rate", _planned("rate"), _told_rate),
    _Fact("arrival", _planned("arrival")),
    _Fact("arrivals", _planned("schedule_s")),
    _Fact("connections", _planned("connections")),
    _Fact("order of payloads", _planned("order")),
    _Fact("HTTP method", _planned("method")),
    _Fact("gRPC method", _planned("grpc_method")),
    _Fact("headers", _planned("headers")),
    _Fact("warm-up", _planned("warmup")),
    _Fact("time-out", _planned("timeout_s"), lambda value: f"{value} s"),
    _Fact("expected status", _planned("expect_status")),
    _Fact("expected JSON", _planned("expect_json")),
    _Fact("tracing", _planned("receive_otlp"), lambda value: "--receive-otlp" if value else "none"),
    _Fact("machine", _around("platform")),
    _Fact("CPUs of the client", _around("cpus_usable")),
    _Fact("Python", _around("python")),
    _Fact("tracebench", lambda result: result.tool.get("version")),
)
_LONGEST: Final = 60


def unlike(a: Sequence[Result], b: Sequence[Result]) -> Iterator[str]:
    """Properties that should be the same on both sides, but differ: one line each.

    Args:
        a: the runs of side A, at least one.
        b: the runs of side B, at least one.
    """
    for fact in _SHARED:
        of_a, of_b = ([_plain(fact.of(one)) for one in side] for side in (a, b))
        if any(one != of_a[0] for one in (*of_a, *of_b)):
            yield f"{fact.name} differs: {_told(fact, of_a)} in A, {_told(fact, of_b)} in B"


def _plain(value: Any) -> Any:
    """A value in the form of result files, so that fresh results compare with saved ones."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _told(fact: _Fact, values: Sequence[Any]) -> str:
    """The values of one side's runs, each once, in words."""
    texts = dict.fromkeys(map(fact.told, values))
    text = " or ".join(texts)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def doubts(names: Sequence[str], runs: Sequence[Result], targets: Sequence[str]) -> Iterator[str]:
    """Runs that are not valid or were interrupted: one line each.

    Args:
        names: the names of the runs, as the user gave them.
        runs: the runs.
        targets: the target to compare in each run.
    """
    for name, run, target in zip(names, runs, targets, strict=True):
        verdict = run.targets[target].verdict
        grave = [one for one in verdict.findings if one.severity == "invalid"]
        if not verdict.valid:
            why = f": {', '.join(one.code for one in grave)}" if grave else ""
            yield f"{name}: {target} is not valid{why}; see `tracebench report {name}`"
        elif any(one.code == "interrupted" for one in verdict.findings):
            yield f"{name}: {target} was interrupted, and has fewer requests than asked for"

"""The answer of a comparison in one sentence: which side is slower, by how much, and where."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from server_middleware.vocabulary import INFERENCE_PARTS, SERVER_PROCESSING
from tracebench.analysis.numbers import rounded, signed
from tracebench.model.components import (
    COMPONENTS,
    END_TO_END,
    LATENCY,
    LEAVES,
    SERVER_AND_NETWORK,
    SERVICE_TIME,
)
from tracebench.model.results.comparison import Differences
from tracebench.model.results.result import Difference

LEAST_SHARE: Final = 0.01
"""Fraction of the whole; a smaller difference, even if shown, does not matter in practice."""
_AT: Final = {
    "p50_ms": "at the median",
    "mean_ms": "in the mean",
    "p95_ms": "at p95",
    "p99_ms": "at p99",
}
_MOST_CAUSES: Final = 3
_STREAM: Final = "stream."
_SUMS: Final = (SERVICE_TIME, SERVER_PROCESSING, LATENCY, END_TO_END)


class Line(NamedTuple):
    """The difference of one statistic of one component."""

    component: str
    statistic: str
    difference: Difference

    @property
    def is_shown(self) -> bool:
        """Whether the difference has a verdict of slower or faster."""
        return self.difference.verdict in ("slower", "faster")


def lines(differences: Differences) -> list[Line]:
    """All statistics as lines: parts in the order of a request's life, their sums, then streams.

    Args:
        differences: the differences of one target.
    """
    order = [*LEAVES, SERVER_AND_NETWORK, *INFERENCE_PARTS]
    custom = [one for one in differences if one not in COMPONENTS and not one.startswith(_STREAM)]
    sums = [one for one in differences if one in COMPONENTS and one not in order]
    streams = [one for one in differences if one.startswith(_STREAM)]
    sums.sort(key=_SUMS.index)
    names = dict.fromkeys([*order, *custom, *sums, *streams])
    return [
        Line(name, statistic, one)
        for name in names
        if name in differences
        for statistic, one in differences[name].items()
    ]


def matters(line: Line, differences: Differences) -> bool:
    """Whether a difference is at least 1 % of the latency, or of the stream metric it is in."""
    delta = abs(line.difference.delta)
    return delta > 0 and delta >= LEAST_SHARE * _whole(line, differences)


def _whole(line: Line, differences: Differences) -> float:
    own = line.difference
    if line.component.startswith(_STREAM) or line.statistic not in differences[END_TO_END]:
        return max(own.a, own.b)
    whole = differences[END_TO_END][line.statistic]
    return max(whole.a, whole.b)


def answer(differences: Differences, errors: Difference) -> str:
    """Say in one sentence which differences are shown, and in which components.

    Args:
        differences: the differences of one target; `end_to_end` must be among them.
        errors: the shares of requests that failed.
    """
    shown = [one for one in lines(differences) if one.is_shown and matters(one, differences)]
    whole = [one for one in shown if one.component == END_TO_END]
    whole.sort(key=lambda one: [*_AT].index(one.statistic))
    return (_of_the_whole(whole[0], shown) if whole else _of_parts(shown, differences)) + _failed(
        errors
    )


def _of_the_whole(first: Line, shown: Sequence[Line]) -> str:
    one = first.difference
    text = f"B is {_percent(one)} {one.verdict} {_AT[first.statistic]}"
    causes = _causes(first.statistic, shown)
    if not causes:
        return f"{text} ({_interval(one)}); no component is shown to differ by itself"
    return f"{text}: {'; '.join(f'{name} {_interval(cause)}' for name, cause in causes)}"


def _causes(statistic: str, shown: Sequence[Line]) -> list[tuple[str, Difference]]:
    """The components that have no parts of their own, the largest difference first."""
    leaves = {*LEAVES, SERVER_AND_NETWORK}
    found = [
        (one.component, one.difference)
        for one in shown
        if one.component in leaves and one.statistic == statistic
    ]
    found.sort(key=lambda one: abs(one[1].delta), reverse=True)
    return found[:_MOST_CAUSES]


def _of_parts(shown: Sequence[Line], differences: Differences) -> str:
    """The sentence if parts differ, but the latency as a whole does not."""
    whole = differences[END_TO_END]["p50_ms"]
    text = f"No difference of the latency is shown ({_interval(whole)} at the median)"
    if not shown:
        return text
    found: dict[str, Line] = {}
    parts = [one for one in shown if one.component not in _SUMS] or shown
    for one in sorted(parts, key=lambda one: [*_AT].index(one.statistic)):
        found.setdefault(one.component, one)
    told = [
        f"{name.removeprefix(_STREAM)} is {one.verdict} {_AT[statistic]}, {_interval(one)}"
        for name, (_, statistic, one) in found.items()
    ]
    return f"{text}; but {'; '.join(told[:_MOST_CAUSES])}"


def _failed(errors: Difference) -> str:
    if round(errors.a, 3) == round(errors.b, 3):
        return ""
    return (
        f"; {rounded(100 * errors.b)} % of B's requests failed, {rounded(100 * errors.a)} % of A's"
    )


def _percent(one: Difference) -> str:
    return f"{rounded(100 * abs(one.delta) / one.a, 2)} %" if one.a else f"{signed(one.delta)} ms"


def _interval(one: Difference) -> str:
    within = "" if one.ci95 is None else f" [{', '.join(map(signed, one.ci95))}]"
    return f"{signed(one.delta)} ms{within}"

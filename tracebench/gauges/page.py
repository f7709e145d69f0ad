"""Parses pages in Prometheus's text format."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import isfinite
from typing import Any, Final, Literal, NamedTuple

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_SELECTOR: Final = re.compile(rf"{_NAME.pattern}(\{{.*\}})?")


class PageError(Exception):
    """A page cannot be read; the message says why."""


class Sample(NamedTuple):
    """One line of a page."""

    metric: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """A gauge to look for."""

    name: str
    """Its name in the result."""
    metric: str
    """The server's name for it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that its series must have."""
    of_several: Literal["sum", "mean"] = "sum"
    """How to combine several series, e.g. one per model or engine."""


def samples(text: str) -> list[Sample]:
    """Parse all samples on a page.

    Raises:
        PageError: it is not in Prometheus's text format.
    """
    try:
        found = [
            Sample(one.name, one.labels, float(one.value))
            for family in _parser()(text)
            for one in family.samples
        ]
    except Exception as error:  # the parser may raise anything on a malformed line
        raise PageError(f"it is not in Prometheus's text format ({error})") from None
    if odd := next((one.metric for one in found if not _NAME.fullmatch(one.metric)), None):
        raise PageError(f"it is not in Prometheus's text format ({odd[:40]!r} names no metric)")
    return found


def lines_of(text: str, metrics: Iterable[str]) -> str:
    """The lines of a page that may belong to these metrics, so that others are not parsed."""
    heads = tuple(metrics)
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith(heads))


def value_of(wanted: Wanted, page: Iterable[Sample]) -> float | None:
    """A gauge's value on a page; None if it is missing or not a number."""
    values = [value for value in _series(wanted, page) if isfinite(value)]
    if not values:
        return None
    return sum(values) / (len(values) if wanted.of_several == "mean" else 1)


def selector(text: str) -> tuple[str, Mapping[str, str]]:
    """Parse a metric's name, and the labels in braces after it.

    Raises:
        PageError: the text is not in Prometheus's notation.
    """
    if not _SELECTOR.fullmatch(text):
        raise PageError(f"{text!r} is not one metric")
    read = samples(f"{text} 1\n")
    return read[0].metric, dict(read[0].labels)


def _series(wanted: Wanted, page: Iterable[Sample]) -> Iterator[float]:
    for one in page:
        if one.metric == wanted.metric and wanted.labels.items() <= one.labels.items():
            yield one.value


@cache
def _parser() -> Callable[[str], Iterable[Any]]:
    from prometheus_client import parser  # only needed to read gauges

    return parser.text_string_to_metric_families

"""Findings about the server's own gauges, read while the load ran."""

from collections.abc import Sequence
from typing import Final

from tracebench.analysis.advice import Advice
from tracebench.analysis.findings.finding import INFO, WARNING, FindingKind, weigh
from tracebench.model.results.result import Finding

_NAMED: Final = 5
"""How many metrics of a page to name as examples."""

_UNREAD: Final = FindingKind(
    "gauges_unread",
    ((0.0, "info"), (0.1, "warning")),
    "the server's gauges at {url} could not be read {failed} of {tries} times: {why}",
    (
        Advice(
            "open --metrics-url with curl: it must answer with Prometheus's text format",
            short="open --metrics-url with curl",
        ),
    ),
    "gauges: {failed} of {tries} reads failed",
)


def unread(url: str, failed: int, tries: int, why: str) -> Finding | None:
    """The finding for a metrics page that could not always be read; None if it could."""
    share = failed / tries if tries else 1.0
    return weigh(_UNREAD, share, url=url, failed=failed, tries=tries, why=why)


_UNKNOWN: Final = FindingKind(
    "gauges_unknown",
    WARNING,
    "the page at {url} has no gauge that is known ({servers}), but {count} others: {some}",
    (Advice("name what to read with --metric", short="name one with --metric"),),
    "no known gauge at --metrics-url",
)


def unknown(url: str, servers: str, metrics: Sequence[str]) -> Finding | None:
    """The finding for a metrics page without any known gauge."""
    count, some = len(metrics), _some(metrics)
    return weigh(_UNKNOWN, 1, url=url, servers=servers, count=count, some=some)


_ABSENT: Final = FindingKind(
    "gauges_absent",
    WARNING,
    "the page at {url} has no {names}, but {some}",
    (
        Advice(
            "copy the name from the page; labels must be those of one of its lines",
            short="copy the name from the page",
        ),
    ),
    "--metrics-url has no {names}",
)


def absent(url: str, names: Sequence[str], metrics: Sequence[str]) -> Finding | None:
    """The finding for requested metrics that the page does not have."""
    return weigh(_ABSENT, 1, url=url, names=", ".join(names), some=_some(metrics))


_TOO_SHORT: Final = FindingKind(
    "gauges_too_few",
    INFO,
    "the run ended before the server's gauges were read: they are read once a second",
    (Advice("measure for longer (--duration)", short="measure for longer (--duration)"),),
    "the run ended before gauges were read",
)


def too_short(tries: int) -> Finding | None:
    """The finding for a run that ended before the first gauges came, after `tries` reads."""
    return weigh(_TOO_SHORT, 1.0 / (1 + tries))


def _some(metrics: Sequence[str]) -> str:
    more = "" if len(metrics) <= _NAMED else ", …"
    return (", ".join(metrics[:_NAMED]) or "no metric") + more


KINDS: Final = (_UNREAD, _UNKNOWN, _ABSENT, _TOO_SHORT)

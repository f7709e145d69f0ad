"""The engine's side: starts the process that reads gauges, and adds its readings to results."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection as Pipe
from statistics import median
from typing import Final
from urllib.parse import urlsplit

from tracebench.analysis.findings.server import server_gauges
from tracebench.gauges.known import known, named, servers
from tracebench.gauges.messages import Record, Setup
from tracebench.model.errors import UsageError
from tracebench.model.plan import Tls, Watched
from tracebench.model.record.requests import Requests
from tracebench.model.results.result import Finding, Gauge
from tracebench.system.child_process import Child
from tracebench.system.redaction import redacted

_START_S: Final = 15.0
_ANSWER_S: Final = 5.0
_END_S: Final = 5.0
MOST_POINTS: Final = 600
"""Most points of a gauge in the result; more are averaged in groups of equal size."""
_NS_PER_S: Final = 1e9


class Gauges:
    """The server's own gauges during the run.

    Args:
        url: URL of the page; None: nothing is read.
        asked: metrics named by the user.
        pipe: connection to the process that reads the page.
    """

    def __init__(self, url: str | None, asked: tuple[str, ...], pipe: Pipe | None) -> None:
        self._url, self._asked, self._pipe = url, asked, pipe

    def during(self, requests: Requests) -> tuple[dict[str, Gauge], list[Finding]]:
        """The gauges while a target's requests were in flight, and doubts about them.

        Args:
            requests: all requests sent to the target; they have ended.
        """
        if self._url is None or not len(requests):
            return {}, []
        record = self._record()
        began_ns = requests.due_ns[0]
        ended_ns = began_ns + requests.duration_ns
        told = _between(record, began_ns, ended_ns)
        found = {name: gauge for name in record.metrics if (gauge := _gauge(told, name, began_ns))}
        return found, [one for one in self._doubts(record, told, found) if one is not None]

    def _record(self) -> Record:
        """All readings so far; empty if the process has died."""
        try:
            if self._pipe is not None:
                self._pipe.send(None)
                if self._pipe.poll(_ANSWER_S):
                    record: Record = self._pipe.recv()
                    return record
        except (EOFError, OSError):
            pass
        return Record((), {}, (0,), ((0, "the process that reads it ended"),))

    def _doubts(
        self, whole: Record, told: Record, found: dict[str, Gauge]
    ) -> Iterator[Finding | None]:
        url = redacted(self._url or "")
        if told.failures:
            tries, (_, why) = len(told.tries_ns), told.failures[-1]
            yield server_gauges.unread(url, len(told.failures), tries, why)
        elif not told.readings:
            yield server_gauges.too_short(len(told.tries_ns))
        if whole.on_page and not whole.metrics:
            yield server_gauges.unknown(url, servers(), whole.on_page)
        if told.readings and (absent := [one for one in self._asked if one not in found]):
            yield server_gauges.absent(url, absent, whole.on_page)


@contextmanager
def watching(asked: Watched, tls: Tls) -> Iterator[Gauges]:
    """Read the gauges of a plan until the context ends.

    Args:
        asked: the gauges to read.
        tls: trusted certificates, and the client's own.

    Raises:
        UsageError: as `check` does.
    """
    check(asked)
    if (url := asked.metrics_url) is None:
        yield Gauges(None, (), None)
        return
    cert = (tls.cert, tls.key) if tls.cert and tls.key else tls.cert
    verify = False if tls.insecure else tls.cacert or True
    setup = Setup(url, known(), named(asked.metrics), verify, cert)
    with closing(Child("tracebench.gauges.process", _END_S)) as child:
        try:
            child.pipe.send(setup)
            if child.pipe.poll(_START_S):
                child.pipe.recv()
        except (EOFError, OSError):
            pass  # `beside` reports that the process has died
        yield Gauges(url, asked.metrics, child.pipe)


def check(asked: Watched) -> None:
    """Check the gauge options of a plan.

    Raises:
        UsageError: the URL or a metric's name is invalid, or metrics are named without a URL.
    """
    named(asked.metrics)
    if (url := asked.metrics_url) is None:
        if asked.metrics:
            raise UsageError(f"--metric {asked.metrics[0]!r} needs the page: add --metrics-url URL")
        return
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise UsageError(
            f"--metrics-url {redacted(url)!r} is not a valid URL: "
            "write it as http://HOST:PORT/metrics"
        )


def _between(record: Record, began_ns: int, ended_ns: int) -> Record:
    """The part of a record between two times."""
    return replace(
        record,
        readings=tuple(one for one in record.readings if began_ns <= one.at_ns <= ended_ns),
        tries_ns=tuple(at_ns for at_ns in record.tries_ns if began_ns <= at_ns <= ended_ns),
        failures=tuple(one for one in record.failures if began_ns <= one[0] <= ended_ns),
    )


def _gauge(told: Record, name: str, began_ns: int) -> Gauge | None:
    """One gauge over time; None if it was never on the page."""
    points = [
        ((one.at_ns - began_ns) / _NS_PER_S, one.values[name])
        for one in told.readings
        if name in one.values
    ]
    if not points:
        return None
    values = [value for _, value in points]
    fewer = _thinned(points)
    return Gauge(
        metric=told.metrics[name],
        t_s=tuple(at_s for at_s, _ in fewer),
        value=tuple(value for _, value in fewer),
        min=min(values),
        median=median(values),
        max=max(values),
    )


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Reduce points to `MOST_POINTS` by averaging groups of equal size."""
    step = -(-len(points) // MOST_POINTS)
    parts = [points[at : at + step] for at in range(0, len(points), step)]
    return [(_mean(at_s for at_s, _ in one), _mean(value for _, value in one)) for one in parts]


def _mean(values: Iterator[float]) -> float:
    kept = list(values)
    return sum(kept) / len(kept)

"""Messages between the engine and the process that reads gauges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tracebench.gauges.page import Wanted


@dataclass(frozen=True, slots=True)
class Setup:
    """What to read."""

    url: str
    known: tuple[Wanted, ...]
    """Gauges to look for on any server."""
    named: tuple[Wanted, ...]
    """Gauges that the user asked for."""
    verify: str | bool
    """Path of trusted certificates, or whether to verify the server's at all."""
    cert: str | tuple[str, str] | None = None
    """Path of the client's certificate, or paths of certificate and key."""


class Reading(NamedTuple):
    """The gauges at one moment."""

    at_ns: int
    """Time on the monotonic clock, which all processes of a machine share."""
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Record:
    """All readings and failures so far."""

    readings: tuple[Reading, ...]
    metrics: Mapping[str, str]
    """Gauge → the server's name for it."""
    tries_ns: tuple[int, ...] = ()
    """Start times of all attempts to read the page."""
    failures: tuple[tuple[int, str], ...] = ()
    """Start time and reason of each failed attempt."""
    on_page: tuple[str, ...] = field(default=())
    """Names of all metrics on the page, to suggest when a named one is missing."""

"""What the engine and the process that reads gauges tell each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tracebench.gauges.page import Wanted


@dataclass(frozen=True, slots=True)
class Setup:
    """What to read."""

    url: str
    known: tuple[Wanted, ...]
    """Those that are looked for in every server."""
    named: tuple[Wanted, ...]
    """Those that the user asks for."""
    verify: str | bool
    """Certificates to trust, or whether to check any."""
    cert: str | tuple[str, str] | None = None
    """The client's own, with its key where that is apart."""


class Reading(NamedTuple):
    """The gauges at one moment."""

    at_ns: int
    """On the monotonic clock, which all processes of a machine share."""
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that was read so far."""

    readings: tuple[Reading, ...]
    metrics: Mapping[str, str]
    """Gauge → what the server calls it."""
    tries_ns: tuple[int, ...] = ()
    """When the page was asked for."""
    failures: tuple[tuple[int, str], ...] = ()
    """When it could not be read, and why."""
    on_page: tuple[str, ...] = field(default=())
    """Names of metrics on the page, for whoever named none of them."""

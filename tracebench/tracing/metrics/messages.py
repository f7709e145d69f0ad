"""Messages between the engine and the process that exports the run's metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tracebench.model.progress import Progress

Value = str | int


@dataclass(frozen=True, slots=True)
class Measured:
    """One target, as its metrics tell of it."""

    protocol: str
    """`rest` or `grpc`."""
    attributes: Mapping[str, Value]
    """Those of its root spans, in the terms of the semantic conventions."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Where to export what."""

    endpoint: str
    """As the user wrote it."""
    run_id: str
    label: str
    version: str
    targets: Mapping[str, Measured]
    began_ns: int
    """When the counts began, in ns since the epoch."""


@dataclass(frozen=True, slots=True)
class Sample:
    """All targets at one moment."""

    at_ns: int
    """In ns since the epoch."""
    progress: Mapping[str, Progress]
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Target → type of error → count, where more is known than the progress tells: at the end."""
    last: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the exports have gone so far."""

    exported: int = 0
    failed: int = 0
    reason: str = ""
    """Why the latest that failed did; empty if none has."""
    refused: bool = False
    """Whether the endpoint takes no metrics at all; then no more are sent."""

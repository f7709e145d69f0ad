"""What servers emit, and how it was mapped to components."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

What: TypeAlias = Literal["span", "stage", "event", "attribute"]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of thing that a server emits."""

    span: str
    """The name of the span itself, or of the span that contains this; `*` replaces variable text
    such as an id."""
    what: What
    name: str
    """Name of the event, the attribute, or the stage between two events; empty for the span
    itself."""
    count: int
    median_ms: float | None
    """Duration of a span, a stage or a duration attribute; for an event, the time since its span
    began. None if there is no duration."""
    component: str | None
    """The component that it is mapped to; None if it is not mapped."""
    rule: str = ""
    """TOML that would map it; empty if it is already mapped or cannot be mapped."""


@dataclass(frozen=True, slots=True)
class Service:
    """What one server emits; spans in order of first appearance, each followed by its parts."""

    name: str
    profiles: tuple[str, ...]
    traces: int
    spans: int
    orphans: int
    """Spans, other than entry spans, whose parent was not received: their time is not
    attributed."""
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was found in archives, or received while a target was being queried."""

    services: tuple[Service, ...]
    unreadable: int = 0
    problem: str = ""
    """Why the first unreadable input could not be read; empty if all could."""

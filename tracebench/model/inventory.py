"""What servers emit, and how it was mapped."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

What: TypeAlias = Literal["span", "stage", "event", "attribute"]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of thing that a server emits."""

    span: str
    """The name of the span that is or has it; `*` stands for what differs, such as an id."""
    what: What
    name: str
    """Of the event, the attribute, or the stage between two events; empty for the span itself."""
    count: int
    median_ms: float | None
    """Of a span, a stage or a duration; of an event since the span began. None: no duration."""
    component: str | None
    """None: unmapped."""
    rule: str = ""
    """TOML that would map it, where it is unmapped and could be."""


@dataclass(frozen=True, slots=True)
class Service:
    """What one server emits; spans by their first appearance, each with its parts below it."""

    name: str
    profiles: tuple[str, ...]
    traces: int
    spans: int
    orphans: int
    """Spans whose parent has not come, entry spans aside: they are not attributed."""
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was found in archives, or came while a target was asked."""

    services: tuple[Service, ...]
    unreadable: int = 0
    problem: str = ""
    """Why the first of what cannot be read could not be."""

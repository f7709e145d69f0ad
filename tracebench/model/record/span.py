"""A span as OTLP defines it: the common form of spans from any source."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

Kind: TypeAlias = Literal["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""Indexed by OTLP's numbers."""

HEX_DIGITS: Final = frozenset("0123456789abcdef")
"""The digits of ids; `string.hexdigits` would also allow upper case."""

Value: TypeAlias = "str | bool | int | float | bytes | Sequence[Value] | Mapping[str, Value] | None"
Attributes: TypeAlias = Mapping[str, Value]

NOTHING: Final[Attributes] = MappingProxyType({})


class Event(NamedTuple):
    """A moment within a span."""

    name: str
    time_ns: int
    attributes: Attributes = NOTHING


class Link(NamedTuple):
    """A reference to another span, in the same trace or another one."""

    trace_id: str
    span_id: str


class Span(NamedTuple):
    """One ended span; ids in lower-case hex, times in ns since the epoch by the maker's clock."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty if the span has no parent."""
    name: str
    kind: Kind
    start_ns: int
    end_ns: int
    attributes: Attributes = NOTHING
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    resource: Attributes = NOTHING
    """Attributes of the process that recorded it, such as `service.name`."""
    scope: str = ""
    """The name of the instrumentation that recorded it."""
    failed: bool = False
    flags: int = 0
    """OTLP's `Span.flags`; only if 0x100 is set does 0x200 tell whether the parent is remote."""
    message: str = ""
    """The status message of a failed span."""

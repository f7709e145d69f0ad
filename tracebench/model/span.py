"""A span as OTLP has it, whoever recorded it and however it came: the one record of tracing."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

Kind: TypeAlias = Literal["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""In the order of OTLP's numbers."""

HEX_DIGITS: Final = frozenset("0123456789abcdef")
"""Of ids: `string.hexdigits` has upper case too."""

Value: TypeAlias = "str | bool | int | float | bytes | Sequence[Value] | Mapping[str, Value] | None"
Attributes: TypeAlias = Mapping[str, Value]

NOTHING: Final[Attributes] = MappingProxyType({})


class Event(NamedTuple):
    """A moment within a span."""

    name: str
    time_ns: int
    attributes: Attributes = NOTHING


class Link(NamedTuple):
    """Another span, of this trace or of another one, that a span has to do with."""

    trace_id: str
    span_id: str


class Span(NamedTuple):
    """One ended span; ids in lower-case hex, times in ns since the epoch on its maker's clock."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty where it has no parent."""
    name: str
    kind: Kind
    start_ns: int
    end_ns: int
    attributes: Attributes = NOTHING
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    resource: Attributes = NOTHING
    """Of who made it: `service.name` and the like."""
    scope: str = ""
    """The name of the instrumentation that made it."""
    failed: bool = False
    flags: int = 0
    """OTLP's `Span.flags`: 0x100 says that 0x200 (the parent is remote) can be believed."""
    message: str = ""
    """What its status says of the failure."""

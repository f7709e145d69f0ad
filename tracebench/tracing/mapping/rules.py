"""Rules that map a span, a stretch between events, or an attribute to a component."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from typing import Final

from server_middleware.vocabulary import KNOWN_PARTS, SERVER_PROCESSING
from tracebench.model.record.span import Attributes, Span

FIRST_TOKEN: Final = "first_token"
"""Not a component: when the first token of a stream was ready, or when each message left."""
RULE_COMPONENTS: Final = (*KNOWN_PARTS, SERVER_PROCESSING, FIRST_TOKEN)
UNITS_NS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
TEXT: Final = "text"
"""The unit of a duration that is written with its unit, such as `12.5ms`."""
FROM_ATTRIBUTE: Final = "@"
"""`component = "@name"`: the value of the attribute `name`."""
_REGEX: Final = "re:"
_GLOB: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A literal text, a glob with `*`, `?` and `[…]`, or `re:` and a regular expression."""

    text: str

    def fits(self, value: str) -> bool:
        """Whether the whole value matches; a value equal to the text always does."""
        if value == self.text:
            return True
        regex = _regex(self.text)
        return regex is not None and regex.fullmatch(value) is not None


@cache
def _regex(text: str) -> re.Pattern[str] | None:
    """The compiled pattern; None for a literal text."""
    if text.startswith(_REGEX):
        return re.compile(text.removeprefix(_REGEX))
    return re.compile(translate(text)) if _GLOB.intersection(text) else None


AnyOf = tuple[Pattern, ...]
"""One of them must match; if there are none, everything matches."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions on a span, all of which must hold."""

    span: AnyOf = ()
    kind: AnyOf = ()
    scope: AnyOf = ()
    attributes: tuple[tuple[str, AnyOf], ...] = ()
    resource: tuple[tuple[str, AnyOf], ...] = ()

    def name_fits(self, name: str, kind: str, scope: str) -> bool:
        """Whether the conditions on name, kind and scope hold, which many spans share."""
        return (
            one_fits(self.span, name) and one_fits(self.kind, kind) and one_fits(self.scope, scope)
        )

    def rest_fits(self, span: Span) -> bool:
        """Whether the other conditions hold: those on attributes and resource."""
        if not self.attributes and not self.resource:
            return True
        return _all_fit(self.attributes, span.attributes) and _all_fit(self.resource, span.resource)


def one_fits(patterns: AnyOf, value: str) -> bool:
    """Whether any pattern matches the whole value; true if there are none."""
    return not patterns or any(pattern.fits(value) for pattern in patterns)


def _all_fit(wanted: Iterable[tuple[str, AnyOf]], attributes: Attributes) -> bool:
    return all(
        name in attributes and one_fits(patterns, _written(attributes[name]))
        for name, patterns in wanted
    )


def _written(value: object) -> str:
    """An attribute's value as text, with booleans as in TOML and JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Rule:
    """Maps a span, a stretch of it, or a duration that it reports to a component."""

    conditions: Conditions
    component: str
    starts: tuple[str, ...] = ()
    """Names of events: the stretch begins at the first of these that the span has."""
    ends: tuple[str, ...] = ()
    """Like `starts`, for its end; if the span has none of them, its children are searched."""
    last: AnyOf = ()
    """Instead of `ends`: names of children; the stretch ends with the last of those."""
    outlived: bool = False
    """Only for `server_processing`: applies only if the span continues after the client has the
    reply."""
    duration: str = ""
    """The attribute that holds a duration."""
    unit: str = "s"
    guess: bool = False
    """Applies only if neither the author nor the user names any components."""
    repeated: bool = False
    """Only for `server_processing`: applies only if its end occurs several times."""

    @property
    def is_stretch(self) -> bool:
        """Whether it maps a part of a span, between events."""
        return bool(self.starts or self.ends or self.last)

    @property
    def ends_with_children(self) -> bool:
        """Whether it ends the server's time with the last of some children."""
        return self.component == SERVER_PROCESSING and bool(self.last) and not self.starts

    @property
    def is_part(self) -> bool:
        """Whether it maps a part of the server's time, and not where that ends."""
        return self.component not in (SERVER_PROCESSING, FIRST_TOKEN)

    @property
    def is_whole(self) -> bool:
        """Whether it maps a span's own time."""
        return not self.is_stretch and not self.duration

    def component_of(self, span: Span) -> str:
        """The component, which an attribute of the span may name."""
        if self.component.startswith(FROM_ATTRIBUTE):
            return str(span.attributes.get(self.component.removeprefix(FROM_ATTRIBUTE), ""))
        return self.component


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules for one kind of server."""

    name: str
    rules: tuple[Rule, ...]
    when: tuple[Conditions, ...] = ()
    """The profile applies to traces in which a span meets one of these; if empty, to all."""
    about: str = ""
    is_built_in: bool = False

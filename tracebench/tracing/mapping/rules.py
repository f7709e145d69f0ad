"""Rules that say which component a span, a stretch between events or an attribute is."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from typing import Final

from server_middleware.vocabulary import KNOWN_PARTS, SERVER_PROCESSING
from tracebench.model.span import Attributes, Span

FIRST_TOKEN: Final = "first_token"
"""No component: when the first token of a stream was there, or each message of it left."""
RULE_COMPONENTS: Final = (*KNOWN_PARTS, SERVER_PROCESSING, FIRST_TOKEN)
UNITS_NS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
TEXT: Final = "text"
"""The unit of a duration that is written with its own, such as `12.5ms`."""
FROM_ATTRIBUTE: Final = "@"
"""`component = "@name"`: what the attribute of that name says."""
_REGEX: Final = "re:"
_GLOB: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text as it is, a glob with `*`, `?` and `[…]`, or `re:` and a regular expression."""

    text: str

    def fits(self, value: str) -> bool:
        """Whether the whole value fits; what is equal always does."""
        if value == self.text:
            return True
        regex = _regex(self.text)
        return regex is not None and regex.fullmatch(value) is not None


@cache
def _regex(text: str) -> re.Pattern[str] | None:
    """None for what only fits itself."""
    if text.startswith(_REGEX):
        return re.compile(text.removeprefix(_REGEX))
    return re.compile(translate(text)) if _GLOB.intersection(text) else None


AnyOf = tuple[Pattern, ...]
"""One of them must fit; where there is none, everything does."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a span must be like; each must hold."""

    span: AnyOf = ()
    kind: AnyOf = ()
    scope: AnyOf = ()
    attributes: tuple[tuple[str, AnyOf], ...] = ()
    resource: tuple[tuple[str, AnyOf], ...] = ()

    def name_fits(self, name: str, kind: str, scope: str) -> bool:
        """Whether those hold that speak of what many spans share."""
        return (
            one_fits(self.span, name) and one_fits(self.kind, kind) and one_fits(self.scope, scope)
        )

    def rest_fits(self, span: Span) -> bool:
        """Whether the others do."""
        if not self.attributes and not self.resource:
            return True
        return _all_fit(self.attributes, span.attributes) and _all_fit(self.resource, span.resource)


def one_fits(patterns: AnyOf, value: str) -> bool:
    """Whether one of them fits the whole value."""
    return not patterns or any(pattern.fits(value) for pattern in patterns)


def _all_fit(wanted: Iterable[tuple[str, AnyOf]], attributes: Attributes) -> bool:
    return all(
        name in attributes and one_fits(patterns, _written(attributes[name]))
        for name, patterns in wanted
    )


def _written(value: object) -> str:
    """An attribute's value as a rule spells it: booleans as TOML and JSON do."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Rule:
    """Gives a component to a span, to a stretch of it, or to a duration that it tells."""

    conditions: Conditions
    component: str
    starts: tuple[str, ...] = ()
    """Names of events: the stretch begins at the first of these that the span has."""
    ends: tuple[str, ...] = ()
    """As `starts`, for its end; where the span has none of them, its children are asked."""
    last: AnyOf = ()
    """Instead of `ends`: children's names; the stretch ends when the last of those ends."""
    outlived: bool = False
    """Of `server_processing`: only where the span goes on after the client has the reply."""
    duration: str = ""
    """The attribute that holds a duration."""
    unit: str = "s"
    guess: bool = False
    """It holds only where neither the author nor the user says anything of components."""
    repeated: bool = False
    """Of `server_processing`: only where its end occurs several times."""

    @property
    def is_stretch(self) -> bool:
        """Whether it speaks of a part of a span, between events."""
        return bool(self.starts or self.ends or self.last)

    @property
    def ends_with_children(self) -> bool:
        """Whether it says that the server's time ends when the last of some children does."""
        return self.component == SERVER_PROCESSING and bool(self.last) and not self.starts

    @property
    def is_part(self) -> bool:
        """Whether it says what a part of the server's time is, and not when that ends."""
        return self.component not in (SERVER_PROCESSING, FIRST_TOKEN)

    @property
    def is_whole(self) -> bool:
        """Whether it speaks of a span's own time."""
        return not self.is_stretch and not self.duration

    def component_of(self, span: Span) -> str:
        """The component, which the span may name itself."""
        if self.component.startswith(FROM_ATTRIBUTE):
            return str(span.attributes.get(self.component.removeprefix(FROM_ATTRIBUTE), ""))
        return self.component


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules for one kind of server."""

    name: str
    rules: tuple[Rule, ...]
    when: tuple[Conditions, ...] = ()
    """It applies to a trace in which one of these holds for a span; to all where there is none."""
    about: str = ""
    is_built_in: bool = False

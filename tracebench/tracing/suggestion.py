"""Rules for what no rule is for: to be pasted into a mapping, with the component guessed."""

import re
from typing import Final

from server_middleware.vocabulary import INFERENCE, POSTPROCESSING, PREPROCESSING, QUEUE

_GUESSES: Final = (
    (QUEUE, re.compile(r"queu|wait|pending|schedul|backlog", re.I)),
    (POSTPROCESSING, re.compile(r"post|serial|respon|format|render|detoken|output|encode", re.I)),
    (
        PREPROCESSING,
        re.compile(r"pre.?proc|token|parse|resize|transform|valid|input|decode.?im", re.I),
    ),
)
"""In this order; what fits none is taken for inference."""
_IDS: Final = re.compile(r"(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{8}[0-9a-fA-F-]*|\d{4,}")


def without_ids(name: str) -> str:
    """A name with `*` for what looks like an id: it then fits all spans of its kind."""
    return _IDS.sub("*", name)


def for_span(name: str) -> str:
    """A rule that maps the spans of a name."""
    return _rule(name, f"span = {_quoted(name)}")


def for_events(span: str, first: str, then: str) -> str:
    """A rule that maps what lies between two events of a span."""
    events = f"from = {_quoted(first)}\nto = {_quoted(then)}"
    return _rule(f"{first} {then}", f"span = {_quoted(span)}\n{events}")


def for_duration(span: str, attribute: str, unit: str) -> str:
    """A rule that maps an attribute that tells a duration."""
    told = f"duration = {_quoted(attribute)}\nunit = {_quoted(unit)}"
    return _rule(attribute, f"span = {_quoted(span)}\n{told}")


def _rule(hint: str, conditions: str) -> str:
    return f"[[rule]]\n{conditions}\ncomponent = {_quoted(_guess(hint))}"


def _guess(hint: str) -> str:
    return next((component for component, words in _GUESSES if words.search(hint)), INFERENCE)


def _quoted(text: str) -> str:
    """As a TOML string, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'

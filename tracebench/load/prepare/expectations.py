"""When a reply counts as a success: `--expect-status` and `--expect-json`.

They are checked after the window, on the bytes that were kept, so they cost the run nothing.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import grpc

from tracebench.load.wire.codec import RawReply
from tracebench.model.errors import UsageError
from tracebench.model.plan import Expected, Targets
from tracebench.model.record.exchange import Reply

Read = Callable[[RawReply], tuple[Reply, str]]


class Content(NamedTuple):
    """A reply's content as a JSON value."""

    value: Any
    kept_bytes: int = 0
    """Size of the first part, if only that was kept and read; else 0."""


Document = Callable[[Reply], Content]
"""Reads a reply; raises ValueError, with the reason, if it cannot be read."""

_HTTP: Final = re.compile(r"[1-5](\d\d|xx)")
_GRPC: Final = frozenset(code.name for code in grpc.StatusCode)
_STEP: Final = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a reply's JSON must have."""

    text: str
    """The expectation as the user wrote it."""
    path: tuple[str, ...]
    wanted: str | None
    """JSON, or the plain text of a string; None: any value."""

    def fault(self, content: Content) -> str:
        """What is wrong with a reply; empty if nothing is."""
        found = _at(content.value, self.path)
        if found is not _MISSING and (self.wanted is None or _same(found, self.wanted)):
            return ""
        asked = f"--expect-json {self.text!r}"
        if content.kept_bytes and (found is _MISSING or isinstance(found, dict | list)):
            return (
                f"{asked}: not in the first {content.kept_bytes} bytes of the reply: the rest "
                "is not kept"
            )
        return (
            f"{asked}: the reply has no such field"
            if found is _MISSING
            else f"{asked} does not hold"
        )


@dataclass(frozen=True, slots=True)
class Expectations:
    """What is expected of one target's replies."""

    statuses: tuple[str, ...]
    """Accepted statuses; empty: those that the protocol calls a success."""
    fields: tuple[Field, ...]

    @property
    def ask(self) -> bool:
        """Whether there is anything to check."""
        return bool(self.statuses or self.fields)

    def fault(self, reply: Reply, reason: str, document: Document) -> str:
        """Why a reply failed; empty for a success.

        Args:
            reply: the reply.
            reason: why it failed according to the protocol; empty if it did not.
            document: reads the reply's content.
        """
        if self.statuses:
            if not any(_covers(status, reply.status) for status in self.statuses):
                wanted = ",".join(self.statuses)
                return f"{reason or reply.status}, but --expect-status is {wanted}"
            # An OK with a reason is broken; any other status was itself the reason.
            reason = reason if reply.status == "OK" else ""
        if reason or not self.fields:
            return reason
        try:
            content = document(reply)
        except (ValueError, RecursionError) as error:
            return f"--expect-json {self.fields[0].text!r}: {error}"
        return next(filter(None, (field.fault(content) for field in self.fields)), "")

    def checked(self, read: Read, document: Document) -> Read:
        """A reader of kept replies that also checks these expectations."""
        if not self.ask:
            return read

        return _Checked(self, read, document)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A reader that also checks expectations; unlike a closure, it can be sent to a process."""

    expected: Expectations
    read: Read
    document: Document

    def __call__(self, raw: RawReply) -> tuple[Reply, str]:
        reply, reason = self.read(raw)
        return reply, self.expected.fault(reply, reason, self.document)


def of(expected: Expected, target: str, targets: Targets) -> Expectations:
    """What is expected of the targets that speak `rest` or `grpc`, where there may be both.

    Raises:
        UsageError: a status or a path is invalid.
    """
    return Expectations(
        _statuses(expected, target, targets), tuple(map(_field, expected.expect_json))
    )


def _statuses(expected: Expected, target: str, targets: Targets) -> tuple[str, ...]:
    given = [text.strip() for option in expected.expect_status for text in option.split(",")]
    for text in given:
        if not _HTTP.fullmatch(text) and text not in _GRPC:
            raise UsageError(
                f"--expect-status {text!r} is not a status: give HTTP codes like 200 or "
                "2xx, or gRPC names like OK or NOT_FOUND"
            )
    fitting = tuple(text for text in given if (text in _GRPC) == (target == "grpc"))
    alone = len(targets.protocols) == 1
    if given and not fitting and alone:
        raise UsageError(
            f"--expect-status {','.join(given)!r} does not fit {target}: HTTP has codes like 200 "
            "or 2xx, gRPC has names like OK"
        )
    return fitting


def _field(text: str) -> Field:
    path, equals, wanted = text.partition("=")
    steps = tuple(match[1] or match[2] for match in _STEP.finditer(path))
    if not steps or _STEP.sub("", path):
        raise UsageError(
            f"--expect-json {text!r} is not PATH[=VALUE]: write e.g. 'predictions[0].label=cat', "
            "or only the path to accept any value"
        )
    return Field(text, steps, wanted if equals else None)


def _covers(wanted: str, status: str) -> bool:
    return wanted == status or (wanted[1:] == "xx" and wanted[0] == status[:1])


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if isinstance(document, dict):
            document = document.get(step, _MISSING)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return _MISSING
    return document


def _same(found: Any, wanted: str) -> bool:
    """Whether a value equals what was written: `5`, `"5"` and `true` are read as JSON."""
    if found == wanted:
        return True
    try:
        value = json.loads(wanted)
    except ValueError:
        return False
    return bool(found == value) and isinstance(found, bool) == isinstance(value, bool)

"""Read files of spans: OTLP as tracebench and collectors write it, and traces saved by backends.

Files are read line by line. A file may also be one document on many lines, one protobuf request, or
length-prefixed messages; and it may be compressed.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from sys import intern
from typing import BinaryIO, Final

from tracebench.model.errors import UsageError
from tracebench.model.record.span import Attributes, Span
from tracebench.system.input_files import opened
from tracebench.tracing.archives.json_documents import NotJsonError, read_document
from tracebench.tracing.archives.unpacking import CUT_SHORT, delimited, messages, unpacked
from tracebench.tracing.otlp.checks import OnBad, OtlpError
from tracebench.tracing.otlp.read_protobuf import read_protobuf

_LONGEST: Final = 256 * 2**20
"""Limit in bytes for a line, a message, or a file without either; the rest is not read."""
_MOST_SAID: Final = 4096
_TEXT: Final = b"\x10"
"""A first byte below this is whitespace or not text, as in the length prefix of a message."""
_PROTOBUF: Final = b"\n"
"""The first byte of an ExportTraceServiceRequest: the tag of its first field."""
_HOW: Final = "`run --output-traces` and the collector's file exporter write them"


class Archives:
    """Reads spans from files, and counts what it cannot read."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self.spans = self.bad = 0
        """`spans` counts the spans read; `bad` counts unreadable lines, files and spans."""
        self.problem = ""
        """Why the first of those was unreadable; empty if there is none."""
        self._said: dict[object, Attributes] = {}

    def __iter__(self) -> Iterator[Span]:
        """Every span of every file, in order.

        Raises:
            UsageError: a file cannot be opened, or none of them contains a span.
        """
        for path in self._paths:
            with opened("", path) as file:
                yield from map(self._lean, self._read(path, file))
        if not self.spans:
            files = " ".join(map(repr, self._paths))
            why = f" ({self.problem})" if self.problem else ""
            raise UsageError(f"no spans in {files}{why}: give OTLP JSON lines, as {_HOW}")

    def refuse(self, span: Span, why: str) -> None:
        """Count a span that was read as unusable after all."""
        self.spans -= 1
        self._bad(f"the span {span.name[:64]!r} ({span.span_id}) {why}")

    def _read(self, path: str, packed: BinaryIO) -> Iterator[Span]:
        """Try one format after the other; the first that yields spans is used."""
        spans, bad, problem = self.spans, self.bad, self.problem
        file = unpacked(packed)
        for read in (self._messages, self._lines):
            self.bad, self.problem = bad, problem
            file.seek(0)
            try:
                yield from read(path, file)
            except CUT_SHORT as error:
                self._bad(f"{path} is cut short: {error}")
            if self.spans > spans:
                return
        if self.bad > bad:
            with suppress(*CUT_SHORT):
                file.seek(0)
                yield from self._whole(path, file.read(_LONGEST), bad, problem)

    def _messages(self, path: str, file: BinaryIO) -> Iterator[Span]:
        if not file.read(1) < _TEXT:
            return
        file.seek(0)
        for at, message in enumerate(messages(file, _LONGEST), 1):
            yield from self._one(message, f"{path}, message {at}")

    def _lines(self, path: str, file: BinaryIO) -> Iterator[Span]:
        at = 0
        while line := file.readline(_LONGEST):
            at += 1
            if len(line) == _LONGEST:
                return self._bad(f"{path}:{at} is longer than {_LONGEST >> 20} MiB")
            if line.strip():
                yield from self._one(line, f"{path}:{at}")

    def _one(self, data: bytes, where: str) -> Sequence[Span]:
        """The spans of a line or a message."""
        try:
            spans = _any(data, lambda why: self._bad(f"{where}: {why}"))
        except OtlpError as error:
            self._bad(f"{where}: {error}")
            return ()
        self.spans += len(spans)
        return spans

    def _whole(self, path: str, data: bytes, bad: int, problem: str) -> Sequence[Span]:
        """Read a file without readable lines as one document or one request."""
        reasons: list[str] = []
        for read in (read_document, read_protobuf, _delimited):
            try:
                spans = read(data, reasons.append)
            except NotJsonError:
                continue
            except OtlpError as error:
                if read is read_document:
                    self.problem = problem or f"{path}: {error}"
                continue
            if spans or reasons:
                self.spans += len(spans)
                self.bad, self.problem = bad + len(reasons), problem
                if reasons and not problem:
                    self.problem = f"{path}: {reasons[0]}"
                return spans
        return ()

    def _lean(self, span: Span) -> Span:
        """The same span, sharing repeated texts and attributes with earlier spans."""
        if len(self._said) > _MOST_SAID:
            self._said.clear()
        resource, attributes = self._once(span.resource), self._once(span.attributes)
        return span._replace(
            name=intern(span.name),
            scope=intern(span.scope),
            resource=resource,
            attributes=attributes,
        )

    def _once(self, attributes: Attributes) -> Attributes:
        try:
            key = tuple((name, type(value), value) for name, value in attributes.items())
            return self._said.setdefault(key, attributes)
        except TypeError:  # a nested attribute value has no hash
            return attributes

    def _bad(self, why: str) -> None:
        self.bad += 1
        self.problem = self.problem or why


def _any(data: bytes, on_bad: OnBad) -> Sequence[Span]:
    """The spans of JSON or protobuf; protobuf's first byte is a line break in JSON."""
    try:
        return read_document(data, on_bad)
    except NotJsonError:
        if data[:1] != _PROTOBUF:
            raise
    return read_protobuf(data, on_bad)


def _delimited(data: bytes, on_bad: OnBad) -> list[Span]:
    return [span for one in delimited(data) for span in read_protobuf(one, on_bad)]

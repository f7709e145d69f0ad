"""Files of spans: OTLP as tracebench and collectors write it, and what trace backends save.

Lines are read one by one. A file may also be one document on many lines, one protobuf request, or
messages with their lengths before them; and it may be compressed.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from sys import intern
from typing import BinaryIO, Final

from tracebench.model.errors import UsageError
from tracebench.model.span import Attributes, Span
from tracebench.system.input_files import opened
from tracebench.tracing.archives.json_documents import NotJsonError, read_document
from tracebench.tracing.archives.unpacking import CUT_SHORT, delimited, messages, unpacked
from tracebench.tracing.otlp.checks import OnBad, OtlpError
from tracebench.tracing.otlp.read_protobuf import read_protobuf

_LONGEST: Final = 256 * 2**20
"""Bytes of a line, of a message, or of a file that has neither; what is longer is not read."""
_MOST_SAID: Final = 4096
_TEXT: Final = b"\x10"
"""What begins below it is no text, or white space; the length of a message is such a number."""
_PROTOBUF: Final = b"\n"
"""What an ExportTraceServiceRequest begins with: its first field."""
_HOW: Final = "`run --output-traces` and the collector's file exporter write them"


class Archives:
    """Reads spans line by line, and counts what it cannot read."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self.spans = self.bad = 0
        """Spans that were read; lines, files and spans that were not."""
        self.problem = ""
        """Why the first of those could not be."""
        self._said: dict[object, Attributes] = {}

    def __iter__(self) -> Iterator[Span]:
        """Every span of every file, as it stands there.

        Raises:
            UsageError: a file cannot be opened, or no span was found in any.
        """
        for path in self._paths:
            with opened("", path) as file:
                yield from map(self._lean, self._read(path, file))
        if not self.spans:
            files = " ".join(map(repr, self._paths))
            why = f" ({self.problem})" if self.problem else ""
            raise UsageError(f"no spans in {files}{why}: give OTLP JSON lines, as {_HOW}")

    def refuse(self, span: Span, why: str) -> None:
        """Count a span that was read as one that cannot be used."""
        self.spans -= 1
        self._bad(f"the span {span.name[:64]!r} ({span.span_id}) {why}")

    def _read(self, path: str, packed: BinaryIO) -> Iterator[Span]:
        """Try one form after the other; the first that gives spans is the file's."""
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
        """A file of which no line can be read on its own may be one document, or one request."""
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
        """The same span; what it says as others did is kept once for all of them."""
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
        except TypeError:  # a value that is a mapping has no hash
            return attributes

    def _bad(self, why: str) -> None:
        self.bad += 1
        self.problem = self.problem or why


def _any(data: bytes, on_bad: OnBad) -> Sequence[Span]:
    """The spans of JSON or of protobuf, whose first byte is a line break in the other."""
    try:
        return read_document(data, on_bad)
    except NotJsonError:
        if data[:1] != _PROTOBUF:
            raise
    return read_protobuf(data, on_bad)


def _delimited(data: bytes, on_bad: OnBad) -> list[Span]:
    return [span for one in delimited(data) for span in read_protobuf(one, on_bad)]

"""Files of spans: OTLP JSON lines as tracebench and the collector's file exporter write them.

A file may be compressed with gzip, be one JSON document on many lines, or one protobuf request.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from sys import intern
from typing import BinaryIO, Final, cast

from tracebench.errors import UsageError
from tracebench.model.span import Attributes, Span
from tracebench.tracing.otlp_json import read_json
from tracebench.tracing.otlp_protobuf import read_protobuf
from tracebench.tracing.otlp_span import OtlpError

_GZIP: Final = b"\x1f\x8b"
_LONGEST: Final = 256 * 2**20
"""Bytes of a line, or of a file that has none; what is longer is not read."""
_CUT_SHORT = (EOFError, OSError, zlib.error)


_MOST_SAID: Final = 4096


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
            with _opened(path) as file:
                yield from self._read(path, file)
        if not self.spans:
            files = " ".join(map(repr, self._paths))
            why = f" ({self.problem})" if self.problem else ""
            raise UsageError(f"no spans in {files}{why}: give OTLP JSON lines, as {_HOW}")

    def _read(self, path: str, file: BinaryIO) -> Iterator[Span]:
        before, first_bad = self.spans, self.bad
        try:
            for at, line in enumerate(_lines(file), 1):
                for span in self._spans(line, f"{path}:{at}"):
                    self.spans += 1
                    yield self._lean(span)
            if self.spans == before and self.bad > first_bad:
                file.seek(0)
                yield from self._whole(file.read(_LONGEST), first_bad)
        except _CUT_SHORT as error:
            self._bad(f"{path} ends in the middle: {error}")

    def _spans(self, line: bytes, where: str) -> Sequence[Span]:
        if not line.strip():
            return ()
        try:
            return read_json(line, lambda why: self._bad(f"{where}: {why}"))
        except OtlpError as error:
            self._bad(f"{where}: {error}")
            return ()

    def _whole(self, data: bytes, bad: int) -> Iterator[Span]:
        """A file of which no line can be read on its own may be one request."""
        for read in (read_json, read_protobuf):
            try:
                spans = read(data)
            except OtlpError:
                continue
            if spans:
                self.bad, self.problem = bad, self.problem if bad else ""
                self.spans += len(spans)
                yield from spans
                return

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


_HOW: Final = "`run --output-traces` and the collector's file exporter write them"


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
        start = file.read(len(_GZIP))
        file.seek(0)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {path!r} ({why}): give a file of spans") from None
    with file:
        yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if start == _GZIP else file


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines, of which one that is too long counts as one that cannot be read."""
    while line := file.readline(_LONGEST):
        yield line
        while len(line) == _LONGEST and not line.endswith(b"\n"):
            line = file.readline(_LONGEST)

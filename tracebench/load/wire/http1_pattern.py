"""Patterns of HTTP/1.1 replies: which header lines vary, and where the timings are."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from struct import Struct
from typing import Final

from server_middleware.vocabulary import SERVER_TIMING_HEADER
from tracebench.load.wire import http1
from tracebench.load.wire.codec import KEPT_BODY_BYTES, RawReply
from tracebench.model.record.exchange import CameWith, Reply, Timing, Undecomposed
from tracebench.tracing.mirror import timings
from tracebench.tracing.mirror.layout import Layout, learn
from tracebench.tracing.mirror.text_layout import END, TextTemplate

Match = Callable[[bytes], "re.Match[bytes] | None"]


Take = Callable[[bytes], bytes | None]
"""Takes a whole reply without a parser, and returns the text of its timings; None if it does not
match."""


def unknown(_reply: bytes) -> None:
    """Take nothing."""


_FIXED: Final = {
    *(b"transfer-encoding", b"connection", b"proxy-connection", b"upgrade"),
    *(b"trailer", b"content-type"),
}
"""Headers that say where a reply ends, and whether it streams: their values must not vary."""
_END_OF_LINE: Final = b"\r\n"
_LENGTH: Final = b"content-length"
_SERVER_TIMING: Final = SERVER_TIMING_HEADER.lower().encode()
_NO_REMARK: Final = b"".join(b"(?![^\r\n]*%s)" % one.encode() for one in timings.REMARKS)
"""A reply whose timings carry a remark does not match, so it is kept whole."""
_VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*"
"""Characters that a header may contain (RFC 9110, section 5.5); a parser refuses others."""
_ANY_LENGTH: Final = b"([0-9]{1,15})"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
"""The end of a chunked reply without trailers, which could also hold timings."""
_NO_BODY: Final = "204"
"""A success without a body, whatever its Content-Length says."""


@dataclass(frozen=True, slots=True)
class Http1Pattern:
    """Successful replies with the same status and the same header names in the same order."""

    status: str
    layout: Layout | None
    came_with: CameWith
    pattern: bytes
    """Matches a head; it has a group for each timing's value, and for the Content-Length."""
    groups: tuple[int, ...]
    """The groups of the timings' values."""
    length: int
    """The group of the Content-Length; 0: only a parser can tell where the reply ends, and what is
    kept of a longer one does not show whether it came in pieces."""
    chunked: bool
    keeps_open: bool
    """The connection can be reused."""
    head: Match = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "head", re.compile(self.pattern).match)

    def match(self, raw: RawReply) -> bytes | None:
        """The text of the timings of a parsed reply; None if it does not match."""
        found = self.head(raw[0])
        if found is None or (self.chunked and not raw[0].endswith(_LAST_CHUNK)):
            return None
        if not self.length and len(raw[0]) - found.end() >= KEPT_BODY_BYTES:
            return None
        return self._text(found)

    def alike(self, reply: bytes) -> Take:
        """What takes replies with a body of this one's size, or of any size if only that can."""
        found = self.head(reply)
        if found is None or not self.length or not self.keeps_open:
            return unknown
        size = b"%d" % (len(reply) - found.end())
        if len(self.groups) > 1 or found[self.length] != size:
            return self.any_size
        exact = self.pattern.replace(_ANY_LENGTH, b"(?:" + size + b")", 1)
        if not self.groups:
            exact += b"()"
        whole = re.compile(exact + b"(?s:.{" + size + b"})").fullmatch
        return Comparison(whole, int(size)).take

    def any_size(self, data: bytes) -> bytes | None:
        """Take replies with a body of any size; see `Take`."""
        found = self.head(data)
        if found is None or not self.length or not self.keeps_open:
            return None
        if len(data) - found.end() != int(found[self.length]):
            return None
        return self._text(found)

    def _text(self, found: "re.Match[bytes]") -> bytes:
        if len(self.groups) == 1:
            return found[self.groups[0]]
        return b"".join(map(found.__getitem__, self.groups))


# Most replies differ from the one before only in the digits of their timings. A comparison shows
# that in two thirds of the time of the regular expression, which decides about all others.

_MOST_CREDIT: Final = 64
_MOST_SHAPES: Final = 256
_DIGITS: Final = b"0123456789"
_ZEROS: Final = bytes.maketrans(_DIGITS, b"0" * 10)
_LEADING: Final = re.compile(rb"(?<![0-9.])[0-9](?=[0-9])")
"""The first of several digits before a decimal point, which must not be 0."""
_ZERO: Final = ord("0")

Divide = Callable[[bytes], tuple[bytes, bytes, bytes]]
"""Divides a reply: what is before the text of its timings, the text, and the rest of the head."""
Leading = Callable[[bytes], tuple[int, ...]]
"""The digits of a text that must not be 0."""
Shape = tuple[Divide, Leading | None]
"""Replies with digits in the same places of their texts; None: any digit may be 0."""


class Comparison:
    """Takes replies with a body of one size, all of which a regular expression would take.

    Args:
        exact: matches such a reply; its first group is the text.
        body: in bytes.
    """

    def __init__(self, exact: Match, body: int) -> None:
        self._exact, self._body = exact, body
        self._size = -1
        """Of the replies that are compared; -1: none are."""
        self._before = self._zeros = self._after = b""
        """The head of the latest reply that was matched, with 0 for each digit of its text."""
        self._divide: Divide
        self._leading: Leading | None
        self._paid, self._credit = True, _MOST_CREDIT
        """Whether a reply was taken since one was learnt; and 0 once comparing has not paid."""
        self._shapes: dict[tuple[int, bytes, int], Shape | None] = {}

    def take(self, reply: bytes) -> bytes | None:
        """See `Take`."""
        if len(reply) == self._size:
            before, text, after = self._divide(reply)
            if (
                text.translate(_ZEROS) == self._zeros
                and before == self._before
                and after == self._after
                and ((leading := self._leading) is None or _ZERO not in leading(text))
            ):
                self._paid = True
                return text
        return self._match(reply)

    def _match(self, reply: bytes) -> bytes | None:
        if (found := self._exact(reply)) is None:
            return None
        if self._credit > 0:
            self._learn(reply, *found.span(1))
        return found[1]

    def _learn(self, reply: bytes, start: int, end: int) -> None:
        """Compare the next replies with this one, unless that has not paid lately.

        A Date changes once a second, an X-Request-Id every time; a time gains a digit now and then.
        """
        self._credit = min(self._credit + 1, _MOST_CREDIT) if self._paid else self._credit - 2
        self._paid = False
        self._before, self._after = reply[:start], reply[end : len(reply) - self._body]
        self._zeros = reply[start:end].translate(_ZEROS)
        key = start, self._zeros, len(self._after)
        if key not in self._shapes and len(self._shapes) < _MOST_SHAPES:
            self._shapes[key] = _shape(self._exact, reply, start, end, self._body)
        if self._credit > 0 and (shape := self._shapes.get(key)) is not None:
            self._size, (self._divide, self._leading) = len(reply), shape
        else:
            self._size, self._credit = -1, 0


def _shape(exact: Match, reply: bytes, start: int, end: int, body: int) -> Shape | None:
    """The shape of a reply's text; None if some of its digits belong to names."""
    text = reply[start:end]

    def may_be_all(digit: bytes) -> bool:
        digits = text.translate(bytes.maketrans(_DIGITS, digit * 10))
        return exact(reply[:start] + digits + reply[end:]) is not None

    if not (may_be_all(b"1") and may_be_all(b"2")):
        return None
    divide = Struct(f"{start}s{end - start}s{len(reply) - body - end}s{body}x").unpack
    places = [found.start() for found in _LEADING.finditer(text)]
    return divide, itemgetter(places[0], *places) if places else None  # of one: it is no tuple


def pattern_of(raw: RawReply) -> Http1Pattern | None:
    """Learn the pattern of a reply; None if it failed, or has unusual timings."""
    reply, reason = http1.read_reply(raw)
    head = raw[0].partition(b"\r\n\r\n")[0]
    status, *lines = head.split(b"\r\n")
    told = timings.read_timing(reply)
    if reason or not status.startswith(b"HTTP/1.") or status[9:12] != reply.status.encode():
        return None
    names = [_name(line).decode("latin-1") for line in lines]
    if set(names) != reply.headers.keys() or names.count(_LENGTH.decode()) > 1:
        return None  # the parser stopped in the head, or there are trailers
    if not (told is Undecomposed.NO_TIMING or timings.is_plain(told)):
        return None
    timing = _timing(reply, lines)
    if timing is None:
        return None
    return _form(reply, told, status, lines, *timing)


def _timing(
    reply: Reply, lines: Sequence[bytes]
) -> tuple[Layout | None, dict[bytes, bytes]] | None:
    """The layout of the timings, and the pattern of each deciding header's value and `END`."""
    headers = timings.deciding(reply)
    own = {
        name.encode(): [line for line in lines if _name(line) == name.encode()] for name in headers
    }
    if any(len(found) != 1 for found in own.values()):
        return None
    values = [_value(line) for (line,) in own.values()]
    template = TextTemplate.of(headers, values)
    layout = learn(template, b"".join(value + END for value in values), timings.read_timing)
    if layout is None and isinstance(timings.read_timing(reply), Timing):
        return None
    group = b"(%s\r)" if layout is not None else b"(?:%s\r)"
    return layout, {
        name: group % pattern for name, pattern in zip(own, template.patterns, strict=True)
    }


def _form(
    reply: Reply,
    told: Timing | Undecomposed,
    status: bytes,
    lines: Sequence[bytes],
    layout: Layout | None,
    timed: Mapping[bytes, bytes],
) -> Http1Pattern:
    pattern, groups, length = re.escape(status) + _END_OF_LINE, dict[bytes, int](), 0
    for line in lines:
        name = _name(line)
        if name in timed and layout is not None:
            groups[name] = len(groups) + bool(length) + 1
        elif name == _LENGTH:
            length = len(groups) + 1
        pattern += _pattern(line, timed)
    chunked = "transfer-encoding" in reply.headers
    return Http1Pattern(
        status=reply.status,
        layout=layout,
        came_with=told.came_with if isinstance(told, Timing) else "end",
        pattern=pattern + _END_OF_LINE,
        groups=tuple(groups[name] for name in timed if name in groups),
        chunked=chunked,
        length=0 if chunked or reply.status == _NO_BODY else length,
        keeps_open=status.startswith(b"HTTP/1.1") and _keeps_open(reply.headers),
    )


def _keeps_open(headers: Mapping[str, str]) -> bool:
    told = (headers.get(name, "") for name in ("connection", "proxy-connection"))
    return "upgrade" not in headers and not any("close" in one.lower() for one in told)


def _pattern(line: bytes, timed: Mapping[bytes, bytes]) -> bytes:
    name = _name(line)
    before = re.escape(line[: len(name) + 1]) + rb"[ \t]*"
    if name in timed:
        remark = _NO_REMARK if name == _SERVER_TIMING else b""
        return before + remark + timed[name] + b"\n"
    if name == _LENGTH:
        return before + _ANY_LENGTH + _END_OF_LINE
    if name in _FIXED:
        return before + re.escape(_value(line)) + _END_OF_LINE
    return before + (_NO_REMARK if name == _SERVER_TIMING else b"") + _VALUE + _END_OF_LINE


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _value(line: bytes) -> bytes:
    return line.partition(b":")[2].strip(b" \t")

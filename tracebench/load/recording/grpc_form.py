"""Forms of gRPC replies: header blocks that stay but for the timings in them, and a message.

Blocks depend on nothing before them (see `http2.py`). A value is found in its block where the
server did not compress it (RFC 7541, section 5.2), as gRPC's own servers do not; where it did, the
reply has no form, and is read whole.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tracebench.load.grpc_request import PREFIX, literal
from tracebench.load.slot import RawReply
from tracebench.model.exchange import CameWith, Reply, Undecomposed
from tracebench.tracing import mirror
from tracebench.tracing.timing_layout import Layout, learn
from tracebench.tracing.timing_message import MessageTemplate, timing_starts
from tracebench.tracing.timing_text import END, TextTemplate

Read = Callable[[RawReply], tuple[Reply, str]]
_OK: Final = "OK"
_LONGEST_VALUE: Final = 4_096
_LENGTHS: Final = tuple(
    literal(b"", bytes(size))[2 : -size or None] for size in range(_LONGEST_VALUE)
)
"""How a value's length is written before it."""
_SHORT_MESSAGE: Final = 2_048
"""So much is searched for names of timings in no time."""
_REMARKS: Final = tuple(one.encode() for one in mirror.REMARKS)
_NAMES: Final = tuple(name.encode() for name in mirror.STANDARD_NAMES)
_LENGTH: Final = rb"([\x00-\x7e]|\x7f[\x80-\xff]*[\x00-\x7f])"


@dataclass(frozen=True, slots=True)
class _Block:
    """Header blocks that differ in some values only."""

    pattern: "re.Pattern[bytes]"
    """Groups in pairs: how the length of a value is written, and the value."""
    timings: tuple[int, ...]
    """The groups of the values that tell timings."""

    def match(self, block: bytes) -> bytes | None:
        """The text of the timings; None for another block."""
        if (found := self.pattern.fullmatch(block)) is None:
            return None
        groups = found.groups()
        for length, value in zip(groups[::2], groups[1::2], strict=True):
            if len(value) >= _LONGEST_VALUE or _LENGTHS[len(value)] != length:
                return None
            if any(remark in value for remark in _REMARKS):
                return None
        return b"".join([found[group] + END for group in self.timings])


def _any_message(raw: RawReply) -> bytes | None:
    """No text, for one whole message, whatever it is: the timings are elsewhere."""
    message = raw[1]
    size = int(raw[3]) if len(raw) > 3 else len(message)
    whole = size >= PREFIX.size and PREFIX.unpack_from(message) == (0, size - PREFIX.size)
    return b"" if whole else None


def _silent_message(raw: RawReply) -> bytes | None:
    """No text, for one whole message in which no timing can be."""
    if len(raw) > 3 or len(raw[1]) > _SHORT_MESSAGE or any(name in raw[1] for name in _NAMES):
        return None
    return _any_message(raw)


@dataclass(frozen=True, slots=True)
class _TimedMessage:
    """Messages that are the same but for the durations at their end."""

    start: bytes
    """With the prefix."""
    timing: "re.Pattern[bytes]"

    def __call__(self, raw: RawReply) -> bytes | None:
        """The text of the timings; None for another message."""
        if len(raw) > 3 or not raw[1].startswith(self.start):
            return None
        rest = raw[1][len(self.start) :]
        return rest if self.timing.fullmatch(rest) is not None else None


@dataclass(frozen=True, slots=True)
class GrpcForm:
    """Replies that are OK, with the same header blocks and one message."""

    status: str
    layout: Layout | None
    came_with: CameWith
    initial: bytes
    trailing: _Block
    message: Callable[[RawReply], bytes | None]

    def match(self, raw: RawReply) -> bytes | None:
        """The text of a reply's timings; None where it is not of this form."""
        if raw[0] != self.initial or (in_message := self.message(raw)) is None:
            return None
        in_headers = self.trailing.match(raw[2])
        return None if in_headers is None else in_headers or in_message


def form_of(raw: RawReply, read: Read) -> GrpcForm | None:
    """Learn the form of a reply; None for one that is no success, or tells its timings oddly.

    Args:
        raw: as it was kept.
        read: the reader of kept replies.
    """
    reply, reason = read(raw)
    told = mirror.read(reply)
    if reason or reply.status != _OK:
        return None
    if told is Undecomposed.NO_TIMING:
        return _silent(raw, reply)
    if not mirror.is_plain(told):
        return None
    headers = mirror.deciding(reply)
    if headers and mirror.alike(mirror.read(mirror.only(reply, headers)), told):
        return _in_headers(raw, reply, headers, told.came_with)
    return _in_message(raw, reply, headers, told.came_with)


def _silent(raw: RawReply, reply: Reply) -> GrpcForm | None:
    """Of a reply without timings."""
    block = _block(raw[2], reply, mirror.deciding(reply), {})
    return None if block is None else GrpcForm(_OK, None, "end", raw[0], block, _silent_message)


def _in_headers(
    raw: RawReply, reply: Reply, headers: Sequence[str], came_with: CameWith
) -> GrpcForm | None:
    values = [reply.headers[name].encode("latin-1") for name in headers]
    template = TextTemplate.of(headers, values)
    layout = learn(template, b"".join(value + END for value in values), mirror.read)
    patterns = dict(zip(headers, template.patterns, strict=True))
    block = _block(raw[2], reply, headers, patterns)
    if layout is None or block is None:
        return None
    return GrpcForm(_OK, layout, came_with, raw[0], block, _any_message)


def _in_message(
    raw: RawReply, reply: Reply, headers: Sequence[str], came_with: CameWith
) -> GrpcForm | None:
    block = _block(raw[2], reply, headers, {})
    start = timing_starts(reply.body)
    if block is None or start is None or raw[1] != PREFIX.pack(0, len(reply.body)) + reply.body:
        return None
    template = MessageTemplate.of(reply.body[start:])
    layout = learn(template, reply.body[start:], mirror.read) if template is not None else None
    if layout is None or template is None:
        return None
    message = _TimedMessage(raw[1][: PREFIX.size + start], re.compile(template.pattern, re.DOTALL))
    return GrpcForm(_OK, layout, came_with, raw[0], block, message)


def _block(
    block: bytes, reply: Reply, deciding: Sequence[str], patterns: Mapping[str, bytes]
) -> _Block | None:
    """The form of a trailing block; None where a value that may vary cannot be found in it.

    Args:
        block: the block.
        reply: what it and the initial one say.
        deciding: headers that the timings depend on: they stay, but for what `patterns` says.
        patterns: what the values of headers match whose numbers vary.
    """
    free = [name for name in mirror.HEADERS if name in reply.headers and name not in deciding]
    places = []
    for name in (*patterns, *free):
        value = reply.headers[name].encode("latin-1")
        field = literal(name.encode(), value)[1:]
        if block.count(field) != 1 or len(value) >= _LONGEST_VALUE:
            return None
        start = block.index(field) + len(field) - len(value) - len(_LENGTHS[len(value)])
        places.append((start, block.index(field) + len(field), name))
    pattern, at, groups = b"", 0, {}
    for count, (start, end, name) in enumerate(sorted(places), 1):
        pattern += re.escape(block[at:start]) + _LENGTH + b"(" + patterns.get(name, b".*?") + b")"
        groups[name], at = 2 * count, end
    pattern += re.escape(block[at:])
    return _Block(re.compile(pattern, re.DOTALL), tuple(groups[name] for name in patterns))

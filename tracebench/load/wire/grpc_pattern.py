"""Patterns of gRPC replies: header blocks that differ only in their timings, and a message.

Header blocks do not depend on earlier ones (see `http2.py`). A value can be located in its block
unless the server compressed it (RFC 7541, section 5.2), which gRPC's own servers do not; if it
did, the reply has no pattern and is kept whole.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tracebench.load.wire.codec import RawReply
from tracebench.load.wire.grpc_request import PREFIX, literal
from tracebench.model.record.exchange import CameWith, Reply, Undecomposed
from tracebench.tracing.mirror import timings as mirror
from tracebench.tracing.mirror.layout import Layout, learn
from tracebench.tracing.mirror.message_layout import MessageTemplate, timing_starts
from tracebench.tracing.mirror.text_layout import END, TextTemplate

Read = Callable[[RawReply], tuple[Reply, str]]
_OK: Final = "OK"
_LONGEST_VALUE: Final = 4_096
_LENGTHS: Final = tuple(
    literal(b"", bytes(size))[2 : -size or None] for size in range(_LONGEST_VALUE)
)
"""The encodings of a value's length, by length."""
_SHORT_MESSAGE: Final = 2_048
"""Messages up to this size are searched for timing names at negligible cost."""
_REMARKS: Final = tuple(one.encode() for one in mirror.REMARKS)
_NAMES: Final = tuple(name.encode() for name in mirror.STANDARD_NAMES)
_OTHER: Final = b"~"
"""A value that no header has."""
_LENGTH: Final = rb"([\x00-\x7e]|\x7f[\x80-\xff]*[\x00-\x7f])"


@dataclass(frozen=True, slots=True)
class _Block:
    """Header blocks that differ only in some values."""

    pattern: "re.Pattern[bytes]"
    """Groups in pairs: the encoded length of a value, and the value."""
    timings: tuple[int, ...]
    """The groups of the values that hold timings."""
    only: bytes | None
    """The only block that matches, if nothing varies."""

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
    """Empty text for any one whole message: the timings are elsewhere; else None."""
    message = raw[1]
    size = int(raw[3]) if len(raw) > 3 else len(message)
    whole = size >= PREFIX.size and PREFIX.unpack_from(message) == (0, size - PREFIX.size)
    return b"" if whole else None


def _silent_message(raw: RawReply) -> bytes | None:
    """Empty text for one whole message that cannot hold a timing; else None."""
    if len(raw) > 3 or len(raw[1]) > _SHORT_MESSAGE or any(name in raw[1] for name in _NAMES):
        return None
    return _any_message(raw)


def _timed_message(start: bytes, timing: bytes) -> Callable[[RawReply], bytes | None]:
    """A matcher of messages that differ only in the durations at their end.

    Args:
        start: the constant part of a message, with the prefix.
        timing: the pattern of the rest.
    """
    fullmatch = re.compile(re.escape(start) + b"(" + timing + b")", re.DOTALL).fullmatch

    def text(raw: RawReply) -> bytes | None:
        found = fullmatch(raw[1]) if len(raw) == 3 else None
        return None if found is None else found[1]

    return text


@dataclass(frozen=True, slots=True)
class GrpcPattern:
    """Replies that are OK, with the same header blocks and one message."""

    status: str
    layout: Layout | None
    came_with: CameWith
    initial: bytes
    trailing: _Block
    message: Callable[[RawReply], bytes | None]

    def match(self, raw: RawReply) -> bytes | None:
        """The text of a reply's timings; None if it does not match."""
        if raw[0] != self.initial or (in_message := self.message(raw)) is None:
            return None
        if raw[2] == self.trailing.only:
            return in_message
        in_headers = self.trailing.match(raw[2])
        return None if in_headers is None else in_headers or in_message


@dataclass(frozen=True, slots=True)
class _Sample:
    """A reply that a pattern is learnt from."""

    raw: RawReply
    reply: Reply
    """`raw`, read."""
    read: Read

    def place(self, name: str) -> range:
        """Where a header's value and its length are in the trailing block; empty: not found.

        The bytes may be part of another value, so another one is put there and read back.
        """
        block, value = self.raw[2], self.reply.headers[name].encode("latin-1")
        field = literal(name.encode(), value)[1:]
        if block.count(field) != 1 or len(value) >= _LONGEST_VALUE:
            return range(0)
        end = block.index(field) + len(field)
        place = range(end - len(value) - len(_LENGTHS[len(value)]), end)
        other = block[: place.start] + _LENGTHS[len(_OTHER)] + _OTHER + block[place.stop :]
        told, _ = self.read((*self.raw[:2], other))
        return place if told.headers.get(name) == _OTHER.decode() else range(0)


def pattern_of(raw: RawReply, read: Read) -> GrpcPattern | None:
    """Learn the pattern of a reply; None if it failed, or has unusual timings.

    Args:
        raw: the kept reply.
        read: the reader of kept replies.
    """
    reply, reason = read(raw)
    told = mirror.read_timing(reply)
    if reason or reply.status != _OK:
        return None
    sample, headers = _Sample(raw, reply, read), mirror.deciding(reply)
    if told is Undecomposed.NO_TIMING:
        return _silent(sample, headers)
    if not mirror.is_plain(told):
        return None
    if headers and mirror.alike(mirror.read_timing(mirror.only(reply, headers)), told):
        return _in_headers(sample, headers, told.came_with)
    return _in_message(sample, headers, told.came_with)


def _silent(sample: _Sample, headers: Sequence[str]) -> GrpcPattern | None:
    """The pattern of a reply without timings."""
    block = _block(sample, headers, {})
    if block is None:
        return None
    return GrpcPattern(_OK, None, "end", sample.raw[0], block, _silent_message)


def _in_headers(sample: _Sample, headers: Sequence[str], came_with: CameWith) -> GrpcPattern | None:
    values = [sample.reply.headers[name].encode("latin-1") for name in headers]
    template = TextTemplate.of(headers, values)
    layout = learn(template, b"".join(value + END for value in values), mirror.read_timing)
    block = _block(sample, headers, dict(zip(headers, template.patterns, strict=True)))
    if layout is None or block is None:
        return None
    return GrpcPattern(_OK, layout, came_with, sample.raw[0], block, _any_message)


def _in_message(sample: _Sample, headers: Sequence[str], came_with: CameWith) -> GrpcPattern | None:
    initial, message, *_ = sample.raw
    body = sample.reply.body
    block, start = _block(sample, headers, {}), timing_starts(body)
    if block is None or start is None or message != PREFIX.pack(0, len(body)) + body:
        return None
    template = MessageTemplate.of(body[start:])
    layout = learn(template, body[start:], mirror.read_timing) if template is not None else None
    if layout is None or template is None:
        return None
    timed = _timed_message(message[: PREFIX.size + start], template.pattern)
    return GrpcPattern(_OK, layout, came_with, initial, block, timed)


def _block(
    sample: _Sample, deciding: Sequence[str], patterns: Mapping[str, bytes]
) -> _Block | None:
    """The pattern of a trailing block; None if a value that may vary cannot be located.

    Args:
        sample: holds the block.
        deciding: headers that the timings depend on; constant unless in `patterns`.
        patterns: what the values of headers with varying numbers match, by name.
    """
    headers, block = sample.reply.headers, sample.raw[2]
    free = [name for name in mirror.HEADERS if name in headers and name not in deciding]
    places = {name: sample.place(name) for name in (*patterns, *free)}
    pattern, at, groups = b"", 0, {}
    if not all(places.values()):
        return None
    for count, name in enumerate(sorted(places, key=lambda name: places[name].start), 1):
        place = places[name]
        value = patterns.get(name, b".*?")
        pattern += re.escape(block[at : place.start]) + _LENGTH + b"(" + value + b")"
        groups[name], at = 2 * count, place.stop
    pattern += re.escape(block[at:])
    timings = tuple(groups[name] for name in patterns)
    return _Block(re.compile(pattern, re.DOTALL), timings, block if not groups else None)

"""The frame layout of a reply within one read: once learnt, a like read is split in one step.

A server that answers the same call frames its replies alike: headers, a message and trailers of the
same sizes, perhaps followed by a WINDOW_UPDATE. One `unpack` and two comparisons are then four
times as fast as a frame splitter, three handlers and their checks (`benchmarks/http2_codec.py`).
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from tracebench.load.wire.codec import ProtocolError, RawReply
from tracebench.load.wire.http2_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER_SIZE,
    HEADERS,
    LARGEST_31_BIT,
    PING,
    WINDOW_UPDATE,
    Frame,
    FrameSplitter,
    frame_header,
)

_REPLY: Final = ((HEADERS, END_HEADERS), (DATA, 0), (HEADERS, END_HEADERS | END_STREAM))
"""The frames of a whole reply, none of them padded."""
_BESIDE: Final = (WINDOW_UPDATE, PING)
"""Frames allowed before and after it: the reply's meaning does not depend on them."""
_ID_SIZE: Final = 4


WholeReply = tuple[int, RawReply, Sequence[Frame]]
"""A reply contained in one read: its stream id, the reply, the other frames of the read."""


class Framing:
    """Reads with the same frames of the same sizes, among them exactly one whole reply."""

    __slots__ = ("_beside", "_first", "_heads", "_unpack")

    def __init__(self, read: Sequence[Frame], first: int) -> None:
        layout = "".join(f"{HEADER_SIZE - _ID_SIZE}sI{len(payload)}s" for *_, payload in read)
        self._unpack = Struct(f">{layout}").unpack
        self._heads = tuple(
            frame_header(len(payload), kind, flags, 0)[:-_ID_SIZE]
            for kind, flags, _, payload in read
        )
        """The header of each frame without its stream id."""
        self._first = 3 * first
        """Index of the reply's first field; each frame has three fields."""
        self._beside = tuple(
            (3 * at, kind, flags)
            for at, (kind, flags, *_) in enumerate(read)
            if not first <= at < first + len(_REPLY)
        )

    @classmethod
    def of(cls, data: bytes) -> "Framing | None":
        """The framing of a read; None unless it holds exactly one whole reply."""
        try:
            read = list(FrameSplitter().split(data))
        except ProtocolError:
            return None
        kinds = [(kind, flags) for kind, flags, *_ in read]
        replies = [at for at in range(len(kinds)) if tuple(kinds[at : at + len(_REPLY)]) == _REPLY]
        alone = sum(kind not in _BESIDE for kind, _ in kinds) == len(_REPLY)
        whole = sum(HEADER_SIZE + len(payload) for *_, payload in read) == len(data)
        return cls(read, replies[0]) if replies and alone and whole else None

    def take(self, data: bytes) -> WholeReply | None:
        """Split a read of the same size; None if it is framed differently."""
        fields = self._unpack(data)
        if fields[::3] != self._heads:
            return None
        at = self._first
        stream_id = fields[at + 1]
        if not stream_id == fields[at + 4] == fields[at + 7]:
            return None
        beside = [
            (kind, flags, fields[other + 1] & LARGEST_31_BIT, fields[other + 2])
            for other, kind, flags in self._beside
        ]
        return stream_id, (fields[at + 2], fields[at + 5], fields[at + 8]), beside

"""A streaming reply: when its first chunks and its last were handed to the server."""

from typing import Final, Literal, TypeAlias

from opentelemetry import trace

from server_middleware.harmless import harmless
from server_middleware.recording.recorder import RequestRecorder
from server_middleware.vocabulary import (
    CHUNK_ATTRIBUTE,
    CHUNK_EVENT,
    LAST_CHUNK_EVENT,
    STREAM_CHUNKS,
    STREAM_TIMING_HEADER,
    STREAM_WAITED_ATTRIBUTE,
)

Unit: TypeAlias = Literal["bytes", "messages"]

_S: Final = 1e-9
_MS: Final = 1e-6


class Stream:
    """The stamps of one reply; memory does not grow with the number of chunks.

    An adapter calls `hand_over` before each chunk that it gives to the server, and `come_back` when
    the app resumes: in between, the app was blocked.

    Args:
        recorder: the recorder of the request, whose clock is used.
        unit: the unit of a chunk's size.
    """

    __slots__ = (
        "_recorder",
        "_size",
        "_stamps",
        "_stood_since_ns",
        "_told",
        "_unit",
        "last_ns",
        "waited_ns",
    )

    def __init__(self, recorder: RequestRecorder, unit: Unit) -> None:
        self._recorder, self._unit = recorder, unit
        self._size = self._stood_since_ns = 0
        self._told = False
        self._stamps: list[tuple[int, int]] = []
        self.last_ns = 0
        """When the latest chunk was handed over, since the epoch; 0: there was none."""
        self.waited_ns = 0
        """How long the app has been blocked, as by back-pressure from a slow reader."""

    @property
    def count(self) -> int:
        """How many chunks there were, capped at the number that are stamped individually."""
        return len(self._stamps)

    def hand_over(self, size: int) -> None:
        """The server is about to get a chunk; an empty one does not count, but may block too."""
        self._stood_since_ns = now_ns = self._recorder.now_ns()
        if size:
            self._size += size
            self.last_ns = now_ns
            if len(self._stamps) < STREAM_CHUNKS:
                self._stamps.append((self._size, now_ns))

    def come_back(self) -> None:
        """The app resumes, or is told to stop."""
        if self._stood_since_ns:
            self.waited_ns += self._recorder.now_ns() - self._stood_since_ns
            self._stood_since_ns = 0

    def mirrored(self) -> list[tuple[str, str]]:
        """The header, in ASCII, with the stamps so far; empty if there was no chunk."""
        if not self.last_ns:
            return []
        began_ns = self._recorder.began_ns
        chunks = ", ".join(
            f"[{size}, {(stamp_ns - began_ns) * _S:.9f}]" for size, stamp_ns in self._stamps
        )
        last_s, waited_s = (self.last_ns - began_ns) * _S, self.waited_ns * _S
        told = f'{{"chunks": [{chunks}], "last": {last_s:.9f}, "waited": {waited_s:.9f}}}'
        return [(STREAM_TIMING_HEADER, told)]

    @harmless
    def add_to(self, span: trace.Span) -> None:
        """Add the stamps to a span as events; only the first call counts."""
        if self._told or not self.last_ns:
            return
        self._told, name = True, CHUNK_ATTRIBUTE + self._unit
        for size, stamp_ns in self._stamps:
            span.add_event(CHUNK_EVENT, {name: size}, stamp_ns)
        last = {name: self._size, STREAM_WAITED_ATTRIBUTE: self.waited_ns * _MS}
        span.add_event(LAST_CHUNK_EVENT, last, self.last_ns)

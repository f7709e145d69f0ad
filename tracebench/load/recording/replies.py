"""What the window keeps of replies: the text of their timings if a pattern matches, else all.

A server answers the same request with the same text and different numbers. Once a pattern has been
learnt from one reply, later ones are matched against it (0.4 µs), and only the text of their
timings is appended to a log. Replies that match no pattern, or failed, are kept whole, and read
after the window.
"""

from collections import deque
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final, Protocol

from tracebench.load.recording.spill import Held, Spill
from tracebench.load.wire.codec import RawReply
from tracebench.model.record.exchange import CameWith
from tracebench.tracing.mirror.layout import Layout

NONE, WHOLE, FIRST_FORM = 0, 1, 2
"""A row's `reply`: none, kept whole, or the number of its pattern."""
MOST_FORMS: Final = 16
_MOST_TRIED: Final = 64
"""How many replies to try to learn a pattern from; after that, no more are sought."""
_PIECE_BYTES: Final = 2**20
_SIZE: Final = Struct("<I")


class Pattern(Protocol):
    """Replies that differ only in their numbers."""

    @property
    def status(self) -> str:
        """The status of the replies, which is a success."""

    @property
    def came_with(self) -> CameWith:
        """Where in the replies their timings are."""

    @property
    def layout(self) -> Layout | None:
        """How to read the text of the timings; None: there are none, and the text is empty."""

    def match(self, raw: RawReply) -> bytes | None:
        """The text of a reply's timings; None if it does not match."""


Learn = Callable[[RawReply], Pattern | None]
"""Learns the pattern of a reply; None if it has none, or failed."""


Later = Callable[[Callable[[], None]], None]


class Log:
    """The timing texts of one pattern, concatenated, by the page of their rows."""

    __slots__ = ("_held", "form", "number", "texts")

    def __init__(self, form: Pattern, number: int) -> None:
        self.form, self.number = form, number
        self.texts, self._held = bytearray(), dict[int, Held]()

    def clear(self) -> None:
        """Discard the texts."""
        self.texts, self._held = bytearray(), {}

    def turn(self, page: int, spill: Spill) -> None:
        """Hand over the texts of a full page."""
        if self.texts:
            self._held[page] = spill.hold(self.texts)
            self.texts = bytearray()

    def of_page(self, page: int) -> bytes:
        """The texts of a page, in the order of its rows."""
        held = self._held.get(page)
        return b"" if held is None else bytes(held.read())


class Replies:
    """Takes every reply of a window, and remembers the patterns learnt in earlier ones.

    Args:
        learn: learns patterns; None: all replies are kept whole.
        later: schedules a callback for when the loop is not busy: learning takes 1 ms.
    """

    __slots__ = (
        "_candidate",
        "_later",
        "_learn",
        "_pages",
        "_pieces",
        "_spill",
        "_tried",
        "_whole",
        "latest",
        "logs",
        "watched",
    )

    def __init__(self, learn: Learn | None, later: Later) -> None:
        self._learn, self._later = learn, later
        self.logs: list[Log] = []
        self.latest: Log | None = None
        """The log of the latest reply; None: it was kept whole."""
        self._candidate: RawReply | None = None
        self._tried = 0
        self.watched: deque[RawReply] | None = None
        """Also takes each reply that is kept whole; None: nobody looks."""

    def begin(self, spill: Spill) -> None:
        """Discard the replies taken, but keep the patterns.

        Args:
            spill: holds the texts from now on.
        """
        self._spill, self._pages, self.watched = spill, 0, None
        self._pieces: list[Held] = []
        self._whole = bytearray()
        """Whole replies, concatenated."""
        for log in self.logs:
            log.clear()

    def take(self, raw: RawReply | None) -> int:
        """Take a reply; returns the `reply` of its row."""
        if raw is None:
            return NONE
        log = self.latest
        if log is not None and (text := log.form.match(raw)) is not None:
            log.texts += text
            return log.number
        return self._find(raw)

    def _find(self, raw: RawReply) -> int:
        for log in self.logs:
            if (text := log.form.match(raw)) is not None:
                self.latest = log
                log.texts += text
                return log.number
        self.latest = None
        self._keep(raw)
        return WHOLE

    def _keep(self, raw: RawReply) -> None:
        parts = b"".join([part for one in raw for part in (_SIZE.pack(len(one)), one)])
        self._whole += b"%c" % len(raw) + parts
        if self.watched is not None:
            self.watched.append(raw)
        if len(self._whole) > _PIECE_BYTES:
            self._hand_over()
        if self._learn is not None and self._candidate is None and self._tried < _MOST_TRIED:
            self._candidate = raw
            self._later(self._try)

    def _try(self) -> None:
        """Try to learn a pattern from a reply that was kept whole."""
        raw, self._candidate = self._candidate, None
        self._tried += 1
        if raw is None or self._learn is None or len(self.logs) == MOST_FORMS:
            return
        if any(log.form.match(raw) is not None for log in self.logs):
            return
        if (form := self._learn(raw)) is not None and form.match(raw) is not None:
            self.logs.append(Log(form, FIRST_FORM + len(self.logs)))

    def turn(self) -> None:
        """Hand over what belongs to a full page of rows."""
        for log in self.logs:
            log.turn(self._pages, self._spill)
        self._pages += 1
        self._hand_over()

    def _hand_over(self) -> None:
        if self._whole:
            self._pieces.append(self._spill.hold(self._whole))
            self._whole = bytearray()

    def whole(self) -> Iterator[RawReply]:
        """The replies that were kept whole, in order."""
        for piece in self._pieces:
            yield from _divided(bytes(piece.read()))


def _divided(piece: bytes) -> Iterator[RawReply]:
    at = 0
    while at < len(piece):
        count, at = piece[at], at + 1
        parts: list[bytes] = []
        for _ in range(count):
            (size,) = _SIZE.unpack_from(piece, at)
            at += _SIZE.size
            parts.append(piece[at : at + size])
            at += size
        yield tuple(parts)

"""Read the timings of many replies at once that differ only in their numbers.

Only `read_timing`, the reader of single replies, knows what a mirror means. Its interpretation of a
form of replies is learnt by giving it replies of that form with chosen numbers, which shows which
number is the total, and which part each other number belongs to. After that, the numbers of
thousands of replies are read at once; unusual ones (parts that exceed their total, an invalid
duration) go to the reader one by one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tracebench.model.record.columns import Int64
from tracebench.model.record.exchange import Reply, Timing, Undecomposed
from tracebench.tracing.mirror.timings import is_plain

Floats = npt.NDArray[np.float64]
Read = Callable[[Reply], Timing | Undecomposed]

MOST_NUMBERS: Final = 40
_TOTAL_NS: Final = 2**52
_EXACT_NS: Final = 2.0**53
"""104 days; below this, sums of floats are exact."""


class Template(Protocol):
    """The text of the timings in a form of replies, with gaps for numbers."""

    @property
    def gaps(self) -> int:
        """The number of gaps."""

    def render(self, numbers: Sequence[Decimal]) -> bytes:
        """The text with these numbers in its gaps."""

    def reply(self, text: bytes) -> Reply:
        """A reply that contains only this text."""

    def divide(self, texts: bytes | memoryview, count: int) -> Sequence[bytes]:
        """Split this many concatenated texts."""

    def numbers(self, texts: bytes | memoryview, count: int) -> Floats:
        """The numbers in this many texts, of shape (count, gaps)."""


class Bulk(NamedTuple):
    """The timings of some replies, in order."""

    total_ns: Int64
    parts_ns: Mapping[str, Int64]
    others: Mapping[int, Timing | Undecomposed]
    """Row → the reader's result for an unusual text; its numbers above are meaningless."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the numbers of a form mean."""

    template: Template
    read: Read
    unit_ns: float
    total: int
    """Index of the number that is the total."""
    parts: Mapping[str, tuple[int, ...]]
    """Name → indices of the numbers that add up to it."""
    fitting: tuple[tuple[int, ...], ...]
    """Groups of numbers; the sum of all of them must not exceed the total."""

    def read_all(self, texts: bytes | memoryview, count: int) -> Bulk:
        """Read this many concatenated texts."""
        numbers = self.template.numbers(texts, count)
        total_ns = _nanoseconds(numbers, (self.total,), self.unit_ns)
        parts_ns = {
            name: _nanoseconds(numbers, which, self.unit_ns) for name, which in self.parts.items()
        }
        needed_ns = [_nanoseconds(numbers, which, self.unit_ns) for which in self.fitting]
        plain = (sum(needed_ns, np.zeros(count)) <= total_ns) & (total_ns < _EXACT_NS)
        plain &= (numbers >= 0).all(1)
        odd = np.flatnonzero(~plain)
        return Bulk(
            _whole(total_ns, odd),
            {name: _whole(values_ns, odd) for name, values_ns in parts_ns.items()},
            dict(self._one_by_one(texts, count, odd)) if len(odd) else {},
        )

    def agrees(self, text: bytes) -> bool:
        """Whether a text is read as the reader of single replies would read it."""
        bulk, told = self.read_all(text, 1), self.read(self.template.reply(text))
        if bulk.others:
            return bulk.others[0] == told
        parts_ns = {name: int(values_ns[0]) for name, values_ns in bulk.parts_ns.items()}
        plain = (bulk.total_ns[0], parts_ns, False)
        return is_plain(told) and (told.total_ns, told.parts_ns, told.scaled) == plain

    def _one_by_one(
        self, texts: bytes | memoryview, count: int, rows: Int64
    ) -> Iterator[tuple[int, Timing | Undecomposed]]:
        divided = self.template.divide(texts, count)
        for at in rows.tolist():
            yield at, self.read(self.template.reply(divided[at]))


def learn(template: Template, sample: bytes, read: Read) -> Layout | None:
    """Learn what the numbers of a template mean; None if that cannot be determined.

    Args:
        template: the form.
        sample: a text of that form.
        read: the reader of single replies.
    """
    known = read(template.reply(sample))
    if not isinstance(known, Timing) or not 0 < template.gaps <= MOST_NUMBERS:
        return None
    ask = _Asking(template, read)
    if (found := ask.total()) is None:
        return None
    parts = ask.parts(*found)
    if parts is None or known.parts_ns.keys() != parts.keys():
        return None  # a number is part of a name
    total, unit_ns = found
    layout = Layout(template, read, unit_ns, total, parts, tuple(ask.fitting(total, parts)))
    return layout if layout.agrees(sample) and layout.agrees(ask.halves(*found, parts)) else None


class _Asking:
    """Gives the reader replies with chosen numbers."""

    def __init__(self, template: Template, read: Read) -> None:
        self._template, self._read = template, read
        self._gaps = range(template.gaps)

    def total(self) -> tuple[int, float] | None:
        """The index of the total, and the value of 1 in ns.

        If all numbers are 0, all times must be 0: any other time does not come from these numbers.
        """
        nothing = self._timing({})
        if not isinstance(nothing, Timing) or nothing.total_ns or nothing.scaled:
            return None
        for gap in self._gaps:
            timing = self._timing({gap: Decimal(1)})
            if isinstance(timing, Timing) and timing.total_ns:
                return gap, float(timing.total_ns)
        return None

    def parts(self, total: int, unit_ns: float) -> dict[str, tuple[int, ...]] | None:
        """The numbers that add up to each part: each number is set to its own power of two.

        None if a part is above 0 without any of them, so is not a sum of these numbers.
        """
        everything = _everything(total, unit_ns)
        tags = {gap: Decimal(2**gap) / Decimal(unit_ns) for gap in self._gaps if gap != total}
        nothing, timing = self._timing(everything), self._timing(everything | tags)
        if not isinstance(timing, Timing) or not isinstance(nothing, Timing):
            return None
        if any(nothing.parts_ns.values()):
            return None
        parts = {
            name: tuple(gap for gap in self._gaps if ns >> gap & 1)
            for name, ns in timing.parts_ns.items()
        }
        return parts if all(parts.values()) else None

    def halves(self, total: int, unit_ns: float, parts: Mapping[str, tuple[int, ...]]) -> bytes:
        """A text with 0.5 ns in each part, which shows whether anything else is added to a part."""
        half = Decimal("0.5") / Decimal(unit_ns)
        return self._text(_everything(total, unit_ns) | {at[0]: half for at in parts.values()})

    def fitting(
        self, total: int, parts: Mapping[str, tuple[int, ...]]
    ) -> Iterator[tuple[int, ...]]:
        """The numbers of each part, and others that change the reading if they are too large."""
        yield from parts.values()
        told, usual = {total, *chain(*parts.values())}, self._timing({total: Decimal(1)})
        for gap in self._gaps:
            if gap not in told and self._timing({total: Decimal(1), gap: Decimal(2)}) != usual:
                yield (gap,)

    def _timing(self, numbers: Mapping[int, Decimal]) -> Timing | Undecomposed:
        return self._read(self._template.reply(self._text(numbers)))

    def _text(self, numbers: Mapping[int, Decimal]) -> bytes:
        return self._template.render([numbers.get(gap, Decimal(0)) for gap in self._gaps])


def _everything(total: int, unit_ns: float) -> dict[int, Decimal]:
    """A total so large that everything fits into it."""
    return {total: Decimal(_TOTAL_NS) / Decimal(unit_ns)}


def _nanoseconds(numbers: Floats, which: Sequence[int], unit_ns: float) -> Floats:
    """Convert as the reader does: add, then scale, then round half to even."""
    values = numbers[:, which[0]]
    for at in which[1:]:
        values = values + numbers[:, at]
    return np.asarray(np.rint(values * unit_ns))


def _whole(values: Floats, odd: Int64) -> Int64:
    """As integers; unusual rows, which may not be numbers, become 0."""
    values[odd] = 0
    return values.astype(np.int64)

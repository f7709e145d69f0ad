"""Timings of many replies that differ in their numbers only, read together.

The reader of single replies, `mirror.read`, is the one that knows what a mirror means. What it
makes of a form of replies is found by asking it: replies of that form with chosen numbers show
which number is the total, and which part each other one belongs to. Then the numbers of thousands
of replies are read at once; those that are not plain (parts that exceed their total, a duration
that is none) go to the reader one by one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tracebench.model.columns import Int64
from tracebench.model.exchange import Reply, Timing, Undecomposed
from tracebench.tracing.mirror.timings import is_plain

Floats = npt.NDArray[np.float64]
Read = Callable[[Reply], Timing | Undecomposed]

MOST_NUMBERS: Final = 40
_TOTAL_NS: Final = 2**52
_EXACT_NS: Final = 2.0**53
"""104 days; below this sums of floats are exact."""


class Template(Protocol):
    """The text of a form of replies' timings, with gaps for numbers."""

    @property
    def gaps(self) -> int:
        """How many numbers there are."""

    def render(self, numbers: Sequence[Decimal]) -> bytes:
        """The text with these numbers."""

    def reply(self, text: bytes) -> Reply:
        """A reply that says no more than this text."""

    def divide(self, texts: bytes | memoryview, count: int) -> Sequence[bytes]:
        """Part so many texts that stand one behind the other."""

    def numbers(self, texts: bytes | memoryview, count: int) -> Floats:
        """The numbers of so many texts: count × gaps."""


class Bulk(NamedTuple):
    """The timings of some replies, in order."""

    total_ns: Int64
    parts_ns: Mapping[str, Int64]
    others: Mapping[int, Timing | Undecomposed]
    """Row → what the reader made of it, where it was not plain: its numbers above mean nothing."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the numbers of a form mean."""

    template: Template
    read: Read
    unit_ns: float
    total: int
    """Which number."""
    parts: Mapping[str, tuple[int, ...]]
    """Name → the numbers that add up to it."""
    fitting: tuple[tuple[int, ...], ...]
    """Numbers that belong together, all of which must not exceed the total."""

    def read_all(self, texts: bytes | memoryview, count: int) -> Bulk:
        """Read so many texts, one behind the other."""
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
        """Whether a text is read as the reader does it."""
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
    """Find out what the numbers of a template mean; None where asking does not tell.

    Args:
        template: the form.
        sample: a text of it.
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
        return None  # a number that is part of a name
    total, unit_ns = found
    layout = Layout(template, read, unit_ns, total, parts, tuple(ask.fitting(total, parts)))
    return layout if layout.agrees(sample) and layout.agrees(ask.halves(*found, parts)) else None


class _Asking:
    """Replies with chosen numbers, given to the reader."""

    def __init__(self, template: Template, read: Read) -> None:
        self._template, self._read = template, read
        self._gaps = range(template.gaps)

    def total(self) -> tuple[int, float] | None:
        """Which number is the total, and what 1 is worth in ns.

        Where all numbers are 0, so are all times: what is left stands for itself, and would count.
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
        """Which numbers add up to which part: each number is a power of two of its own.

        A part that is there without any of them is no sum of theirs: nothing is known then.
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
        """A text with 0.5 ns in each part: what else counts to one, however little, shows."""
        half = Decimal("0.5") / Decimal(unit_ns)
        return self._text(_everything(total, unit_ns) | {at[0]: half for at in parts.values()})

    def fitting(
        self, total: int, parts: Mapping[str, tuple[int, ...]]
    ) -> Iterator[tuple[int, ...]]:
        """The numbers of each part, and others that make a difference where they are too great."""
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
    """So long a total that all fits into it."""
    return {total: Decimal(_TOTAL_NS) / Decimal(unit_ns)}


def _nanoseconds(numbers: Floats, which: Sequence[int], unit_ns: float) -> Floats:
    """As the reader does it: add, then scale, then round half to even."""
    values = numbers[:, which[0]]
    for at in which[1:]:
        values = values + numbers[:, at]
    return np.asarray(np.rint(values * unit_ns))


def _whole(values: Floats, odd: Int64) -> Int64:
    """As integers; what is odd may be no number, and is told elsewhere."""
    values[odd] = 0
    return values.astype(np.int64)

"""How a load is divided among N processes: shard k takes every N-th of everything, from k on."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from math import gcd
from typing import Any, Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Shard(NamedTuple):
    """One of `of` equal parts of a load.

    What the shards take, together, is exactly the whole: an element belongs to the shard whose
    number is its place modulo `of`.
    """

    number: int = 0
    of: int = 1

    def first(self, before: int = 0) -> int:
        """The place of the first element that it takes of a sequence.

        Args:
            before: how many elements came before the sequence, and have been dealt already.
        """
        return (self.number - before) % self.of

    def share(self, count: int, before: int = 0) -> int:
        """How many of `count` elements it takes; see `first`."""
        return len(range(self.first(before), count, self.of))

    def of_sequence(self, elements: Sequence[T], before: int = 0) -> Sequence[T]:
        """The elements that it takes; see `first`."""
        return elements[self.first(before) :: self.of]


WHOLE: Final = Shard()
"""The only shard of a load that is not divided."""


class Endless(Generic[T]):
    """A sequence, repeated endlessly; a copy in another process begins anew.

    Args:
        elements: at least one.
        first: the place of the element to begin with.
    """

    __slots__ = ("_first", "elements", "next")

    def __init__(self, elements: Sequence[T], first: int = 0) -> None:
        self.elements: Final = elements
        self._first = first % len(elements)
        self.next: Callable[[], T] = islice(cycle(elements), self._first, None).__next__
        """Returns the next element; a function of C, as the engine calls it for each request."""

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self.next()

    def __reduce__(self) -> tuple[Any, ...]:
        return Endless, (self.elements, self._first)

    def dealt(self, shard: Shard) -> "Endless[T]":
        """The elements that a shard takes, from the beginning."""
        size, first = len(self.elements), self._first + shard.number
        period = size // gcd(size, shard.of)
        places = range(first, first + period * shard.of, shard.of)
        return Endless([self.elements[place % size] for place in places])

"""Integer columns in pages; in each page a column takes the narrowest type that holds it.

A million requests of a dozen columns are 65 bytes a row instead of kilobytes of objects, and one
long wait widens one column of one page.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Stored = npt.NDArray[Any]
Page = Mapping[str, Stored]
Keep = Callable[[Page], Page]
"""Decides where a page stays: gives back the same values, in memory or mapped from a file."""

PAGE_ROWS: Final = 65_536
ABSENT: Final = int(np.iinfo(np.int64).min)
"""Stands where there is no value: a stamp that was never reached, a time that was not reported."""
_NONE: Final = np.array([ABSENT])
_UNSIGNED: Final = (np.uint8, np.uint16, np.uint32)


def narrowed(values: Int64) -> Stored:
    """Store a column of a page as narrowly as its values allow; a constant takes one value.

    In an unsigned type its greatest value stands for `ABSENT`, so that it is not free for others.
    """
    if len(values) and (values == values[0]).all():
        return np.array(values[:1])
    absent = values == ABSENT
    present = values[~absent] if absent.any() else values
    if not len(present) or present.min() < 0:
        return np.array(values)
    greatest = int(present.max())
    for kind in _UNSIGNED:
        if greatest < np.iinfo(kind).max:
            return np.where(absent, np.iinfo(kind).max, values).astype(kind)
    return np.array(values)


def widened(stored: Stored, rows: int) -> Int64:
    """Read a column of a page back; it is not to be written to."""
    if len(stored) == 1:
        return np.broadcast_to(stored, rows)
    if stored.dtype == np.int64:
        return stored
    values = stored.astype(np.int64)
    values[stored == np.iinfo(stored.dtype).max] = ABSENT
    return values


def summed(columns: Sequence[Int64], absent: int = ABSENT) -> Int64:
    """The sum of what columns tell, row by row; where none tells anything, `absent`."""
    told = np.array(columns)
    return np.where((told == ABSENT).all(0), absent, np.where(told == ABSENT, 0, told).sum(0))


def in_memory(page: Page) -> Page:
    """Keep a page where it is."""
    return page


class Columns:
    """Columns of equal length, by name. Rows are added a page at a time and never change.

    Args:
        keep: where pages stay.
    """

    __slots__ = ("_names", "_pages", "_starts", "keep")

    def __init__(self, keep: Keep = in_memory) -> None:
        self.keep = keep
        self._names: dict[str, None] = {}
        self._pages: list[Page] = []
        self._starts = [0]

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns, in the order in which they came."""
        return tuple(self._names)

    @property
    def page_count(self) -> int:
        """How many pages there are."""
        return len(self._pages)

    @property
    def stored_bytes(self) -> int:
        """Of all pages, wherever they are."""
        return sum(stored.nbytes for page in self._pages for stored in page.values())

    def append(self, page: Mapping[str, Int64], rows: int) -> None:
        """Add rows.

        Args:
            page: name → values, one a row. A column that it lacks, or that earlier pages lacked,
                is `ABSENT` there.
            rows: how many.
        """
        if rows:
            stored = {name: narrowed(values) for name, values in page.items()}
            self._names |= dict.fromkeys(stored)
            self._pages.append(self.keep(stored))
            self._starts.append(len(self) + rows)

    def pages(self) -> Iterator["PageView"]:
        """The pages, in order."""
        return map(self._view, range(len(self._pages)))

    def whole(self, name: str) -> Int64:
        """One column of all pages: 8 bytes a row, for as long as it is held."""
        values = np.empty(len(self), np.int64)
        for page in self.pages():
            values[page.start : page.start + page.rows] = page[name]
        return values

    def row(self, at: int) -> dict[str, int]:
        """One row.

        Raises:
            IndexError: there is none at this place.
        """
        if not 0 <= at < len(self):
            raise IndexError(at)
        page = self._view(bisect_right(self._starts, at) - 1)
        return {name: page.value(name, at - page.start) for name in self.names}

    def take(self, rows: Int64) -> "Columns":
        """The rows at these places, in this order; kept where the others are."""
        taken = Columns(self.keep)
        taken._names = dict(self._names)
        for at in range(0, len(rows), PAGE_ROWS):
            some = rows[at : at + PAGE_ROWS]
            taken.append(self._gathered(some), len(some))
        return taken

    def _view(self, place: int) -> "PageView":
        start, end = self._starts[place : place + 2]
        return PageView(self._pages[place], start, end - start)

    def _gathered(self, rows: Int64) -> dict[str, Int64]:
        found = {name: np.empty(len(rows), np.int64) for name in self._names}
        places = np.searchsorted(self._starts, rows, "right") - 1
        for place in np.unique(places):
            view, here = self._view(int(place)), places == place
            within = rows[here] - view.start
            for name, values in found.items():
                values[here] = view[name][within]
        return found


class PageView:
    """Successive rows: their columns as 64-bit integers, each made when it is asked for."""

    __slots__ = ("_page", "rows", "start")

    def __init__(self, page: Page, start: int, rows: int) -> None:
        self._page, self.start, self.rows = page, start, rows

    def __getitem__(self, name: str) -> Int64:
        return widened(self._page.get(name, _NONE), self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns that the page has."""
        return tuple(self._page)

    def value(self, name: str, at: int) -> int:
        """One value, without widening the others."""
        stored = self._page.get(name, _NONE)
        value = int(stored[0 if len(stored) == 1 else at])
        kind = stored.dtype
        return ABSENT if kind != np.int64 and value == np.iinfo(kind).max else value

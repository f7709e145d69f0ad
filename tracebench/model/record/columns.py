"""Integer columns in pages; within a page, each column uses the narrowest type that holds it.

A million requests with a dozen columns take 65 bytes per row instead of kilobytes of objects, and
one long wait widens only one column of one page.
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
"""Decides where a page is stored; returns the same values, in memory or mapped from a file."""

PAGE_ROWS: Final = 65_536
ABSENT: Final = int(np.iinfo(np.int64).min)
"""Marks a missing value: a stamp that was never reached, or a time that was not reported."""
_NONE: Final = np.array([ABSENT])
_UNSIGNED: Final = (np.uint8, np.uint16, np.uint32)


def narrowed(values: Int64) -> Stored:
    """Store a column of a page as narrowly as its values allow; a constant takes one value.

    In an unsigned type, the greatest value stands for `ABSENT` and so cannot be stored as a value.
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
    """Return a stored column of a page as 64-bit integers; the result must not be modified."""
    if len(stored) == 1:
        return np.broadcast_to(stored, rows)
    if stored.dtype == np.int64:
        return stored
    values = stored.astype(np.int64)
    values[stored == np.iinfo(stored.dtype).max] = ABSENT
    return values


def summed(columns: Sequence[Int64], absent: int = ABSENT) -> Int64:
    """Sum columns row by row, skipping `ABSENT`; `absent` where all of them are `ABSENT`."""
    told = np.array(columns)
    return np.where((told == ABSENT).all(0), absent, np.where(told == ABSENT, 0, told).sum(0))


def in_memory(page: Page) -> Page:
    """Keep a page in memory."""
    return page


class Columns:
    """Columns of equal length, by name. Rows are added a page at a time and never change.

    Args:
        keep: decides where pages are stored.
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
        """The names of all columns, in the order in which they were added."""
        return tuple(self._names)

    @property
    def page_count(self) -> int:
        """The number of pages."""
        return len(self._pages)

    @property
    def stored_bytes(self) -> int:
        """The size of all pages, whether in memory or in a file."""
        return sum(stored.nbytes for page in self._pages for stored in page.values())

    def append(self, page: Mapping[str, Int64], rows: int) -> None:
        """Add rows as one page.

        Args:
            page: name → one value per row. A column that is missing here, or was missing in earlier
                pages, is `ABSENT` in those rows.
            rows: the number of rows.
        """
        if rows:
            self.adopt({name: narrowed(values) for name, values in page.items()}, rows)

    def adopt(self, page: Page, rows: int) -> None:
        """Add a page as others store it; see `stored`."""
        self._names |= dict.fromkeys(page)
        self._pages.append(self.keep(page))
        self._starts.append(len(self) + rows)

    def stored(self, place: int) -> tuple[Page, int]:
        """A page as it is stored, by its place, and its number of rows."""
        return self._pages[place], self._starts[place + 1] - self._starts[place]

    def pages(self) -> Iterator["PageView"]:
        """The pages, in order."""
        return map(self._view, range(len(self._pages)))

    def whole(self, name: str) -> Int64:
        """One column across all pages, as an array of 8 bytes per row."""
        values = np.empty(len(self), np.int64)
        for page in self.pages():
            values[page.start : page.start + page.rows] = page[name]
        return values

    def row(self, at: int) -> dict[str, int]:
        """One row, as name → value.

        Raises:
            IndexError: `at` is out of range.
        """
        if not 0 <= at < len(self):
            raise IndexError(at)
        page = self._view(bisect_right(self._starts, at) - 1)
        return {name: page.value(name, at - page.start) for name in self.names}

    def take(self, rows: Int64) -> "Columns":
        """The rows at these indices, in this order, stored by the same `keep`."""
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
    """Consecutive rows: each column is converted to 64-bit integers on access."""

    __slots__ = ("_page", "rows", "start")

    def __init__(self, page: Page, start: int, rows: int) -> None:
        self._page, self.start, self.rows = page, start, rows

    def __getitem__(self, name: str) -> Int64:
        return widened(self._page.get(name, _NONE), self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns in this page."""
        return tuple(self._page)

    def value(self, name: str, at: int) -> int:
        """One value, without widening the whole column."""
        stored = self._page.get(name, _NONE)
        value = int(stored[0 if len(stored) == 1 else at])
        kind = stored.dtype
        return ABSENT if kind != np.int64 and value == np.iinfo(kind).max else value

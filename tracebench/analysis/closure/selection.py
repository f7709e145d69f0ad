"""Selected requests of a record, in the order of scheduling, and columns of their values.

A column is computed on access and not kept here: for ten million requests each takes 80 MB, so only
a few should be held at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from tracebench.model.record.columns import ABSENT, Int64, PageView
from tracebench.model.record.exchange import Nanoseconds
from tracebench.model.record.requests import SCHEDULED, Flags, Requests, Rows
from tracebench.model.record.server_times import ServerTimes

_BLOCK: Final = 65_536

Order = npt.NDArray[np.uint32]


class Subset:
    """The selected requests of one page."""

    __slots__ = ("_chosen", "_rows", "_times")

    def __init__(self, rows: Rows, times: PageView | None, chosen: Flags) -> None:
        self._rows, self._times, self._chosen = rows, times, chosen

    def __len__(self) -> int:
        return int(np.count_nonzero(self._chosen))

    @property
    def places(self) -> Int64:
        """Indices of the selected requests in the record."""
        return np.flatnonzero(self._chosen) + self._rows.start

    def request(self, name: str) -> Int64:
        """A column of the requests, by name."""
        return np.asarray(self._rows[name][self._chosen])

    def step(self, name: str) -> Int64:
        """Time from the previous stamp to this one, in ns; 0 where it was not reached."""
        return np.asarray(self._rows.step(name)[self._chosen])

    def at(self, name: str) -> Int64:
        """When a stamp was reached, in ns; `ABSENT` where it was not."""
        return np.asarray(self._rows.at(name)[self._chosen])

    def told(self, name: str) -> Int64:
        """A column of the server times, by name; `ABSENT` where not reported."""
        if self._times is None:
            return np.full(len(self), ABSENT)
        return np.asarray(self._times[name][self._chosen])


Formula = Callable[[Subset], Int64]


class Selection:
    """The selected requests of a record, in the order of scheduling.

    Args:
        requests: the record.
        choose: flags the rows to select, given a page of requests and one of server times.
        times: the server times, row by row; None: not needed.
    """

    def __init__(
        self,
        requests: Requests,
        choose: Callable[[Rows, PageView | None], Flags],
        times: ServerTimes | None = None,
    ) -> None:
        said: Iterator[PageView | None]
        said = iter(times.pages()) if times is not None else iter([None] * requests.page_count)
        self.parts: Sequence[Subset] = [
            Subset(rows, of_page, choose(rows, of_page))
            for rows, of_page in zip(requests.pages(), said, strict=True)
        ]
        self._count = sum(map(len, self.parts))

    def __len__(self) -> int:
        return self._count

    def column(self, formula: Formula) -> Int64:
        """The formula's value for every request."""
        order = self._order  # first, since computing it takes the memory of a column
        return _arranged(self._joined(formula), order)

    def count(self, which: Callable[[Subset], Flags]) -> int:
        """The number of requests that are flagged."""
        return sum(int(np.count_nonzero(which(part))) for part in self.parts)

    def greatest(self, formula: Formula) -> int:
        """The greatest value of the formula over all requests; at least 0."""
        return max((int(formula(part).max(initial=0)) for part in self.parts), default=0)

    def place(self, at: int) -> int:
        """The index in the record of the selection's request number `at`.

        Raises:
            IndexError: there is no such request.
        """
        within = at if self._order is None else int(self._order[at])
        for part in self.parts:
            if within < len(part):
                return int(part.places[within])
            within -= len(part)
        raise IndexError(at)

    @cached_property
    def _order(self) -> Order | None:
        """The permutation to the order of scheduling; None if the requests are in that order."""
        scheduled = self._joined(lambda part: part.request(SCHEDULED))
        if (scheduled[1:] >= scheduled[:-1]).all():
            return None
        return np.argsort(scheduled, kind="stable").astype(np.uint32)

    def _joined(self, formula: Formula) -> Int64:
        values, at = np.empty(self._count, np.int64), 0
        for part in self.parts:
            found = formula(part)
            values[at : at + len(found)] = found
            at += len(found)
        return values


class SelectedColumns(Mapping[str, Nanoseconds]):
    """Columns by name, each computed on access."""

    def __init__(self, selection: Selection, formulas: Mapping[str, Formula]) -> None:
        self._selection, self._formulas = selection, formulas

    def __getitem__(self, name: str) -> Nanoseconds:
        return self._selection.column(self._formulas[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._formulas)

    def __len__(self) -> int:
        return len(self._formulas)

    def __contains__(self, name: object) -> bool:
        return name in self._formulas


class Without(Mapping[str, Nanoseconds]):
    """A mapping of columns with one of them left out."""

    def __init__(self, columns: Mapping[str, Nanoseconds], left_out: str) -> None:
        self._columns = columns
        self._names = [name for name in columns if name != left_out]

    def __getitem__(self, name: str) -> Nanoseconds:
        if name not in self._names:
            raise KeyError(name)
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


def _arranged(values: Int64, order: Order | None) -> Int64:
    if order is None:
        return values
    arranged = np.empty_like(values)
    for at in range(0, len(values), _BLOCK):
        arranged[at : at + _BLOCK] = values[order[at : at + _BLOCK]]
    return arranged

"""The server timings of requests, in columns with the same rows as the requests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from server_middleware.vocabulary import KNOWN_PARTS, STREAM_CHUNKS
from tracebench.model.record.columns import (
    ABSENT,
    PAGE_ROWS,
    Columns,
    Int64,
    Keep,
    PageView,
    in_memory,
)
from tracebench.model.record.exchange import (
    CameWith,
    HandedOver,
    StreamTiming,
    Timing,
    Undecomposed,
)
from tracebench.model.record.requests import Flags

TOTAL, PROBLEM, SOURCE, SCALED, STARTED = "total", "problem", "source", "scaled", "started"
Source: TypeAlias = Literal["otlp", "mirror", "backend"]
SOURCES: Final[tuple[Source, ...]] = ("otlp", "mirror", "backend")
PROBLEMS: Final = tuple(Undecomposed)
NO_TIMING: Final = PROBLEMS.index(Undecomposed.NO_TIMING)
NOT_TRACED: Final = PROBLEMS.index(Undecomposed.NOT_TRACED)
CAME_WITH_COLUMN: Final = "came_with"
CAME_WITH: Final[tuple[CameWith, ...]] = ("end", "head", "stream")
STANDARD: Final = frozenset(KNOWN_PARTS)
MOST_PARTS: Final = 128
_MOST_COUNTED: Final = 100_000
STRAYS, UNLISTED, COMPARED = "strays", "unlisted", "compared"
"""Columns that exist only if needed: the number of components outside requests; the number of names
without a column; and, if both spans and a mirror report on a request, the number of components on
which they differ."""
PART, LEFT_OUT, DIFFERS = "part ", "left out ", "differs "
"""Prefixes of column names that end in a component name. In order: the component's time; 1 if its
time did not fit within the total; ns that spans report beyond the mirror."""

FIRST, WAITED = "first", "waited"
"""Columns for streams: the server's own time to first token; how long it waited for the reader."""
CHUNK_SIZES: Final = tuple(f"chunk {at} size" for at in range(STREAM_CHUNKS))
CHUNK_TIMES: Final = tuple(f"chunk {at} time" for at in range(STREAM_CHUNKS))
"""Columns for the first pieces of a stream: the size up to each piece, and its time."""
_OF_STREAMS: Final = frozenset({FIRST, WAITED, *CHUNK_SIZES, *CHUNK_TIMES})


class PartNames:
    """The part names that have columns; bounded, since a server may put an id into each name."""

    def __init__(self) -> None:
        self._columns: set[str] = set()
        self._others: set[str] = set()

    def admits(self, name: str) -> bool:
        """Return whether the name has a column, adding one if there is room; count it otherwise."""
        if name in self._columns:
            return True
        if name not in STANDARD and len(self._columns) >= MOST_PARTS:
            if len(self._others) < _MOST_COUNTED:
                self._others.add(name)
            return False
        self._columns.add(name)
        return True

    @property
    def unlisted(self) -> int:
        """The number of names without a column, counted up to 100,000."""
        return len(self._others)


class TimesPage:
    """A page being filled with the server timings of some requests; initially without any.

    Args:
        count: the number of rows.
        names: the part names of all pages.
    """

    def __init__(self, count: int, names: PartNames) -> None:
        self._count, self._names = count, names
        self.columns: dict[str, Int64] = {PROBLEM: np.full(count, NO_TIMING)}

    def put(
        self, rows: Int64, total_ns: Int64, parts_ns: Mapping[str, Int64], came_with: CameWith
    ) -> None:
        """Set the timings of rows whose mirrors hold only plain times."""
        self._column(PROBLEM)[rows] = ABSENT
        self._column(TOTAL)[rows] = total_ns
        self._column(SOURCE)[rows] = SOURCES.index("mirror")
        self._column(SCALED)[rows] = 0
        self._column(CAME_WITH_COLUMN)[rows] = CAME_WITH.index(came_with)
        for name, values_ns in parts_ns.items():
            if (values_ns != ABSENT).any() and self._names.admits(name):
                self._column(PART + name)[rows] = values_ns

    def put_spans(
        self,
        rows: Int64,
        total_ns: Int64,
        parts_ns: Mapping[str, Int64],
        started_ns: Int64,
        source: Source,
    ) -> None:
        """Set the timings of rows whose spans hold only plain times; parts may be `ABSENT`."""
        self.put(rows, total_ns, parts_ns, "end")
        self._column(SOURCE)[rows] = SOURCES.index(source)
        self._column(STARTED)[rows] = started_ns

    def compare(
        self, rows: Int64, strays: Int64, compared: Flags, differs_ns: Mapping[str, Int64]
    ) -> None:
        """Add to rows what was reported besides their timings.

        Args:
            rows: their indices.
            strays: the number of components that ran outside any request, per row.
            compared: which of the rows have both spans and a mirror.
            differs_ns: component → ns that spans report beyond the mirror, for the compared rows
                only; `ABSENT` where the two agree.
        """
        both = rows[compared]
        if strays.any():
            self._column(STRAYS)[rows] = np.where(strays == 0, ABSENT, strays)
        if len(both):
            told = np.array([ns != ABSENT for ns in differs_ns.values()])
            self._column(COMPARED)[both] = np.count_nonzero(told, axis=0)
        for name, ns in differs_ns.items():
            if (ns != ABSENT).any() and self._names.admits(name):
                self._column(DIFFERS + name)[both] = ns

    def put_one(self, row: int, timing: Timing | Undecomposed) -> None:
        """Set the timing of one row, or the reason why it has none."""
        if isinstance(timing, Undecomposed):
            self._column(PROBLEM)[row] = PROBLEMS.index(timing)
            return
        self._column(PROBLEM)[row] = ABSENT
        self._column(TOTAL)[row] = timing.total_ns
        self._column(SOURCE)[row] = SOURCES.index(timing.source)
        self._column(SCALED)[row] = timing.scaled
        self._column(CAME_WITH_COLUMN)[row] = CAME_WITH.index(timing.came_with)
        if timing.started_ns is not None:
            self._column(STARTED)[row] = timing.started_ns
        for name, ns in timing.parts_ns.items():
            if self._names.admits(name):
                self._column(PART + name)[row] = ns
        for name in timing.left_out:
            if self._names.admits(name):
                self._column(LEFT_OUT + name)[row] = 1
        self._remark(row, timing)

    def replace_one(self, row: int, timing: Timing | Undecomposed) -> None:
        """Set the timing of one row, discarding its previous values."""
        for values in self.columns.values():
            values[row] = ABSENT
        self.put_one(row, timing)

    def _remark(self, row: int, timing: Timing) -> None:
        """Set the values that few timings have."""
        if timing.stream is not None:
            self._of_stream(row, timing.stream)
        if timing.strays:
            self._column(STRAYS)[row] = timing.strays
        if timing.unlisted:
            self._column(UNLISTED)[row] = timing.unlisted
        if timing.differs_ns is not None:
            self._column(COMPARED)[row] = len(timing.differs_ns)
            for name, ns in timing.differs_ns.items():
                if self._names.admits(name):
                    self._column(DIFFERS + name)[row] = ns

    def _of_stream(self, row: int, told: StreamTiming) -> None:
        self._column(WAITED)[row] = told.waited_ns
        if told.first_ns is not None:
            self._column(FIRST)[row] = told.first_ns
        for size, at, chunk in zip(CHUNK_SIZES, CHUNK_TIMES, told.handed_over, strict=False):
            self._column(size)[row], self._column(at)[row] = chunk

    def _column(self, name: str) -> Int64:
        """The column to write to, created if needed with `ABSENT` in every row."""
        if name not in self.columns:
            self.columns[name] = np.full(self._count, ABSENT)
        return self.columns[name]


@dataclass(frozen=True, slots=True)
class ServerTimes:
    """The server timings of requests; a row whose `PROBLEM` is `ABSENT` has a `TOTAL`."""

    columns: Columns
    unlisted: int = 0
    """How many more part names there were, which have no column."""

    @classmethod
    def of(cls, timings: Sequence[Timing | Undecomposed], keep: Keep = in_memory) -> "ServerTimes":
        """Build the record from individual timings."""
        columns, names = Columns(keep), PartNames()
        for at in range(0, len(timings), PAGE_ROWS):
            some = timings[at : at + PAGE_ROWS]
            page = TimesPage(len(some), names)
            for row, timing in enumerate(some):
                if timing is not Undecomposed.NO_TIMING:
                    page.put_one(row, timing)
            columns.append(page.columns, len(some))
        return cls(columns, names.unlisted)

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Timing | Undecomposed]:
        """Views of all rows, created one at a time."""
        return map(self.timing, range(len(self)))

    def pages(self) -> Iterator[PageView]:
        """The pages, in order; their rows are those of the requests' pages."""
        return self.columns.pages()

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of all parts that any server reported."""
        return self._named(PART)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The names of all parts whose time did not fit within the total in some request."""
        return self._named(LEFT_OUT)

    @property
    def differing(self) -> tuple[str, ...]:
        """The names of all components on which spans and a mirror differ in some request."""
        return self._named(DIFFERS)

    def _named(self, prefix: str) -> tuple[str, ...]:
        names = self.columns.names
        return tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    def take(self, places: Int64) -> "ServerTimes":
        """A record of only the rows at these indices."""
        return replace(self, columns=self.columns.take(places))

    def overlaid(self, over: "ServerTimes") -> "ServerTimes":
        """Replace rows by those of `over`, except where `over` has no timing.

        A row keeps its stream values if `over` has none for it; of the two times spent waiting for
        the reader, the longer is kept.
        """
        names = dict.fromkeys((*self.columns.names, *over.columns.names))
        columns = Columns(self.columns.keep)
        for page, other in zip(self.pages(), over.pages(), strict=True):
            better = other[PROBLEM] != NO_TIMING
            merged = {name: np.where(better, other[name], page[name]) for name in names}
            if WAITED in names:
                tells = better & (other[WAITED] != ABSENT)
                for name in names.keys() & _OF_STREAMS:
                    merged[name] = np.where(tells, other[name], page[name])
                merged[WAITED] = np.maximum(page[WAITED], np.where(better, other[WAITED], ABSENT))
            columns.append(merged, page.rows)
        return ServerTimes(columns, self.unlisted + over.unlisted)

    def timing(self, at: int) -> Timing | Undecomposed:
        """One row: its timing, or the reason why it has none."""
        row = self.columns.row(at)

        def told(prefix: str) -> dict[str, int]:
            values = ((name, row[prefix + name]) for name in self._named(prefix))
            return {name: value for name, value in values if value != ABSENT}

        def known(name: str) -> int | None:
            value = row.get(name, ABSENT)
            return None if value == ABSENT else value

        if row[PROBLEM] != ABSENT:
            return PROBLEMS[row[PROBLEM]]
        return Timing(
            total_ns=row[TOTAL],
            parts_ns=told(PART),
            source=SOURCES[row[SOURCE]],
            scaled=bool(row[SCALED]),
            started_ns=known(STARTED),
            left_out=tuple(told(LEFT_OUT)),
            unlisted=known(UNLISTED) or 0,
            came_with=CAME_WITH[row[CAME_WITH_COLUMN]],
            strays=known(STRAYS) or 0,
            differs_ns=None if known(COMPARED) is None else told(DIFFERS),
            stream=_stream(row),
        )


def _stream(row: Mapping[str, int]) -> StreamTiming | None:
    waited_ns, first_ns = row.get(WAITED, ABSENT), row.get(FIRST, ABSENT)
    if waited_ns == ABSENT:
        return None
    chunks = zip(CHUNK_SIZES, CHUNK_TIMES, strict=True)
    told = (HandedOver(row[size], row[at]) for size, at in chunks if size in row)
    return StreamTiming(
        tuple(one for one in told if one.size != ABSENT),
        None if first_ns == ABSENT else first_ns,
        waited_ns,
    )

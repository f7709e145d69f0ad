"""The record of requests, in columns: their stamps and outcomes.

An `Exchange` is a view of one row, for people and for span exporters.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from tracebench.model.record.columns import (
    ABSENT,
    PAGE_ROWS,
    Columns,
    Int64,
    Keep,
    PageView,
    in_memory,
)
from tracebench.model.record.exchange import Exchange, Lost, Outcome, Reply, Stamp
from tracebench.model.record.span_columns import Words, span_words, trace_words

SCHEDULED: Final = "scheduled"
READY, SENT, FIRST_BYTE, ARRIVED, DONE = "ready", "sent", "first_byte", "arrived", "done"
STAMPS: Final = (READY, SENT, FIRST_BYTE, ARRIVED, DONE)
"""The stamps after `scheduled`; each is stored as ns since the last stamp that was reached."""
CONNECT, WRITE_LAG, SLOT, VARIANT, DRAW = "connect", "write_lag", "slot", "variant", "draw"
OUTCOME, STAMP, REASON, STATUS, LOST = "outcome", "stamp", "reason", "status", "lost"
TRACED: Final = "traced"
"""0 where a request's trace was not asked for; the column is missing if all were."""
OUTCOMES: Final = tuple(Outcome)
STAMP_KINDS: Final = tuple(Stamp)
LOST_KINDS: Final = tuple(Lost)
OUTCOME_CODES: Final[Mapping[Outcome, int]] = {one: at for at, one in enumerate(OUTCOMES)}
LOST_CODES: Final[Mapping[Lost | None, int]] = {
    None: ABSENT,
    **{one: at for at, one in enumerate(LOST_KINDS)},
}
STAMP_CODES: Final[Mapping[Stamp, int]] = {one: at for at, one in enumerate(STAMP_KINDS)}
CUT_SHORT: Final = tuple(OUTCOME_CODES[one] for one in (Outcome.CANCELLED, Outcome.ABANDONED))
"""Outcomes of requests whose end the client did not wait for."""
_SUCCEEDED: Final = OUTCOME_CODES[Outcome.SUCCEEDED]
_CANCELLED: Final = OUTCOME_CODES[Outcome.CANCELLED]
_ABANDONED: Final = OUTCOME_CODES[Outcome.ABANDONED]

Flags = npt.NDArray[np.bool_]


class Ids(Protocol):
    """Maps draws (the numbers that identify requests) to trace and span ids."""

    def __call__(self, draw: int) -> tuple[str, str]:
        """The trace id and the span id, in hexadecimal."""

    def words(self, draws: Int64) -> tuple[Words, Words, Words]:
        """Ids of many draws at once: high and low halves of the trace ids, and the span ids.

        Raises:
            ValueError: the ids are not 32 and 16 hexadecimal digits.
        """


class IdsAsText:
    """Ids that are given as text.

    Args:
        text: draw → trace id and span id.
    """

    def __init__(self, text: Callable[[int], tuple[str, str]]) -> None:
        self._text = text

    def __call__(self, draw: int) -> tuple[str, str]:
        """See `Ids`."""
        return self._text(draw)

    def words(self, draws: Int64) -> tuple[Words, Words, Words]:
        """See `Ids`."""
        texts = [self._text(draw) for draw in draws.tolist()]
        high, low = trace_words(trace_id for trace_id, _ in texts)
        return high, low, span_words(span_id for _, span_id in texts)


class Texts:
    """Texts by number; each is stored once, and the empty text is number 0."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {"": 0}

    def number(self, text: str) -> int:
        """The number of a text; a new text is added."""
        return self._numbers.setdefault(text, len(self._numbers))

    def __contains__(self, text: str) -> bool:
        return text in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def all(self) -> tuple[str, ...]:
        """Every text, indexed by its number."""
        return tuple(self._numbers)


class Rows:
    """The requests on one page."""

    __slots__ = ("_page", "count", "start")

    def __init__(self, page: PageView) -> None:
        self._page, self.start, self.count = page, page.start, page.rows

    def __getitem__(self, name: str) -> Int64:
        """A column as stored: a stamp is in ns since the previous one; `ABSENT`: never reached."""
        return self._page[name]

    @property
    def all(self) -> Flags:
        """A mask that selects every request."""
        return np.ones(self.count, np.bool_)

    def step(self, name: str) -> Int64:
        """Time in ns from the previous stamp to this one; 0 if this one was not reached."""
        values = self[name]
        return np.where(values == ABSENT, 0, values)

    @property
    def finished(self) -> int:
        """How many requests ended by themselves, not because the run ended."""
        return int(np.count_nonzero(self.ended))

    @property
    def ended(self) -> Flags:
        """Which requests ended by themselves."""
        return np.asarray(self[OUTCOME] != _CANCELLED)

    @property
    def succeeded(self) -> Flags:
        """Which requests succeeded."""
        return np.asarray(self[OUTCOME] == _SUCCEEDED)

    @property
    def abandoned(self) -> Flags:
        """Which requests the client hung up."""
        return np.asarray(self[OUTCOME] == _ABANDONED)

    def since_scheduled(self, name: str) -> Int64:
        """A stamp in ns since `scheduled`; `ABSENT` if it was not reached."""
        total = np.zeros(self.count, np.int64)
        for stamp in STAMPS[: STAMPS.index(name) + 1]:
            total += self.step(stamp)
        return np.where(self[name] == ABSENT, ABSENT, total)

    def at(self, name: str) -> Int64:
        """The time in ns when a stamp was reached; `ABSENT` if it was not."""
        since = self.since_scheduled(name)
        return np.where(since == ABSENT, ABSENT, since + self[SCHEDULED])


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests, in the order in which they ended."""

    columns: Columns
    ids: Ids
    reasons: Sequence[str] = ("",)
    """Why requests did not succeed; the column `REASON` holds indices into it."""
    statuses: Sequence[str] = ("",)
    """HTTP status codes and gRPC status names; the column `STATUS` holds indices into it."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """Reason → the server's message the first time that it occurred, if it sent one."""

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Exchange]:
        """Views of all rows, created one at a time."""
        return map(self.exchange, range(len(self)))

    @property
    def page_count(self) -> int:
        """The number of pages."""
        return self.columns.page_count

    def pages(self) -> Iterator[Rows]:
        """The pages, in order."""
        return map(Rows, self.columns.pages())

    def whole(self, value: Callable[[Rows], Int64]) -> Int64:
        """The result of `value` for all rows, as an array of 8 bytes per row."""
        values = np.empty(len(self), np.int64)
        for rows in self.pages():
            values[rows.start : rows.start + rows.count] = value(rows)
        return values

    @property
    def due_ns(self) -> tuple[int, int]:
        """When the first and the last request were scheduled; there must be at least one."""
        bounds = [
            (int(at.min()), int(at.max())) for at in (rows[SCHEDULED] for rows in self.pages())
        ]
        return min(first for first, _ in bounds), max(last for _, last in bounds)

    @property
    def duration_ns(self) -> int:
        """Time from the first scheduled request to the last one done; 0 without requests."""
        if not len(self):
            return 0
        return max(int(rows.at(DONE).max()) for rows in self.pages()) - self.due_ns[0]

    def places(self, keep: Callable[[Rows], Flags]) -> Int64:
        """The indices of the rows that `keep` selects."""
        found = [np.flatnonzero(keep(rows)) + rows.start for rows in self.pages()]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def take(self, places: Int64) -> "Requests":
        """A record of only the rows at these indices."""
        return replace(self, columns=self.columns.take(places))

    def ids_at(self, places: Iterable[int]) -> Iterator[tuple[str, str]]:
        """The trace id and span id of each of these rows."""
        draws = self.columns.whole(DRAW)
        return (self.ids(int(draws[at])) for at in places)

    def words(self, places: Int64 | None = None) -> tuple[Words, Words, Words]:
        """High and low halves of the trace ids, and the span ids; of all rows if `places` is None.

        Raises:
            ValueError: the ids are not 32 and 16 hexadecimal digits.
        """
        draws = self.columns.whole(DRAW)
        return self.ids.words(draws if places is None else draws[places])

    @property
    def partly_traced(self) -> bool:
        """Whether only a share of the requests asked for its trace."""
        return TRACED in self.columns.names

    def traced(self) -> Int64:
        """The indices of the requests that asked for their trace."""
        return self.places(lambda rows: np.asarray(rows[TRACED] != 0))

    def successes(self) -> dict[str, str]:
        """Trace id → span id of every success, in the order in which they ended."""
        return dict(self.ids_at(self.places(lambda rows: rows.succeeded).tolist()))

    def exchange(self, at: int) -> Exchange:
        """One row as an `Exchange`."""
        row = self.columns.row(at)
        trace_id, span_id = self.ids(row[DRAW])
        stamps, reached = {}, row[SCHEDULED]
        for name in STAMPS:
            known = row[name] != ABSENT
            reached += row[name] if known else 0
            stamps[f"{name}_ns"] = reached if known else 0
        return Exchange(
            trace_id=trace_id,
            span_id=span_id,
            scheduled_ns=row[SCHEDULED],
            connect_ns=row[CONNECT],
            write_lag_ns=row[WRITE_LAG],
            outcome=OUTCOMES[row[OUTCOME]],
            stamp=STAMP_KINDS[row[STAMP]],
            reply=Reply(self.statuses[row[STATUS]], {}, b""),
            reason=self.reasons[row[REASON]],
            variant=row[VARIANT],
            slot=row[SLOT],
            lost=LOST_KINDS[row[LOST]] if row[LOST] != ABSENT else None,
            **stamps,
        )

    @classmethod
    def of(cls, exchanges: Sequence[Exchange], keep: Keep = in_memory) -> "Requests":
        """Build the record from individual exchanges."""
        reasons, statuses = Texts(), Texts()
        columns = Columns(keep)
        for at in range(0, len(exchanges), PAGE_ROWS):
            page = exchanges[at : at + PAGE_ROWS]
            columns.append(dict(_page_of(page, at, reasons, statuses)), len(page))
        ids = [(one.trace_id, one.span_id) for one in exchanges]
        return cls(columns, IdsAsText(ids.__getitem__), reasons.all(), statuses.all())


def stamp_columns(scheduled: Int64, stamps: Mapping[str, Int64]) -> dict[str, Int64]:
    """Convert absolute stamps into the columns that store them.

    Args:
        scheduled: in ns.
        stamps: one column for each of `STAMPS`, in ns; 0: never reached.
    """
    columns, before = {SCHEDULED: scheduled}, scheduled
    for name in STAMPS:
        at = stamps[name]
        columns[name] = np.where(at == 0, ABSENT, at - before)
        before = np.where(at == 0, before, at)
    return columns


def _page_of(
    page: Sequence[Exchange], first: int, reasons: Texts, statuses: Texts
) -> Iterator[tuple[str, Int64]]:
    def column(values: Iterable[int]) -> Int64:
        return np.fromiter(values, np.int64, len(page))

    at = {name: column(getattr(one, f"{name}_ns") for one in page) for name in STAMPS}
    yield from stamp_columns(column(one.scheduled_ns for one in page), at).items()
    yield CONNECT, column(one.connect_ns for one in page)
    yield WRITE_LAG, column(one.write_lag_ns for one in page)
    yield SLOT, column(one.slot for one in page)
    yield VARIANT, column(one.variant for one in page)
    yield OUTCOME, column(OUTCOME_CODES[one.outcome] for one in page)
    yield STAMP, column(STAMP_CODES[one.stamp] for one in page)
    yield LOST, column(LOST_CODES[one.lost] for one in page)
    yield REASON, column(reasons.number(one.reason) for one in page)
    yield STATUS, column(statuses.number(one.reply.status) for one in page)
    yield DRAW, np.arange(first, first + len(page))

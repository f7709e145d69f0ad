"""Every request as a row of a CSV or Parquet file, written page by page from the columns."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tracebench.analysis.closure.each_request import RequestsPage, each_request
from tracebench.analysis.streams.hung_up import OF_THE_FIRST
from tracebench.analysis.streams.streams import answered, by_request
from tracebench.model.measurement import Record
from tracebench.model.record import requests as stamps
from tracebench.model.record.columns import ABSENT, Int64
from tracebench.model.record.requests import (
    LOST_KINDS,
    OUTCOMES,
    STAMP_KINDS,
    STAMPS,
    Requests,
)
from tracebench.model.record.server_times import PROBLEM, PROBLEMS, SOURCE, SOURCES
from tracebench.model.record.streams import UNTOLD, Streams
from tracebench.system.output_files import replaced

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST: Final = (
    *("target", "scheduled_ns", "trace_id", "span_id", "payload", "slot", "outcome", "reason"),
    *("status", "sent_again", "arrival_stamp", "server_timing_source", "undecomposed"),
    *(f"to_{name}_ns" for name in STAMPS),
)
_TEXTS: Final = frozenset(
    {
        *("target", "trace_id", "span_id", "outcome", "reason", "status", "sent_again"),
        *("arrival_stamp", "server_timing_source", "undecomposed"),
    }
)
_OF_STREAMS: Final = ("ttft", "ttft_service", "first_text", "tpot", "generation", "ending")
_TOKENS: Final = ("input", "output")

Column: TypeAlias = Int64 | list[str]
"""Integers, with `ABSENT` for missing values; or texts, empty if missing."""
Kept: TypeAlias = Sequence[tuple[str, Record]]
"""Pairs of target and record; a target measured in several pieces has several records."""


def write(path: str, kept: Kept) -> None:
    """Write all requests, for each target in the order in which they ended.

    Args:
        path: ends in .csv or .parquet.
        kept: at least one pair of target and record.

    Raises:
        OSError: it cannot be written; an existing file is unchanged.
        ImportError: the format is Parquet and pyarrow is not installed.
    """
    names = columns_of(kept)
    with replaced(path) as file:
        if Path(path).suffix.lower() == ".parquet":
            _write_parquet(file, names, kept)
        else:
            _write_csv(file, names, kept)


def arrays(kept: Kept) -> dict[str, npt.NDArray[Any]]:
    """All requests as arrays, one a column, in the order of the file's rows.

    Texts are empty where they are missing. Numbers are int64, or float64 with NaN where some are
    missing: all of these are durations, which a float64 holds exactly up to 104 days.
    """
    names = columns_of(kept)
    pages = [columns for columns, _ in _pages(names, kept)]
    return {name: _joined([columns[name] for columns in pages]) for name in names}


def _joined(pieces: Sequence[Column]) -> npt.NDArray[Any]:
    texts = [text for piece in pieces if isinstance(piece, list) for text in piece]
    if texts or not pieces:
        return np.array(texts, np.str_)
    numbers = np.concatenate([np.asarray(piece, np.int64) for piece in pieces])
    absent = numbers == ABSENT
    return np.where(absent, np.nan, numbers) if absent.any() else numbers


def columns_of(kept: Kept) -> list[str]:
    """The columns of the file: the same for all targets."""
    found = dict.fromkeys(_FIRST)
    for _, record in kept:
        page = next(each_request(record.requests, record.times), None)
        if page is not None:
            found |= dict.fromkeys(f"{name}_ns" for name in page.components_ns)
    if any(record.streams is not None and len(record.streams) for _, record in kept):
        found |= dict.fromkeys(f"{name}_ns" for name in _OF_STREAMS)
        found |= dict.fromkeys((*(f"{name}_tokens" for name in _TOKENS), "events"))
    return [*found]


def _pages(names: Sequence[str], kept: Kept) -> Iterator[tuple[dict[str, Column], int]]:
    """Yield the columns of each page and its number of rows."""
    for target, record in kept:
        streamed = _StreamColumns.of(record)
        for page in each_request(record.requests, record.times):
            told = {**_of_page(target, record, page), **streamed.of_page(page)}
            count = page.rows.count
            yield {name: told.get(name, np.full(count, ABSENT)) for name in names}, count


def _of_page(target: str, record: Record, page: RequestsPage) -> dict[str, Column]:
    rows, requests = page.rows, record.requests
    trace_ids, span_ids = _ids(requests, rows[stamps.DRAW])
    columns: dict[str, Column] = {
        "target": [target] * rows.count,
        "scheduled_ns": rows[stamps.SCHEDULED] + record.epoch_ns,
        "trace_id": trace_ids,
        "span_id": span_ids,
        "payload": rows[stamps.VARIANT],
        "slot": rows[stamps.SLOT],
        "outcome": _texts(rows[stamps.OUTCOME], [one.value for one in OUTCOMES]),
        "reason": _texts(rows[stamps.REASON], requests.reasons),
        "status": _texts(rows[stamps.STATUS], requests.statuses),
        "sent_again": _texts(rows[stamps.LOST], [one.value for one in LOST_KINDS]),
        "arrival_stamp": _arrivals(page),
        "server_timing_source": _texts(
            np.where(page.decomposed, page.times[SOURCE], ABSENT), SOURCES
        ),
        "undecomposed": _undecomposed(page),
    }
    columns |= {f"to_{name}_ns": rows.since_scheduled(name) for name in STAMPS}
    return columns | {f"{name}_ns": ns for name, ns in page.components_ns.items()}


def _texts(places: Int64, texts: Sequence[str]) -> list[str]:
    """The texts at these indices; empty where an index is `ABSENT`."""
    return ["" if at == ABSENT else texts[at] for at in places.tolist()]


def _arrivals(page: RequestsPage) -> list[str]:
    """How each reply's arrival was stamped; empty if there was no reply."""
    arrived = page.rows[stamps.ARRIVED] != ABSENT
    kinds = np.where(arrived, page.rows[stamps.STAMP], ABSENT)
    return _texts(kinds, [one.value for one in STAMP_KINDS])


def _undecomposed(page: RequestsPage) -> list[str]:
    """Why each request was not decomposed; empty if it was or did not succeed."""
    problems = page.times[PROBLEM]
    negative = PROBLEMS.index(next(p for p in PROBLEMS if p.name == "NEGATIVE_NETWORK"))
    why = np.where(problems == ABSENT, negative, problems)
    told = np.where(page.rows.succeeded & ~page.decomposed, why, ABSENT)
    return _texts(told, [one.value for one in PROBLEMS])


def _ids(requests: Requests, draws: Int64) -> tuple[list[str], list[str]]:
    try:
        words = requests.ids.words(draws)
    except ValueError:  # another client need not write ids as hexadecimal digits
        pairs = [requests.ids(draw) for draw in draws.tolist()]
        return [trace for trace, _ in pairs], [span for _, span in pairs]
    high, low, span = (one.tolist() for one in words)
    traces = [f"{first:016x}{last:016x}" for first, last in zip(high, low, strict=True)]
    return traces, [f"{one:016x}" for one in span]


class _StreamColumns:
    """The stream columns of a record, looked up by the draws of its requests."""

    def __init__(self, draws: Int64, columns: Mapping[str, Int64]) -> None:
        self._order = np.argsort(draws)
        self._draws, self._columns = draws[self._order], columns

    @classmethod
    def of(cls, record: Record) -> "_StreamColumns":
        """Build them for one record; without streams there are no columns."""
        if record.streams is None or not len(record.streams):
            return cls(np.zeros(0, np.int64), {})
        return cls(*_stream_columns(record.requests, record.streams))

    def of_page(self, page: RequestsPage) -> dict[str, Int64]:
        """The columns of one page; `ABSENT` for requests without a stream."""
        if not len(self._draws):
            return {}
        wanted = page.rows[stamps.DRAW]
        at = np.minimum(np.searchsorted(self._draws, wanted), len(self._draws) - 1)
        known, places = self._draws[at] == wanted, self._order[at]
        return {name: np.where(known, ns[places], ABSENT) for name, ns in self._columns.items()}


def _stream_columns(requests: Requests, streams: Streams) -> tuple[Int64, dict[str, Int64]]:
    ended = answered(requests, streams)
    hung_up = answered(requests, streams, which=lambda rows: rows.abandoned)
    values_ns, of_first_ns = by_request(ended), by_request(hung_up)
    none = np.full(len(hung_up.rows), ABSENT)
    columns = {
        f"{name}_ns": np.concatenate(
            (values_ns[name], of_first_ns[name] if name in OF_THE_FIRST else none)
        )
        for name in _OF_STREAMS
    }
    rows = np.concatenate((ended.rows, hung_up.rows))
    for name in _TOKENS:
        counts = rows[name].astype(np.int64)
        columns[f"{name}_tokens"] = np.where(counts == UNTOLD, ABSENT, counts)
    columns["events"] = rows["events"].astype(np.int64)
    return rows["draw"].astype(np.int64), columns


def _write_csv(file: BinaryIO, names: Sequence[str], kept: Kept) -> None:
    text = TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(names)
    for columns, _ in _pages(names, kept):
        rows.writerows(zip(*(_cells(column) for column in columns.values()), strict=True))
    text.flush()
    text.detach()  # whoever opened the file closes it


def _cells(column: Column) -> Sequence[Any]:
    if isinstance(column, list):
        return column
    if not (column == ABSENT).any():
        values: list[int] = column.tolist()
        return values
    return ["" if value == ABSENT else value for value in column.tolist()]


def _write_parquet(file: BinaryIO, names: Sequence[str], kept: Kept) -> None:
    import pyarrow as pa  # the extra `samples` (170 MB) is needed only here
    from pyarrow import parquet  # as above

    texts = pa.dictionary(pa.int32(), pa.string())
    ids = {"trace_id", "span_id"}  # all distinct, so a dictionary would not save space
    kinds = {n: pa.string() if n in ids else texts if n in _TEXTS else pa.int64() for n in names}
    schema = pa.schema([*kinds.items()])
    with parquet.ParquetWriter(file, schema, compression="zstd") as rows:
        for columns, _ in _pages(names, kept):
            arrays = [_array(pa, column, kinds[name]) for name, column in columns.items()]
            rows.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _array(pa: Any, column: Column, kind: "pa.DataType") -> "pa.Array":
    if isinstance(column, list):
        return pa.array([one or None for one in column], pa.string()).cast(kind)
    return pa.array(column, kind, mask=column == ABSENT)

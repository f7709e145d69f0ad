"""After the window: turn rows and reply texts into requests and the server's timings."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tracebench.analysis.summary.failures import MOST_REASONS, OTHER, folded, said
from tracebench.load.recording.replies import NONE, WHOLE, Log
from tracebench.load.recording.rows import ROW, RowRecorder, Rows
from tracebench.load.wire.codec import RawReply
from tracebench.model.record import requests as columns_of
from tracebench.model.record.columns import ABSENT, Columns, Int64
from tracebench.model.record.exchange import Outcome, Reply, Timing
from tracebench.model.record.requests import OUTCOME_CODES, Ids, Requests, Texts, stamp_columns
from tracebench.model.record.server_times import PartNames, ServerTimes, TimesPage
from tracebench.system.redaction import NO_SECRETS, Secrets
from tracebench.tracing.mirror import timings

_SUCCEEDED, _FAILED, _TIMED_OUT = (
    OUTCOME_CODES[one] for one in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT)
)
_DEADLINE: Final = "DEADLINE_EXCEEDED"
"""The server noticed the timeout before the client did."""
_CANNOT_CONNECT: Final = "cannot connect: "

Read = Callable[[RawReply], tuple[Reply, str]]
Told = Callable[[int, int], None]


def _untold(_rows: int, _of: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Record:
    """The record of a window, read."""

    requests: Requests
    times: ServerTimes
    learnt: int
    """Number of replies that matched a learnt pattern."""


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """How to read a record."""

    read: Read
    """The protocol's reader of kept replies."""
    ids: Ids
    """The ids of requests, by draw."""
    timeout_ns: int = sys.maxsize
    """A failure after this long counts as a timeout, whichever side noticed it first."""
    secrets: Secrets = NO_SECRETS
    """Secrets to hide wherever a failed reply, or its reason, repeats them."""
    faults: Mapping[int, str] = field(default_factory=dict)
    """Draw → why a complete reply counts as failed."""
    untraced_from: int = 0
    """Variants from this one on are copies of the first ones that ask for no trace; 0: none are."""
    timings: Mapping[int, Timing] = field(default_factory=dict)
    """Draw → timing from the end of a stream; takes precedence over that in the head."""


def read_record(recorder: RowRecorder, how: ReadRecord, told: Told = _untold) -> Record:
    """Read a record page by page, releasing it along the way.

    Args:
        recorder: must be closed.
        how: how to read it.
        told: called after each page with the number of rows so far, and in all.
    """
    spill = recorder.spill
    spill.settle()
    reading = _Reader(recorder, how)
    requests, times = Columns(spill.keep), Columns(spill.keep)
    total = len(recorder)
    for number, held in enumerate(recorder.take_pages()):
        rows = np.frombuffer(held.read(), ROW)
        page = reading.page(number, rows)
        requests.append(page.requests, len(rows))
        times.append(page.times.columns, len(rows))
        spill.release(held)
        told(len(requests), total)
    reasons = reading.reasons
    return Record(
        Requests(requests, how.ids, reasons.all(), reading.statuses.all(), reading.examples),
        ServerTimes(times, reading.names.unlisted),
        reading.learnt,
    )


class _Page:
    """One page being converted from rows to columns."""

    def __init__(self, rows: Rows, names: PartNames) -> None:
        self.rows = rows
        self.outcome = np.full(len(rows), _FAILED)
        self.status, self.reason = np.zeros((2, len(rows)), np.int64)
        self.times = TimesPage(len(rows), names)
        self.requests: dict[str, Int64] = {}


class _Reader:
    def __init__(self, recorder: RowRecorder, how: ReadRecord) -> None:
        self._recorder, self._how = recorder, how
        self._whole = recorder.replies.whole()
        self._logs = recorder.replies.logs
        self.reasons, self.statuses = Texts(), Texts()
        self.examples: dict[str, str] = {}
        self._kinds: set[str] = set()
        self.names = PartNames()
        self.learnt = 0

    def page(self, number: int, rows: Rows) -> _Page:
        """Read one page."""
        page = _Page(rows, self.names)
        for log in self._logs:
            at = np.flatnonzero(rows["reply"] == log.number)
            self._of_form(page, log, at, log.of_page(number))
        self._kept_whole(page, np.flatnonzero(rows["reply"] == WHOLE))
        self._without_reply(page, np.flatnonzero(rows["reply"] == NONE))
        self._late(page)
        self._faulty(page)
        self._told_at_the_end(page)
        page.requests = self._columns(page)
        return page

    def _of_form(self, page: _Page, log: Log, at: Int64, texts: bytes) -> None:
        """Read the timings of all replies of one pattern together."""
        self.learnt += len(at)
        page.outcome[at] = _SUCCEEDED
        page.status[at] = self.statuses.number(log.form.status)
        if (layout := log.form.layout) is None or not len(at):
            return
        bulk = layout.read_all(texts, len(at))
        plain = np.delete(np.arange(len(at)), list(bulk.others))
        parts_ns = {name: values_ns[plain] for name, values_ns in bulk.parts_ns.items()}
        page.times.put(at[plain], bulk.total_ns[plain], parts_ns, log.form.came_with)
        for row, timing in bulk.others.items():
            if isinstance(timing, Timing):
                timing = timing._replace(came_with=log.form.came_with)
            page.times.put_one(int(at[row]), timing)

    def _kept_whole(self, page: _Page, at: Int64) -> None:
        """Read the replies kept whole; those that match a pattern learnt later are read with it."""
        early: dict[Log, tuple[list[int], bytearray]] = {}
        for row, raw in zip(at.tolist(), self._whole, strict=False):
            log, text = self._matched(raw)
            if log is None:
                self._one_by_one(page, row, raw)
            else:
                rows, texts = early.setdefault(log, ([], bytearray()))
                rows.append(row)
                texts += text
        for log, (rows, texts) in early.items():
            self._of_form(page, log, np.array(rows), bytes(texts))

    def _matched(self, raw: RawReply) -> tuple[Log | None, bytes]:
        for log in self._logs:
            if (text := log.form.match(raw)) is not None:
                return log, text
        return None, b""

    def _one_by_one(self, page: _Page, row: int, raw: RawReply) -> None:
        reply, reason = self._how.read(raw)
        page.status[row] = self.statuses.number(reply.status)
        if not reason:
            page.outcome[row] = _SUCCEEDED
            page.times.put_one(row, timings.read_timing(reply))
            return
        page.outcome[row] = _TIMED_OUT if reply.status == _DEADLINE else _FAILED
        page.reason[row] = self._reason(reason, reply)

    def _without_reply(self, page: _Page, at: Int64) -> None:
        """Handle exchanges that failed in the client, or were never answered."""
        errors, unsent = page.rows["error"][at], page.rows["sent"][at] == 0
        given = page.rows["outcome"][at].astype(np.int64)
        page.outcome[at] = np.where(given == 0, _FAILED, given - 1)
        never_connected = unsent & (page.outcome[at] == _FAILED)
        texts = self._recorder.errors
        for which, before in ((~never_connected, ""), (never_connected, _CANNOT_CONNECT)):
            for error in np.unique(errors[which]).tolist():
                page.reason[at[which & (errors == error)]] = self._reason(before + texts[error])

    def _late(self, page: _Page) -> None:
        sent, done = page.rows["sent"], page.rows["done"]
        late = (page.outcome == _FAILED) & (sent != 0) & (done - sent >= self._how.timeout_ns)
        page.outcome[late] = _TIMED_OUT

    def _faulty(self, page: _Page) -> None:
        faults, draws = self._how.faults, page.rows["draw"]
        for row in np.flatnonzero(np.isin(draws, list(faults))).tolist():
            page.outcome[row] = _FAILED
            page.reason[row] = self._reason(faults[int(draws[row])])

    def _told_at_the_end(self, page: _Page) -> None:
        timings, draws = self._how.timings, page.rows["draw"]
        if not timings:
            return
        for row in np.flatnonzero(np.isin(draws, list(timings))).tolist():
            page.times.replace_one(row, timings[int(draws[row])])

    def _reason(self, reason: str, reply: Reply | None = None) -> int:
        """The number of a reason; from the second of its kind on, variants are folded into one."""
        reason = self._how.secrets.hide(reason)
        kind = folded(reason)
        if reason not in self.reasons and kind in self._kinds:
            reason = kind
        if reason not in self.reasons and len(self.reasons) > MOST_REASONS:
            reason = OTHER
        self._kinds.add(kind)
        if reply is not None and (example := said(hidden(reply, self._how.secrets))):
            self.examples.setdefault(reason, example)
        return self.reasons.number(reason)

    def _columns(self, page: _Page) -> dict[str, Int64]:
        rows = page.rows
        scheduled, arrived = rows["scheduled"], rows["arrived"]
        first_byte, ready = rows["first_byte"], rows["ready"]
        stamps = {
            columns_of.READY: np.where(ready == 0, scheduled, ready),
            columns_of.SENT: rows["sent"],
            columns_of.FIRST_BYTE: np.where(first_byte == 0, arrived, first_byte),
            columns_of.ARRIVED: arrived,
            columns_of.DONE: rows["done"],
        }
        copied = {
            name: rows[name].astype(np.int64)
            for name in (
                columns_of.CONNECT,
                columns_of.WRITE_LAG,
                columns_of.SLOT,
                columns_of.VARIANT,
                columns_of.DRAW,
                columns_of.STAMP,
            )
        }
        told = {
            columns_of.OUTCOME: page.outcome,
            columns_of.STATUS: page.status,
            columns_of.REASON: page.reason,
            columns_of.LOST: np.where(rows["lost"] == 0, ABSENT, rows["lost"].astype(np.int64) - 1),
        }
        if count := self._how.untraced_from:
            variant = copied[columns_of.VARIANT]
            told |= {columns_of.TRACED: (variant < count).astype(np.int64)}
            told |= {columns_of.VARIANT: variant % count}
        return stamp_columns(scheduled, stamps) | copied | told


def hidden(reply: Reply, secrets: Secrets) -> Reply:
    """A reply with the secrets that it repeats hidden."""
    headers = {name: secrets.hide(value) for name, value in reply.headers.items()}
    return reply._replace(headers=headers, body=secrets.hide_bytes(reply.body))

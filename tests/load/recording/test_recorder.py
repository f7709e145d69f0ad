"""Rows of every kind, over several pages, read back: nothing is lost or changes places."""

import string
from collections.abc import Callable, Iterator
from itertools import islice, product
from random import Random

import numpy as np
import pytest

from tests.load.wire.told import HTTP, recorded
from tests.records import numbered
from tracebench.analysis.summary.failures import MOST_REASONS, OTHER, count_errors
from tracebench.load.recording.read_record import ReadRecord, Record, read_record
from tracebench.load.recording.replies import MOST_FORMS, Log, Replies
from tracebench.load.recording.rows import (
    MOST_ERRORS,
    OTHER_ERROR,
    PAGE_BYTES,
    PLAIN,
    ROW_BYTES,
    RowRecorder,
    plain_tag,
)
from tracebench.load.recording.spill import Spill
from tracebench.load.wire.codec import RawReply, Slot
from tracebench.model.record.columns import PAGE_ROWS
from tracebench.model.record.exchange import Lost, Outcome, Reply, Stamp, Timing

PAGES_AND_A_BIT = 2 * PAGE_ROWS + 10
REPLY = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Timing-Info: {"total": %.9f}\r\n\r\n'


def recorder(replies: Replies | None = None) -> RowRecorder:
    return RowRecorder(replies or Replies(HTTP.learn, lambda callback: callback()), Spill())


def read(record: RowRecorder, timeout_ns: int = 2**62) -> Record:
    return read_record(record, ReadRecord(HTTP.read, numbered(), timeout_ns))


def slot(**stamps: int) -> Slot:
    made = Slot(lambda _slot: None)
    for name, value in stamps.items():
        setattr(made, name, value)
    return made


def words() -> Iterator[str]:
    """Texts that differ in more than a number, none of which could be one in hexadecimal."""
    return ("no " + "".join(letters) for letters in product(string.ascii_lowercase[7:], repeat=3))


def test_plain_rows_mean_what_full_ones_do() -> None:
    """The hot path writes the first fields of a row, and the text of its timings, by itself."""
    plain, full = recorder(), recorder()
    for one in (plain, full):
        one.replies.take((REPLY % 1,))
        one.replies.begin(one.spill)
    (log,) = plain.replies.logs
    for n in range(PAGES_AND_A_BIT):
        due_ns, reply = 10**12 + n * 1_000, (REPLY % (n / 1e9),)
        used = slot(scheduled_ns=due_ns, ready_ns=due_ns, sent_ns=due_ns + 5, number=n % 7, draw=n)
        used.first_byte_ns, used.reply = due_ns + 90, reply
        full.write(used, due_ns + 90, due_ns + 95, Stamp.KERNEL)
        text = log.form.match(reply)
        assert text is not None
        stamps = due_ns, due_ns + 5, due_ns + 90, due_ns + 95
        PLAIN(plain.page, plain.at, *stamps, n, plain_tag(n % 7, log.number))
        log.texts += text
        plain.at += ROW_BYTES
        if plain.at == PAGE_BYTES:
            plain.turn()
    records = []
    for one in (plain, full):
        one.close()
        assert len(one) == PAGES_AND_A_BIT
        records.append(read(one))
    first, second = records
    assert [rows.count for rows in first.requests.pages()] == [PAGE_ROWS, PAGE_ROWS, 10]
    for columns, others in (
        (first.requests.columns, second.requests.columns),
        (first.times.columns, second.times.columns),
    ):
        assert columns.names == others.names
        assert all((columns.whole(name) == others.whole(name)).all() for name in columns.names)
    assert (first.times.columns.whole("total") == np.arange(PAGES_AND_A_BIT)).all()
    assert first.requests.exchange(70_000) == second.requests.exchange(70_000)


def test_every_field_of_a_row_is_read_back() -> None:
    one = recorder()
    used = slot(
        scheduled_ns=1_000, ready_ns=2_000, sent_ns=2_500, first_byte_ns=7_000_000_000, number=3
    )
    used.connect_ns, used.write_lag_ns, used.variant, used.draw = 900, 50, 70_000, 4_000_000_000
    used.lost, used.reply = Lost.REFUSED, (REPLY % 1e-6,)
    one.write(used, 7_000_000_500, 7_000_000_600, Stamp.SHARED)
    one.close()
    exchange = read(one).requests.exchange(0)
    assert int(exchange.trace_id, 16) == 4_000_000_000
    assert (exchange.scheduled_ns, exchange.ready_ns, exchange.sent_ns) == (1_000, 2_000, 2_500)
    assert exchange.first_byte_ns == 7_000_000_000
    assert (exchange.arrived_ns, exchange.done_ns) == (7_000_000_500, 7_000_000_600)
    assert (exchange.connect_ns, exchange.write_lag_ns) == (900, 50)
    assert (exchange.variant, exchange.slot) == (70_000, 3)
    assert (exchange.lost, exchange.stamp) == (Lost.REFUSED, Stamp.SHARED)
    assert (exchange.outcome, exchange.reply.status) == (Outcome.SUCCEEDED, "200")


@pytest.mark.parametrize("outcome", [None, *Outcome])
@pytest.mark.parametrize("sent_ns", [0, 20])
def test_without_a_reply_the_outcome_is_the_one_given(
    outcome: Outcome | None, sent_ns: int
) -> None:
    one, used = recorder(), slot(scheduled_ns=10, ready_ns=10, sent_ns=sent_ns)
    used.error = "reset"
    one.write(used, 0, 50, Stamp.USER, outcome)
    one.close()
    exchange = read(one).requests.exchange(0)
    assert exchange.outcome is (outcome or Outcome.FAILED)
    assert (exchange.sent_ns, exchange.arrived_ns, exchange.first_byte_ns) == (sent_ns, 0, 0)
    failed_to_connect = not sent_ns and outcome in (None, Outcome.FAILED)
    assert exchange.reason == ("cannot connect: reset" if failed_to_connect else "reset")


@pytest.mark.parametrize(("done_ns", "outcome"), [(1_019, "failed"), (1_020, "timed_out")])
def test_what_fails_after_the_timeout_has_timed_out(done_ns: int, outcome: str) -> None:
    one, used = recorder(), slot(scheduled_ns=10, ready_ns=10, sent_ns=20)
    used.reply = (b"HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n",)
    one.write(used, done_ns, done_ns, Stamp.USER)
    one.close()
    assert read(one, timeout_ns=1_000).requests.exchange(0).outcome.value == outcome


def test_errors_are_kept_once_each_and_no_more_than_a_thousand() -> None:
    one, used = recorder(), slot(scheduled_ns=10, ready_ns=10, sent_ns=20)
    errors = list(islice(words(), MOST_ERRORS + 500))
    for error in errors * 2:
        used.error = error
        one.write(used, 0, 50, Stamp.USER)
    one.close()
    assert one.errors == ["", *errors[:MOST_ERRORS], OTHER_ERROR]
    requests = read(one).requests
    assert len(requests.reasons) == 1 + MOST_REASONS + 1
    counted = {error.reason: error.count for error in count_errors(requests)}
    assert counted[errors[0]] == counted[errors[MOST_ERRORS - 1]] == 2
    assert counted[OTHER] == 1_000
    assert sum(counted.values()) == len(requests) == 2 * len(errors)


def failing(reasons: list[str]) -> Record:
    """Replies whose body is the reason why they are no success."""
    raws = [(reason.encode(),) for reason in reasons]
    how = ReadRecord(
        lambda raw: (Reply("500", {}, raw[0]), raw[0].decode()),
        numbered(),
    )
    return read_record(recorded(None, *raws), how)


def test_failures_that_differ_in_an_id_are_one() -> None:
    requests = failing([f"HTTP 500 request {n} failed" for n in range(5_000)]).requests
    assert requests.reasons == ("", "HTTP 500 request 0 failed", "HTTP 500 request … failed")
    (error,) = count_errors(requests)
    assert error.count == 5_000
    assert error.example == "HTTP 500 request 0 failed"


def test_a_failure_that_repeats_keeps_its_words() -> None:
    requests = failing(["HTTP 500 disk 7 is full"] * 100).requests
    assert requests.reasons == ("", "HTTP 500 disk 7 is full")


def test_failures_of_more_kinds_than_are_kept_are_counted() -> None:
    reasons = list(islice(words(), MOST_REASONS + 500))
    requests = failing([*reasons, *reasons[:3]]).requests
    assert len(requests.reasons) == 1 + MOST_REASONS + 1
    counts = {error.reason: error.count for error in count_errors(requests)}
    assert counts[OTHER] == 500
    assert counts[reasons[0]] == 2
    assert sum(counts.values()) == len(requests)


def test_whole_replies_fill_many_pieces() -> None:
    random = Random(1)
    raws: list[RawReply] = [
        tuple(random.randbytes(random.randrange(1_500)) for _ in range(random.choice((1, 3, 4))))
        for _ in range(4_000)
    ]
    raws += [(b"", b""), (bytes(3 * 2**20),), (b"the last",)]
    replies = Replies(None, lambda _callback: None)
    replies.begin(Spill(2**20))
    for raw in raws:
        replies.take(raw)
    replies.turn()
    assert list(replies.whole()) == raws
    assert len(replies._pieces) > 5


def variety(random: Random, n: int) -> tuple[RawReply | None, int | None]:
    """A reply of one of three forms, one that is none, a failure, or nothing; and its total."""
    kind = random.randrange(6)
    plain = REPLY % (n / 1e9)
    if kind == 0:
        return (plain,), n
    if kind == 1:
        return (plain.replace(b"\r\n\r\n", b"\r\nX-Cache: miss\r\n\r\n"),), n
    if kind == 2:
        return (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Silent: %d\r\n\r\n" % n,), None
    if kind == 3:
        odd = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Timing-Info: {"total": %de-9}\r\n\r\n'
        return (odd % n,), n
    if kind == 4:
        return (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",), None
    return None, None


def varied(learns_after: int) -> tuple[Record, list[int | None]]:
    waiting: list[Callable[[], None]] = []
    random, one = Random(5), recorder(Replies(HTTP.learn, waiting.append))
    totals = []
    for n in range(PAGE_ROWS + 10_000):
        used = slot(scheduled_ns=n + 1, ready_ns=n + 1, sent_ns=n + 1, draw=n)
        used.reply, total = variety(random, n)
        totals.append(total)
        one.write(used, n + 2, n + 3, Stamp.KERNEL)
        while waiting and n >= learns_after:
            waiting.pop()()
    one.close()
    return read(one), totals


@pytest.mark.parametrize("learns_after", [0, 10_000, PAGE_ROWS + 5_000])
def test_forms_and_others_come_interleaved_over_pages(learns_after: int) -> None:
    """However late the forms are learnt, each row has its own reply's time."""
    record, totals = varied(learns_after)
    told = record.times.columns.whole("total").tolist()
    assert [max(total, -1) for total in told] == [-1 if one is None else one for one in totals]
    odd_and_failed = sum(one is not None for one in totals)
    assert 0.3 * len(totals) < record.learnt < odd_and_failed + 0.2 * len(totals)
    outcomes = [one.outcome for one in islice(record.requests, 100)]
    assert set(outcomes) == {Outcome.SUCCEEDED, Outcome.FAILED}


def test_a_second_window_knows_the_forms_of_the_first_and_none_of_its_texts() -> None:
    replies = Replies(HTTP.learn, lambda callback: callback())
    for first_ns in (100, 200):
        one = recorder(replies)
        for ns in range(first_ns, first_ns + 50):
            used = slot(scheduled_ns=1, ready_ns=1, sent_ns=1)
            used.reply = (REPLY % (ns / 1e9),)
            one.write(used, 2, 3, Stamp.KERNEL)
        one.close()
        record = read(one)
        assert record.learnt == 50
        told = [time.total_ns for time in record.times if isinstance(time, Timing)]
        assert told == list(range(first_ns, first_ns + 50))
    assert len(list(replies.whole())) == 0


def test_forms_beyond_the_most_are_kept_whole() -> None:
    replies = Replies(HTTP.learn, lambda callback: callback())
    replies.begin(Spill())
    for n in range(2 * MOST_FORMS):
        replies.take((b"HTTP/1.1 200 OK\r\nX-%d: 1\r\nContent-Length: 0\r\n\r\n" % n,))
    assert len(replies.logs) == MOST_FORMS


def test_texts_belong_to_the_page_of_their_rows() -> None:
    replies = Replies(HTTP.learn, lambda callback: callback())
    replies.begin(Spill(1))
    replies.take((REPLY % 1,))
    (log,) = replies.logs
    assert isinstance(log, Log)
    for page in range(3):
        for _ in range(page):
            replies.take((REPLY % page,))
        replies.turn()
    replies._spill.settle()
    assert log.of_page(0) == b""
    assert log.of_page(2) == 2 * b'{"total": 2.000000000}\r'
    assert log.of_page(3) == b""


def test_an_empty_record() -> None:
    recorder = RowRecorder(Replies(None, lambda _callback: None), Spill())
    recorder.close()
    record = read(recorder)
    assert len(record.requests) == len(record.times) == record.learnt == 0
    assert record.requests.duration_ns == 0

"""Reading traces back: whole ones, late ones, missing ones, and backends that fail."""

import socket
import threading
from collections import Counter

from tests.servers import read_request, reply
from tests.tracing.jaeger.jaegers import NOTHING, OTLP, ROOT, TRACE, answering, modern, on
from tracebench.model.record.span import Span
from tracebench.tracing.jaeger.fetch import ReadBack, Waits, read_back
from tracebench.tracing.jaeger.query_api import QueryApi

AT_ONCE = Waits(settle_s=0, quiet_s=0, longest_s=60, pause_s=0)
PATIENT = Waits(settle_s=0, quiet_s=60, longest_s=60, pause_s=0)
NO_ENTRY = "they hold no span of the server that is a child of tracebench's"


def read_all(api: QueryApi, roots: dict[str, str], waits: Waits) -> tuple[ReadBack, Counter[str]]:
    """What was found, and how many spans were taken of each trace."""
    taken: list[Span] = []
    found = read_back(api, roots, taken.extend, waits)
    return found, Counter(span.trace_id for span in taken)


def other(number: int) -> str:
    return f"{number:032x}"


def renamed(path: str) -> bytes:
    """Every trace is the recorded one under another id."""
    return reply(OTLP.replace(TRACE.encode(), path.split("/")[-1].split("?")[0].encode()))


def test_each_trace_is_taken_once() -> None:
    roots = {other(number): ROOT for number in range(1, 601)}
    with answering(renamed) as api:
        found, taken = read_all(api, roots, PATIENT)
    assert found == ReadBack(600, 0, "")
    assert taken == dict.fromkeys(roots, 5)


def test_a_trace_that_is_not_whole_is_asked_for_until_it_is() -> None:
    unfinished = OTLP.replace(
        f'"parentSpanId":"{ROOT}"'.encode(), b'"parentSpanId":"ff00ff00ff00ff00"'
    )
    asked: list[str] = []

    def slow(path: str) -> bytes:
        asked.append(path)
        return (NOTHING, reply(unfinished), reply(OTLP))[len(asked) - 1]

    with answering(slow) as api:
        assert read_all(api, {TRACE: ROOT}, PATIENT) == (ReadBack(1, 0, ""), {TRACE: 5})
    assert len(asked) == 3


def test_those_that_never_come_are_counted() -> None:
    roots = {other(1): ROOT, TRACE: ROOT, other(2): ROOT}
    with answering(modern) as api:
        assert read_all(api, roots, AT_ONCE) == (ReadBack(3, 2, NO_ENTRY), {TRACE: 5})


def test_what_an_old_store_threw_away_does_not_keep_it_from_the_rest() -> None:
    roots = {other(number): ROOT for number in range(1, 1_001)} | {TRACE: ROOT}
    with answering(modern) as api:
        found, taken = read_all(api, roots, AT_ONCE)
    assert (found.missing, taken) == (1_000, {TRACE: 5})


def test_time_is_bounded() -> None:
    hurried = Waits(settle_s=0, quiet_s=60, longest_s=0, pause_s=0)
    with answering(modern) as api:
        found, _ = read_all(api, {other(1): ROOT}, hurried)
    assert found == ReadBack(1, 1, "reading them took more than 0 s")


def test_nothing_is_asked_for_where_nothing_succeeded() -> None:
    assert read_all(QueryApi("http://127.0.0.1:1"), {}, Waits()) == (ReadBack(0, 0, ""), {})


def test_a_backend_that_goes_away_is_a_reason_and_no_error() -> None:
    api = QueryApi("http://127.0.0.1:1")
    found, _ = read_all(api, {TRACE: ROOT}, PATIENT)
    assert (found.asked, found.missing) == (1, 1)
    assert "refused" in found.reason


def test_what_was_read_before_it_failed_is_kept() -> None:
    # The newest is asked for first.
    roots = {other(1): ROOT, TRACE: ROOT}

    def failing(path: str) -> bytes:
        return modern(path) if TRACE in path else reply(b"?", "500 Internal Server Error")

    with answering(failing) as api:
        assert read_all(api, roots, PATIENT) == (ReadBack(2, 1, "HTTP 500"), {TRACE: 5})


def test_an_answer_that_breaks_off_is_a_reason_and_no_error() -> None:
    def breaking(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(reply(OTLP)[:-1_000])

    with on(breaking) as api:
        found, _ = read_all(api, {TRACE: ROOT}, PATIENT)
    assert (found.asked, found.missing) == (1, 1)
    assert "1000 more expected" in found.reason or "incomplete" in found.reason.lower()


def test_no_more_than_a_few_are_asked_for_at_a_time() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def counting(path: str) -> bytes:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        answer = renamed(path)
        with lock:
            under_way -= 1
        return answer

    with answering(counting) as api:
        read_all(api, {other(number): ROOT for number in range(1, 101)}, PATIENT)
    assert most <= 4


def test_an_interrupt_ends_it() -> None:
    def interrupting(spans: object) -> None:
        raise KeyboardInterrupt

    with answering(renamed) as api:
        roots = {other(number): ROOT for number in range(1, 301)}
        found = read_back(api, roots, interrupting, PATIENT)
    assert found.asked == 300
    assert found.missing >= 299
    assert found.reason == "reading was interrupted"

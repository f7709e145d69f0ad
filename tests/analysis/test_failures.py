"""Reasons of failures: what differs from request to request makes no reason of its own."""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.samples import CANCELLED, FAILED, SUCCESS, TIMED_OUT
from tracebench.analysis.summary.failures import (
    MOST_REASONS,
    OTHER,
    count_errors,
    error_types,
    folded,
    said,
)
from tracebench.model.record.exchange import Exchange, Reply
from tracebench.model.record.requests import Requests
from tracebench.model.results.result import ErrorCount

SILENT = Reply("", {}, b"")


def failed(reason: str, reply: Reply = SILENT) -> Exchange:
    return FAILED._replace(reason=reason, reply=reply)


def counted(failures: Iterable[Exchange]) -> tuple[ErrorCount, ...]:
    """As a run counts them: what the server said is kept once a reason."""
    those = list(failures)
    examples = {one.reason: said(one.reply) for one in reversed(those) if said(one.reply)}
    return count_errors(replace(Requests.of(those), examples=examples))


@pytest.mark.parametrize(
    "alike",
    [
        ("RESOURCE_EXHAUSTED: request 8f3a90cc rejected", "RESOURCE_EXHAUSTED: request 7 rejected"),
        ("INTERNAL: no model 'cat'", "INTERNAL: no model 'dog'"),
        ('INTERNAL: no model "cat"', 'INTERNAL: no model "dog, or two"'),
        ("INTERNAL: job deadbeef lost", "INTERNAL: job 01234567 lost"),
        ("UNKNOWN: at 2026-11-03T10:11:12.123Z", "UNKNOWN: at 2027-01-09T00:00:00.5Z"),
        (
            "INTERNAL: abcdefab-abcd-abcd-abcd-abcdefabcdef is gone",
            "INTERNAL: 0af76519-16cd-43dd-8448-eb211c80319c is gone",
        ),
        ("cannot connect: 127.0.0.1:43210 is gone", "cannot connect: 10.0.0.7:5 is gone"),
        ("the message is cut short: 3 of 8 bytes", "the message is cut short: 70 of 1000 bytes"),
        ("HTTP 503, where --expect-json 'a=1'", "HTTP 503, where --expect-json 'a=2'"),
        ("INTERNAL: req_9aZ3kLmQ", "INTERNAL: req_1b2C3d4E"),
    ],
)
def test_numbers_ids_and_quoted_values_make_no_difference(alike: tuple[str, str]) -> None:
    (error,) = counted(map(failed, alike))
    assert (error.count, error.example) == (2, alike[0])
    assert "…" in error.reason


@pytest.mark.parametrize(
    "unlike",
    [
        ("HTTP 500", "HTTP 503"),
        ("grpc-status 99: x", "grpc-status 98: x"),
        ("INTERNAL: request 1", "UNAVAILABLE: request 1"),
        ("INTERNAL: out of memory", "INTERNAL: out of tokens"),
        ("can't read it's 'x'", "can't write it's 'x'"),
        ("INTERNAL", "INTERNAL: 1"),
    ],
)
def test_statuses_and_words_do(unlike: tuple[str, str]) -> None:
    assert [error.reason for error in counted(map(failed, unlike))] == list(unlike)


def test_a_reason_without_variants_keeps_its_numbers() -> None:
    errors = counted([failed("no reply within 30 s")] * 3)
    assert errors == (ErrorCount("no reply within 30 s", 3, ""),)


def test_the_example_is_what_the_server_said_first() -> None:
    replies = [Reply("8", {"grpc-message": f"request {n}"}, b"") for n in (1, 2)]
    found = counted(failed(f"X_Y: request {n}", replies[n - 1]) for n in (1, 2))
    assert found == (ErrorCount("X_Y: request …", 2, "grpc-message: request 1"),)


def test_no_more_reasons_are_kept_than_can_be_looked_at() -> None:
    letters = [
        f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(1_500)
    ]
    found = counted(failed(f"INTERNAL: {word}") for word in [*letters, letters[3]])
    assert len(found) == MOST_REASONS + 1
    assert found[0] == ErrorCount(f"INTERNAL: {letters[3]}", 2, "")
    assert found[-1] == ErrorCount(OTHER, 500, "")
    assert sum(error.count for error in found) == 1_501


@given(st.uuids(), st.uuids(), st.binary(min_size=4, max_size=20), st.integers())
def test_any_id_is_folded(one: UUID, other: UUID, token: bytes, number: int) -> None:
    text = "INTERNAL: {} lost"
    assert folded(text.format(one)) == folded(text.format(other)) == text.format("…")
    assert folded(text.format(token.hex())) == text.format("…")
    assert folded(text.format(f"x{number}")) in (text.format("…"), text.format("x-…"))


@given(st.text(max_size=60))
def test_folding_never_fails_and_settles(text: str) -> None:
    assert folded(folded(text)) == folded(text)


def test_types_are_statuses_or_how_the_requests_ended() -> None:
    odd = FAILED._replace(reason="--expect-json: no", reply=Reply("200", {}, b""))
    unanswered = FAILED._replace(reason="connection refused", reply=SILENT)
    those = [SUCCESS, FAILED, FAILED, odd, unanswered, TIMED_OUT, CANCELLED]
    assert error_types(Requests.of(those)) == {"500": 2, "failed": 2, "timed_out": 1}

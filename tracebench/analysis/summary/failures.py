"""Reasons why requests failed, grouped regardless of the numbers and ids in them."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from tracebench.model.progress import error_type
from tracebench.model.record.columns import ABSENT
from tracebench.model.record.exchange import Outcome, Reply
from tracebench.model.record.requests import (
    OUTCOME,
    OUTCOME_CODES,
    OUTCOMES,
    REASON,
    STATUS,
    Requests,
)
from tracebench.model.results.result import ErrorCount

MOST_REASONS: Final = 1_000
"""How many different reasons are kept; failures beyond them count as `OTHER`."""
OTHER: Final = "other reasons"
_LONGEST_EXAMPLE: Final = 200
_MESSAGES: Final = ("grpc-message", "location", "retry-after")
"""Headers that may say why a request was refused, used if the body does not."""
_STATUS: Final = re.compile(r"(?:HTTP \d{3}|grpc-status \d+|[A-Z][A-Z_]+)(?=\W|$)")
"""The status that a reason starts with; kept in full, since it distinguishes failures."""
_VARIABLE: Final = re.compile(
    r"(?<!\w)'[^']*'(?!\w)"
    r'|"[^"]*"'
    r"|`[^`]*`"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # a UUID
    r"|\b[0-9a-fA-F]{8,}\b"  # an id in hexadecimal, which may happen to have no digit
    r"|\w*\d\w*(?:[-.:,+/]+\w*\d\w*)*"  # a number, an address, a time, any word with a digit
)
"""Text that varies between requests: quoted values, ids and numbers."""
_FOLDED: Final = "…"
_FAILURES: Final = [OUTCOME_CODES[one] for one in (Outcome.FAILED, Outcome.TIMED_OUT)]


def count_errors(requests: Requests) -> tuple[ErrorCount, ...]:
    """Count failures and time-outs by reason, the most frequent first.

    Reasons of one status that differ only in numbers, ids or quoted values are merged; … replaces
    the parts that differ.

    Returns:
        At most `MOST_REASONS` reasons, then `OTHER`. Each has an example: what the server said in
        the first such reply (at most 200 printable characters; empty if it said nothing).
    """
    groups: dict[str, _Group] = {}
    others = 0
    for reason, count in _counts(requests).items():
        key = folded(reason)
        if reason == OTHER or (key not in groups and len(groups) == MOST_REASONS):
            others += count
        else:
            group = groups.setdefault(key, _Group(reason, requests.examples.get(reason, "")))
            group.add(reason, count)
    errors = sorted((group.told() for group in groups.values()), key=lambda error: -error.count)
    return (*errors, ErrorCount(OTHER, others, "")) if others else tuple(errors)


def _counts(requests: Requests) -> Counter[str]:
    """How many requests failed or timed out, by reason number, ascending."""
    found = np.zeros(len(requests.reasons), np.int64)
    for rows in requests.pages():
        failed = np.isin(rows[OUTCOME], _FAILURES)
        found += np.bincount(rows[REASON][failed], minlength=len(found))
    return +Counter(dict(zip(requests.reasons, found.tolist(), strict=True)))


def error_types(requests: Requests) -> Counter[str]:
    """Count failures and time-outs by `error_type`."""
    found: Counter[str] = Counter()
    for rows in requests.pages():
        failed = np.isin(rows[OUTCOME], _FAILURES)
        both = zip(rows[OUTCOME][failed].tolist(), rows[STATUS][failed].tolist(), strict=True)
        for (outcome, status), count in Counter(both).items():
            text = "" if status == ABSENT else requests.statuses[status]
            found[error_type(text, OUTCOMES[outcome].value)] += count
    return found


@lru_cache(maxsize=4_096)
def folded(reason: str) -> str:
    """A reason with … in place of what varies between requests; its status is kept."""
    status = _STATUS.match(reason)
    at = status.end() if status else 0
    return reason[:at] + _VARIABLE.sub(_FOLDED, reason[at:])


@dataclass(slots=True)
class _Group:
    """Failures whose reasons are equal once folded."""

    reason: str
    example: str
    count: int = 0
    differ: bool = False
    """Whether the unfolded reasons differ."""

    def add(self, reason: str, count: int) -> None:
        self.count += count
        self.differ = self.differ or reason != self.reason

    def told(self) -> ErrorCount:
        if not self.differ:
            return ErrorCount(self.reason, self.count, self.example)
        return ErrorCount(folded(self.reason), self.count, self.example or printable(self.reason))


def said(reply: Reply) -> str:
    """A server's message in a reply, as readable text; empty if there is none."""
    told = [reply.body.decode("utf-8", "replace")]
    told += [f"{name}: {reply.headers[name]}" for name in _MESSAGES if name in reply.headers]
    return next(filter(None, map(printable, told)), "")


def printable(text: str) -> str:
    """The start of a text, on one line."""
    one_line = " ".join(text.split())
    return "".join(filter(str.isprintable, one_line))[:_LONGEST_EXAMPLE]

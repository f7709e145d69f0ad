"""Why requests did not succeed."""

from collections.abc import Sequence
from typing import Final

from tracebench.model.exchange import Exchange, Outcome, Reply
from tracebench.model.result import ErrorCount

_LONGEST_EXAMPLE: Final = 200
_MESSAGES: Final = ("grpc-message", "location", "retry-after")
"""Headers that tell why a request was refused, where the body does not."""


def count_errors(exchanges: Sequence[Exchange]) -> tuple[ErrorCount, ...]:
    """Count what failed or timed out by its reason, the most frequent first.

    Returns:
        Each with an example: what the server said in the first such reply, at most 200 printable
        characters, empty where it said nothing.
    """
    by_reason: dict[str, list[Exchange]] = {}
    for one in exchanges:
        if one.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
            by_reason.setdefault(one.reason, []).append(one)
    errors = [
        ErrorCount(reason, len(those), _example(those[0].reply))
        for reason, those in by_reason.items()
    ]
    return tuple(sorted(errors, key=lambda error: -error.count))


def _example(reply: Reply) -> str:
    said = [reply.body.decode("utf-8", "replace")]
    said += [f"{name}: {reply.headers[name]}" for name in _MESSAGES if name in reply.headers]
    return next(filter(None, map(_printable, said)), "")


def _printable(text: str) -> str:
    one_line = " ".join(text.split())
    return "".join(filter(str.isprintable, one_line))[:_LONGEST_EXAMPLE]

"""Token counts requested from a language model, and statistics of conversations by turn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tracebench.analysis.statistics.distribution import describe_present
from tracebench.model.language import Agreement
from tracebench.model.record.columns import Int64
from tracebench.model.record.streams import UNTOLD, Rows
from tracebench.model.results.stream_result import Tokens, Turn


def with_asked(tokens: Tokens, variant: Int64, agreement: Agreement | None) -> Tokens:
    """Add the numbers of tokens requested to those counted.

    Args:
        tokens: the tokens counted.
        variant: index of the target's request that each stream answered; one a stream.
        agreement: what each of these requests asked for; None: unknown, `tokens` is returned as is.
    """
    if agreement is None:
        return tokens
    return replace(
        tokens,
        asked_input=_sum(agreement.input_tokens, variant),
        asked_output=_sum(agreement.output_tokens, variant),
    )


def _sum(asked: Sequence[int | None], variant: Int64) -> int | None:
    """Tokens requested over all streams; None if any request leaves the number open."""
    if not asked or any(one is None for one in asked):
        return None
    each = np.array(asked, np.int64)
    return int(each[variant % len(each)].sum())


def by_turn(
    rows: Rows, variant: Int64, values_ns: Mapping[str, Int64], agreement: Agreement | None
) -> tuple[Turn, ...]:
    """Statistics of each turn of the conversations; empty if there are none.

    Args:
        rows: the streams.
        variant: index of the target's request that each stream answered.
        values_ns: `ttft` and `tpot` of each stream, in ns; `ABSENT` where it has none.
        agreement: gives the turn of each request; None: there are no conversations.
    """
    if agreement is None or not agreement.turns:
        return ()
    turn = np.array(agreement.turns, np.int64)[variant]
    found = []
    for at in np.unique(turn).tolist():
        these = turn == at
        found.append(
            Turn(
                turn=at + 1,
                count=int(np.count_nonzero(these)),
                input_tokens=_mean(rows["input"][these]),
                cached_tokens=_mean(rows["cached"][these]),
                output_tokens=_mean(rows["output"][these]),
                ttft=describe_present(values_ns["ttft"][these]),
                tpot=describe_present(values_ns["tpot"][these]),
            )
        )
    return tuple(found)


def _mean(counts: Int64) -> float | None:
    known = counts[counts != UNTOLD]
    return float(known.mean()) if len(known) else None

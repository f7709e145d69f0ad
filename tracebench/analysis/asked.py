"""What was asked of a language model, beside what came; and conversations, turn by turn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tracebench.analysis.statistics.distribution import describe
from tracebench.model.columns import ABSENT, Int64
from tracebench.model.language import Agreement
from tracebench.model.statistics import Statistics
from tracebench.model.stream_result import Tokens, Turn
from tracebench.model.streams import UNTOLD, Rows


def with_asked(tokens: Tokens, variant: Int64, agreement: Agreement | None) -> Tokens:
    """The tokens of streams, with how many were asked for.

    Args:
        tokens: those that were counted.
        variant: which of the target's requests each stream answered.
        agreement: what each of these asked for; None: it is not known.
    """
    if agreement is None:
        return tokens
    return replace(
        tokens,
        asked_input=_sum(agreement.input_tokens, variant),
        asked_output=_sum(agreement.output_tokens, variant),
    )


def _sum(asked: Sequence[int | None], variant: Int64) -> int | None:
    """Of what some requests asked for; None if one does not say."""
    if not asked or any(one is None for one in asked):
        return None
    each = np.array(asked, np.int64)
    return int(each[variant % len(each)].sum())


def by_turn(
    rows: Rows, variant: Int64, values_ns: Mapping[str, Int64], agreement: Agreement | None
) -> tuple[Turn, ...]:
    """Conversations, turn by turn.

    Args:
        rows: the streams.
        variant: which of the target's requests each answered.
        values_ns: `ttft` and `tpot` of each, in ns; `ABSENT` where it has none.
        agreement: tells the turn of each request; None: there are no conversations.
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
                ttft=_described(values_ns["ttft"][these]),
                tpot=_described(values_ns["tpot"][these]),
            )
        )
    return tuple(found)


def _mean(counts: Int64) -> float | None:
    known = counts[counts != UNTOLD]
    return float(known.mean()) if len(known) else None


def _described(values_ns: Int64) -> Statistics | None:
    known_ns = values_ns[values_ns != ABSENT]
    return describe(known_ns) if len(known_ns) else None

"""What was asked of a language model, beside what came."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tracebench.model.columns import Int64
from tracebench.model.language import Agreement
from tracebench.model.result import Tokens


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

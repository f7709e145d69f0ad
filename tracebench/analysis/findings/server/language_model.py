"""Findings about whether a language model was asked as planned."""

from typing import Final

from tracebench.analysis.advice import Advice
from tracebench.analysis.findings.finding import INFO, Evidence, FindingKind, part_of, weigh
from tracebench.model.results.result import Finding

_FIELDS_REFUSED: Final = FindingKind(
    "fields_refused",
    INFO,
    "the server refuses {names}, so the requests do without: {why}",
    (
        Advice(
            "without ignore_eos, answers end where the model ends them; without stream_options, "
            "events are counted instead of tokens",
            short="the requests do without",
        ),
    ),
    "the server refuses {names}",
)


def _fields_refused(run: Evidence) -> Finding | None:
    if run.load.agreement is None:
        return None
    dropped = run.load.agreement.dropped
    why = next(iter(dropped.values()), "")
    return weigh(_FIELDS_REFUSED, len(dropped), names=" and ".join(dropped), why=why)


_PROMPT_LENGTHS: Final = FindingKind(
    "prompt_lengths",
    ((0.02, "info"), (0.1, "warning")),
    "the prompts have {sent:.4g} tokens (mean) by the server's count, where {asked:.4g} were asked "
    "for: its vocabulary divides some words",
    (
        Advice(
            "name the model's own tokenizer (--tokenizer FILE), or compare by the server's count",
            short="--tokenizer FILE",
        ),
    ),
    "prompts have {sent:.4g} tokens, not {asked:.4g}",
)


def _prompt_lengths(run: Evidence) -> Finding | None:
    if run.stream is None or not run.stream.count:
        return None
    tokens = run.stream.tokens
    if tokens.input is None or tokens.asked_input is None:
        return None
    off = abs(part_of(tokens.input - tokens.asked_input, tokens.asked_input))
    sent, asked = tokens.input / run.stream.count, tokens.asked_input / run.stream.count
    return weigh(_PROMPT_LENGTHS, off, sent=sent, asked=asked)


_WORDS_GUESSED: Final = FindingKind(
    "words_guessed",
    INFO,
    "the server tells no usage, so a word of a prompt was taken for a token",
    (Advice("name the model's tokenizer (--tokenizer FILE)", short="--tokenizer FILE"),),
    "no usage: a word is taken for a token",
)


def _words_guessed(run: Evidence) -> Finding | None:
    agreed = run.load.agreement
    guessed = agreed is not None and agreed.count.counted_by == "none" and agreed.asks_lengths
    return weigh(_WORDS_GUESSED, int(guessed))


KINDS: Final = (_FIELDS_REFUSED, _PROMPT_LENGTHS, _WORDS_GUESSED)
JUDGES: Final = (_fields_refused, _prompt_lengths, _words_guessed)

"""What a language model's server and the tool agreed on before a run, and what was asked of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

CountedBy = Literal["usage", "tokenizer", "none"]


@dataclass(frozen=True, slots=True)
class WordCount:
    """How many tokens a prompt of so many words has: a straight line."""

    overhead: float = 0.0
    """Tokens beside the words: those of the chat template."""
    per_word: float = 1.0
    counted_by: CountedBy = "none"
    """The server's usage, a tokenizer with the server's usage for the overhead, or nobody: then a
    word is taken for a token."""
    worst: float = 0.0
    """How far the line is from what was counted, in tokens, at most."""

    def words(self, tokens: float) -> int:
        """How many words come closest to so many tokens."""
        return round((tokens - self.overhead) / self.per_word)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a model's server is asked."""

    interface: Literal["chat completions", "completions"]
    count: WordCount
    dropped: Mapping[str, str]
    """Fields that the server refuses → what it said; they are not sent."""
    adds_load: tuple[str, ...]
    """Fields of the requests that make the server do more than answer."""
    shares: bool
    """Prompts begin like earlier ones because the plan says so."""
    prompts: int = 0
    """How many different ones there are, or conversations."""
    input_tokens: Sequence[int | None] = ()
    """What each of them asks for, by `Slot.variant`; None: nobody knows."""
    output_tokens: Sequence[int] = ()
    turns: Sequence[int] = ()
    """In which turn of a conversation each is sent, from 0 on; empty: there are none."""

    @property
    def asks_lengths(self) -> bool:
        """Whether the plan says how long prompts are."""
        return any(one is not None for one in self.input_tokens)

    def facts(self) -> dict[str, Any]:
        """For the result file."""
        known = [one for one in self.input_tokens if one is not None]
        return {
            "interface": self.interface,
            "overhead_tokens": self.count.overhead,
            "tokens_per_word": self.count.per_word,
            "counted_by": self.count.counted_by,
            "dropped": dict(self.dropped),
            "adds_load": list(self.adds_load),
            "prompts": self.prompts,
            "input_tokens": [min(known), max(known)] if known else None,
            "output_tokens": [min(self.output_tokens), max(self.output_tokens)],
        }

    def told(self) -> list[str]:
        """For people, a line each."""
        facts = self.facts()
        what = f"conversations of {self.turns[-1] + 1} turns" if self.turns else "prompts"
        lines = [f"{self.interface}, {self.prompts:,} different {what}", self._lengths()]
        by = {
            "usage": "by the server's usage",
            "tokenizer": "by the tokenizer",
            "none": "a guess, since the server tells no usage",
        }
        line = f"{self.count.overhead:.3g} tokens + {self.count.per_word:.4g} a word"
        lines.append(f"{line}, {by[self.count.counted_by]}")
        lines += [f"{name} is not sent: the server refuses it" for name in facts["dropped"]]
        lines += [f"{name} adds load to the server" for name in self.adds_load]
        return lines

    def _lengths(self) -> str:
        facts = self.facts()
        known = facts["input_tokens"]
        asked = f"input {_range(*known)}" if known else "input as in the plan"
        return f"tokens asked for: {asked}, output {_range(*facts['output_tokens'])}"


def _range(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"

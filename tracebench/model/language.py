"""What the tool settled with a language model's server before a run, and what it requested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

CountedBy = Literal["usage", "tokenizer", "none"]


@dataclass(frozen=True, slots=True)
class WordCount:
    """A linear model of the number of tokens in a prompt, given its number of words."""

    overhead: float = 0.0
    """Tokens that the chat template adds to those of the words."""
    per_word: float = 1.0
    counted_by: CountedBy = "none"
    """Source of the counts: the server's usage; a tokenizer, with the server's usage for the
    overhead; or none, in which case each word is assumed to be one token."""
    worst: float = 0.0
    """Largest deviation of the line from the counts, in tokens."""

    def words(self, tokens: float) -> int:
        """The number of words that comes closest to a number of tokens."""
        return round((tokens - self.overhead) / self.per_word)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How requests to a language model's server are made."""

    interface: Literal["chat completions", "completions"]
    count: WordCount
    dropped: Mapping[str, str]
    """Field that the server rejects → its message; such fields are not sent."""
    adds_load: tuple[str, ...]
    """Request fields that make the server do extra work."""
    shares: bool
    """Whether the plan makes prompts begin like earlier ones."""
    prompts: int = 0
    """Number of distinct prompts, or of conversations."""
    input_tokens: Sequence[int | None] = ()
    """Prompt length of each variant (`Slot.variant`); None if unknown."""
    output_tokens: Sequence[int] = ()
    turns: Sequence[int] = ()
    """Turn of a conversation that each variant belongs to, from 0; empty: no conversations."""

    @property
    def asks_lengths(self) -> bool:
        """Whether the length of any prompt is known."""
        return any(one is not None for one in self.input_tokens)

    def facts(self) -> dict[str, Any]:
        """The agreement as plain values, for the result file."""
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
        """The agreement in readable form, one fact per line."""
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

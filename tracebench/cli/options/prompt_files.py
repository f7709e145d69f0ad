"""Reads `--prompts`: lines of text or JSON, ShareGPT's format, and Mooncake's traces."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tracebench.model.errors import UsageError
from tracebench.model.plan import Prompt
from tracebench.system.input_files import read_text

MOST_PROMPTS: Final = 100_000
_MS: Final = 1e-3
_USERS: Final = ("human", "user")
_MODELS: Final = ("gpt", "assistant", "chatgpt", "bing", "bard")
_LENGTHS: Final = ("output_tokens", "output_length", "max_tokens", "max_completion_tokens")
_FORMS: Final = "'prompt', 'messages', 'conversations' or 'input_length'"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PromptFile:
    """The contents of a prompts file."""

    prompts: tuple[Prompt, ...]
    due_s: tuple[float, ...] | None = None
    """When each prompt is due, in s since the first; None if the file does not say."""


def read_prompts(path: str) -> PromptFile:
    """Read a prompts file; its format is detected.

    Raises:
        UsageError: the file cannot be read, or has another format.
    """
    found = list(_entries(path, read_text("--prompts", path)))
    if not 0 < len(found) <= MOST_PROMPTS:
        raise UsageError(f"--prompts {path!r} has {len(found)} prompts: give 1 to {MOST_PROMPTS:,}")
    due_s = _due_s(path, found)
    return PromptFile(tuple(prompt for _, prompt, _ in found), due_s)


Entry = tuple[str, Prompt, float | None]
"""Position in the file (for messages), prompt, and due time in ms (None if not given)."""


def _entries(path: str, content: str) -> Iterator[Entry]:
    """Yield the prompts of the file; ShareGPT entries without a user message are skipped."""
    start = content.lstrip()[:1]
    if start == "[":
        documents = _parsed(path, "", content)
        placed = ((f"entry {number}", one) for number, one in enumerate(documents, 1))
    else:
        lines = ((n, line) for n, line in enumerate(content.splitlines(), 1) if line.strip())
        if start != "{":
            yield from ((f"line {n}", Prompt((("user", line),)), None) for n, line in lines)
            return
        placed = ((f"line {n}", _parsed(path, f", line {n},", line)) for n, line in lines)
    for where, said in placed:
        try:
            prompt = _prompt(said)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UsageError(
                f"--prompts {path!r}, {where}, is no prompt: give an object with {_FORMS}"
            ) from None
        if prompt is not None:
            due = said.get("timestamp") if isinstance(said, dict) else None
            yield where, prompt, due if isinstance(due, int | float) else None


def _parsed(path: str, where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--prompts {path!r}{where} is not valid JSON ({error})") from None


def _prompt(said: Any) -> Prompt | None:
    """Parse one entry; None if it has no user message.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: its format is unknown.
    """
    if isinstance(said, str):
        return Prompt((("user", _text(said)),))
    output = next((_count(said[name]) for name in _LENGTHS if said.get(name)), None)
    if "conversations" in said:
        return _conversation(said["conversations"], output)
    if "messages" in said:
        messages = tuple((_text(one["role"]), _text(one["content"])) for one in said["messages"])
        return Prompt(messages if messages else _nothing(), output_tokens=output)
    if "input_length" in said:
        blocks = tuple(_count(one, least=0) for one in said.get("hash_ids") or ())
        return Prompt(
            input_tokens=_count(said["input_length"]), output_tokens=output, blocks=blocks
        )
    text = said["prompt"] if "prompt" in said else said["text"]
    return Prompt((("user", _text(text)),), output_tokens=output)


def _conversation(turns: Any, output: int | None) -> Prompt | None:
    """Parse a ShareGPT conversation: only the user's messages are sent, not recorded answers."""
    said = [(one["from"], _text(one["value"], empty=True)) for one in turns]
    users = [text for who, text in said if who in _USERS and text.strip()]
    answers = [text for who, text in said if who in _MODELS]
    if not users:
        return None
    return Prompt(
        (("user", users[0]),),
        follow_ups=tuple(users[1:]),
        output_tokens=output,
        answer=answers[0] if answers else "",
    )


def _nothing() -> Any:
    raise ValueError("no messages")


def _text(value: Any, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value.strip() or empty):
        raise TypeError("no text")
    return value


def _count(value: Any, *, least: int = 1) -> int:
    if type(value) is not int or value < least:
        raise ValueError("no whole number")
    return value


def _due_s(path: str, entries: list[Entry]) -> tuple[float, ...] | None:
    """Due times in s since the first entry; None unless all entries have one.

    Raises:
        UsageError: an entry is due before the previous one.
    """
    times_ms = [at for _, _, at in entries if at is not None]
    if len(times_ms) < len(entries):
        return None
    for (where, _, _), before, after in zip(entries[1:], times_ms, times_ms[1:], strict=False):
        if after < before:
            raise UsageError(
                f"--prompts {path!r}, {where}, has the timestamp {after:g}, before the one above: "
                "give times in ascending order"
            )
    return tuple((at - times_ms[0]) * _MS for at in times_ms)

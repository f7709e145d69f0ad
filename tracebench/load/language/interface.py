"""The OpenAI interface: the body of a request, without fields that the server rejects."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit, urlunsplit

from tracebench.model.errors import UsageError
from tracebench.system.redaction import redacted

Message = tuple[str, str]
"""Role and text of a message."""

_CHAT, _COMPLETIONS = "/chat/completions", "/completions"
_OURS: Final = {
    "messages": "give --prompts FILE",
    "prompt": "give --prompts FILE",
    "stream": "give --no-stream",
    "max_tokens": "give --output-tokens N",
    "max_completion_tokens": "give --output-tokens N",
    "model": "give --llm MODEL",
}
"""Fields not allowed in `--extra-body` → what to use instead."""
_COSTLY: Final = (
    *("continuous_usage_stats", "return_token_ids", "logprobs", "top_logprobs", "prompt_logprobs"),
    *("timings_per_token", "return_progress", "echo"),
)
_SEVERAL: Final = ("n", "best_of")
"""Fields that add load unless they are 1."""


@dataclass(frozen=True, slots=True)
class Interface:
    """How requests to a model are written."""

    model: str
    chat: bool
    stream: bool
    extra: Mapping[str, Any]
    ignore_eos: bool = True
    """Generate past the end of the text, so that all answers have the requested length."""
    include_usage: bool = True
    """Ask for the server's own count of tokens at the end of a stream."""
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    def body(self, messages: Sequence[Message], output_tokens: int) -> bytes:
        """The body of a request; completions take a single message and ignore its role."""
        said: dict[str, Any] = {"model": self.model}
        if self.chat:
            said["messages"] = [{"role": role, "content": text} for role, text in messages]
        else:
            said["prompt"] = messages[0][1]
        said[self.limit] = output_tokens
        if self.ignore_eos:
            said["ignore_eos"] = True
        if self.stream:
            said["stream"] = True
            if self.include_usage:
                said["stream_options"] = {"include_usage": True}
        return json.dumps(said | dict(self.extra), ensure_ascii=False).encode()

    def without(self, refusal: str) -> tuple["Interface", str] | None:
        """The interface without the field that a refusal names, and its name; None if unknown.

        A message about `max_tokens` may be about its size, so it counts only if it names the
        replacement.
        """

        def names(field: str) -> bool:
            return re.search(rf"\b{field}\b", refusal) is not None

        if self.ignore_eos and names("ignore_eos") and "ignore_eos" not in self.extra:
            return replace(self, ignore_eos=False), "ignore_eos"
        if self.include_usage and names("stream_options") and "stream_options" not in self.extra:
            return replace(self, include_usage=False), "stream_options"
        if self.limit == "max_tokens" and names("max_tokens") and names("max_completion_tokens"):
            return replace(self, limit="max_completion_tokens"), "max_tokens"
        return None

    def adds_load(self) -> tuple[str, ...]:
        """Request fields that make the server do extra work; set through `--extra-body`."""
        return tuple(dict.fromkeys(_costly(self.extra)))


def _costly(said: Mapping[str, Any]) -> Iterator[str]:
    for name, value in said.items():
        if isinstance(value, Mapping):
            yield from _costly(value)
        elif (name in _COSTLY and value) or (name in _SEVERAL and value not in (None, 1)):
            yield name


def extra_fields(text: str | None) -> Mapping[str, Any]:
    """Read `--extra-body`.

    Raises:
        UsageError: it is not a JSON object, or has a field that other options set.
    """
    try:
        said = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--extra-body is not valid JSON ({error})") from None
    if not isinstance(said, dict):
        raise UsageError("--extra-body is not a JSON object: write e.g. '{\"temperature\": 0}'")
    if name := next((name for name in _OURS if name in said), ""):
        raise UsageError(f"--extra-body sets {name!r}: leave it out, and {_OURS[name]}")
    return cast(Mapping[str, Any], said)


def completions_url(url: str) -> str:
    """The URL to post to: chat completions below a base URL (`http://host:8000[/v1]`).

    Args:
        url: an http(s) URL.

    Raises:
        UsageError: the URL belongs to another endpoint.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if path in ("", "/v1") or path.endswith("/v1"):
        path = (path or "/v1") + _CHAT
    elif not path.endswith(_COMPLETIONS):
        raise UsageError(
            f"--llm speaks to chat completions or completions, and {redacted(url)!r} is neither: "
            "give the base URL, as in http://127.0.0.1:8000, or end it in /v1/completions"
        )
    return urlunsplit(parts._replace(path=path, fragment=""))


def is_chat(url: str) -> bool:
    """Whether an endpoint URL is that of chat completions."""
    return urlsplit(url).path.endswith(_CHAT)

"""Which events of a stream hold tokens, and what else they say about the answer.

Formats are recognised by the keys of their events, so the server need not be named. An event holds
a token if the server says so (its token count grew, or it lists token ids), or if it contains text,
reasoning or a tool call. A delta with only a role, usage figures, a comment and `[DONE]` hold none.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from tracebench.load.streams.events import Event
from tracebench.model.errors import excerpt

Json = dict[str, Any]

DONE: Final = b"[DONE]"
"""The last event of OpenAI's streams."""
_NS_PER_MS: Final = 1e6
_OTHER: Final = ("reasoning_content", "reasoning", "tool_calls", "function_call", "audio")
_decode: Final = json.JSONDecoder().raw_decode
"""Twice as fast as `json.loads`, which first guesses the encoding."""


class Answer:
    """Collects what the events of one stream say.

    Args:
        path: keys and indices that lead to the value that only events with tokens have; empty: use
            the known formats.
    """

    __slots__ = (
        "_by_path",
        "_continuous",
        "cached",
        "decode_ns",
        "ended",
        "error",
        "ids",
        "input",
        "known",
        "may_lack_end",
        "output",
        "prefill_ns",
        "reasoning",
        "text",
        "told_each",
    )

    def __init__(self, path: Sequence[str] = ()) -> None:
        self._by_path = path
        self.known = bool(path)
        """The events have a known format."""
        self.may_lack_end = bool(path)
        """The format has no event that ends a stream."""
        self.ended = False
        """An event that ends the stream has come."""
        self.error = ""
        """The error that interrupted the stream; empty if there was none."""
        self.input = self.output = self.reasoning = self.cached = -1
        """Token counts that the server reported; -1: not reported."""
        self.ids = 0
        """Number of token ids listed so far."""
        self.told_each = False
        """The server reports the number of tokens in every event."""
        self._continuous = False
        self.text = False
        """The last event holds part of the answer itself, not reasoning or a tool call."""
        self.prefill_ns = self.decode_ns = -1
        """Durations of prefill and decode that the server reported; -1: not reported."""

    def take(self, event: Event) -> int:
        """Read an event; returns how many tokens it holds, 1 if it does not say how many."""
        self.text = False
        if event.data == DONE:
            self.ended = True
            return 0
        try:
            said, _ = _decode(event.data.decode().lstrip())
        except (ValueError, RecursionError):
            return 0
        if type(said) is not dict:
            return 0
        if event.kind == b"error" or said.get("error"):
            self.error = _error(said)
            return 0
        if self._by_path:
            self._usage(said.get("usage"))
            self.text = _leads_to_something(said, self._by_path)
            return int(self.text)
        for key, form in _FORMS.items():
            if key in said:
                try:
                    carried = form(self, said)
                except (AttributeError, KeyError, TypeError, ValueError):
                    return 0  # it only looks like that format
                self.known |= carried is not None
                return carried or 0
        return 0

    # ── the forms ────────────────────────────────────────────────────────────────────────────

    def choices(self, said: Json) -> int:
        """OpenAI's chat completions and completions, and servers compatible with them."""
        carries, ids, finished = False, None, False
        for choice in said["choices"] or ():
            of = choice.get
            part = (of("delta") or choice).get
            if part("content") or of("text") or part("refusal"):
                self.text = carries = True
            elif any(map(part, _OTHER)):
                carries = True
            ids = of("token_ids") or ids
            finished |= of("finish_reason") is not None
        self.ended |= finished
        usage, before = said.get("usage"), self.output if self.output > 0 else 0
        if usage:
            self._continuous |= bool(said["choices"]) and not finished
            self._usage(usage)
        if timings := said.get("timings"):
            self._timings(timings)
        if usage and self._continuous and said["choices"]:
            self.told_each = True
            return max(self.output - before, 0)
        if ids:
            self.told_each = True
            self.ids += len(ids)
            return len(ids)
        return int(carries)

    def typed(self, said: Json) -> int | None:
        """OpenAI's Responses and Anthropic's Messages: each event has a type."""
        kind, delta = str(said["type"]), said.get("delta")
        if kind.startswith("response."):
            return self._response(kind, said)
        if kind == "content_block_delta" and isinstance(delta, dict):
            self.text = bool(delta.get("text"))
            return int(self.text or bool(delta.get("thinking") or delta.get("partial_json")))
        if kind == "message_start":
            self._usage((said.get("message") or {}).get("usage"), counts_output=False)
        elif kind == "message_delta":
            self._usage(said.get("usage"))
        self.ended |= kind == "message_stop"
        return 0 if kind in _ANTHROPIC else None

    def _response(self, kind: str, said: Json) -> int:
        if kind.endswith(".delta"):
            self.text = kind == "response.output_text.delta" and bool(said.get("delta"))
            return int(bool(said.get("delta")))
        inner = said.get("response") or {}
        if kind == "response.failed":
            self.error = _error(inner)
        if kind in ("response.completed", "response.incomplete"):
            self.ended = True
            self._usage(inner.get("usage"))
        return 0

    def done(self, said: Json) -> int | None:
        """Ollama: a line per token, then one with the server's own durations in ns."""
        if not {"response", "message"} & said.keys():
            return None
        message = said.get("message") or {}
        self.text = bool(said.get("response") or message.get("content"))
        if said["done"]:
            self.ended = True
            self.input = _count(said.get("prompt_eval_count"), self.input)
            self.output = _count(said.get("eval_count"), self.output)
            self.prefill_ns = _count(said.get("prompt_eval_duration"), self.prefill_ns)
            self.decode_ns = _count(said.get("eval_duration"), self.decode_ns)
        other = message.get("thinking") or message.get("tool_calls") or said.get("thinking")
        return int(self.text or bool(other))

    def token(self, said: Json) -> int | None:
        """TGI: an event per token; the last one has the totals."""
        if "id" not in said["token"]:
            return None
        details = said.get("details") or {}
        self.output = _count(details.get("generated_tokens"), self.output)
        self.ended |= said.get("generated_text") is not None or bool(details.get("finish_reason"))
        self.told_each = True
        self.text = True
        self.ids += 1
        return 1

    def meta_info(self, said: Json) -> int:
        """SGLang's own API: each event repeats the text so far, with its token count."""
        meta, before = said["meta_info"] or {}, max(self.output, 0)
        self._usage(meta)
        self.cached = _count(meta.get("cached_tokens"), self.cached)
        self.ended |= meta.get("finish_reason") is not None
        self.told_each = True
        grown = max(self.output - before, 0)
        self.text = grown > 0
        return grown

    def text_output(self, said: Json) -> int:
        """Triton's generate extension, which has no event that ends a stream."""
        self.may_lack_end = True
        self.text = bool(said["text_output"])
        return int(self.text)

    def stop(self, said: Json) -> int | None:
        """llama.cpp's own API."""
        if "content" not in said:
            return None
        self.ended |= bool(said["stop"])
        self.output = _count(said.get("tokens_predicted"), self.output)
        self.input = _count(said.get("tokens_evaluated"), self.input)
        if timings := said.get("timings"):
            self._timings(timings)
        self.text = bool(said.get("content"))
        if (ids := said.get("tokens")) and not said["stop"]:
            self.told_each = True
            self.ids += len(ids)
            return len(ids)
        return int(self.text)

    # ── shared by several formats ─────────────────────────────────────────────────────────────────

    def _usage(self, usage: Any, *, counts_output: bool = True) -> None:
        if not isinstance(usage, dict):
            return
        self.input = _either(usage, "prompt_tokens", "input_tokens", self.input)
        if counts_output:
            self.output = _either(usage, "completion_tokens", "output_tokens", self.output)
        of_output = _details(usage, "completion_tokens_details", "output_tokens_details")
        of_input = _details(usage, "prompt_tokens_details", "input_tokens_details")
        self.reasoning = _count(of_output.get("reasoning_tokens"), self.reasoning)
        cached = of_input.get("cached_tokens", usage.get("cache_read_input_tokens"))
        self.cached = _count(cached, self.cached)

    def _timings(self, timings: Json) -> None:
        """llama.cpp: durations in ms, and token counts."""
        self.prefill_ns = _from_ms(timings.get("prompt_ms"), self.prefill_ns)
        self.decode_ns = _from_ms(timings.get("predicted_ms"), self.decode_ns)
        if self.output < 0 or not self._continuous:
            self.output = _count(timings.get("predicted_n"), self.output)
        self.cached = _count(timings.get("cache_n"), self.cached)


_ANTHROPIC: Final = frozenset(
    {
        *("message_start", "message_delta", "message_stop", "ping"),
        *("content_block_start", "content_block_stop"),
    }
)
_FORMS: Final[Mapping[str, Callable[[Answer, Json], int | None]]] = {
    "choices": Answer.choices,
    "type": Answer.typed,
    "done": Answer.done,
    "token": Answer.token,
    "meta_info": Answer.meta_info,
    "text_output": Answer.text_output,
    "stop": Answer.stop,
}
"""Key that identifies a format → the method that reads its events, which returns None if the event
does not have that format after all."""


def _leads_to_something(said: Any, path: Sequence[str]) -> bool:
    for step in path:
        if isinstance(said, list):
            place = int(step) if step.isdecimal() else len(said)
            said = said[place] if place < len(said) else None
        elif isinstance(said, dict):
            said = said.get(step)
        else:
            return False
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    return is_number or bool(said)  # a token id may be 0


def _error(said: Json) -> str:
    error = said.get("error", said)
    if isinstance(error, dict):
        error = error.get("message") or error
    return excerpt(error if isinstance(error, str) else json.dumps(error)) or "an error event"


def _details(usage: Json, *names: str) -> Json:
    for name in names:
        if isinstance(found := usage.get(name), dict):
            return found
    return {}


def _either(usage: Json, one: str, other: str, known: int) -> int:
    return _count(usage.get(one, usage.get(other)), known)


def _count(value: Any, known: int) -> int:
    return value if type(value) is int and value >= 0 else known


def _from_ms(value: Any, known: int) -> int:
    plain = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
    return round(value * _NS_PER_MS) if plain else known


# How many tokens a request asks for.

_ASKS: Final = (
    *("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens"),
    *("n_predict", "num_predict"),
)
_WITHIN: Final = ("options", "parameters", "sampling_params")
_LARGEST_BODY: Final = 2**20


def asked_tokens(bodies: Iterable[bytes]) -> int | None:
    """Tokens requested per request, if all requests ask for the same number; None otherwise."""
    asked = None
    for body in bodies:
        found = _asked(body)
        if found is None or asked not in (None, found):
            return None
        asked = found
    return asked


def _asked(body: bytes) -> int | None:
    if len(body) > _LARGEST_BODY or not body.lstrip().startswith(b"{"):
        return None
    try:
        said = json.loads(body)
    except ValueError:
        return None
    for place in (said, *(said.get(name) for name in _WITHIN)):
        for name in _ASKS:
            if isinstance(place, dict) and type(found := place.get(name)) is int and found > 0:
                return found
    return None

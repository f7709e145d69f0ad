"""The language model over REST: OpenAI's completions and chat completions, in Flask."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException

from server_middleware import instrument
from tracebench.example.language.answering import (
    MODEL,
    USUAL_MOST,
    Question,
    RefusedError,
    UnknownModelError,
    checked,
    spoken,
)
from tracebench.example.language.engine import Asked, Engine, Generation, Piece
from tracebench.example.language.tokenizer import END, decode
from tracebench.example.listening import LARGEST_BYTES

Json = dict[str, Any]

_ONE_ONLY: Final = ("n", "best_of")
_NOT_HERE: Final = ("stop", "logprobs", "tools", "response_format", "echo", "suffix")
"""Fields that would change the answer and are not supported."""
_GAUGES: Final = {
    "running": ("gauge", "requests_running", "Streams that take part in each step."),
    "waiting": ("gauge", "requests_waiting", "Requests that wait for a place."),
    "cache_usage": ("gauge", "kv_cache_usage_ratio", "Share of the KV cache in use."),
    "prompt_tokens": ("counter", "prompt_tokens_total", "Tokens of prompts."),
    "cached_tokens": ("counter", "prompt_tokens_cached_total", "Those that were in the cache."),
    "generated_tokens": ("counter", "generated_tokens_total", "Tokens generated."),
}


@dataclass(frozen=True, slots=True)
class _Reply:
    """How to answer one request."""

    asked: Asked
    chat: bool
    streams: bool
    usage: bool
    """Whether to report usage at the end of the stream."""
    usage_each: bool
    ids: bool
    """Whether to include token ids."""
    head: Json
    """Fields repeated in every part of the reply."""

    def told(self, stream: Generation, count: int) -> Json:
        """The usage after `count` generated tokens."""
        prompt = len(self.asked.prompt)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": count,
            "total_tokens": prompt + count,
            "prompt_tokens_details": {"cached_tokens": stream.cached},
        }


def create_app(engine: Engine) -> Flask:
    """Create the app: `/v1/completions`, `/v1/chat/completions`, `/v1/models`, `/metrics`."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BYTES
    began = int(time.time())

    @app.post("/v1/completions")
    def complete() -> Response:
        return _answered(engine, _read(_body(), chat=False))

    @app.post("/v1/chat/completions")
    def chat() -> Response:
        return _answered(engine, _read(_body(), chat=True))

    @app.get("/v1/models")
    def models() -> Response:
        one = {"id": MODEL, "object": "model", "created": began, "owned_by": "tracebench"}
        return jsonify(object="list", data=[one])

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(_metrics(engine), mimetype="text/plain; version=0.0.4")

    @app.get("/healthz")
    def health() -> Response:
        return jsonify(status="ok")

    app.register_error_handler(RefusedError, _refused)
    app.register_error_handler(HTTPException, _http_error)
    instrument(app)
    return app


# Requests.


def _body() -> Json:
    body = request.get_json()
    if not isinstance(body, dict):
        raise RefusedError("the body is no JSON object: send one")
    return body


def _read(body: Json, *, chat: bool) -> _Reply:
    """Parse a request body.

    Raises:
        RefusedError: it cannot be answered.
    """
    for name in _ONE_ONLY:
        if body.get(name) not in (None, 1):
            raise RefusedError(f"{name} is {body[name]!r}: this model answers once")
    for name in _NOT_HERE:
        if body.get(name):
            raise RefusedError(f"{name!r} is not supported: leave it out")
    options = _value(body, "stream_options", dict, {})
    kind = "chatcmpl" if chat else "cmpl"
    streams = _value(body, "stream", bool, False)
    name = "chat.completion" if chat else "text_completion"
    return _Reply(
        asked=checked(_question(body, chat=chat)),
        chat=chat,
        streams=streams,
        usage=_value(options, "include_usage", bool, False),
        usage_each=_value(options, "continuous_usage_stats", bool, False),
        ids=_value(body, "return_token_ids", bool, False),
        head={
            "id": f"{kind}-{uuid4().hex}",
            "object": f"{name}.chunk" if chat and streams else name,
            "created": int(time.time()),
            "model": MODEL,
        },
    )


def _question(body: Json, *, chat: bool) -> Question:
    most = _value(body, "max_tokens", int, None)
    if chat:
        most = _value(body, "max_completion_tokens", int, most)
    elif most is None:
        most = USUAL_MOST
    return Question(
        prompt=_conversation(body) if chat else _prompt(body),
        model=_value(body, "model", str, ""),
        most=most,
        ignores_end=_value(body, "ignore_eos", bool, False),
        temperature=float(_value(body, "temperature", (int, float), 1.0)),
        seed=abs(_value(body, "seed", int, 0)),
    )


def _prompt(body: Json) -> str | tuple[int, ...]:
    match body.get("prompt"):
        case str(text) | [str(text)]:
            return text
        case [int(), *_] as tokens if all(type(one) is int for one in tokens):
            return tuple(tokens)
    raise RefusedError("prompt must be a text or a list of tokens, and one only")


def _conversation(body: Json) -> str:
    """The messages as one text for the assistant to continue."""
    said = []
    for message in _value(body, "messages", list, []):
        match message:
            case {"role": str(role), "content": str(content)}:
                said.append(f"{role}: {content}\n")
            case {"role": str(role), "content": [*parts]} if all(map(_is_text, parts)):
                said.append(f"{role}: {''.join(part['text'] for part in parts)}\n")
            case _:
                raise RefusedError("each message must have a role and a content of text")
    if not said:
        raise RefusedError("messages is empty: send at least one")
    return "".join(said) + "assistant:"


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _value(body: Json, name: str, kind: Any, default: Any) -> Any:
    """A field of the request; null counts as missing."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise RefusedError(f"{name} is {value!r}: it has the wrong type")
    return value


# Replies.


def _answered(engine: Engine, how: _Reply) -> Response:
    if how.streams:
        return Response(_events(engine, how), mimetype="text/event-stream")
    stream = engine.submit(how.asked)
    pieces = list(spoken(stream))
    tokens = [piece.token for piece in pieces if piece.token != END]
    text = decode(tokens)
    choice: Json = {"index": 0, "finish_reason": pieces[-1].finish}
    choice |= {"message": {"role": "assistant", "content": text}} if how.chat else {"text": text}
    if how.ids:
        choice["token_ids"] = tokens
    return jsonify({**how.head, "choices": [choice], "usage": how.told(stream, len(tokens))})


def _events(engine: Engine, how: _Reply) -> Iterator[bytes]:
    if how.chat:
        yield _event(how, [{"index": 0, "delta": {"role": "assistant", "content": ""}}])
    stream, count = engine.submit(how.asked), 0
    for piece in spoken(stream):
        count += piece.token != END
        more = {"usage": how.told(stream, count)} if how.usage_each else {}
        yield _event(how, [_choice(how, piece)], **more)
    last = _event(how, [], usage=how.told(stream, count)) if how.usage else b""
    yield last + b"data: [DONE]\n\n"


def _choice(how: _Reply, piece: Piece) -> Json:
    text = decode([piece.token])
    choice: Json = {"index": 0, "finish_reason": piece.finish or None}
    choice |= {"delta": {"content": text} if text else {}} if how.chat else {"text": text}
    if how.ids:
        choice["token_ids"] = [piece.token] if text else []
    return choice


def _event(how: _Reply, choices: list[Json], **more: Json) -> bytes:
    return b"data: " + json.dumps({**how.head, "choices": choices, **more}).encode() + b"\n\n"


def _metrics(engine: Engine) -> str:
    """The engine's load in Prometheus's text format."""
    load, lines = engine.load(), []
    for field, (kind, name, about) in _GAUGES.items():
        full = f"tracebench_example_{name}"
        lines += [f"# HELP {full} {about}", f"# TYPE {full} {kind}"]
        lines.append(f"{full} {getattr(load, field)}")
    return "\n".join(lines) + "\n"


def _refused(error: RefusedError) -> tuple[Response, int]:
    return _error(str(error), 404 if isinstance(error, UnknownModelError) else 400)


def _http_error(error: HTTPException) -> Any:
    if isinstance(error, BadRequest):
        return _error(f"the body cannot be read: {error.description}", 400)
    response = error.get_response()  # with the headers that its status requires
    response.data = json.dumps({"error": {"message": error.description, "code": error.code}})
    response.content_type = "application/json"
    return response


def _error(message: str, status: int) -> tuple[Response, int]:
    kind = "invalid_request_error"
    return jsonify(error={"message": message, "type": kind, "code": status}), status

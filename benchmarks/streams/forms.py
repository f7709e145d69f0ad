"""What the exact server says, over HTTP/1.1 and over gRPC: bytes of requests in, of replies out."""

import json
from collections.abc import Iterator
from struct import Struct
from typing import Any, Final, NamedTuple, Protocol

import hpack

from benchmarks.streams.method import token_message


class Asked(NamedTuple):
    """A request that has come whole."""

    number: int
    """Of its stream; 0 where a connection has but one at a time."""
    name: str
    """The trace id of its traceparent, or else its X-Request-Id."""
    said: dict[str, Any]
    """The JSON that it brought; empty for one that wants no stream."""


class Form(Protocol):
    """A protocol, for one connection."""

    answer: bytes
    """What it has to say of itself; whoever sends it empties it."""

    def requests(self, data: bytes) -> Iterator[Asked]:
        """Take what has come; gives the requests that are complete."""

    def begin(self, number: int) -> bytes:
        """What a stream begins with, before any token."""

    def token(self, number: int) -> bytes:
        """One token."""

    def end(self, number: int, count: int) -> bytes:
        """What comes after the last token."""


def _name(traceparent: str, request_id: str) -> str:
    return traceparent.split("-")[1] if traceparent.count("-") == 3 else request_id


# ── server-sent events, as servers of OpenAI's interface send them ────────────────────────────────


def _chunk(said: object) -> bytes:
    text = said if isinstance(said, str) else json.dumps(said, separators=(",", ":"))
    data = f"data: {text}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(**more: Any) -> bytes:
    head = {"id": "exact", "object": "chat.completion.chunk", "created": 1, "model": "exact"}
    return _chunk(head | more)


def _choice(finish: str | None = None, **delta: str) -> bytes:
    return _event(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])


_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_MODELS: Final = b'{"object":"list","data":[{"id":"exact","object":"model","owned_by":"exact"}]}'
_OTHER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (len(_MODELS), _MODELS)
)
_ROLE, _TOKEN, _FINISH = _choice(role="assistant"), _choice(content=" the"), _choice("length")


def prompt_of(said: dict[str, Any]) -> str:
    """The text of a prompt; each of its bytes is a token of this server."""
    parts = [one["content"] for one in said.get("messages", ())] or [said.get("prompt", "")]
    texts = [one if isinstance(one, str) else "".join(x["text"] for x in one) for one in parts]
    return "".join(texts)


class Sse:
    """HTTP/1.1, one request at a time; every other request is told what models there are."""

    def __init__(self) -> None:
        self.answer = b""
        self._come = b""
        self._prompt_tokens = 0

    def requests(self, data: bytes) -> Iterator[Asked]:
        """See `Form`."""
        self._come += data
        while b"\r\n\r\n" in self._come:
            head, _, rest = self._come.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            fields = {
                key.lower(): value.strip() for key, _, value in (x.partition(":") for x in lines)
            }
            size = int(fields.get("content-length", 0))
            if len(rest) < size:
                return
            body, self._come = rest[:size], rest[size:]
            if "completions" not in first:
                self.answer += _OTHER
                continue
            name = _name(fields.get("traceparent", ""), fields.get("x-request-id", ""))
            said = json.loads(body)
            self._prompt_tokens = len(prompt_of(said).encode())
            yield Asked(0, name, said)

    def begin(self, _number: int) -> bytes:
        """See `Form`."""
        return _HEAD + _ROLE

    def token(self, _number: int) -> bytes:
        """See `Form`."""
        return _TOKEN

    def end(self, _number: int, count: int) -> bytes:
        """See `Form`."""
        told = self._prompt_tokens
        usage = {"prompt_tokens": told, "completion_tokens": count, "total_tokens": told + count}
        return _FINISH + _event(choices=[], usage=usage) + _chunk("[DONE]") + b"0\r\n\r\n"


# ── gRPC, a message a token ───────────────────────────────────────────────────────────────────────

_PREFACE: Final = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
_FRAME: Final = Struct(">HBBBI")  # the length in two parts, type, flags, stream
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW = 0, 1, 4, 6, 8
_END_STREAM = _ACK = 1
_END_HEADERS, _PADDED, _PRIORITY = 4, 8, 32
_INITIAL: Final = b"\x88\x0f\x10\x10application/grpc"
_TRAILING: Final = b"\x00\x0bgrpc-status\x010"


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return _FRAME.pack(size >> 8, size & 255, kind, flags, stream) + payload


class Grpc:
    """HTTP/2, as little of it as a gRPC client of this benchmark needs."""

    def __init__(self) -> None:
        self.answer = _frame(_SETTINGS, 0, 0, b"")
        self._come = b""
        self._skip = _PREFACE
        self._decoder = hpack.Decoder()
        self._names: dict[int, str] = {}
        self._messages: dict[int, bytes] = {}
        self._message = token_message()

    def requests(self, data: bytes) -> Iterator[Asked]:
        """See `Form`."""
        self._come += data
        if self._skip and len(self._come) >= self._skip:
            self._come, self._skip = self._come[self._skip :], 0
        while not self._skip and len(self._come) >= _FRAME.size:
            high, low, kind, flags, stream = _FRAME.unpack_from(self._come)
            end = _FRAME.size + (high << 8 | low)
            if len(self._come) < end:
                return
            payload, self._come = self._come[_FRAME.size : end], self._come[end:]
            yield from self._take(kind, flags, stream, payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> Iterator[Asked]:
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            self.answer += _frame(kind, _ACK, 0, payload if kind == _PING else b"")
        elif kind == _HEADERS:
            self._names[stream] = self._trace(flags, payload)
        elif kind == _DATA:
            self._messages[stream] = self._messages.get(stream, b"") + payload
            if payload:
                self.answer += _frame(_WINDOW, 0, 0, len(payload).to_bytes(4, "big"))
            if flags & _END_STREAM:
                message = self._messages.pop(stream)
                said = json.loads(message[message.index(b"{") :])
                yield Asked(stream, self._names.pop(stream), said)

    def _trace(self, flags: int, payload: bytes) -> str:
        if flags & _PADDED or not flags & _END_HEADERS:
            raise ValueError("this server knows no padding, and no headers in several frames")
        block = payload[5:] if flags & _PRIORITY else payload
        fields = {str(name): str(value) for name, value in self._decoder.decode(block)}
        return _name(fields.get("traceparent", ""), "")

    def begin(self, number: int) -> bytes:
        """See `Form`."""
        return _frame(_HEADERS, _END_HEADERS, number, _INITIAL)

    def token(self, number: int) -> bytes:
        """See `Form`."""
        return _frame(_DATA, 0, number, self._message)

    def end(self, number: int, _count: int) -> bytes:
        """See `Form`."""
        return _frame(_HEADERS, _END_HEADERS | _END_STREAM, number, _TRAILING)
